import { type Outpoint, outpointKey } from '../base/ids.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import type { ChainSource } from '../chain/source.ts'
import { learnPreimages, preimagesShown } from '../channel/onchain/settle.ts'
import { openOffers, waitingFunding } from '../channel/onchain/view.ts'
import type { HtlcEvent } from '../channel/types.ts'
import type { ChannelEntry, Channels } from './channels.ts'
import type { Reactor, TurnScope } from './reactor.ts'

/** How often the mempool is asked while an HTLC of ours waits on chain. */
const INTERVAL_MS = 5_000

export interface MempoolWatchOptions {
  readonly channels: Pick<Channels, 'all' | 'get' | 'drain'>
  readonly source: Pick<ChainSource, 'mempoolSpends'>
  readonly reactor: Pick<Reactor, 'post'>
  readonly onRelay: (event: HtlcEvent, scope: TurnScope) => void
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

const offersOf = ({ state }: ChannelEntry): readonly Outpoint[] =>
  state.tag === 'closing' ? openOffers(state.channel, state.onchain) : []

const fundingOf = ({ state }: ChannelEntry): Outpoint | null =>
  state.tag === 'closing' ? waitingFunding(state.channel, state.onchain) : null

const outpointsOf = (tx: Transaction): readonly Outpoint[] => {
  const txid = txidOf(tx)
  return tx.outputs.map((_, index) => ({ txid, index }))
}

/**
 * Looks for preimages in the mempool. A peer that claims an HTLC of ours with the preimage and then has its claim replaced before a
 * block takes it (replacement cycling) has shown the preimage all the same: it goes upstream at once, while there is time.
 * The channel itself changes only with blocks: an event that comes twice changes nothing.
 */
export class MempoolWatch {
  readonly #options: MempoolWatchOptions
  #askedAt = Number.NEGATIVE_INFINITY
  #isAsking = false

  constructor(options: MempoolWatchOptions) {
    this.#options = options
  }

  /** @param isUrgent a block came: asks without regard to the interval */
  tick(isUrgent = false): void {
    const { channels, now } = this.#options
    if (this.#isAsking || (!isUrgent && now() - this.#askedAt < INTERVAL_MS)) return
    this.#askedAt = now()
    const offers = new Map(
      channels.all().flatMap((entry) => offersOf(entry).map((o) => [outpointKey(o), { entry, o }])),
    )
    const waiting = channels.all().filter((entry) => fundingOf(entry) !== null)
    if (offers.size === 0 && waiting.length === 0) return
    this.#isAsking = true
    Promise.all([this.#ask([...offers.values()]), this.#askWaiting(waiting)])
      .catch(() => {}) // The next tick asks again.
      .finally(() => {
        this.#isAsking = false
      })
  }

  async #ask(offers: readonly { readonly entry: ChannelEntry; readonly o: Outpoint }[]): Promise<void> {
    if (offers.length === 0) return
    const { source, reactor } = this.#options
    const spends = await source.mempoolSpends(offers.map(({ o }) => o))
    if (spends.length === 0) return
    const entries = new Set(offers.map(({ entry }) => entry))
    reactor.post((scope) => {
      for (const entry of entries) for (const tx of spends) this.#learn(entry, tx, scope)
    })
  }

  /** Of the commitments that are in no block: ours, or one of the peer's in its place. */
  async #askWaiting(entries: readonly ChannelEntry[]): Promise<void> {
    if (entries.length === 0) return
    const { source, reactor } = this.#options
    const commitments = await source.mempoolSpends(entries.flatMap((e) => fundingOf(e) ?? []))
    const outputs = commitments.flatMap((tx) => outpointsOf(tx))
    if (outputs.length === 0) return
    const spends = await source.mempoolSpends(outputs)
    if (spends.length === 0) return
    reactor.post((scope) => {
      for (const { state } of entries) {
        const funding = state.tag === 'closing' ? outpointKey(state.onchain.closing.funding) : null
        const commitment = commitments.find((tx) => tx.inputs.some((i) => outpointKey(i) === funding))
        if (state.tag !== 'closing' || !commitment) continue
        for (const tx of spends)
          for (const event of preimagesShown(state.channel, tx, txidOf(commitment))) this.#options.onRelay(event, scope)
      }
      this.#options.channels.drain(scope)
    })
  }

  #learn({ state }: ChannelEntry, tx: Transaction, scope: TurnScope): void {
    const { onRelay, channels } = this.#options
    if (state.tag !== 'closing') return
    for (const effect of learnPreimages(state.channel, state.onchain, tx).effects) {
      if (effect.tag === 'relay') onRelay(effect.event, scope)
    }
    channels.drain(scope)
  }
}
