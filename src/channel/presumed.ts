import { EMPTY } from '../base/bytes.ts'
import type { Htlc } from './htlc.ts'
import { appendHtlc, eachHtlc } from './htlcTable.ts'
import type { Channel } from './state.ts'
import type { ChannelCommand, HtlcOrigin } from './types.ts'
import { withCommitments } from './updates.ts'

/*
 * We lost writes, and with them perhaps the offer of an HTLC: the one that it forwards is there, and the peer may hold a signed commitment
 * that we do not know. Such an HTLC is noted as one that stands in none of the commitments that we do know. From there on it is like any
 * other: its output is looked for in what the peer publishes, its preimage is learned, and it is failed when the peer can claim it no more.
 */

type PresumeCommand = Extract<ChannelCommand, { readonly tag: 'presumeHtlc' }>

/** The HTLC that we offered, or may have, for another; undefined where the channel knows of none. */
export function offerFor({ commitments }: Channel, origin: HtlcOrigin): Htlc | undefined {
  for (const htlc of eachHtlc(commitments.outgoing)) if (isSame(htlc.add.origin, origin)) return htlc
  return undefined
}

const isSame = (a: HtlcOrigin | null, b: HtlcOrigin): boolean =>
  a?.tag === 'forward' && b.tag === 'forward' && a.htlcId === b.htlcId && a.channelId === b.channelId

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
