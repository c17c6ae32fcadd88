import type { ChannelState } from '../channel/state.ts'
import { fillGaps } from '../store/journal.ts'
import type { ChannelEntry } from './channels.ts'
import type { TurnScope } from './reactor.ts'

/**
 * After a start whose journal lacks numbers, a stored channel may be older than what was said to its peer: publishing its commitment
 * could cost the whole channel. So none is published until the peer's channel_reestablish has shown where both stand.
 * @source docs/architecture.md §Store; BOLT 2 §message-retransmission
 */
export class Proof {
  readonly #missing: readonly number[]
  readonly #unproven = new Set<ChannelEntry>()

  /** @param missing numbers that the journal lacks */
  constructor(missing: readonly number[]) {
    this.#missing = missing
  }

  /** The channels that were loaded from such a database. */
  begin(entries: readonly ChannelEntry[]): void {
    if (this.#missing.length === 0) return
    for (const entry of entries) if (entry.state.tag !== 'closed') this.#unproven.add(entry)
  }

  isUnproven(entry: ChannelEntry): boolean {
    return this.#unproven.has(entry)
  }

  /** The channel's peer agreed on where it stands, or the channel ended on chain: once all have, the gap is closed. */
  onChanged(entry: ChannelEntry, before: ChannelState | null, scope: TurnScope): void {
    if (!this.#unproven.has(entry) || !isProven(before, entry.state)) return
    this.#unproven.delete(entry)
    if (this.#unproven.size === 0) for (const op of fillGaps(this.#missing)) scope.write(op)
  }
}

function isProven(before: ChannelState | null, now: ChannelState): boolean {
  if (now.tag === 'closed') return true
  if (now.tag === 'closing') return now.onchain.closing.height !== null && now.onchain.how !== 'local-force'
  return before?.tag === 'syncing' && ['await-ready', 'normal', 'shutdown', 'negotiating'].includes(now.tag)
}
