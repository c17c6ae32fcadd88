import type { Brand } from './brand.ts'
import { fromHex, isHex, reverseBytes, toHex } from './bytes.ts'

/** Transaction id, 64 lower-case hex characters in display order (the reverse of the bytes on the wire). */
export type Txid = Brand<string, 'txid'>
/** Block hash, 64 lower-case hex characters in display order. */
export type BlockHash = Brand<string, 'blockHash'>
/** BOLT 2 §definition-of-channel_id, 64 lower-case hex characters in wire order; also the temporary one. */
export type ChannelId = Brand<string, 'channelId'>
/** Compressed public key of a node, 66 lower-case hex characters. */
export type NodeId = Brand<string, 'nodeId'>
/** SHA-256 of a preimage, 64 lower-case hex characters. */
export type PaymentHash = Brand<string, 'paymentHash'>
/** BOLT 7 §definition-of-short_channel_id: block height (3 B), transaction index (3 B), output index (2 B). */
export type ShortChannelId = Brand<bigint, 'shortChannelId'>
/** A transaction output, `"txid:index"` in JSON and as a Map key. */
export interface Outpoint {
  readonly txid: Txid
  readonly index: number
}

const hexId =
  <T extends string>(what: string, bytes: number) =>
  (s: string): T => {
    const lower = s.toLowerCase()
    if (!isHex(lower, bytes))
      throw new TypeError(`${what}: expected ${2 * bytes} hex characters, got "${s.slice(0, 80)}"`)
    return lower as T
  }

/** Each throws TypeError on anything but hex of the right length. */
export const txid = hexId<Txid>('txid', 32)
export const blockHash = hexId<BlockHash>('block hash', 32)
export const channelId = hexId<ChannelId>('channel id', 32)
export const nodeId = hexId<NodeId>('node id', 33)
export const paymentHash = hexId<PaymentHash>('payment hash', 32)

/** Between the 32 bytes in wire order and the id in display order. */
export const txidFromBytes = (b: Uint8Array): Txid => toHex(reverseBytes(b)) as Txid
export const txidToBytes = (id: Txid): Uint8Array => fromHex(id).reverse()
export const blockHashFromBytes = (b: Uint8Array): BlockHash => toHex(reverseBytes(b)) as BlockHash
export const blockHashToBytes = (id: BlockHash): Uint8Array => fromHex(id).reverse()

/** `txid:index`, as `parseOutpoint` reads it. */
export const outpointKey = (o: Outpoint): string => `${o.txid}:${o.index}`

/** @throws TypeError unless the text is `txid:index` */
export function parseOutpoint(s: string): Outpoint {
  const m = /^([0-9a-f]{64}):(\d{1,10})$/i.exec(s)
  if (!m || Number(m[2]) > 0xffffffff) throw new TypeError(`outpoint: expected "txid:index", got "${s.slice(0, 90)}"`)
  return { txid: txid(m[1]!), index: Number(m[2]) }
}

/** BOLT 2 §definition-of-channel_id: funding txid in wire order with the output index XORed into the last two bytes. */
export function channelIdOf(funding: Outpoint): ChannelId {
  const b = txidToBytes(funding.txid)
  b[30]! ^= (funding.index >>> 8) & 0xff
  b[31]! ^= funding.index & 0xff
  return toHex(b) as ChannelId
}

/** BOLT 7 §definition-of-short_channel_id: block height in 24 bits, place in the block in 24, output index in 16; none is checked. */
export const shortChannelId = (blockHeight: number, txIndex: number, outputIndex: number): ShortChannelId =>
  ((BigInt(blockHeight) << 40n) | (BigInt(txIndex) << 16n) | BigInt(outputIndex)) as ShortChannelId

/** The three again. */
export function scidParts(id: ShortChannelId): { blockHeight: number; txIndex: number; outputIndex: number } {
  return {
    blockHeight: Number(id >> 40n),
    txIndex: Number((id >> 16n) & 0xffffffn),
    outputIndex: Number(id & 0xffffn),
  }
}

/** `539268x845x1`, as people and other nodes write it. */
export function formatScid(id: ShortChannelId): string {
  const p = scidParts(id)
  return `${p.blockHeight}x${p.txIndex}x${p.outputIndex}`
}

/** @throws TypeError unless the text is `HEIGHTxINDEXxOUTPUT` */
export function parseScid(s: string): ShortChannelId {
  const m = /^(\d{1,8})x(\d{1,8})x(\d{1,5})$/.exec(s)
  if (!m || Number(m[1]) > 0xffffff || Number(m[2]) > 0xffffff || Number(m[3]) > 0xffff) {
    throw new TypeError(`short channel id: expected "heightxindexxoutput", got "${s.slice(0, 40)}"`)
  }
  return shortChannelId(Number(m[1]), Number(m[2]), Number(m[3]))
}
