import type { ChannelId, NodeId, ShortChannelId } from '../../src/base/ids.ts'
import { type Msat, msat, sat } from '../../src/base/units.ts'
import { Graph } from '../../src/routing/graph.ts'
import type { LocalChannel } from '../../src/routing/types.ts'
import type { ChannelUpdate } from '../../src/wire/messages/gossip.ts'

/** Node ids that read well: node(1) < node(2) < … */
export const node = (n: number): NodeId => `02${n.toString(16).padStart(64, '0')}` as NodeId
export const channelId = (n: number): ChannelId => n.toString(16).padStart(64, '0') as ChannelId
export const scid = (n: number): ShortChannelId => BigInt(n) as ShortChannelId

export interface Policy {
  readonly base: number
  readonly rate: number
  readonly delta: number
  readonly min: number
  readonly max: number
  readonly disabled?: boolean
}

export const update = (shortChannelId: number, direction: 0 | 1, p: Policy, timestamp = 1): ChannelUpdate => ({
  type: 'channel_update',
  signature: new Uint8Array(64),
  chainHash: new Uint8Array(32),
  shortChannelId: scid(shortChannelId),
  timestamp,
  messageFlags: 1,
  channelFlags: direction | (p.disabled ? 2 : 0),
  cltvExpiryDelta: p.delta,
  htlcMinimumMsat: msat(p.min),
  feeBaseMsat: p.base,
  feeProportionalMillionths: p.rate,
  htlcMaximumMsat: msat(p.max),
  extension: new Uint8Array(0),
})

export interface TestChannel {
  readonly id: number
  /** Node numbers, the first less than the second. */
  readonly ends: readonly [number, number]
  readonly capacitySat: number
  readonly policies: readonly [Policy | null, Policy | null]
}

export function graphOf(channels: readonly TestChannel[]): Graph {
  const graph = new Graph()
  for (const c of channels) {
    const [a, b] = c.ends
    graph.addChannel({
      shortChannelId: scid(c.id),
      nodeId1: node(a),
      nodeId2: node(b),
      capacitySat: sat(c.capacitySat),
      features: new Uint8Array(0),
    })
    for (const direction of [0, 1] as const) {
      const policy = c.policies[direction]
      if (policy) graph.applyUpdate(update(c.id, direction, policy))
    }
  }
  return graph
}

export const local = (id: number, peer: number, sendable: bigint, minimum = 1n): LocalChannel => ({
  channelId: channelId(id),
  shortChannelId: scid(id),
  remoteNodeId: node(peer),
  sendableMsat: sendable as Msat,
  htlcMinimumMsat: minimum as Msat,
})
