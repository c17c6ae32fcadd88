import type { NodeId } from '../base/ids.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import { channelOf } from '../channel/describe.ts'
import { isDamaged } from '../store/checked.ts'
import { keys, prefixRange } from '../store/schema.ts'
import { hasFeature } from '../wire/features.ts'
import type { SessionMessage } from '../wire/registry.ts'
import { isNewer } from './adopt.ts'
import { BackupError, openBackup, type StaticBackup, sealForPeer } from './backup.ts'
import type { Node } from './node.ts'
import { NotBefore } from './notBefore.ts'
import type { Link } from './outbox.ts'
import type { TurnScope } from './reactor.ts'

/** How often a peer's copy is written, and ours is sent. */
export interface StoragePace {
  /** After a connection, for the peer's copy to come first: one that is newer than our database must not be replaced. */
  readonly afterConnectMs: number
  /** BOLT 1 §peer-storage: at most one update a minute need be stored. */
  readonly betweenMs: number
}
export const DEFAULT_PACE: StoragePace = { afterConnectMs: 5_000, betweenMs: 60_000 }

/** BOLT 1 §peer-storage: how long a blob stays after the last channel with its owner. */
const KEPT_BLOCKS = 2016

export interface PeerStorageOptions {
  readonly node: Node
  /** Seals our own backups. */
  readonly key: Uint8Array
  readonly pace: StoragePace
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** A peer gave back a backup that is newer than the database. */
  readonly onNewer: (backup: StaticBackup) => void
}

/**
 * Keeps a blob for every peer that we have a channel with, and has peers keep our channel backup. A blob is given back at each
 * connection, never before it is on disk.
 * @source BOLT 1 §peer-storage
 */
export class PeerStorage {
  readonly #options: PeerStorageOptions
  /** Whose blobs are stored, with the height since which there has been no channel; null as long as there is one. */
  readonly #kept = new Map<NodeId, number | null>()
  /** The latest blobs, until they are on disk. */
  readonly #latest = new Map<NodeId, Uint8Array>()
  /** Of those, the ones that no turn has written. */
  readonly #unwritten = new Set<NodeId>()
  readonly #writtenAt = new Map<NodeId, number>()

  #backup: StaticBackup | null = null
  #sealed: Uint8Array | null = null
  /** The journal number of the backup that each peer was sent, or gave back, in this connection. */
  readonly #given = new Map<NodeId, number>()
  /** When a peer may be sent the next. */
  readonly #notBefore: NotBefore
  readonly #due = new Set<NodeId>()

  constructor(options: PeerStorageOptions) {
    this.#options = options
    this.#notBefore = new NotBefore(options.now)
  }

  async load(): Promise<void> {
    const { driver } = this.#options.node
    for await (const [key] of driver.entries(prefixRange(keys.peerStorage('')))) this.#kept.set(idIn(key), null)
    for await (const [key, value] of driver.entries(prefixRange(keys.peerStorageIdle(''))))
      this.#kept.set(idIn(key), unpackIfWhole<number>(value) ?? null)
  }

  connected(link: Link, scope: TurnScope): void {
    this.#giveBack(link, scope)
    const { nodeId } = link
    this.#notBefore.wait(nodeId, this.#options.pace.afterConnectMs)
    this.#given.delete(nodeId) // it may have been lost with the connection, or by the peer
    this.#offer(nodeId)
    this.#sendDue()
  }

  message(link: Link, message: SessionMessage, scope: TurnScope): void {
    if (message.type === 'peer_storage') this.#take(link.nodeId, message.blob, scope)
    if (message.type === 'peer_storage_retrieval') this.#returned(link.nodeId, message.blob)
  }

