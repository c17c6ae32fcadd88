import { EMPTY, toHex } from '../../src/base/bytes.ts'
import { type NodeId, nodeId, type ShortChannelId, shortChannelId, type Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { type OwnNode, ownChannelUpdate, ownNodeAnnouncement } from '../../src/gossip/own.ts'
import { GossipTable } from '../../src/gossip/table.ts'
import type { NetworkAddress } from '../../src/wire/address.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../../src/wire/messages/gossip.ts'
import type { GossipMessage } from '../../src/wire/registry.ts'

export const CHAIN = new Uint8Array(32).fill(6)
export const NOW = 1_700_000_000

/** A few nodes that all channels of a test are between, in the order of their ids. */
const parties: readonly OwnNode[] = [1, 2, 3, 4, 5]
  .map((n) => {
    const nodeSecret = new Uint8Array(32).fill(n)
    return { nodeId: nodeId(toHex(crypto.publicKey(nodeSecret))), nodeSecret, chainHash: CHAIN }
  })
  .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
export const nodeOf = (n: number): NodeId => parties[n % parties.length]!.nodeId

/** Channel number `n` is between two nodes that its number chooses; which block it is in, the test does. */
export interface Place {
  readonly block: number
  readonly n: number
}
export const scidOf = ({ block, n }: Place): ShortChannelId => shortChannelId(block, n, 0)
const endsOf = ({ n }: Place): readonly [OwnNode, OwnNode] => {
  const first = n % (parties.length - 1)
  return [parties[first]!, parties[first + 1 + (n % (parties.length - 1 - first))]!]
}

/** Its signatures are blank: the table takes announcements that somebody has checked. */
export function announcementOf(place: Place): ChannelAnnouncement {
  const [a, b] = endsOf(place)
  const blank = new Uint8Array(64)
  return {
    type: 'channel_announcement',
    nodeSignature1: blank,
    nodeSignature2: blank,
    bitcoinSignature1: blank,
    bitcoinSignature2: blank,
    features: EMPTY,
    chainHash: CHAIN,
    shortChannelId: scidOf(place),
    nodeId1: a.nodeId,
    nodeId2: b.nodeId,
    bitcoinKey1: crypto.publicKey(a.nodeSecret),
    bitcoinKey2: crypto.publicKey(b.nodeSecret),
    extension: EMPTY,
  }
}

export function updateOf(place: Place, direction: 0 | 1, timestamp: number, feeBaseMsat = 1000): ChannelUpdate {
  const ends = endsOf(place)
  return ownChannelUpdate(ends[direction], {
    shortChannelId: scidOf(place),
    remoteNodeId: ends[1 - direction]!.nodeId,
    policy: {
      feeBaseMsat,
      feeProportionalMillionths: 10,
      cltvExpiryDelta: 40,
      htlcMinimumMsat: 1n,
      htlcMaximumMsat: 10n,
    } as never,
    disabled: false,
    dontForward: false,
    timestamp,
  })
}

export const announcedNode = (
  n: number,
  timestamp: number,
  addresses: readonly NetworkAddress[] = [],
): NodeAnnouncement =>
  ownNodeAnnouncement(parties[n % parties.length]!, { alias: `node ${n}`, features: EMPTY, addresses, timestamp })

/** Takes a message in as the shell does once the chain has been asked. */
export function take(table: GossipTable, m: GossipMessage): void {
  if (m.type === 'channel_announcement')
    table.addChannel(m, {
      outpoint: { txid: m.shortChannelId.toString(16).padStart(64, '0') as Txid, index: 0 },
      capacitySat: sat(1_000_000),
    })
  if (m.type === 'channel_update') table.acceptUpdate(m, NOW)
  if (m.type === 'node_announcement') table.acceptNode(m)
}

export function tableOf(...messages: readonly GossipMessage[]): GossipTable {
  const table = new GossipTable(CHAIN)
  for (const m of messages) take(table, m)
  return table
}

/** Ids of so many channels, one after the other. */
export const scids = (count: number, from = 1): ShortChannelId[] =>
  Array.from({ length: count }, (_, n) => BigInt(from + n) as ShortChannelId)
