import { InvariantError } from '../base/errors.ts'
import { type BlockHash, outpointKey, type Txid } from '../base/ids.ts'
import type { ChainEvent, Watch } from '../channel/types.ts'
import type { ChainBlock } from './source.ts'

/**
 * Finds in every block what its owners (channels) watch for. No I/O, no clock: an index in memory, derived from the owners'
 * states, changed in place by the functions below and never stored.
 */
export interface Watcher {
  /** The last block that was connected; null before the first. */
  tip: { readonly height: number; readonly hash: BlockHash } | null
  readonly owners: Map<string, Map<string, Watch>>
  readonly index: WatchIndex
  /** The last blocks connected, newest last: a watch added because of a block is looked for in the same block at once. */
  readonly recent: ChainBlock[]
}

/** Who watches what, for look-up by the parts of a transaction. */
interface WatchIndex {
  readonly confirmations: Map<Txid, string[]>
  /** By txid, then index, of the output. */
  readonly spends: Map<Txid, Map<number, string[]>>
}

/** Events of one owner, in the order of the chain. */
export interface OwnerEvents {
  readonly owner: string
  readonly events: readonly ChainEvent[]
}

/** What follows from a change of an owner's watches. */
export interface WatchesSet {
  /** Found in recent blocks, for the owner: deliver them before anything else. */
  readonly events: readonly ChainEvent[]
  /** Older blocks in which the new watches must be looked for (`rescanBlock` on each, in order); null when there are none. */
  readonly rescan: Rescan | null
}
export interface Rescan {
  readonly owner: string
  readonly watches: readonly Watch[]
  readonly fromHeight: number
  readonly toHeight: number
}

/** Decoded blocks are large: two cover what follows from the newest block and from one that came while it was handled. */
const RECENT_BLOCKS = 2

const newIndex = (): WatchIndex => ({ confirmations: new Map(), spends: new Map() })

export const createWatcher = (): Watcher => ({ tip: null, owners: new Map(), index: newIndex(), recent: [] })

const watchKey = (w: Watch): string => (w.tag === 'spend' ? outpointKey(w.outpoint) : w.txid)

/**
 * Replaces an owner's watches; a new owner gets block and reorg events from now on.
 * @param fromHeight the lowest block in which something that is newly watched may have happened; left out, only blocks from now
 *   on and those just seen count
 */
export function setWatches(w: Watcher, owner: string, watches: readonly Watch[], fromHeight?: number): WatchesSet {
  const before = w.owners.get(owner) ?? new Map<string, Watch>()
  const after = new Map<string, Watch>()
  const added: Watch[] = []
  for (const watch of watches) {
    const key = watchKey(watch)
    if (after.has(key)) continue
    after.set(key, watch)
    if (before.delete(key)) continue
    added.push(watch)
    addWatch(w.index, owner, watch)
  }
  for (const gone of before.values()) removeWatch(w.index, owner, gone)
  w.owners.set(owner, after)
  return added.length === 0 ? { events: [], rescan: null } : lookBack(w, owner, added, fromHeight)
}

export function removeOwner(w: Watcher, owner: string): void {
  for (const watch of w.owners.get(owner)?.values() ?? []) removeWatch(w.index, owner, watch)
  w.owners.delete(owner)
}

function lookBack(
  w: Watcher,
  owner: string,
  added: readonly Watch[],
  fromHeight = Number.POSITIVE_INFINITY,
): WatchesSet {
  const events = w.recent.flatMap((block) => rescanBlock(added, block))
  const unseen = (w.recent[0]?.height ?? (w.tip?.height ?? 0) + 1) - 1
  const rescan = fromHeight <= unseen ? { owner, watches: added, fromHeight, toHeight: unseen } : null
  return { events, rescan }
}

/** Confirmations and spends in a block, for watches that were not there when it was connected. */
export function rescanBlock(watches: readonly Watch[], block: ChainBlock): readonly ChainEvent[] {
  const index = newIndex()
  for (const watch of watches) addWatch(index, '', watch)
  const events: ChainEvent[] = []
  matchBlock(index, block, (_, event) => events.push(event))
  return events
}

/**
 * Everything in the next block, per owner: what it watches for in the order of the transactions, then `block`.
 * @throws InvariantError when the block does not follow the last one
 */
export function connectBlock(w: Watcher, block: ChainBlock): readonly OwnerEvents[] {
  if (w.tip && w.tip.hash !== block.previousHash) {
    throw new InvariantError(`block ${block.height} does not follow the watched block ${w.tip.height}`)
  }
  const found = new Map<string, ChainEvent[]>()
  for (const owner of w.owners.keys()) found.set(owner, [])
  matchBlock(w.index, block, (owner, event) => found.get(owner)?.push(event))
  w.tip = { height: block.height, hash: block.hash }
  w.recent.push(block)
  if (w.recent.length > RECENT_BLOCKS) w.recent.shift()
  const last: ChainEvent = { tag: 'block', height: block.height }
  return Array.from(found, ([owner, events]) => ({ owner, events: [...events, last] }))
}

/** Undoes all blocks above `height`; what was watched for stays watched for. */
export function disconnectBlocks(w: Watcher, height: number, hash: BlockHash): readonly OwnerEvents[] {
  w.tip = { height, hash }
  while (w.recent.length > 0 && w.recent[w.recent.length - 1]!.height > height) w.recent.pop()
  return Array.from(w.owners.keys(), (owner) => ({ owner, events: [{ tag: 'reorg', height }] }))
}

function addWatch(index: WatchIndex, owner: string, watch: Watch): void {
  if (watch.tag === 'confirmation') {
    const owners = index.confirmations.get(watch.txid)
    if (owners) owners.push(owner)
    else index.confirmations.set(watch.txid, [owner])
    return
  }
  const { txid, index: output } = watch.outpoint
  const outputs = index.spends.get(txid) ?? new Map<number, string[]>()
  outputs.set(output, [...(outputs.get(output) ?? []), owner])
  index.spends.set(txid, outputs)
}

function removeWatch(index: WatchIndex, owner: string, watch: Watch): void {
  if (watch.tag === 'confirmation') {
    const left = (index.confirmations.get(watch.txid) ?? []).filter((o) => o !== owner)
    if (left.length > 0) index.confirmations.set(watch.txid, left)
    else index.confirmations.delete(watch.txid)
    return
  }
  const { txid, index: output } = watch.outpoint
  const outputs = index.spends.get(txid)
  const left = (outputs?.get(output) ?? []).filter((o) => o !== owner)
  if (left.length > 0) outputs?.set(output, left)
  else outputs?.delete(output)
  if (outputs?.size === 0) index.spends.delete(txid)
}

function matchBlock(index: WatchIndex, block: ChainBlock, emit: (owner: string, event: ChainEvent) => void): void {
  const { height, transactions, txids } = block
  for (let txIndex = 0; txIndex < transactions.length; txIndex++) {
    const tx = transactions[txIndex]!
    for (const input of tx.inputs) {
      const owners = index.spends.get(input.txid)?.get(input.index)
      if (!owners) continue
      const event: ChainEvent = { tag: 'spent', outpoint: { txid: input.txid, index: input.index }, tx, height }
      for (const owner of owners) emit(owner, event)
    }
    const txid = txids[txIndex]!
    const owners = index.confirmations.get(txid)
    if (!owners) continue
    for (const owner of owners) emit(owner, { tag: 'confirmed', txid, tx, height, txIndex })
  }
}
