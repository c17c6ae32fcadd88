import type { NodeId, Outpoint, ShortChannelId } from '../base/ids.ts'
import { formatScid, shortChannelId } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
import type { Sat } from '../base/units.ts'
import type { ChainBlock } from '../chain/source.ts'
import { GossipTable } from '../gossip/table.ts'
import { directionOf, type FundingOutput, heightOf, isFromFuture, isStale } from '../gossip/validate.ts'
import type { Graph } from '../routing/graph.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { decodeMessage, encodeMessage } from '../wire/registry.ts'
import type { TurnScope } from './reactor.ts'

/** Of short channel ids. */
const NO_END = 1n << 64n

/** What was spent may have been spliced, and then carries payments on until its new announcement has come. @source BOLT 7 §the-channel_announcement-message */
const SPLICE_BLOCKS = 72

interface StoredChannel {
  readonly announcement: Uint8Array
  readonly outpoint: Outpoint
  readonly capacitySat: Sat
}

export interface GossipRecordsOptions {
  readonly chainHash: Uint8Array
  readonly nodeId: NodeId
  readonly graph: Graph
  readonly driver: Driver
  /** Unix milliseconds. */
  readonly now: () => number
}

/**
 * The announcements that we keep: in the table, in the routing graph and on disk, the same in all three. The graph alone, and until
 * a start, has others' channels whose funding was spent lately: they are not announced any more, and may have been spliced.
 */
export class GossipRecords {
  readonly table: GossipTable
  readonly #options: GossipRecordsOptions
  /** By short channel id: the height at which the funding of a channel that is in the graph alone was spent. */
  readonly #spent = new Map<ShortChannelId, number>()

  constructor(options: GossipRecordsOptions) {
    this.#options = options
    this.table = new GossipTable(options.chainHash)
  }

  /**
   * A record that cannot be read is left out, since peers bring it again: the channels' deadlines do not wait for it, nor for the
   * signatures of a whole network, which were verified before anything was written.
   * @returns how many were
   */
  async load(): Promise<number> {
    const { driver, graph } = this.#options
    let unreadable = 0
    const each = async (prefix: string, take: (value: Uint8Array) => void): Promise<void> => {
      for await (const [, value] of driver.entries(prefixRange(keys.gossip(prefix)))) {
        try {
          take(value)
        } catch {
          unreadable++
        }
      }
    }
    await each('1-channel/', (value) => {
      const { announcement, outpoint, capacitySat } = unpack<StoredChannel>(value)
      const message = decodeMessage(announcement) as ChannelAnnouncement
      this.table.addChannel(message, { outpoint, capacitySat })
      graph.addChannel({ ...message, capacitySat })
    })
    await each('2-update/', (value) => {
      const message = decodeMessage(value) as ChannelUpdate
      if (isFromFuture(message.timestamp, this.nowSeconds())) return // our clock had been wrong
      if (this.table.restore(message)) graph.applyUpdate(message)
    })
    await each('3-node/', (value) => {
      const message = decodeMessage(value) as NodeAnnouncement
      if (this.table.restore(message)) graph.applyNode(message)
    })
    return unreadable
  }

