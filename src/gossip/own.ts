import { EMPTY, utf8 } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import type { RelayPolicy } from '../channel/types.ts'
import { crypto } from '../crypto/crypto.ts'
import { inOrder, type NetworkAddress } from '../wire/address.ts'
import type { ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { gossipDigest } from './validate.ts'

const BLANK = new Uint8Array(64)

/** Who signs: our node. */
export interface OwnNode {
  readonly nodeId: NodeId
  readonly nodeSecret: Uint8Array
  readonly chainHash: Uint8Array
}

const signed = <T extends ChannelUpdate | NodeAnnouncement>(m: T, secret: Uint8Array): T => ({
  ...m,
  signature: crypto.ecdsaSign(gossipDigest(m), secret),
})

export interface OwnUpdate {
  readonly shortChannelId: ShortChannelId
  readonly remoteNodeId: NodeId
  readonly policy: RelayPolicy
  readonly disabled: boolean
  /** The channel is not announced: the update is for the peer alone. */
  readonly dontForward: boolean
  /** Unix seconds, greater than that of any update before. */
  readonly timestamp: number
}

/** @source BOLT 7 §the-channel_update-message */
export function ownChannelUpdate(node: OwnNode, u: OwnUpdate): ChannelUpdate {
  const direction = node.nodeId < u.remoteNodeId ? 0 : 1
  return signed(
    {
      type: 'channel_update',
      signature: BLANK,
      chainHash: node.chainHash,
      shortChannelId: u.shortChannelId,
      timestamp: u.timestamp,
      messageFlags: 1 | (u.dontForward ? 2 : 0),
      channelFlags: direction | (u.disabled ? 2 : 0),
      cltvExpiryDelta: u.policy.cltvExpiryDelta,
      htlcMinimumMsat: u.policy.htlcMinimumMsat,
      feeBaseMsat: u.policy.feeBaseMsat,
      feeProportionalMillionths: u.policy.feeProportionalMillionths,
      htlcMaximumMsat: u.policy.htlcMaximumMsat,
      extension: EMPTY,
    },
    node.nodeSecret,
  )
}

/** The alias on the wire: UTF-8 cut to 32 bytes at a character's end, padded with zeros. */
export function aliasBytes(alias: string): Uint8Array {
  const out = new Uint8Array(32)
  let at = 0
  for (const character of alias) {
    const bytes = utf8(character)
    if (at + bytes.length > 32) break
    out.set(bytes, at)
    at += bytes.length
  }
  return out
}

/** @source BOLT 7 §the-node_announcement-message */
export function ownNodeAnnouncement(
  node: OwnNode,
  about: { alias: string; features: Uint8Array; addresses: readonly NetworkAddress[]; timestamp: number },
): NodeAnnouncement {
  return signed(
    {
      type: 'node_announcement',
      signature: BLANK,
      features: about.features,
      timestamp: about.timestamp,
      nodeId: node.nodeId,
      rgbColor: Uint8Array.of(0xff, 0xc8, 0x32),
      alias: aliasBytes(about.alias),
      addresses: inOrder(about.addresses),
      extension: EMPTY,
    },
    node.nodeSecret,
  )
}
