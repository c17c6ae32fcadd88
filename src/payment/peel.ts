import { EMPTY, fromHex } from '../base/bytes.ts'
import type { PaymentHash } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import type { IncomingHtlc } from '../channel/types.ts'
import { crypto } from '../crypto/crypto.ts'
import { type RecipientData, unblind } from '../onion/blinding.ts'
import { buildErrorPacket } from '../onion/errorPacket.ts'
import { failureCode, type OnionFailure } from '../onion/failure.ts'
import { decodePayload, type OnionPayload } from '../onion/payload.ts'
import { type Peeled, peelOnion } from '../onion/sphinx.ts'
import { featureBits } from '../wire/features.ts'
import type { Blinding, HtlcCommand, NextHop, PublicUpdate } from './types.ts'

/** An incoming HTLC whose onion says: pass it on. */
export interface ForwardOnion {
  readonly tag: 'forward'
  /** 32 B. */
  readonly sharedSecret: Uint8Array
  readonly blinding: Blinding
  readonly amtToForward: Msat
  readonly outgoingCltvValue: number
  readonly next: NextHop
  /** 1,366 B, for the next hop. */
  readonly onion: Uint8Array
  readonly pathKey: Uint8Array | null
}

/** An incoming HTLC whose onion says: it is for you. */
export interface FinalOnion {
  readonly tag: 'final'
  readonly sharedSecret: Uint8Array
  readonly amtToForward: Msat
  readonly outgoingCltvValue: number
  readonly paymentSecret: Uint8Array | null
  /** Of the whole payment; amtToForward when the payer did not say. */
  readonly totalMsat: Msat
  readonly paymentMetadata: Uint8Array | null
  readonly keysendPreimage: Uint8Array | null
}

/** An incoming HTLC that cannot be read: `command` refuses it on its channel. */
export interface RefusedOnion {
  readonly tag: 'refused'
  readonly command: HtlcCommand
  readonly failure: OnionFailure['name']
}

/** What decides how a failure goes back. */
export interface FailureRoute {
  /** Of the incoming HTLC. */
  readonly id: bigint
  readonly sharedSecret: Uint8Array
  readonly blinding: Blinding
  /** 32 B; null where blinding is none, which does not need it. */
  readonly sha256OfOnion: Uint8Array | null
}

/** What a failure of this HTLC is made with, for its way back. */
export const failureRouteOf = (
  htlc: Pick<IncomingHtlc, 'id' | 'onion'>,
  { sharedSecret, blinding }: Pick<FailureRoute, 'sharedSecret' | 'blinding'>,
): FailureRoute => ({
  id: htlc.id,
  sharedSecret,
  blinding,
  sha256OfOnion: blinding === 'none' ? null : crypto.sha256(htlc.onion),
})

/**
 * The command that fails an incoming HTLC. In a blinded path all failures look alike.
 * @param failure or an encoded failure message
 * @source BOLT 4 §failure-messages (erring node), BOLT 2 §removing-an-htlc
 */
export function failCommand(route: FailureRoute, failure: OnionFailure | Uint8Array): HtlcCommand {
  const { id, sharedSecret, sha256OfOnion } = route
  if (sha256OfOnion === null) return { tag: 'failHtlc', id, reason: buildErrorPacket(sharedSecret, failure) }
  const name = 'invalid_onion_blinding'
  if (route.blinding === 'inside')
    return { tag: 'failMalformedHtlc', id, sha256OfOnion, failureCode: failureCode(name) }
  return { tag: 'failHtlc', id, reason: buildErrorPacket(sharedSecret, { name, sha256OfOnion }) }
}

/**
 * A failure with what the network knows of the channel, where it is of a kind that says so: LND cannot read one without it, blames our
 * node for that, and cannot try again with what the channel really asks. What everybody has shows nothing of who reads it.
 * @source BOLT 4 §failure-messages
 */
export const withUpdate = (failure: OnionFailure, channelUpdate: Uint8Array): OnionFailure =>
  'channelUpdate' in failure ? { ...failure, channelUpdate } : failure