  nowSeconds(): number {
    return Math.floor(this.#options.now() / 1000)
  }

  /** @returns false when it was known */
  addChannel(m: ChannelAnnouncement, funding: FundingOutput, scope: TurnScope): boolean {
    if (!this.table.addChannel(m, funding)) return false
    this.#spent.delete(m.shortChannelId)
    this.#options.graph.addChannel({ ...m, capacitySat: funding.capacitySat })
    const stored: StoredChannel = { announcement: encodeMessage(m), ...funding }
    scope.write({ key: keys.gossip(`1-channel/${formatScid(m.shortChannelId)}`), value: pack(stored) })
    return true
  }

  /** Checks it and keeps it. */
  acceptUpdate(m: ChannelUpdate, scope: TurnScope): ReturnType<GossipTable['acceptUpdate']> {
    const checked = this.table.acceptUpdate(m, this.nowSeconds())
    if (checked.ok) {
      this.#options.graph.applyUpdate(m)
      const key = keys.gossip(`2-update/${formatScid(m.shortChannelId)}/${directionOf(m)}`)
      scope.write({ key, value: encodeMessage(m) })
      this.#takeOver(m.shortChannelId)
    }
    return checked
  }

  /** The same. */
  acceptNode(m: NodeAnnouncement, scope: TurnScope): ReturnType<GossipTable['acceptNode']> {
    const checked = this.table.acceptNode(m)
    if (checked.ok) {
      this.#options.graph.applyNode(m)
      scope.write({ key: keys.gossip(`3-node/${m.nodeId}`), value: encodeMessage(m) })
    }
    return checked
  }

  /** A funding output of an announced channel is spent: it is announced no more, and routed over for a while yet if it is others'. */
  onBlock(block: ChainBlock, scope: TurnScope): void {
    for (const [scid, height] of this.#spent) if (block.height >= height + SPLICE_BLOCKS) this.#unroute(scid)
    for (const tx of block.transactions) {
      for (const input of tx.inputs) {
        const scid = this.table.scidOfFunding({ txid: input.txid, index: input.index })
        if (scid === undefined) continue
        const isOwn = this.#isOwn(this.table.channel(scid)!.announcement)
        this.#unannounce(scid, scope)
        if (isOwn) this.#unroute(scid)
        else this.#spent.set(scid, block.height)
      }
    }
  }

  /** A channel that can be used, between the ends of one that was spent and funded in that block, is what became of it. */
  #takeOver(later: ShortChannelId): void {
    const { graph } = this.#options
    for (const [scid, height] of this.#spent) {
      if (height !== heightOf(later)) continue
      const [former, channel] = [graph.channel(scid), graph.channel(later)]
      if (former?.nodeId1 === channel?.nodeId1 && former?.nodeId2 === channel?.nodeId2) this.#unroute(scid)
    }
  }

  /** Blocks above this height are undone: a channel that was funded there may get another short channel id, or its id another channel. */
  onReorg(height: number, scope: TurnScope): readonly ShortChannelId[] {
    const undone = this.table.scids(shortChannelId(height + 1, 0, 0), NO_END, Number.POSITIVE_INFINITY)
    for (const scid of undone) this.#forget(scid, scope)
    for (const scid of this.#spent.keys()) if (heightOf(scid) > height) this.#unroute(scid)
    return undone
  }

  /** Forgets others' channels of which an end has been silent for long. @source BOLT 7 §recommendation-on-pruning-stale-entries */
  prune(scope: TurnScope): void {
    for (const { announcement, updates } of this.table.channels()) {
      if (this.#isOwn(announcement)) continue
      const [a, b] = updates
      if (isStale([a?.timestamp ?? 0, b?.timestamp ?? 0], this.nowSeconds()))
        this.#forget(announcement.shortChannelId, scope)
    }
  }

  /** Whether an update is made by us. */
  isOurs(m: ChannelUpdate): boolean {
    const announcement = this.table.channel(m.shortChannelId)?.announcement
    return (directionOf(m) === 0 ? announcement?.nodeId1 : announcement?.nodeId2) === this.#options.nodeId
  }

  /** What we have announced: each channel, then our update of it; our node. */
  *ours(): Iterable<ChannelAnnouncement | ChannelUpdate | NodeAnnouncement> {
    const { graph, nodeId } = this.#options
    for (const { shortChannelId } of graph.channelsOf(nodeId)) {
      const channel = this.table.channel(shortChannelId)
      const update = channel?.updates.find((u) => u !== null && this.isOurs(u))
      if (channel && update) yield* [channel.announcement, update]
    }
    const node = this.table.node(nodeId)
    if (node) yield node
  }

  /** Unix seconds of the newest update of somebody else's; 0: there is none. */
  newest(): number {
    const times = this.table
      .channels()
      .flatMap(({ updates }) => updates.map((u) => (u && !this.isOurs(u) ? u.timestamp : 0)))
    return times.reduce((a, b) => Math.max(a, b), 0)
  }

  #isOwn({ nodeId1, nodeId2 }: ChannelAnnouncement): boolean {
    const { nodeId } = this.#options
    return nodeId1 === nodeId || nodeId2 === nodeId
  }

  #forget(scid: ShortChannelId, scope: TurnScope): void {
    this.#unannounce(scid, scope)
    this.#unroute(scid)
  }

  #unroute(scid: ShortChannelId): void {
    this.#spent.delete(scid)
    this.#options.graph.removeChannel(scid)
  }

  #unannounce(scid: ShortChannelId, scope: TurnScope): void {
    this.table.removeChannel(scid)
    const name = formatScid(scid)
    for (const key of [`1-channel/${name}`, `2-update/${name}/0`, `2-update/${name}/1`]) {
      scope.write({ key: keys.gossip(key) })
    }
  }
}
