import { isWorthUpdating, wantedFeerate } from '../channel/feerate.ts'
import type { ChannelEntry, Channels } from './channels.ts'

/** At most one update_fee of a channel in this time: estimates waver, and each costs both sides a round of signatures. */
const INTERVAL_MS = 10 * 60_000

/** Keeps the feerates of the channels that we opened near to the estimates, without following every move of theirs. */
export class FeeUpdates {
  readonly #channels: Pick<Channels, 'command'>
  readonly #now: () => number
  readonly #updatedAt = new WeakMap<ChannelEntry, number>()

  /** @param now milliseconds of a clock that never goes back */
  constructor(channels: Pick<Channels, 'command'>, now: () => number) {
    this.#channels = channels
    this.#now = now
  }

  /** @param estimate for commitments, sat per 1,000 weight units */
  consider(entry: ChannelEntry, estimate: number): void {
    const { state } = entry
    // In one that shuts down HTLCs may hang for days yet.
    if ((state.tag !== 'normal' && state.tag !== 'shutdown') || !state.channel.params.isOpener) return
    const { params, commitments } = state.channel
    const feeratePerKw = wantedFeerate(params.channelType, estimate)
    if (!isWorthUpdating(commitments.next.remote.feeratePerKw, feeratePerKw)) return
    const last = this.#updatedAt.get(entry)
    if (last !== undefined && this.#now() - last < INTERVAL_MS) return
    this.#updatedAt.set(entry, this.#now())
    this.#channels.command(entry, { tag: 'updateFee', feeratePerKw })
  }
}