/** The command that fails an incoming HTLC whose onion was read. */
export const failRead = (htlc: IncomingHtlc, onion: ForwardOnion | FinalOnion, failure: OnionFailure): HtlcCommand => {
  const blinding = onion.tag === 'forward' ? onion.blinding : 'none'
  return failCommand(failureRouteOf(htlc, { sharedSecret: onion.sharedSecret, blinding }), failure)
}

/**
 * Fails an HTLC that would be too much dust. The last node has no channel to speak of.
 * @source BOLT 2 §bounding-exposure, BOLT 4 §failure-messages
 */
export const failDust = (
  htlc: IncomingHtlc,
  onion: ForwardOnion | FinalOnion,
  publicUpdate: PublicUpdate = () => EMPTY,
): HtlcCommand =>
  failRead(
    htlc,
    onion,
    onion.tag === 'final'
      ? { name: 'temporary_node_failure' }
      : { name: 'temporary_channel_failure', channelUpdate: publicUpdate(onion.next) },
  )

type Packet = Pick<IncomingHtlc, 'onion' | 'pathKey' | 'paymentHash'>
interface Peeling {
  readonly pathKey: Uint8Array | undefined
  readonly paymentHash: PaymentHash
  readonly nodeSecret: Uint8Array
  readonly peeled: Peeled
}
/** By packet: peeled ahead of time, and again when a forward comes back. */
const peelings = new WeakMap<Uint8Array, Peeling>()

function peel({ onion, pathKey, paymentHash }: Packet, nodeSecret: Uint8Array): Peeled {
  const known = peelings.get(onion)
  if (known?.nodeSecret === nodeSecret && known.pathKey === pathKey && known.paymentHash === paymentHash)
    return known.peeled
  const peeled = peelOnion({ packet: onion, nodeSecret, associatedData: fromHex(paymentHash), pathKey })
  peelings.set(onion, { pathKey, paymentHash, nodeSecret, peeled })
  return peeled
}

/** Peels an onion that `peelIncoming` will soon be asked to read. */
export function peelAhead(packet: Packet, nodeSecret: Uint8Array): void {
  peel(packet, nodeSecret)
}

/**
 * Reads the onion of an incoming HTLC.
 * @param nodeSecret 32 B
 * @source BOLT 4 §payload-format (the reader), §onion-decryption
 */
export function peelIncoming(htlc: IncomingHtlc, nodeSecret: Uint8Array): ForwardOnion | FinalOnion | RefusedOnion {
  const { onion: packet, pathKey } = htlc
  const peeled = peel(htlc, nodeSecret)
  if (peeled.tag === 'malformed') {
    const failure = pathKey === undefined ? peeled.reason : 'invalid_onion_blinding'
    const command = {
      tag: 'failMalformedHtlc' as const,
      id: htlc.id,
      sha256OfOnion: crypto.sha256(packet),
      failureCode: failureCode(failure),
    }
    return { tag: 'refused', command, failure }
  }
  const { sharedSecret } = peeled
  const refuse = (failure: OnionFailure, blinding: Blinding): RefusedOnion => {
    const command = failCommand(failureRouteOf(htlc, { sharedSecret, blinding }), failure)
    return { tag: 'refused', command, failure: blinding === 'none' ? failure.name : 'invalid_onion_blinding' }
  }
  const outer: Blinding = pathKey === undefined ? 'none' : 'inside'
  if (peeled.tag === 'unreadable') return refuse(invalidPayload(0n, 0), outer)
  const decoded = decodePayload(peeled.payload)
  if (!decoded.ok) return refuse(invalidPayload(decoded.error.type, decoded.error.offset), outer)
  const payload = decoded.value

  if (payload.encryptedRecipientData !== undefined) {
    const blinding = pathKey === undefined && payload.currentPathKey !== undefined ? 'introduction' : outer
    const next = peeled.tag === 'forward' ? peeled.packet : null
    const onward = next && blindedForward({ htlc, payload, nodeSecret })
    return onward
      ? { ...onward, tag: 'forward', sharedSecret, blinding, onion: next }
      : refuse(invalidPayload(10n), blinding)
  }
  if (outer === 'inside') return refuse(invalidPayload(10n), outer)
  const missing = missingRecord(payload, peeled.tag)
  if (missing !== null) return refuse(invalidPayload(missing), 'none')
  if (peeled.tag === 'final') return { tag: 'final', sharedSecret, ...finalFields(payload) }
  return {
    tag: 'forward',
    sharedSecret,
    blinding: 'none',
    amtToForward: payload.amtToForward!,
    outgoingCltvValue: payload.outgoingCltvValue!,
    next: { tag: 'channel', shortChannelId: payload.shortChannelId! },
    onion: peeled.packet,
    pathKey: null,
  }
}

