import type { ChannelId } from '../base/ids.ts'
import type { FaultCode, HtlcEvent, HtlcOrigin, IncomingHtlc } from '../channel/types.ts'
import { decideForward, failBack, forwardRecordOf, giveUp, onForwardResult } from '../payment/forward.ts'
import { type HeldForward, isOpen, offerOf, reviewHeld } from '../payment/held.ts'
import { type ForwardOnion, peelIncoming } from '../payment/peel.ts'
import {
  DEFAULT_FORWARD_LIMITS,
  type ForwardRecord,
  type NextHop,
  type OutgoingChannel,
  type PaymentEffect,
  type PublicUpdate,
} from '../payment/types.ts'
import type { Driver } from '../store/types.ts'
import type { ClaimRoom } from './claimRoom.ts'
import { LettingGo } from './lettingGo.ts'
import { LostHtlcs, type LostHtlcsOptions } from './lostHtlcs.ts'
import type { TurnScope } from './reactor.ts'

export interface ForwardsOptions extends LostHtlcsOptions {
  readonly nodeSecret: Uint8Array
  readonly blockHeight: () => number
  readonly claims: ClaimRoom
  readonly channelsTo: (next: NextHop) => readonly OutgoingChannel[]
  readonly publicUpdate?: PublicUpdate
  /** The incoming HTLC that a forward came from, while its channel has it and nothing has been decided on it. */
  readonly incomingHtlc: (channelId: ChannelId, id: bigint) => IncomingHtlc | null
  /** What came in of a forward that was failed and may be paid after all, and the channel that has the offer. */
  readonly lateForward: (
    origin: Omit<ForwardOrigin, 'tag'>,
  ) => { readonly htlc: IncomingHtlc; readonly outgoing: ChannelId | null } | null
  /** That channel has never had an HTLC of this id, as far as it knows: it has lost writes. */
  readonly hasLost: (channelId: ChannelId, id: bigint) => boolean
  /** The channel is not in the chain, though it would be on its way there if a late HTLC in it were worth that. */
  readonly staysOpen: (channelId: ChannelId) => boolean
}

/** Why a channel does not take what its peer may take over another one. */
const NO_ROOM: ReadonlySet<FaultCode> = new Set([
  'INSUFFICIENT_BALANCE',
  'TOO_MANY_HTLCS',
  'HTLC_LIMIT',
  'DUST_EXPOSURE',
  'UNACCEPTABLE_FEERATE',
])

type ForwardOrigin = Extract<HtlcOrigin, { tag: 'forward' }>

/** Names an incoming HTLC among all channels'. */
export const incomingKey = (channelId: ChannelId, id: bigint): string => `${channelId}:${id}`

const wasPresumed = (event: Exclude<HtlcEvent, { tag: 'received' }>): boolean =>
  event.tag === 'failed' && event.failure.tag === 'onchain' && event.failure.presumed === true

/**
 * The forwards under way, by incoming HTLC. They are not stored: the channels have all that they are made again from, but for what
 * was lost (lostHtlcs.ts).
 */
export class Forwards {
  readonly #options: ForwardsOptions
  readonly #pending = new Map<string, ForwardRecord>()
  /** By incoming HTLC: channels that had no room after all, as what came in the same turn was offered first. */
  readonly #refusedBy = new Map<string, readonly ChannelId[]>()
  readonly #lettingGo = new LettingGo()
  /** Incoming HTLCs from before this start, of which no channel has shown yet whether they were offered. */
  readonly #earlier = new Set<string>()
  /** Of those, the forwards that wait for that (payment/held.ts). */
  readonly #held = new Map<string, HeldForward>()
  readonly #lost: LostHtlcs
  #isRecovering = false

  constructor(options: ForwardsOptions) {
    this.#options = options
    this.#lost = new LostHtlcs(options)
  }

  /** @returns how many records could not be read */
  async load(driver: Driver): Promise<number> {
    const unreadable = await this.#lost.load(driver)
    this.#isRecovering = this.#lost.size > 0
    return unreadable
  }

  get size(): number {
    return this.#pending.size + this.#held.size
  }

  has(htlc: Pick<IncomingHtlc, 'channelId' | 'id'>): boolean {
    return this.#pending.has(incomingKey(htlc.channelId, htlc.id))
  }

