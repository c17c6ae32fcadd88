import { setWatches } from '../../src/chain/watcher.ts'
import { channelOf, watches } from '../../src/channel/describe.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import type { ChannelMeta } from '../../src/node/channels.ts'
import type { ForwardRecord } from '../../src/payment/types.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import type { Honest } from './honest.ts'
import { signerOf } from './keys.ts'
import type { Ledger } from './till.ts'

/* Copies of a node: whole, to begin many schedules from one place, and of its disk, to put it back to. */

interface SavedChannel {
  readonly meta: ChannelMeta
  readonly state: ChannelState
}
export interface SavedNode {
  readonly channels: readonly SavedChannel[]
  readonly records: ReadonlyMap<string, Uint8Array>
  readonly forwards: ReadonlyMap<string, ForwardRecord>
  readonly holds: readonly string[]
  readonly ledger: Ledger
  readonly outboxes: ReadonlyMap<string, readonly ChannelMessage[]>
}

/** What a node has stored, but for its wallet, which finds its coins in the chain again. */
export interface DiskCopy {
  readonly records: ReadonlyMap<string, Uint8Array>
  readonly forwards: ReadonlyMap<string, ForwardRecord>
  readonly holds: ReadonlySet<string>
  /** Block height. */
  readonly height: number
}
function refill<T>(map: Map<string, T>, by: ReadonlyMap<string, T>): void {
  map.clear()
  for (const [key, value] of by) map.set(key, value)
}

export const saveNode = (node: Honest): SavedNode => ({
  channels: node.channels.all().map(({ meta, state }) => ({ meta, state })),
  records: new Map(node.disk.records),
  forwards: new Map(node.till.forwards),
  holds: [...node.till.holds],
  ledger: node.till.ledger,
  outboxes: new Map([...node.outboxes].map(([k, v]) => [k, [...v]])),
})

/** Fills a node that is new. @param owners of the channels' keys, by their local ids */
export function loadNode(node: Honest, saved: SavedNode, owners: ReadonlyMap<string, string>): void {
  for (const [k, v] of saved.records) node.disk.records.set(k, v)
  for (const [k, v] of saved.forwards) node.till.forwards.set(k, v)
  for (const k of saved.holds) node.till.holds.add(k)
  for (const part of ['paid', 'owed', 'failed'] as const)
    for (const [k, v] of saved.ledger[part]) node.till.ledger[part].set(k, v)
  for (const [k, v] of saved.outboxes) node.outboxes.set(k, [...v])
  for (const { meta, state } of saved.channels) {
    const entry = { meta, signer: signerOf(owners.get(meta.localId)!), state, stored: state, quarantined: null }
    node.channels.restore(entry)
    node.publisher.hasRevealed(meta.localId, channelOf(state)!.commitments.local.number - 1)
    setWatches(node.watcher, meta.localId, watches(state))
  }
  node.watcher.tip = { height: node.height, hash: node.chain.hash(node.height) }
}

export const copyDisk = ({ disk: { records }, till: { forwards, holds }, height }: Honest): DiskCopy => ({
  height,
  records: new Map(records),
  forwards: new Map(forwards),
  holds: new Set(holds),
})

/**
 * The process ends, and starts anew on what its disk once had. `isNoticed`: its numbers show that (recovery.ts), so that all channels
 * are in doubt.
 */
export function putBack(node: Honest, disk: DiskCopy, isNoticed: boolean): void {
  node.hasLost = true
  refill(node.disk.records, disk.records)
  refill(node.till.forwards, disk.forwards)
  node.till.holds.clear()
  for (const key of disk.holds) node.till.holds.add(key)
  node.restart(isNoticed)
}

/** The same, with its place in the chain, or of the records of one channel alone; and without a word that anything is lost. */
export function putBackUnseen(node: Honest, disk: DiskCopy, of: string | null): void {
  const isOf = (key: string): boolean => of === null || key.startsWith(`channel/${of}/`)
  const kept = [...node.disk.records].filter(([key]) => !isOf(key))
  const older = [...disk.records].filter(([key]) => isOf(key))
  refill(node.disk.records, new Map([...kept, ...older]))
  if (of === null) {
    refill(node.till.forwards, disk.forwards)
    node.till.holds.clear()
    for (const key of disk.holds) node.till.holds.add(key)
    node.goBack(disk.height)
  }
  node.restart()
}
