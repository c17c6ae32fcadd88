import { randomBytes } from 'node:crypto'
import { toHex } from '../../../src/base/bytes.ts'
import { paymentHash } from '../../../src/base/ids.ts'
import { msat } from '../../../src/base/units.ts'
import { crypto } from '../../../src/crypto/crypto.ts'
import { decodeInvoice } from '../../../src/invoice/bolt11.ts'
import type { ChannelView } from '../../../src/node/service.ts'
import type { OurNode } from '../ourNode.ts'
import type { Counterpart, Outcome, Stage } from '../stage.ts'
import type { EclairWorld } from './world.ts'

interface Parties {
  /** Has a channel with eclair, and holds what is held there: eclair itself has no hold invoices, and forwards them. */
  readonly dave: OurNode
  /** Has a channel with us. */
  readonly carol?: OurNode
  /** `min_final_cltv_expiry_delta` of invoices of ours and dave's; absent: as the node has it. */
  readonly finalDelta?: number
}

/** eclair as the counterpart of lives. */
export function eclairStage(w: EclairWorld, parties: Parties): Stage {
  const { finalDelta } = parties
  return {
    ...(finalDelta && { finalDelta: () => finalDelta }),
    us: w.us,
    them: counterpart(w, parties),
    link: w.link,
    isConnected: () => w.peerConnected(),
    connect: () => w.dial(),
    mine: () => w.mine(),
    setFeerate: (feeratePerKw) => {
      w.chain.changes.set('estimatesmartfee', () => ({ feerate: (feeratePerKw * 4) / 1e8, blocks: 2 }))
    },
    until: (what, isTrue) => w.until(what, isTrue),
  }
}

/** For its answer from a database, on a machine that is busy. */
const PATIENT_S = 120

function counterpart(w: EclairWorld, { dave, carol, finalDelta }: Parties): Counterpart {
  const { eclair } = w
  /** By hash, of what dave holds. */
  const preimages = new Map<string, Uint8Array>()
  const heldStatus = async (hash: string) => (await dave.service.invoice(paymentHash(hash))).status
  /** Of eclair.conf, from its next start on: it reads no estimates on regtest. */
  let feerates: Readonly<Record<string, number>> = {}

  /** Payments that eclair began before it was last killed. */
  let cutShort: ReadonlySet<string> = new Set()
  const begun = new Set<string>()
  const look = async (id: string): Promise<Outcome> => {
    const asked = { id, timeoutSeconds: PATIENT_S }
    const parts = await eclair.call<{ status: { type: string } }[]>('getsentinfo', asked)
    if (parts.some((p) => p.status.type === 'pending')) return 'pending'
    return parts.some((p) => p.status.type === 'sent') ? 'succeeded' : 'failed'
  }
  /**
   * When it starts it looks after the HTLCs in channels alone, and for no longer than its books are in order (PostRestartHtlcCleaner): what
   * else it had begun is pending for good to it. Our word is what is left then.
   */
  const isForgotten = async (id: string, hash: string): Promise<boolean> => {
    if (!cutShort.has(id)) return false
    // It fails while one of the channels ends.
    const channels = await eclair.call('channels', { nodeId: w.us.nodeId }).catch(() => null)
    return channels !== null && !JSON.stringify(channels).includes(hash)
  }
  const payees = carol ? [w.us, carol] : [w.us]
  const ourWord = async (hash: string): Promise<Outcome> => {
    const said = payees.map(({ service }) => service.invoice(paymentHash(hash)).catch(() => null))
    return (await Promise.all(said)).some((i) => i?.status === 'settled') ? 'succeeded' : 'failed'
  }
  /** For carol, who knows of no other. */
  const hints = async (): Promise<readonly ChannelView[]> => {
    const all = carol ? await w.us.channels() : []
    return all.filter((c) => c.peer === eclair.nodeId && c.state === 'normal')
  }
  const margin = finalDelta === undefined ? {} : { minFinalCltvExpiryDelta: finalDelta }
  return {
    nodeId: eclair.nodeId,
    seesUs: () => w.seesUs(),
    invoice: async (amountMsat, isHeld) => {
      if (!isHeld) return (await w.invoiceOfEclair(amountMsat, await hints())).serialized
      const preimage = new Uint8Array(randomBytes(32))
      const hash = paymentHash(toHex(crypto.sha256(preimage)))
      preimages.set(hash, preimage)
      const request = { amountMsat: msat(amountMsat), paymentHash: hash, ...margin }
      return (await dave.service.createInvoice(request)).bolt11
    },
    pay: async (bolt11) => {
      const id = await eclair.call<string>('payinvoice', { invoice: bolt11 })
      begun.add(id)
      return { id, hash: decodeInvoice(bolt11).paymentHash }
    },
    keysend: async () => {
      throw new Error('eclair is asked for none')
    },
    decide: async (hash, settle) => {
      if ((await heldStatus(hash)) !== 'accepted') return false
      const id = paymentHash(hash)
      await (settle ? dave.service.settleInvoice(id, preimages.get(hash)!) : dave.service.cancelInvoice(id))
      return true
    },
    refuse: async (hash) => {
      // eclair itself waits for what is missing as long as multi-part-payment-expiry says.
      if (preimages.has(hash) && (await heldStatus(hash)) !== 'settled')
        await dave.service.cancelInvoice(paymentHash(hash))
    },
    outcome: async ({ id, hash }) => {
      const first = await look(id)
      if (first === 'pending') return (await isForgotten(id, hash)) ? ourWord(hash) : first
      // What ends between its two looks, at its database and at what goes on, is in neither.
      return first === 'failed' ? look(id) : first
    },
    isReceived: async (hash) => {
      if (preimages.has(hash)) return (await heldStatus(hash)) === 'settled'
      type Info = { readonly status: { readonly type: string } }
      return (await eclair.call<Info>('getreceivedinfo', { paymentHash: hash })).status.type === 'received'
    },
    hangUp: async () => void (await eclair.call('disconnect', { nodeId: w.us.nodeId })),
    setFeerate: async (feeratePerKw) => {
      const perByte = Math.round(feeratePerKw / 250)
      const names = ['slow', 'medium', 'fast', 'fastest']
      feerates = Object.fromEntries(names.map((n) => [`on-chain-fees.default-feerates.${n}`, perByte]))
    },
    kill: async () => {
      await eclair.kill()
      cutShort = new Set(begun)
      await eclair.restart(feerates)
      await dave.service.connectPeer({ nodeId: eclair.nodeId, host: '127.0.0.1', port: eclair.port })
    },
  }
}