  /** When the node stops: what waits for its minute is written. */
  flush(scope: TurnScope): void {
    for (const nodeId of this.#unwritten) this.#write(nodeId, scope)
  }

  /** Whether `tick` has something to do. */
  hasDue(): boolean {
    return this.#unwritten.size > 0 || this.#due.size > 0
  }
  tick(scope: TurnScope): void {
    for (const nodeId of this.#unwritten) if (this.#mayWrite(nodeId)) this.#write(nodeId, scope)
    this.#sendDue()
  }

  /** Forgets blobs whose owners have had no channel with us for long. */
  onBlock(height: number, scope: TurnScope): void {
    for (const [nodeId, idleSince] of this.#kept) {
      const key = keys.peerStorageIdle(nodeId)
      if (this.#hasChannel(nodeId)) {
        if (idleSince !== null) scope.write({ key })
        this.#kept.set(nodeId, null)
      } else if (idleSince === null && this.#hadChannel(nodeId)) {
        scope.write({ key, value: pack(height) })
        this.#kept.set(nodeId, height)
      } else if (idleSince === null || height >= idleSince + KEPT_BLOCKS) {
        scope.write({ key })
        scope.write({ key: keys.peerStorage(nodeId) })
        this.#kept.delete(nodeId)
      }
    }
  }

  /** A new backup of ours is on disk. */
  backedUp(backup: StaticBackup): void {
    this.#backup = backup
    this.#sealed = null
    const { peers, reactor } = this.#options.node
    for (const { nodeId } of peers.links()) this.#offer(nodeId)
    if (this.#due.size > 0) reactor.post(() => this.#sendDue())
  }

  // -------------------------------------------------------------- theirs

  #take(nodeId: NodeId, blob: Uint8Array, scope: TurnScope): void {
    const { node } = this.#options
    if (node.storageLow() || !(this.#hasChannel(nodeId) || this.#kept.has(nodeId))) return
    this.#latest.set(nodeId, blob)
    this.#unwritten.add(nodeId)
    if (this.#mayWrite(nodeId)) this.#write(nodeId, scope)
  }

  #mayWrite(nodeId: NodeId): boolean {
    const { now, pace } = this.#options
    const last = this.#writtenAt.get(nodeId)
    return last === undefined || now() >= last + pace.betweenMs
  }

  #write(nodeId: NodeId, scope: TurnScope): void {
    const blob = this.#latest.get(nodeId)!
    this.#unwritten.delete(nodeId)
    this.#writtenAt.set(nodeId, this.#options.now())
    scope.write({ key: keys.peerStorage(nodeId), value: blob })
    if (!this.#kept.has(nodeId)) this.#kept.set(nodeId, null)
    scope.after(() => {
      if (this.#latest.get(nodeId) === blob && !this.#unwritten.has(nodeId)) this.#latest.delete(nodeId)
    })
  }

  /** In the turn of the connection, so that it comes before the channels' channel_reestablish. */
  #giveBack(link: Link, scope: TurnScope): void {
    const { nodeId } = link
    if (this.#unwritten.has(nodeId)) this.#write(nodeId, scope)
    const blob = this.#latest.get(nodeId) ?? this.#stored(nodeId)
    if (blob) this.#options.node.outbox.push(link, { type: 'peer_storage_retrieval', blob })
  }

  #stored(nodeId: NodeId): Uint8Array | undefined {
    if (!this.#kept.has(nodeId)) return undefined
    const { driver, log } = this.#options.node
    try {
      const blob = driver.getNow(keys.peerStorage(nodeId))
      return blob && isDamaged(blob) ? undefined : blob
    } catch (e) {
      log.error({ err: e, peer: nodeId }, 'the copy that is kept for this peer cannot be read')
      return undefined
    }
  }

  // -------------------------------------------------------------- ours

  #returned(nodeId: NodeId, blob: Uint8Array): void {
    const { node, key, onNewer } = this.#options
    const copy = opened(blob, key)
    if (copy === null) node.log.debug({ peer: nodeId }, 'the peer gave back something that is not our channel backup')
    if (copy !== null && isNewer(node, copy)) return onNewer(copy)
    if (copy !== null && copy.journal === this.#backup?.journal) {
      this.#given.set(nodeId, copy.journal)
      this.#due.delete(nodeId)
    }
  }

  /** Notes that the peer should have our latest backup. */
  #offer(nodeId: NodeId): void {
    const session = this.#options.node.peers.session(nodeId)
    if (!session || !hasFeature(session.theirFeatures, 'option_provide_storage')) return
    if (this.#backup !== null && this.#hasChannel(nodeId) && this.#given.get(nodeId) !== this.#backup.journal)
      this.#due.add(nodeId)
  }

  #sendDue(): void {
    const { node, pace } = this.#options
    const backup = this.#backup
    if (backup === null) return
    for (const nodeId of this.#due) {
      const link = node.peers.link(nodeId)
      if (link !== null && this.#notBefore.isWaiting(nodeId)) continue
      this.#due.delete(nodeId)
      if (link === null) continue // with its next connection
      this.#notBefore.wait(nodeId, pace.betweenMs)
      this.#given.set(nodeId, backup.journal)
      node.outbox.push(link, { type: 'peer_storage', blob: this.#blob(backup) })
    }
  }

  #blob(backup: StaticBackup): Uint8Array {
    if (this.#sealed) return this.#sealed
    const { blob, left } = sealForPeer(backup, this.#options.key)
    if (left > 0) this.#options.node.log.warn({ left }, 'peers keep a backup of the largest channels alone: too many')
    this.#sealed = blob
    return blob
  }

  /** What was never funded is forgotten: whoever opens a channel to have a blob kept, and gives it up, could fill the disk. */
  #hadChannel(nodeId: NodeId): boolean {
    return this.#options.node.channels.ofPeer(nodeId).length > 0
  }

  #hasChannel(nodeId: NodeId): boolean {
    const entries = this.#options.node.channels.ofPeer(nodeId)
    return entries.some(({ state }) => state.tag !== 'closed' && channelOf(state) !== null)
  }
}

const idIn = (key: string): NodeId => key.slice(key.lastIndexOf('/') + 1) as NodeId

function opened(blob: Uint8Array, key: Uint8Array): StaticBackup | null {
  try {
    return openBackup(blob, key)
  } catch (e) {
    if (e instanceof BackupError) return null
    throw e
  }
}
