import type { Logger } from 'pino'
import { outpointKey } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { ChainSource } from '../../src/chain/source.ts'
import { buildLocal, obscuringFactorOf } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { type Broadcast, Bumper } from '../../src/node/bumper.ts'
import type { ChannelEntry } from '../../src/node/channels.ts'
import type { NodeParts } from '../../src/node/parts.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import { Sweeper } from '../../src/node/sweeper.ts'
import { Deeds } from './deeds.ts'
import type { Honest } from './honest.ts'
import { Outlet } from './outlet.ts'

export interface PublisherOptions {
  readonly post: (task: (scope: TurnScope) => void) => void
  /** Says once more what a channel has for the chain. */
  readonly republish: (entry: ChannelEntry, scope: TurnScope) => void
}

/** What a node publishes: by the fee bumper and the sweeper of the real one, all of it noted, and nothing that it has revoked. */
export class Publisher {
  /** Every transaction that the node made. */
  readonly deeds = new Deeds()
  readonly outlet: Outlet
  readonly #node: Honest
  readonly #options: PublisherOptions
  /** The highest commitment of each channel that its peer can punish. */
  readonly #revealed = new Map<string, number>()
  /** The lowest commitment of each channel that was published. */
  readonly #published = new Map<string, number>()
  #bumper!: Bumper
  #sweeper!: Sweeper

  constructor(node: Honest, options: PublisherOptions) {
    this.#node = node
    this.#options = options
    this.outlet = new Outlet(node.chain, node.complaints)
    this.restart()
  }

  /** What the bumper knew is gone with its process. */
  restart(): void {
    const { wallet, chain, channels, reserves } = this.#node
    const parts = {
      wallet,
      channels,
      chain,
      source: this.outlet.source(),
      reactor: { post: this.#options.post },
      events: { emit: () => {} },
      reserves,
      broadcast: async (tx: Transaction, purpose: string) => this.outlet.broadcast(tx, purpose),
    }
    const log = {
      debug: () => {},
      warn: () => {},
      error: ({ err }: { err?: Error }) => {
        if (err) this.#node.complaints.add(err.stack ?? String(err))
      },
    }
    const options = { parts: () => parts as unknown as NodeParts, log: log as unknown as Logger }
    this.#bumper = new Bumper(options, (entry, scope) => this.#options.republish(entry, scope))
    this.#sweeper = new Sweeper({ ...options, parts: () => ({ ...options.parts(), source: this.#noting() }) })
  }

  /** What several channels' sweeps have become is not among what the channels publish. */
  #noting(): ChainSource {
    const broadcast = async (tx: Transaction) => {
      this.deeds.note(tx, 'sweep', null)
      return this.outlet.hand(tx)
    }
    return { ...this.outlet.source(), broadcast }
  }

  publish(entry: ChannelEntry, effect: Broadcast, scope: TurnScope): void {
    if (effect.purpose === 'funding') return
    this.#checkNotRevoked(entry, effect.tx)
    if (effect.anchor) {
      this.#bumper.commitment(entry, { ...effect, anchor: effect.anchor }, scope)
      this.deeds.note(effect.tx, effect.purpose, null)
      this.deeds.noteChild(this.#node.wallet.state, entry.meta.localId, [effect.anchor, ...(effect.rivals ?? [])])
      return
    }
    if (effect.addFees !== undefined) {
      const tx = this.#bumper.htlc(entry, effect, effect.addFees, scope)
      if (tx) this.deeds.note(tx, effect.purpose, effect.budgetSat ?? 0n)
      return
    }
    this.deeds.note(effect.tx, effect.purpose, null)
    if (effect.share) return this.#sweeper.take(entry, effect, effect.share, scope)
    scope.after(() => this.outlet.broadcast(effect.tx, effect.purpose))
  }

  tidy(entry: ChannelEntry, scope: TurnScope): void {
    this.#bumper.tidy(entry, scope)
  }
  free(entry: ChannelEntry, scope: TurnScope): void {
    this.#bumper.free(entry, scope)
  }
  isPoor(entry: ChannelEntry): boolean {
    return this.#bumper.isPoor(entry)
  }

  /** Up to which of its commitments a peer can punish. */
  hasRevealed(localId: string, number: number): void {
    this.#revealed.set(localId, number)
  }
  reveals(localId: string, number: number): void {
    const published = this.#published.get(localId) ?? Number.POSITIVE_INFINITY
    if (published <= number)
      this.#node.complaints.add(
        `${this.#node.name} revokes commitment ${published} of ${localId}, which it has published`,
      )
    this.#revealed.set(localId, Math.max(number, this.#revealed.get(localId) ?? -1))
  }

  #checkNotRevoked(entry: ChannelEntry, tx: Transaction): void {
    const channel = channelOf(entry.state)
    const funding = channel?.commitments.active[0]?.funding
    if (!channel || !funding || !tx.inputs.some((i) => outpointKey(i) === outpointKey(funding))) return
    const n = commitmentNumberOf(tx, obscuringFactorOf(channel.params))
    if (n === null || txidOf(tx) !== buildLocal(channel, channel.commitments.active[0]!, entry.signer).txid) return
    this.#published.set(entry.meta.localId, Math.min(n, this.#published.get(entry.meta.localId) ?? n))
    if (n <= (this.#revealed.get(entry.meta.localId) ?? -1))
      this.#node.complaints.add(`${this.#node.name} publishes its revoked commitment ${n}`)
  }
}