  /** At a start: what was offered of these may be lost. A backup that is taken in later has none. */
  remember(htlcs: readonly Pick<IncomingHtlc, 'channelId' | 'id'>[]): void {
    this.#isRecovering ||= htlcs.length > 0
    for (const { channelId, id } of htlcs) this.#earlier.add(incomingKey(channelId, id))
  }
  /** All channels count as away from their peers by now, whatever was stored. */
  recovered(): readonly PaymentEffect[] {
    this.#isRecovering = false
    return this.goOn()
  }
  /** It may have been offered before this start, though no channel knows of it. */
  mayBeOut(htlc: Pick<IncomingHtlc, 'channelId' | 'id'>): boolean {
    return this.#earlier.has(incomingKey(htlc.channelId, htlc.id)) && !this.has(htlc)
  }

  /** Neither offers an HTLC nor fails it before that is known. */
  hold(htlc: IncomingHtlc, onion: ForwardOnion): readonly PaymentEffect[] {
    const key = incomingKey(htlc.channelId, htlc.id)
    this.#held.set(key, { htlc, onion })
    return this.#goOn(key, { htlc, onion })
  }

  /** A channel may have shown where it stands. */
  goOn(): readonly PaymentEffect[] {
    if (this.#isRecovering || this.#held.size + this.#lost.size === 0) return []
    return [...this.#lost.tell(), ...[...this.#held].flatMap(([key, held]) => this.#goOn(key, held))]
  }

  #goOn(key: string, held: HeldForward): readonly PaymentEffect[] {
    const { incomingHtlc, standings, blockHeight, publicUpdate } = this.#options
    const { htlc, onion } = held
    if (this.#isRecovering) return []
    if (incomingHtlc(htlc.channelId, htlc.id) === null) return this.#letGo(key)
    const about = { blockHeight: blockHeight(), ...(publicUpdate && { publicUpdate }) }
    const offer = offerOf(held)
    const where = standings(offer.origin, offer.next)
    const verdict = reviewHeld(held, { ...where, ...about })
    if (verdict.tag === 'wait') return verdict.effects
    this.#letGo(key)
    if (verdict.tag === 'go-on') return this.begin(htlc, onion)
    if (isOpen(where)) this.#lost.offered(offer)
    return verdict.effects
  }

  #letGo(key: string): readonly [] {
    this.#earlier.delete(key)
    this.#held.delete(key)
    return []
  }

  /** An HTLC that is to be passed on; nothing when it is already. */
  begin(htlc: IncomingHtlc, onion: ForwardOnion): readonly PaymentEffect[] {
    const key = incomingKey(htlc.channelId, htlc.id)
    if (this.#pending.has(key)) return []
    const refusedBy = this.#refusedBy.get(key) ?? []
    const channelsTo = (next: NextHop) =>
      this.#options.channelsTo(next).filter(({ channelId }) => !refusedBy.includes(channelId))
    const { blockHeight, publicUpdate, claims } = this.#options
    const about = { channelsTo, limits: DEFAULT_FORWARD_LIMITS, ...(publicUpdate && { publicUpdate }) }
    const { record, effects } = decideForward(htlc, onion, { blockHeight: blockHeight(), ...about })
    if (record.outgoingChannelId === null) return effects
    if (!claims.hasRoom([htlc], key)) {
      claims.refused([htlc], key)
      return giveUp(record, publicUpdate)
    }
    claims.keep([htlc], key)
    this.#pending.set(key, record)
    return effects
  }

  /** After a start: the channel `outgoing` holds the HTLC that was offered onwards. */
  resume({ channelId, htlcId }: ForwardOrigin, outgoing: ChannelId): void {
    this.#letGo(incomingKey(channelId, htlcId))
    const forward = this.#of(channelId, htlcId)
    if (!forward) return
    const key = incomingKey(channelId, htlcId)
    this.#options.claims.keep([{ channelId, id: htlcId, amountMsat: forward.amountInMsat }], key)
    this.#pending.set(key, { ...forward, outgoingChannelId: outgoing })
  }

  /** What became of the HTLC that was offered onwards. */
  end(event: Exclude<HtlcEvent, { tag: 'received' }>, { channelId, htlcId }: ForwardOrigin): readonly PaymentEffect[] {
    const key = incomingKey(channelId, htlcId)
    if (wasPresumed(event)) {
      // It was never in that channel: one that waits may go on, and of one that went on already this says nothing.
      const held = this.#held.get(key)
      return held ? this.#goOn(key, held) : []
    }
    const forward = this.#of(channelId, htlcId)
    if (!forward) return this.#bare(event, { channelId, htlcId })
    this.#pending.delete(key)
    if (event.tag === 'rejected' && this.#earlier.has(key)) return this.#holdAgain(channelId, htlcId)
    this.#letGo(key)
    const elsewhere = event.tag === 'rejected' && NO_ROOM.has(event.fault.code) ? this.#elsewhere(key, forward) : null
    if (elsewhere !== null) return elsewhere
    this.#refusedBy.delete(key)
    return onForwardResult(forward, event, this.#options.publicUpdate)
  }

  /** It was taken back unsigned: what the channel knows of its offer may be old, and another one may have it. */
  #holdAgain(channelId: ChannelId, id: bigint): readonly PaymentEffect[] {
    const htlc = this.#options.incomingHtlc(channelId, id)
    const onion = htlc && peelIncoming(htlc, this.#options.nodeSecret)
    return onion?.tag === 'forward' ? this.hold(htlc!, onion) : []
  }

  /** Over another channel with the same node; null where none takes it. @source BOLT 4 §non-strict-forwarding */
  #elsewhere(key: string, forward: ForwardRecord): readonly PaymentEffect[] | null {
    const { incomingChannelId, incomingHtlcId, outgoingChannelId } = forward
    const htlc = this.#options.incomingHtlc(incomingChannelId, incomingHtlcId)
    const onion = htlc && peelIncoming(htlc, this.#options.nodeSecret)
    if (outgoingChannelId === null || onion?.tag !== 'forward') return null
    this.#refusedBy.set(key, [...(this.#refusedBy.get(key) ?? []), outgoingChannelId])
    const effects = this.begin(htlc!, onion)
    return this.#pending.has(key) ? effects : null
  }

  /**
   * The incoming HTLC is of a channel that was restored, and its onion lost; or it was failed, and told of, before the preimage showed
   * up. A preimage is all that it needs.
   */
  #bare(event: Exclude<HtlcEvent, { tag: 'received' }>, from: Omit<ForwardOrigin, 'tag'>): readonly PaymentEffect[] {
    const { channelId, htlcId: id } = from
    if (event.tag !== 'fulfilled') return []
    const { preimage } = event
    if (this.#options.hasLost(channelId, id)) {
      this.#lost.paid(channelId, preimage)
      return []
    }
    return this.#lost.failed({ channelId, id, preimage }, () => {
      const late = this.#options.lateForward(from)
      const record = late && forwardRecordOf(late.htlc, this.#options.nodeSecret)
      return record && { ...record, outgoingChannelId: late.outgoing }
    })
  }

  /** With every block: what is failed back because the next node sits on it. */
  review(): readonly PaymentEffect[] {
    this.#lost.review()
    return [...this.goOn(), ...[...this.#pending].flatMap(([key, forward]) => this.#review(key, forward))]
  }

  endOfTurn(scope: TurnScope): void {
    this.#lost.endOfTurn(scope)
  }

  #review(key: string, forward: ForwardRecord): readonly PaymentEffect[] {
    const { incomingHtlc, staysOpen, blockHeight, publicUpdate } = this.#options
    const { outgoingChannelId, amountOutMsat } = forward
    if (outgoingChannelId === null || !staysOpen(outgoingChannelId)) return []
    const htlc = incomingHtlc(forward.incomingChannelId, forward.incomingHtlcId)
    const effects = htlc ? failBack(forward, htlc, blockHeight(), publicUpdate) : []
    if (effects.length === 0 || !this.#lettingGo.take(outgoingChannelId, amountOutMsat, blockHeight())) return []
    this.#pending.delete(key)
    this.#refusedBy.delete(key)
    return effects
  }

  /** The forward of an incoming HTLC; made again from the HTLC after a restart. */
  #of(channelId: ChannelId, id: bigint): ForwardRecord | null {
    const key = incomingKey(channelId, id)
    const known = this.#pending.get(key)
    if (known) return known
    const htlc = this.#options.incomingHtlc(channelId, id)
    const record = htlc && forwardRecordOf(htlc, this.#options.nodeSecret)
    if (record) this.#pending.set(key, record)
    return record
  }
}
