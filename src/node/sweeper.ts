import type { Logger } from 'pino'
import { outpointKey } from '../base/ids.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import { onchainOf } from '../channel/describe.ts'
import { buildSharedSweep, type SweepShare } from '../channel/onchain/claims.ts'
import { MAX_INPUTS } from '../channel/onchain/sweeps.ts'
import type { Broadcast } from './bumper.ts'
import type { ChannelEntry } from './channels.ts'
import type { NodeParts } from './parts.ts'
import type { TurnScope } from './reactor.ts'

/** One channel's sweep, as it is by itself. */
interface Sweep {
  readonly entry: ChannelEntry
  readonly effect: Broadcast
  readonly share: SweepShare
}

/** By first input. */
type Sweeps = Map<string, Sweep>

export interface SweeperOptions {
  readonly parts: () => NodeParts
  readonly log: Logger
}

/**
 * Puts sweeps of several channels into one transaction: those that only we can ever spend, and that were chosen at the same height for the
 * same feerate, as when channels were closed together or a node was away. Nothing of it is stored: the channels' own records make the same
 * transaction again, and where it is not taken, each goes by itself. What a peer can touch is never put together with what it cannot: it could
 * pin a transaction of all channels by a single input.
 */
export class Sweeper {
  readonly #options: SweeperOptions
  /** Of turns that are not on disk yet, by first input. */
  readonly #turns = new WeakMap<TurnScope, Sweeps>()
  /** Handed out since the last block: whoever speaks again by itself has the others beside it, as before. */
  #since = { height: 0, sweeps: new Map() as Sweeps }

  constructor(options: SweeperOptions) {
    this.#options = options
  }

  /** What a channel said before in the same turn, of outputs that are in this one, is out of date: each of a block's spends has it plan again. */
  take(entry: ChannelEntry, effect: Broadcast, share: SweepShare, scope: TurnScope): void {
    const known = this.#turns.get(scope)
    const sweeps: Sweeps = known ?? new Map()
    note(sweeps, { entry, effect, share })
    if (known) return
    this.#turns.set(scope, sweeps)
    const { height } = this.#options.parts().chain
    scope.after(() => {
      const before = this.#since.height === height ? this.#since.sweeps : new Map()
      this.#since = { height, sweeps: new Map([...before].filter(([, sweep]) => isUnderWay(sweep))) }
      for (const sweep of sweeps.values()) note(this.#since.sweeps, sweep)
      const fresh = new Set(sweeps.values())
      for (const group of grouped(this.#since.sweeps))
        if (group.some((s) => fresh.has(s))) void this.#hand(group).catch(() => {})
    })
  }

  async #hand(group: readonly Sweep[]): Promise<void> {
    const { parts, log } = this.#options
    const tx = group.length > 1 ? this.#together(group) : null
    if (tx) {
      const { accepted, reason } = await parts().source.broadcast(tx)
      if (accepted) return
      log.debug({ channels: group.length, reason }, 'a sweep of several channels is refused: each goes by itself')
    }
    await Promise.all(group.map(({ effect }) => parts().broadcast(effect.tx, effect.purpose)))
  }

  /** A bug of one channel is not to keep the others from their money. */
  #together(group: readonly Sweep[]): Transaction | null {
    const [{ entry, share }] = group as readonly [Sweep, ...Sweep[]]
    const options = { scriptPubKey: entry.meta.sweepScriptPubKey, feeratePerKw: share.feeratePerKw }
    try {
      const signed = group.map((s) => ({ inputs: s.share.inputs, signer: s.entry.signer }))
      return buildSharedSweep(signed, options)?.tx ?? null
    } catch (err) {
      this.#options.log.error({ err }, 'a bug: sweeps of several channels could not be put together')
      return null
    }
  }
}

/** In the place of what the channel said of the same outputs. */
function note(sweeps: Sweeps, sweep: Sweep): void {
  const outputs = new Set(sweep.effect.tx.inputs.map(outpointKey))
  for (const [first, before] of sweeps)
    if (before.entry === sweep.entry && before.effect.tx.inputs.some((i) => outputs.has(outpointKey(i))))
      sweeps.delete(first)
  sweeps.set(outpointKey(sweep.effect.tx.inputs[0]!), sweep)
}

/** A reorganisation to the same height may have changed that. */
function isUnderWay({ entry: { state }, effect, share: { at, feeratePerKw } }: Sweep): boolean {
  const onchain = onchainOf(state)
  if (!onchain || onchain.closing.height === null) return false
  const first = outpointKey(effect.tx.inputs[0]!)
  return onchain.sweeps.some((s) => s.outpoints[0] === first && s.at === at && s.feeratePerKw === feeratePerKw)
}

/** In an order of their own, so that a restart makes the same transactions. */
function grouped(sweeps: ReadonlyMap<string, Sweep>): readonly (readonly Sweep[])[] {
  const open = new Map<string, Sweep[]>()
  const full: Sweep[][] = []
  for (const [, sweep] of [...sweeps].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { at, feeratePerKw, inputs } = sweep.share
    const name = `${at}:${feeratePerKw}`
    const group = open.get(name) ?? []
    const size = group.reduce((sum, s) => sum + s.share.inputs.length, inputs.length)
    if (size > MAX_INPUTS) full.push(group)
    open.set(name, size > MAX_INPUTS ? [sweep] : [...group, sweep])
  }
  return [...full, ...open.values()]
}
