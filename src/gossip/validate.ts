import { compareBytes, equalBytes, fromHex } from '../base/bytes.ts'
import { type NodeId, type Outpoint, type ShortChannelId, scidParts, type Txid } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { Sat } from '../base/units.ts'
import type { TxOutput } from '../bitcoin/transaction.ts'
import { fundingScriptPubKey } from '../channel/tx/scripts.ts'
import { crypto } from '../crypto/crypto.ts'
import {
  type ChannelAnnouncement,
  type ChannelUpdate,
  type NodeAnnouncement,
  signedBytes,
} from '../wire/messages/gossip.ts'

/**
 * Why a gossip message is not taken. `blame`: the connection is closed; otherwise it is only ignored, as is everything that another
 * implementation may take and pass on.
 */
export interface GossipFault {
  readonly blame: boolean
  readonly reason: string
}
const blame = (reason: string): Result<never, GossipFault> => err({ blame: true, reason })
const ignore = (reason: string): Result<never, GossipFault> => err({ blame: false, reason })

/** Half of the curve's order. */
const MOST_S = fromHex('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0')
/** LND takes a high S, and passes it on: who sends us that has done nothing wrong, and would be cut off for what a stranger made. */
const wrong = (what: string, signature: Uint8Array): Result<never, GossipFault> =>
  compareBytes(signature.subarray(32), MOST_S) > 0 ? ignore(`${what} has a high S`) : blame(`${what} is wrong`)

/** Clocks of others may be this much ahead. */
const MAX_FUTURE_SECONDS = 24 * 3600
/** @param timestamp Unix seconds, as in the message */
export const isFromFuture = (timestamp: number, nowSeconds: number): boolean =>
  timestamp > nowSeconds + MAX_FUTURE_SECONDS

/** What the signatures of a message sign: SHA-256 twice of everything behind them. */
export const gossipDigest = (m: ChannelAnnouncement | NodeAnnouncement | ChannelUpdate): Uint8Array =>
  crypto.sha256d(signedBytes(m))

/**
 * Everything but the chain: order of the keys, chain hash, the four signatures.
 * @source BOLT 7 §the-channel_announcement-message
 */
export function checkChannelAnnouncement(m: ChannelAnnouncement, chainHash: Uint8Array): Result<null, GossipFault> {
  if (!equalBytes(m.chainHash, chainHash)) return ignore('channel of another chain')
  if (m.nodeId1 >= m.nodeId2) return ignore('node ids are not in ascending order')
  const digest = gossipDigest(m)
  const signatures: readonly (readonly [string, Uint8Array, Uint8Array])[] = [
    ['node_signature_1', m.nodeSignature1, fromHex(m.nodeId1)],
    ['node_signature_2', m.nodeSignature2, fromHex(m.nodeId2)],
    ['bitcoin_signature_1', m.bitcoinSignature1, m.bitcoinKey1],
    ['bitcoin_signature_2', m.bitcoinSignature2, m.bitcoinKey2],
  ]
  for (const [name, signature, key] of signatures) {
    if (!crypto.ecdsaVerify(signature, digest, key)) return wrong(`${name} of channel_announcement`, signature)
  }
  return ok(null)
}

/** Of a transaction, as many as are known. */
interface Outputs {
  readonly outputs: { readonly [outputIndex: number]: TxOutput }
}

export interface FundingOutput {
  readonly outpoint: Outpoint
  readonly capacitySat: Sat
}

/**
 * Whether the output that the short channel id names pays to the announced keys.
 * @param txs transactions of the block at the id's height, with their ids: that one is enough
 * @source BOLT 7 §the-channel_announcement-message
 */
export function fundingOutputOf(
  m: ChannelAnnouncement,
  txs: { readonly [txIndex: number]: { readonly txid: Txid; readonly tx: Outputs } },
): Result<FundingOutput, GossipFault> {
  const { txIndex, outputIndex } = scidParts(m.shortChannelId)
  const found = txs[txIndex]
  const output = found?.tx.outputs[outputIndex]
  if (!found || !output) return ignore('the announced funding output does not exist')
  if (!equalBytes(output.scriptPubKey, fundingScriptPubKey(m.bitcoinKey1, m.bitcoinKey2))) {
    return ignore('the announced funding output does not pay to the announced keys')
  }
  return ok({ outpoint: { txid: found.txid, index: outputIndex }, capacitySat: output.amountSat })
}

