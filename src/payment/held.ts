import type { ChannelId, PaymentHash } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import type { HtlcOrigin, IncomingHtlc } from '../channel/types.ts'
import { failBack, giveUp, recordOf } from './forward.ts'
import type { ForwardOnion } from './peel.ts'
import type { NextHop, PaymentEffect, PublicUpdate } from './types.ts'

/*
 * A start finds an incoming HTLC that is to be passed on, and no channel that knows of its offer. That may have been in writes which the
 * disk has lost, or which an older copy of the database never had: then the next node holds a signed HTLC, may take it with the preimage,
 * and whoever failed the incoming one meanwhile would pay for it. So it is neither offered again nor failed before every channel with the
 * next node has shown where it stands.
 */

/** Where a channel stands, as to an offer that may have been lost. */
export type Standing =
  /** Its peer has not shown since the start where it stands. */
  | 'unheard'
  /** Its peer has, and we are in step: what we know is all that there is. */
  | 'current'
  /** It ends, perhaps by a commitment that we do not know. */
  | 'lost'
  /** The same, and the HTLC is noted in it. */
  | 'noted'
  /** And the commitment is in the chain, which decides on the HTLC. */
  | 'onchain'
  /** The HTLC is in none of its commitments, for good. */
  | 'over'

export interface HeldForward {
  readonly htlc: IncomingHtlc
  readonly onion: ForwardOnion
}

export interface HeldContext {
  readonly blockHeight: number
  /** The height is that of now, and the funding of the incoming channel is in the chain. */
  readonly isSound: boolean
  readonly incoming: Standing
  /** Of all channels with the next node. */
  readonly outgoing: readonly { readonly channelId: ChannelId; readonly standing: Standing }[]
  /** There may be one more, which cannot be read: a backup may bring it back. */
  readonly isUnread?: boolean
  readonly publicUpdate?: PublicUpdate
}

export type HeldVerdict =
  | { readonly tag: 'wait'; readonly effects: readonly PaymentEffect[] }
  /** It was never offered: it is passed on like any other. */
  | { readonly tag: 'go-on' }
  | { readonly tag: 'failed'; readonly effects: readonly PaymentEffect[] }

const MAY_HOLD: ReadonlySet<Standing> = new Set(['unheard', 'lost', 'noted', 'onchain'])

/**
 * What becomes of a forward that may have been offered: to be asked with every block, and whenever a channel changes. Where it may be in a
 * commitment that we do not know, it is noted in that channel, whose end decides on it. One that nothing decides on goes back before its
 * own channel would have to be closed over it, by when what was offered has expired long ago.
 * @source BOLT 2 §forwarding-htlcs, BOLT 5 §htlc-output-handling-remote-commitment-local-offers
 */
export function reviewHeld({ htlc, onion }: HeldForward, ctx: HeldContext): HeldVerdict {
  const { incoming, outgoing, isUnread = false, isSound, blockHeight, publicUpdate } = ctx
  const isHere = (standing: Standing): boolean => outgoing.some((c) => c.standing === standing)
  const mayBeOut = isUnread || outgoing.some((c) => MAY_HOLD.has(c.standing))
  const record = recordOf(htlc, onion, null)
  if (mayBeOut || incoming === 'unheard' || !isSound) {
    const back = isHere('onchain') ? [] : failBack(record, htlc, blockHeight, publicUpdate)
    if (back.length > 0) return { tag: 'failed', effects: back }
    return { tag: 'wait', effects: noteOf(offerOf({ htlc, onion }), outgoing) }
  }
  // Its own channel is at its end, or what it says of the HTLC is old.
  return incoming === 'current' ? { tag: 'go-on' } : { tag: 'failed', effects: giveUp(record, publicUpdate) }
}

/** What is left of a forward that may have been offered. */
export interface LostOffer {
  /** The HTLC that it came from. */
  readonly origin: Extract<HtlcOrigin, { tag: 'forward' }>
  readonly next: NextHop
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
}

/** What may have been offered to the next node for it. */
export const offerOf = ({ htlc, onion }: HeldForward): LostOffer => ({
  origin: { tag: 'forward', channelId: htlc.channelId, htlcId: htlc.id },
  next: onion.next,
  amountMsat: onion.amtToForward,
  paymentHash: htlc.paymentHash,
  // Of one that asks for more nothing was offered, and its end would be waited for without end.
  cltvExpiry: Math.min(onion.outgoingCltvValue, htlc.cltvExpiry),
})

/** A channel may show yet that it had an offer. */
export const isOpen = ({ outgoing, isUnread = false }: Pick<HeldContext, 'outgoing' | 'isUnread'>): boolean =>
  isUnread || outgoing.some(({ standing }) => standing === 'unheard' || standing === 'lost')

/** Has it noted in every channel that ends: also of one that has gone back, since what it was offered with is ours once that has expired. */
export const noteOf = ({ next: _, ...offer }: LostOffer, outgoing: HeldContext['outgoing']): readonly PaymentEffect[] =>
  outgoing
    .filter((c) => c.standing === 'lost')
    .map(({ channelId }) => ({ tag: 'command', channelId, command: { tag: 'presumeHtlc', ...offer } }))
