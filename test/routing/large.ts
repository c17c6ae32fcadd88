import type { NodeId } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { Graph } from '../../src/routing/graph.ts'
import { Rng } from '../adversary/rng.ts'
import { type Policy, scid, update } from './network.ts'

export interface LargeNetwork {
  readonly graph: Graph
  /** By age: the first have the most channels. */
  readonly nodes: readonly NodeId[]
}

const one = <T>(rng: Rng, of: readonly T[]): T => of[rng.below(of.length)]!

/** Ids in no order, as public keys are. */
const idOf = (rng: Rng): NodeId =>
  `02${Array.from({ length: 8 }, () => rng.next().toString(16).padStart(8, '0')).join('')}` as NodeId

function policyOf(rng: Rng, capacitySat: number): Policy {
  return {
    base: one(rng, [0, 1, 1000, 1000]),
    rate: one(rng, [1, 10, 50, 100, 250, 500, 1000, 2500]),
    delta: one(rng, [18, 40, 40, 80, 144]),
    min: one(rng, [1, 1000, 1000, 10_000]),
    max: Math.floor(capacitySat * one(rng, [990, 990, 950, 500])),
    disabled: rng.below(12) === 0,
  }
}

/**
 * A network of the shape that the real one has: a node joins by a channel to one that has many already, most have few and some
 * thousands, capacities go from 20,000 sat to half a bitcoin. The same for the same seed.
 * @param channels at least one less than nodes
 * @param keyOf for a network to which onions are made: the ids are not points on the curve otherwise
 */
export function largeNetwork(
  nodes: number,
  channels: number,
  seed = 1,
  keyOf: (n: number) => NodeId | null = () => null,
): LargeNetwork {
  const rng = new Rng(seed)
  const ids = Array.from({ length: nodes }, (_, n) => keyOf(n) ?? idOf(rng))
  const graph = new Graph()
  /** Each node as often as it has channels. */
  const ends = [0]
  for (let i = 1; i <= channels; i++) {
    const a = i < nodes ? i : rng.below(nodes)
    let b = one(rng, ends)
    if (a === b) b = (b + 1) % nodes
    ends.push(a, b)
    const capacitySat = Math.floor(20_000 * 2500 ** (rng.below(1000) / 1000))
    const [nodeId1, nodeId2] = [ids[a]!, ids[b]!].sort() as [NodeId, NodeId]
    const capacity = sat(capacitySat)
    graph.addChannel({ shortChannelId: scid(i), nodeId1, nodeId2, capacitySat: capacity, features: new Uint8Array(0) })
    for (const direction of [0, 1] as const) graph.applyUpdate(update(i, direction, policyOf(rng, capacitySat)))
  }
  return { graph, nodes: ids }
}