/** Queries call an update that is not there so, and it would never grow stale. @source BOLT 7 §the-channel_update-message */
const TIMELESS = 'has a timestamp of 0'

/** The direction bit: 0 for node_id_1's update, 1 for node_id_2's. */
export const directionOf = (m: ChannelUpdate): 0 | 1 => (m.channelFlags & 1) as 0 | 1
/** message_flags, bit 1: meant for us, as a private channel's. @source BOLT 7 §the-channel_update-message */
export const isDontForward = (m: ChannelUpdate): boolean => (m.messageFlags & 2) !== 0

/**
 * @param previous the last accepted update of the same direction, or null
 * @param nowSeconds Unix seconds
 * @source BOLT 7 §the-channel_update-message
 */
export function checkChannelUpdate(
  m: ChannelUpdate,
  origin: NodeId,
  { chainHash, previous, nowSeconds }: { chainHash: Uint8Array; previous: ChannelUpdate | null; nowSeconds: number },
): Result<null, GossipFault> {
  if (!equalBytes(m.chainHash, chainHash)) return ignore('channel_update of another chain')
  if (m.timestamp === 0) return ignore(`channel_update ${TIMELESS}`)
  if (previous && m.timestamp <= previous.timestamp) return ignore('channel_update is not newer than the one we have')
  if (isFromFuture(m.timestamp, nowSeconds)) return ignore('channel_update is from the future')
  if (!crypto.ecdsaVerify(m.signature, gossipDigest(m), fromHex(origin))) {
    return wrong('signature of channel_update', m.signature)
  }
  return ok(null)
}

/** @source BOLT 7 §the-node_announcement-message */
export function checkNodeAnnouncement(
  m: NodeAnnouncement,
  previous: NodeAnnouncement | null,
): Result<null, GossipFault> {
  if (m.timestamp === 0) return ignore(`node_announcement ${TIMELESS}`)
  if (previous && m.timestamp <= previous.timestamp)
    return ignore('node_announcement is not newer than the one we have')
  if (!crypto.ecdsaVerify(m.signature, gossipDigest(m), fromHex(m.nodeId))) {
    return wrong('signature of node_announcement', m.signature)
  }
  return ok(null)
}

/** An announcement with several hostnames is used, and not passed on. @source BOLT 7 §the-node_announcement-message */
export const isPassedOn = (m: NodeAnnouncement): boolean => m.addresses.filter((a) => a.tag === 'dns').length <= 1

/** Of features, addresses and what a later protocol may add: what the network sends has a few hundred bytes of them. */
const MOST_VARIABLE_BYTES = 2_048

/**
 * Whether an announcement is so long that it is not taken: before its signature or its funding is looked at, thousands are held in
 * memory, and whoever made it up could have made each 64 kB long.
 */
export function isTooLong(m: ChannelAnnouncement | NodeAnnouncement | ChannelUpdate): boolean {
  let length = m.extension.length
  if (m.type !== 'channel_update') length += m.features.length
  if (m.type === 'node_announcement')
    for (const a of m.addresses) length += a.tag === 'opaque' ? a.bytes.length : a.host.length + 3
  return length > MOST_VARIABLE_BYTES
}

/** Seconds without an update after which an end counts as gone. */
export const STALE_AFTER = 14 * 24 * 3600

/**
 * Both ends must speak for a channel to be of use, so the older update counts; an end that never spoke does not.
 * @param timestamps of the two updates, Unix seconds, 0 for none
 * @source BOLT 7 §recommendation-on-pruning-stale-entries
 */
export function isStale(timestamps: readonly [number, number], nowSeconds: number): boolean {
  const spoken = timestamps.filter((t) => t > 0)
  return spoken.length > 0 && Math.min(...spoken) < nowSeconds - STALE_AFTER
}

/** Height of the funding transaction's block. */
export const heightOf = (scid: ShortChannelId): number => scidParts(scid).blockHeight
