import type { NodeId } from '../base/ids.ts'
import { crypto } from '../crypto/crypto.ts'
import type { Graph } from './graph.ts'

/** What a step counts for where the network says nothing. */
const USUAL_DELTA = 40
const MOST_STEPS = 3
/** Three days: a payment that hangs does so for that much longer. */
const MOST_BLOCKS = 432

/**
 * Blocks by which all HTLCs of a payment expire later, so that whoever carries one cannot tell from its expiry how far the payee is: as
 * many as a way on from there would ask, over one to three channels taken by chance.
 * @param from the payee, and where it is not known who leads to it
 * @param entropy 32 random bytes
 * @source BOLT 7 §recommendations-for-routing
 */
export function shadowDelta(graph: Graph, from: readonly NodeId[], entropy: Uint8Array): number {
  const random = new DataView(Uint8Array.from(crypto.sha256(entropy)).buffer)
  const steps = 1 + (random.getUint32(0) % MOST_STEPS)
  const seen = new Set(from)
  let at = from.find((id) => graph.node(id) !== undefined)
  let blocks = 0
  for (let step = 1; step <= steps; step++) {
    const channels = at === undefined ? [] : graph.channelsOf(at)
    const channel = channels[random.getUint32(4 * step) % Math.max(1, channels.length)]
    const isFirst = channel?.nodeId1 === at
    const next = isFirst ? channel?.nodeId2 : channel?.nodeId1
    const policy = next === undefined || seen.has(next) ? null : channel?.policies[isFirst ? 0 : 1]
    blocks += policy?.cltvExpiryDelta ?? USUAL_DELTA
    if (!policy) continue
    at = next
    seen.add(next!)
  }
  return Math.min(blocks, MOST_BLOCKS)
}
