import type { ChannelId, PaymentHash } from '../base/ids.ts'
import type { Standing } from '../payment/held.ts'
import { inFlight, type PaymentContext } from '../payment/outgoing.ts'
import {
  doubtMissing,
  interruptedPayment,
  type LiveHtlc,
  presumeOut,
  recoverPayment,
  reopenPayment,
} from '../payment/recovery.ts'
import type { PaymentEffect, PaymentRecord, PaymentTurn } from '../payment/types.ts'
import type { ChannelHoldings } from './payments.ts'

export interface RecoveryOptions {
  /** Where a channel stands, as to an offer that it does not know; null where there is no such channel. */
  readonly standingOf: (channelId: ChannelId) => Standing | null
  /** This start has found a write missing, or many: the database is older than its backup. */
  readonly hasGap: boolean
  /** HTLCs that the channels have offered, as they are now. */
  readonly offered: () => ChannelHoldings['outgoing']
}

export interface RecoveredPayments {
  readonly record: (hash: PaymentHash) => PaymentRecord | undefined
  readonly context: () => PaymentContext
  readonly apply: (turn: PaymentTurn<PaymentRecord>) => void
  readonly effects: (effects: readonly PaymentEffect[]) => void
}

interface Waiting {
  /** How many attempts there were at the start: those since then are under way. */
  readonly earlier: number
  /** Where the channels of what may be out stood when they were last looked at. */
  readonly seen: string
}

/** Brings payments of before a start in line with the channels: at the start, and as these show whether writes of theirs were lost. */
export class PaymentRecovery {
  readonly #options: RecoveryOptions
  readonly #payments: RecoveredPayments
  /** Those with attempts that no channel knows of and that may be out. */
  readonly #waiting = new Map<PaymentHash, Waiting>()
  #hasBegun = false

  constructor(options: RecoveryOptions, payments: RecoveredPayments) {
    this.#options = options
    this.#payments = payments
  }

  /** Until then a channel that takes an offer back may have signed it in writes that were lost. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** @param pending hashes of payments that may be known to no channel */
  begin(offered: ChannelHoldings['outgoing'], pending: readonly PaymentHash[]): void {
    this.#hasBegun = true
    const live = liveByHash(offered)
    for (const hash of new Set([...live.keys(), ...pending])) this.#recover(hash, live.get(hash) ?? [])
  }

  /** HTLCs of channels that a backup brought back. */
  takeIn(offered: ChannelHoldings['outgoing']): void {
    const { record, context, apply } = this.#payments
    for (const [hash, htlcs] of liveByHash(offered)) {
      const known = record(hash)
      apply(known ? reopenPayment(known, htlcs) : interruptedPayment(hash, htlcs, context()))
    }
  }

  /** A channel has changed. */
  goOn(): void {
    this.#again((record, seen) => this.#standings(record) !== seen)
  }
  /** With every block: what may be out is so until it has long expired. */
  review(): void {
    this.#again(() => true)
  }

  #again(isDue: (record: PaymentRecord, seen: string) => boolean): void {
    const due = [...this.#waiting].filter(([hash, { seen }]) => {
      const record = this.#payments.record(hash)
      if (record?.status !== 'pending') this.#waiting.delete(hash)
      return record?.status === 'pending' && isDue(record, seen)
    })
    if (due.length === 0) return
    const live = liveByHash(this.#options.offered())
    for (const [hash, { earlier }] of due) this.#recover(hash, live.get(hash) ?? [], earlier)
  }

  #recover(hash: PaymentHash, htlcs: readonly LiveHtlc[], since?: number): void {
    const { standingOf, hasGap } = this.#options
    const { record, context, apply, effects } = this.#payments
    const stored = record(hash)
    const known = stored && hasGap && since === undefined ? doubtMissing(stored, htlcs) : stored
    if (!known) return apply(interruptedPayment(hash, htlcs, context()))
    const isWhole = (channelId: ChannelId): boolean => ['current', 'over'].includes(standingOf(channelId) ?? '')
    const isThere = (channelId: ChannelId): boolean => standingOf(channelId) !== null
    const earlier = since ?? known.attempts.length
    const later = known.attempts.flatMap((a, attempt) => (attempt < earlier ? [] : [{ ...a, attempt }]))
    const turn = recoverPayment(known, [...htlcs, ...later], context(), isWhole, isThere)
    apply(turn)
    const presumed = presumeOut(turn.record, earlier, htlcs, standingOf)
    if (presumed === null) this.#waiting.delete(hash)
    else this.#waiting.set(hash, { earlier, seen: this.#standings(turn.record) })
    effects(presumed ?? [])
  }

  #standings(record: PaymentRecord): string {
    const standings = inFlight(record).map((a) => this.#options.standingOf(a.channelId))
    return standings.join()
  }
}

function liveByHash(outgoing: ChannelHoldings['outgoing']): Map<PaymentHash, readonly LiveHtlc[]> {
  const live = new Map<PaymentHash, readonly LiveHtlc[]>()
  for (const { channelId, origin, amountMsat } of outgoing) {
    if (origin.tag !== 'payment') continue
    const others = live.get(origin.paymentHash) ?? []
    live.set(origin.paymentHash, [...others, { attempt: origin.attempt, channelId, amountMsat }])
  }
  return live
}