const invalidPayload = (type: bigint, offset = 0): OnionFailure => ({ name: 'invalid_onion_payload', type, offset })

/** The type of a record that an unblinded payload must have and has not, or must not have and has. */
function missingRecord(p: OnionPayload, tag: 'forward' | 'final'): bigint | null {
  if (p.amtToForward === undefined) return 2n
  if (p.outgoingCltvValue === undefined) return 4n
  if (p.currentPathKey !== undefined) return 12n
  return tag === 'forward' && p.shortChannelId === undefined ? 6n : null
}

const finalFields = (p: OnionPayload): Omit<FinalOnion, 'tag' | 'sharedSecret'> => ({
  amtToForward: p.amtToForward!,
  outgoingCltvValue: p.outgoingCltvValue!,
  paymentSecret: p.paymentData?.paymentSecret ?? null,
  totalMsat: p.paymentData?.totalMsat ?? p.amtToForward!,
  paymentMetadata: p.paymentMetadata ?? null,
  keysendPreimage: p.keysendPreimage ?? null,
})

interface BlindedRequest {
  readonly htlc: IncomingHtlc
  readonly payload: OnionPayload
  readonly nodeSecret: Uint8Array
}

/**
 * What the recipient of a blinded path wants us to pass on; null when anything about it is wrong, which is all that is told.
 * @source BOLT 4 §payload-format (the reader, encrypted_recipient_data present)
 */
function blindedForward(
  r: BlindedRequest,
): Pick<ForwardOnion, 'amtToForward' | 'outgoingCltvValue' | 'next' | 'pathKey'> | null {
  const { htlc, payload } = r
  const { encryptedRecipientData, currentPathKey, ...others } = payload
  if (Object.keys(others).length > 0 || (htlc.pathKey !== undefined) === (currentPathKey !== undefined)) return null
  const unblinded = unblind(r.nodeSecret, (htlc.pathKey ?? currentPathKey)!, encryptedRecipientData!)
  if (unblinded === null) return null
  const { data, nextPathKey } = unblinded
  const next = nextOf(data)
  const relay = data.paymentRelay
  const limits = data.paymentConstraints
  if (next === null || relay === undefined || featureBits(data.allowedFeatures ?? new Uint8Array(0)).length > 0)
    return null
  if (limits && (htlc.cltvExpiry > limits.maxCltvExpiry || htlc.amountMsat < limits.htlcMinimumMsat)) return null
  const afterBase = htlc.amountMsat - BigInt(relay.feeBaseMsat)
  if (afterBase < 0n) return null
  const rate = BigInt(relay.feeProportionalMillionths)
  return {
    amtToForward: ((afterBase * 1_000_000n + 1_000_000n + rate - 1n) / (1_000_000n + rate)) as Msat,
    outgoingCltvValue: htlc.cltvExpiry - relay.cltvExpiryDelta,
    next,
    pathKey: nextPathKey,
  }
}

function nextOf(data: RecipientData): NextHop | null {
  const { shortChannelId, nextNodeId } = data
  if (shortChannelId !== undefined && nextNodeId !== undefined) return null
  if (shortChannelId !== undefined) return { tag: 'channel', shortChannelId }
  return nextNodeId === undefined ? null : { tag: 'node', nodeId: nextNodeId }
}
