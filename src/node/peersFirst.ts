import { setTimeout as wait } from 'node:timers/promises'
import type { ChainTip } from '../chain/source.ts'
import { channelOf } from '../channel/describe.ts'
import { eachHtlc } from '../channel/htlcTable.ts'
import type { ChannelEntry } from './channels.ts'
import type { Node } from './node.ts'

/** Blocks after which deadlines of HTLCs may have passed while the node was away. */
const LONG_AWAY = 6
/** The same in time, of a Bitcoin node that was away as long, or was put back from the same snapshot: it has yet to hear of blocks. */
const LONG_AGO_MS = LONG_AWAY * 10 * 60_000
const LOOK_MS = 50
/** What connections take, also slow ones: nothing beside the ten minutes of a block. */
export const PATIENCE_MS = 10_000

/**
 * Resolves when the chain may be followed. A node that was away for long closes channels by force for the deadlines that it meets on its
 * way to the tip. Where its disk was put back from a snapshot, nothing on it tells that its commitments are revoked; the peers do as soon
 * as they are connected. So channels with HTLCs have some seconds to be reestablished first, and their deadlines count as ever after that.
 */
export async function peersFirst(node: Node, signal: AbortSignal, patienceMs = PATIENCE_MS): Promise<void> {
  const until = performance.now() + patienceMs
  const tip = await node.source.tip().catch(() => null)
  if (tip === null || !wasAway(node, tip)) return
  while (performance.now() < until && !signal.aborted && node.channels.all().some(isAwaited)) await wait(LOOK_MS)
}

const wasAway = (node: Node, { height, syncing, time }: ChainTip): boolean =>
  syncing || height >= node.chain.height + LONG_AWAY || (time !== undefined && node.now() - time * 1000 > LONG_AGO_MS)

function isAwaited({ state }: ChannelEntry): boolean {
  if (state.tag !== 'offline' && state.tag !== 'syncing') return false
  const { outgoing, incoming } = channelOf(state)!.commitments
  return !eachHtlc(outgoing).next().done || !eachHtlc(incoming).next().done
}
