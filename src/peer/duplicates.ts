import type { NodeId } from '../base/ids.ts'

/** One of two connections to the same node. */
export interface Rival {
  readonly inbound: boolean
  /** When its init came, in milliseconds. */
  readonly readyAt: number
}

/**
 * Which of two connections to one node stays, so that both ends choose alike. A later one takes over, since the earlier may be
 * dead without our knowing; but where both ends dialled at once, the one that the node with the lower id dialled stays,
 * whichever was ready first: otherwise each end could close the one that the other keeps, for ever.
 * @source BOLT 1 §connection-handling-and-multiplexing
 */
export function newerWins(
  ids: { ours: NodeId; theirs: NodeId },
  older: Rival,
  newer: Rival,
  simultaneousMs: number,
): boolean {
  if (older.inbound === newer.inbound || newer.readyAt - older.readyAt >= simultaneousMs) return true
  const newerIsOurs = !newer.inbound
  return newerIsOurs === ids.ours < ids.theirs
}
