import { compareBytes, concatBytes, utf8 } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'
import { bigsize, encodeWith } from '../wire/codec.ts'
import { encodeTlvRecords, type TlvRecord } from '../wire/tlv.ts'

/** BOLT 12 §signature-calculation: H(tag, message), as BIP 340 tags hashes. */
const hasherOf = (tag: Uint8Array): ((...message: readonly Uint8Array[]) => Uint8Array) => {
  const hash = crypto.sha256(tag)
  return (...message) => crypto.sha256(concatBytes(hash, hash, ...message))
}

/** Types of signatures, which are not signed themselves. */
export const isSignature = (type: bigint): boolean => type >= 240n && type <= 1000n

/**
 * The root over all fields but signatures, in the order of their types; 32 B.
 * @param records at least one that is no signature
 * @source BOLT 12 §signature-calculation
 */
export function merkleRoot(records: readonly TlvRecord[]): Uint8Array {
  const signed = records.filter(({ type }) => !isSignature(type))
  const leaf = hasherOf(utf8('LnLeaf'))
  const nonce = hasherOf(concatBytes(utf8('LnNonce'), encodeTlvRecords(signed.slice(0, 1))))
  const hashBranch = hasherOf(utf8('LnBranch'))
  const branch = (a: Uint8Array, b: Uint8Array): Uint8Array =>
    compareBytes(a, b) < 0 ? hashBranch(a, b) : hashBranch(b, a)
  let level = signed.map((record) => branch(leaf(encodeTlvRecords([record])), nonce(encodeWith(bigsize, record.type))))
  // What has no neighbour moves up a level as it is.
  while (level.length > 1) {
    level = level.flatMap((node, i) => {
      const next = level[i + 1]
      return i % 2 === 1 ? [] : [next ? branch(node, next) : node]
    })
  }
  return level[0]!
}

/** What is signed: the root under the tag of the stream and of the signature's field. 32 B. */
export const signedHash = (message: 'invoice_request' | 'invoice', root: Uint8Array): Uint8Array =>
  hasherOf(utf8(`lightning${message}signature`))(root)
