import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { type NodeId, parseScid } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { createBlindedPath, encodeRecipientData, type RecipientData, unblind } from '../../src/onion/blinding.ts'
import { decodePayload } from '../../src/onion/payload.ts'
import { buildOnion, peelOnion } from '../../src/onion/sphinx.ts'
import vectors from './fixtures/bolt04-blinding.json' with { type: 'json' }

interface VectorData {
  padding?: string
  short_channel_id?: string
  next_node_id?: string
  path_id?: string
  next_path_key_override?: string
  payment_relay?: { cltv_expiry_delta: number; fee_proportional_millionths: number; fee_base_msat?: number }
  payment_constraints?: { max_cltv_expiry: number; htlc_minimum_msat: number }
  allowed_features?: { features: readonly number[] }
}

const recipientData = (v: VectorData): RecipientData => ({
  ...(v.padding !== undefined && { padding: fromHex(v.padding) }),
  ...(v.short_channel_id !== undefined && { shortChannelId: parseScid(v.short_channel_id) }),
  ...(v.next_node_id !== undefined && { nextNodeId: v.next_node_id as NodeId }),
  ...(v.path_id !== undefined && { pathId: fromHex(v.path_id) }),
  ...(v.next_path_key_override !== undefined && { nextPathKeyOverride: fromHex(v.next_path_key_override) }),
  ...(v.payment_relay && {
    paymentRelay: {
      cltvExpiryDelta: v.payment_relay.cltv_expiry_delta,
      feeProportionalMillionths: v.payment_relay.fee_proportional_millionths,
      feeBaseMsat: v.payment_relay.fee_base_msat ?? 0,
    },
  }),
  ...(v.payment_constraints && {
    paymentConstraints: {
      maxCltvExpiry: v.payment_constraints.max_cltv_expiry,
      htlcMinimumMsat: msat(v.payment_constraints.htlc_minimum_msat),
    },
  }),
  ...(v.allowed_features && { allowedFeatures: bitsToBytes(v.allowed_features.features) }),
})
/** Big-endian: bit 0 is the lowest of the last byte. */
const bitsToBytes = (bits: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(bits.length === 0 ? 0 : Math.floor(Math.max(...bits) / 8) + 1)
  for (const bit of bits) bytes[bytes.length - 1 - Math.floor(bit / 8)]! |= 1 << (bit % 8)
  return bytes
}
const unframe = (framed: string): Uint8Array => fromHex(framed).slice(framed.startsWith('fd') ? 3 : 1)

describe('BOLT 4 §route-blinding', () => {
  const { hops, unblind: steps } = vectors.blinding

  it('the recipient blinds two paths that are joined into one', () => {
    const starts = hops.flatMap((h, i) => (h.sessionKey === undefined ? [] : [i]))
    for (const [n, start] of starts.entries()) {
      const part = hops.slice(start, starts[n + 1])
      const path = createBlindedPath(
        fromHex(part[0]!.sessionKey!),
        part.map((h) => ({ nodeKey: fromHex(h.nodeId), data: fromHex(h.encoded) })),
      )
      expect(toHex(path.firstPathKey)).toBe(part[0]!.pathKey)
      expect(path.hops.map((h) => toHex(h.blindedNodeId))).toEqual(part.map((h) => h.blindedNodeId))
      expect(path.hops.map((h) => toHex(h.encryptedData))).toEqual(part.map((h) => h.encrypted))
    }
  })

  it('each hop decrypts its data and finds the next path key', () => {
    for (const [i, step] of steps.entries()) {
      const got = unblind(fromHex(step.nodeSecret), fromHex(step.pathKey), fromHex(hops[i]!.encrypted))
      expect(got?.data).toEqual(recipientData(hops[i]!.data as VectorData))
      expect(toHex(got!.nextPathKey)).toBe(step.nextPathKeyOverride ?? step.nextPathKey)
    }
  })

  it('recipient data without unknown records encodes to the same bytes', () => {
    const plain = hops.filter((h) => !Object.keys(h.data).some((k) => k.startsWith('unknown')))
    expect(plain.length).toBeGreaterThan(1)
    for (const h of plain) expect(toHex(encodeRecipientData(recipientData(h.data as VectorData)))).toBe(h.encoded)
  })
})

describe('BOLT 4: a payment over a partly blinded route', () => {
  const { payment } = vectors
  const associatedData = fromHex(payment.associatedData)

  it('the sender builds the packet', () => {
    const built = buildOnion({
      hops: payment.hops.map((h) => ({ nodeKey: fromHex(h.nodeKey), payload: unframe(h.framedPayload) })),
      sessionKey: fromHex(payment.sessionKey),
      associatedData,
    })
    expect(toHex(built.packet)).toBe(payment.packet)
  })

  it('every hop peels it with its path key, and reads what the recipient wrote', () => {
    let packet = fromHex(payment.packet)
    let pathKey: Uint8Array | undefined
    for (const [i, hop] of payment.peel.entries()) {
      expect(toHex(packet)).toBe(hop.packet)
      const nodeSecret = fromHex(hop.nodeSecret)
      const peeled = peelOnion({ packet, nodeSecret, associatedData, pathKey })
      if (peeled.tag !== 'forward' && peeled.tag !== 'final') throw new Error(peeled.tag)
      expect(peeled.tag).toBe(i === payment.peel.length - 1 ? 'final' : 'forward')
      const payload = decodePayload(peeled.payload)
      if (!payload.ok) throw new Error('payload')
      const encrypted = payload.value.encryptedRecipientData
      if (encrypted !== undefined) {
        const got = unblind(nodeSecret, pathKey ?? payload.value.currentPathKey!, encrypted)
        const tlvs = payment.hops[i]!.tlvs as { encrypted_recipient_data: VectorData }
        expect(got?.data).toEqual(recipientData(tlvs.encrypted_recipient_data))
        expect(toHex(got!.nextPathKey)).toBe(hop.nextPathKey)
        pathKey = got!.nextPathKey
      }
      if (peeled.tag === 'forward') packet = peeled.packet
    }
  })
})
