import { isDeepStrictEqual } from 'node:util'
import { type HtlcIds, nextIds } from '../channel/backedUpHtlcs.ts'
import { channelOf } from '../channel/describe.ts'
import { noteBackup } from './adopt.ts'
import { backupOf, type ChannelBackup, dialable, mostValuable, staticBackup } from './backup.ts'
import type { ChannelEntry } from './channels.ts'
import type { Node } from './node.ts'

/** HTLCs in one backup: nobody can make it long by letting HTLCs hang. */
const MOST_HTLCS = 1_000
/** Looks from one backup that was written for HTLCs to the next. */
const LOOKS_BETWEEN = 5

/** Nothing hangs in a channel that is younger than the last look. */
const NONE: HtlcIds = { out: 0n, in: 0n }

/**
 * Writes the channel backup: with every change of the set of channels, before anything is said of that; and at leisure for HTLCs that
 * hang, which a restored node can claim (channel/backedUpHtlcs.ts). Most HTLCs are gone within seconds, so no payment ever waits for
 * this, or writes anything for it: once a minute the channels are looked at, what was there a look ago already hangs, and a backup that
 * lacks some of it is written anew, every five minutes at most. So is one that lacks addresses which were given out since: a restore
 * would give them out again, and not find what was paid far behind those that it knows.
 */
export class BackupWriter {
  readonly #node: Node
  /** By local id, as of the last look and of the one before. */
  #seen: ReadonlyMap<string, HtlcIds> = new Map()
  #hanging: ReadonlyMap<string, HtlcIds> = new Map()
  #written: readonly ChannelBackup[] = []
  #addresses: readonly [number, number] = [0, 0]
  #looks = LOOKS_BETWEEN
  /** false: that it fails has been told. */
  #isWritten = true

  constructor(node: Node) {
    this.#node = node
  }

  /** At a start: whatever is in flight has hung for as long as the node was away. */
  begin(): void {
    this.#seen = idsOf(this.#node.channels.all())
    this.#hanging = this.#seen
  }

  /** To be called once a minute. */
  async look(): Promise<void> {
    this.#hanging = this.#seen
    this.#seen = idsOf(this.#node.channels.all())
    this.#looks++
    if (this.#looks < LOOKS_BETWEEN) return
    const isSame = isDeepStrictEqual(this.#channels().map(inFlight), this.#written.map(inFlight))
    if (isSame && isDeepStrictEqual(this.#node.wallet.state.next, this.#addresses)) return
    this.#looks = 0
    await this.write()
  }

  /**
   * A backup that cannot be written is no reason to stop: the database has everything. A database that cannot be is one: whoever waits
   * for the backup says nothing.
   * @throws StoreError STORE_WRITE_FAILED
   */
  async write(): Promise<void> {
    const { resources, own, numbers, wallet, storage, log, reactor, events } = this.#node
    const { journal, writeBackup } = resources
    const channels = this.#channels()
    const about = { nodeId: own.nodeId, journal: journal.durable, channels, nextKeyIndex: numbers.nextKeyIndex }
    const addresses = wallet.state.next
    const backup = staticBackup({ ...about, addresses })
    await noteBackup(this.#node, backup)
    try {
      await writeBackup(channels, backup)
      storage.backedUp(backup)
      this.#written = channels
      this.#addresses = addresses
      this.#isWritten = true
    } catch (e) {
      const message = 'the static channel backup cannot be written: see that there is room on the disk'
      log.error({ err: e }, message)
      const alert = { code: 'BACKUP_NOT_WRITTEN', message, byPeer: false }
      if (this.#isWritten) reactor.post((scope) => events.emit(scope, 'node.alert', alert))
      this.#isWritten = false
    }
  }

  #channels(): readonly ChannelBackup[] {
    const { channels, peers, graph } = this.#node
    const all = channels.all().flatMap((entry) => {
      const { peer, localId } = entry.meta
      const channel = channelOf(entry.state)
      // Another peer may have claimed the funding of a channel that was lost: of two alike, a restore would take the wrong one.
      if (channel && !channel.restored && channels.byChannelId(channel.params.channelId) !== entry) return []
      // What came from a backup is in the next one from the beginning.
      const below = channel?.restored ? nextIds(channel) : (this.#hanging.get(localId) ?? NONE)
      return backupOf(entry, peers.address(peer) ?? dialable(graph.node(peer)?.addresses ?? []), below)
    })
    return mostValuable(all, MOST_HTLCS)
  }
}

const idsOf = (entries: readonly ChannelEntry[]): ReadonlyMap<string, HtlcIds> =>
  new Map(
    entries.flatMap(({ state, meta }): readonly [string, HtlcIds][] => {
      const channel = channelOf(state)
      return channel === null ? [] : [[meta.localId, nextIds(channel)]]
    }),
  )

const inFlight = ({ channelId, htlcs, points }: ChannelBackup) => ({ channelId, htlcs, points })
