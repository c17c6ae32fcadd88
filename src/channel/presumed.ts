import { EMPTY, toHex } from '../base/bytes.ts'
import type { PaymentHash } from '../base/ids.ts'
import { ZERO_MSAT } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import type { Htlc } from './htlc.ts'
import { appendHtlc, eachHtlc, replaceHtlc } from './htlcTable.ts'
import type { Channel } from './state.ts'
import type { ChannelCommand, HtlcOrigin } from './types.ts'
import { withCommitments } from './updates.ts'

/*
 * We lost writes, and with them perhaps the offer of an HTLC: the one that it forwards is there, and the peer may hold a signed commitment
 * that we do not know. Such an HTLC is noted as one that stands in none of the commitments that we do know. From there on it is like any
 * other: its output is looked for in what the peer publishes, its preimage is learned, and it is failed when the peer can claim it no more.
 */

type PresumeCommand = Extract<ChannelCommand, { readonly tag: 'presumeHtlc' }>

/** The HTLC that we offered, or may have, for another or for a payment of ours; undefined where the channel knows of none. */
export function offerFor({ commitments }: Channel, origin: HtlcOrigin): Htlc | undefined {
  for (const htlc of eachHtlc(commitments.outgoing)) if (isSame(htlc.add.origin, origin)) return htlc
  return undefined
}

function isSame(a: HtlcOrigin | null, b: HtlcOrigin): boolean {
  if (a?.tag === 'forward') return b.tag === 'forward' && a.htlcId === b.htlcId && a.channelId === b.channelId
  return a?.tag === 'payment' && b.tag === 'payment' && a.paymentHash === b.paymentHash && a.attempt === b.attempt
}

/** The channel with the HTLC noted; null when it knows of one for this origin. Only for a channel that offers nothing any more. */
export function presume(channel: Channel, command: PresumeCommand): Channel | null {
  const { amountMsat, paymentHash, cltvExpiry, origin } = command
  if (offerFor(channel, origin)) return null
  const { outgoing, nextOutgoingId: id } = channel.commitments
  const htlc: Htlc = {
    add: { id, amountMsat, paymentHash, cltvExpiry, onion: EMPTY, pathKey: null, origin, excessDust: false },
    stage: 'presumed',
    remoteFrom: 0,
    remoteTo: 0,
    removal: null,
  }
  return withCommitments(channel, { outgoing: appendHtlc(outgoing, htlc), nextOutgoingId: id + 1n })
}

/** Blocks until the expiry of what was forwarded in time, at least: the next node's was due sooner by the delta between the two. */
const LEAST_EXPIRY = 24

/**
 * The channel with the HTLCs that what was shown may be the preimages of: those that it knows have theirs, and for each of the others one is
 * noted, of whatever amount: the script of its output has nothing but the hash.
 * @param isOpen a commitment that we do not know may be its end
 * @returns null when nothing of it is news
 */
export function presumeReceived(
  channel: Channel,
  shown: readonly Uint8Array[],
  { isOpen, blockHeight }: { readonly isOpen: boolean; readonly blockHeight: number },
): Channel | null {
  let { incoming, nextIncomingId: id } = channel.commitments
  const byHash = new Map<PaymentHash, Htlc[]>()
  for (const htlc of eachHtlc(incoming)) {
    const same = byHash.get(htlc.add.paymentHash)
    if (same) same.push(htlc)
    else byHash.set(htlc.add.paymentHash, [htlc])
  }
  for (const preimage of shown) {
    const paymentHash = toHex(crypto.sha256(preimage)) as PaymentHash
    const removal = { tag: 'fulfilled', preimage } as const
    const known = byHash.get(paymentHash) ?? []
    for (const htlc of known)
      if (htlc.removal?.tag !== 'fulfilled') incoming = replaceHtlc(incoming, { ...htlc, removal })
    if (known.length > 0 || !isOpen) continue
    const about = { onion: EMPTY, pathKey: null, origin: null, excessDust: false }
    const add = { id: id++, amountMsat: ZERO_MSAT, paymentHash, cltvExpiry: blockHeight + LEAST_EXPIRY, ...about }
    const htlc: Htlc = { add, stage: 'presumed', remoteFrom: 0, remoteTo: 0, removal }
    byHash.set(paymentHash, [htlc])
    incoming = appendHtlc(incoming, htlc)
  }
  if (incoming === channel.commitments.incoming) return null
  return withCommitments(channel, { incoming, nextIncomingId: id })
}
