import { concatBytes, equalBytes } from '../base/bytes.ts'
import { type BlockHash, blockHashFromBytes, txidToBytes } from '../base/ids.ts'
import { crypto } from '../crypto/crypto.ts'
import { OP } from './opcodes.ts'
import { Reader, Writer } from './serialize.ts'
import { encodeTransaction, readTransaction, sizesOf, type Transaction, txidOf, wtxidBytes } from './transaction.ts'

export interface BlockHeader {
  readonly version: number
  readonly previousHash: BlockHash
  /** 32 B, wire order. */
  readonly merkleRoot: Uint8Array
  /** Unix seconds. */
  readonly time: number
  /** The target in compact form. */
  readonly bits: number
  readonly nonce: number
}

export interface Block {
  readonly header: BlockHeader
  readonly transactions: readonly Transaction[]
}

export const HEADER_SIZE = 80
export const MAX_BLOCK_WEIGHT = 4_000_000

/** 80 B. */
export const encodeHeader = (h: BlockHeader): Uint8Array =>
  new Writer().i32(h.version).hash(h.previousHash).bytes(h.merkleRoot).u32(h.time).u32(h.bits).u32(h.nonce).finish()

/** @throws BitcoinFormatError when fewer than 80 bytes are left */
const readHeader = (r: Reader): BlockHeader => ({
  version: r.i32(),
  previousHash: blockHashFromBytes(r.bytes(32)),
  merkleRoot: r.bytes(32),
  time: r.u32(),
  bits: r.u32(),
  nonce: r.u32(),
})

export const blockHashOf = (h: BlockHeader): BlockHash => blockHashFromBytes(crypto.sha256d(encodeHeader(h)))

export function encodeBlock(block: Block): Uint8Array {
  const w = new Writer().bytes(encodeHeader(block.header)).varint(block.transactions.length)
  for (const tx of block.transactions) w.bytes(encodeTransaction(tx))
  return w.finish()
}

/** Exactly one block, with or without witnesses. @throws BitcoinFormatError */
export function decodeBlock(bytes: Uint8Array): Block {
  const r = new Reader(bytes)
  const header = readHeader(r)
  const transactions: Transaction[] = []
  for (let n = r.count(60); n > 0; n--) transactions.push(readTransaction(r))
  r.end()
  return { header, transactions }
}

/** Bytes without and with witnesses. */
export function blockSizes({ transactions }: Block): { readonly stripped: number; readonly full: number } {
  const head = HEADER_SIZE + new Writer().varint(transactions.length).finish().length
  let [stripped, full] = [head, head]
  for (const tx of transactions) {
    const sizes = sizesOf(tx)
    stripped += sizes.stripped
    full += sizes.full
  }
  return { stripped, full }
}

/** BIP 141 §block-size. */
export function blockWeight(block: Block): number {
  const { stripped, full } = blockSizes(block)
  return 3 * stripped + full
}

/** The number that a block hash must not exceed; null for a negative, zero or overflowing compact form. */
export function targetOfBits(bits: number): bigint | null {
  const exponent = bits >>> 24
  const mantissa = BigInt(bits & 0x007fffff)
  if (bits & 0x00800000 || mantissa === 0n) return null
  const target = exponent <= 3 ? mantissa >> BigInt(8 * (3 - exponent)) : mantissa << BigInt(8 * (exponent - 3))
  return target === 0n || target >= 1n << 256n ? null : target
}

const hashToNumber = (hash: BlockHash): bigint => BigInt(`0x${hash}`)

/** Whether a header's hash is at most its own target. */
export function meetsTarget(hash: BlockHash, bits: number): boolean {
  const target = targetOfBits(bits)
  return target !== null && hashToNumber(hash) <= target
}

/** Expected number of hashes behind a block of this difficulty. */
export function workOfBits(bits: number): bigint {
  const target = targetOfBits(bits)
  return target === null ? 0n : (1n << 256n) / (target + 1n)
}

/**
 * Root of Bitcoin's hash tree over ids in wire order; an odd level repeats its last id.
 * `mutated`: two equal neighbours, so that another transaction list has the same root (CVE-2012-2459).
 */
export function merkleTree(ids: readonly Uint8Array[]): { root: Uint8Array; mutated: boolean } {
  if (ids.length === 0) return { root: new Uint8Array(32), mutated: false }
  let level = ids
  let mutated = false
  while (level.length > 1) {
    const next: Uint8Array[] = []
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i]!
      const right = level[i + 1] ?? left
      if (i + 1 < level.length && equalBytes(left, right)) mutated = true
      next.push(crypto.sha256d(concatBytes(left, right)))
    }
    level = next
  }
  return { root: level[0]!, mutated }
}

/** Root over txids, 32 B in wire order. */
export const merkleRootOf = (txs: readonly Transaction[]): Uint8Array =>
  merkleTree(txs.map((tx) => txidToBytes(txidOf(tx)))).root

/** BIP 141 §commitment-structure: root over wtxids, the coinbase's counted as zero. */
export const witnessRootOf = (txs: readonly Transaction[]): Uint8Array => witnessRoot(txs.map(wtxidBytes))

/** The same from wtxids in wire order; the first one does not matter. */
export const witnessRoot = (wtxids: readonly Uint8Array[]): Uint8Array =>
  merkleTree([new Uint8Array(32), ...wtxids.slice(1)]).root

const COMMITMENT_HEADER = Uint8Array.of(OP.RETURN, 0x24, 0xaa, 0x21, 0xa9, 0xed)

/** Hash that the commitment output carries. */
export const witnessCommitment = (root: Uint8Array, reserved: Uint8Array): Uint8Array =>
  crypto.sha256d(concatBytes(root, reserved))

/** Output of the coinbase. @param commitment 32 B @source BIP 141 §commitment-structure */
export const witnessCommitmentScript = (commitment: Uint8Array): Uint8Array =>
  concatBytes(COMMITMENT_HEADER, commitment)

/** The commitment in the last coinbase output that has one; null when there is none. */
export function findWitnessCommitment(coinbase: Transaction): Uint8Array | null {
  for (let i = coinbase.outputs.length - 1; i >= 0; i--) {
    const script = coinbase.outputs[i]!.scriptPubKey
    if (script.length >= 38 && equalBytes(script.subarray(0, 6), COMMITMENT_HEADER)) return script.slice(6, 38)
  }
  return null
}
