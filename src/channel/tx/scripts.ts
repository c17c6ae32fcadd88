import { concatBytes, fromHex } from '../../base/bytes.ts'
import type { PaymentHash } from '../../base/ids.ts'
import { OP } from '../../bitcoin/opcodes.ts'
import { compileScript, multisig, p2wpkhOfKey, p2wsh, type ScriptPart } from '../../bitcoin/script.ts'
import { crypto } from '../../crypto/crypto.ts'
import type { ChannelTypeName } from '../types.ts'
import { type CommitmentKeys, sortKeys } from './keys.ts'

/**
 * 2-of-2 over the funding keys in lexicographic order.
 * @source BOLT 3 §funding-transaction-output
 */
export const fundingScript = (a: Uint8Array, b: Uint8Array): Uint8Array => multisig(2, sortKeys(a, b))

/** Output script of the funding output, 34 B. */
export const fundingScriptPubKey = (a: Uint8Array, b: Uint8Array): Uint8Array => p2wsh(fundingScript(a, b))

/**
 * The holder's own money: to_local, and the output of every HTLC transaction. Revocable by the counterparty at once, the
 * holder's after the delay.
 * @param toSelfDelay blocks that the holder waits
 * @source BOLT 3 §to_local-output
 */
export const delayedScript = (revocation: Uint8Array, toSelfDelay: number, holderDelayed: Uint8Array): Uint8Array =>
  compileScript([
    OP.IF,
    revocation,
    OP.ELSE,
    BigInt(toSelfDelay),
    OP.CHECKSEQUENCEVERIFY,
    OP.DROP,
    holderDelayed,
    OP.ENDIF,
    OP.CHECKSIG,
  ])

/** With anchors, to_remote waits for one confirmation. @source BOLT 3 §to_remote-output */
export const toRemoteAnchorsScript = (payment: Uint8Array): Uint8Array =>
  compileScript([payment, OP.CHECKSIGVERIFY, OP[1], OP.CHECKSEQUENCEVERIFY])

/** Output script of the counterparty's money: P2WPKH, or with anchors P2WSH of the script above. */
export const toRemoteScriptPubKey = (payment: Uint8Array, type: ChannelTypeName): Uint8Array =>
  type === 'anchors' ? p2wsh(toRemoteAnchorsScript(payment)) : p2wpkhOfKey(payment)

/**
 * Spendable by one side's funding key at once, by anyone after 16 blocks.
 * @source BOLT 3 §to_local_anchor-and-to_remote_anchor-output-option_anchors
 */
export const anchorScript = (funding: Uint8Array): Uint8Array =>
  compileScript([funding, OP.CHECKSIG, OP.IFDUP, OP.NOTIF, OP[16], OP.CHECKSEQUENCEVERIFY, OP.ENDIF])

/** The start of both HTLC scripts: the revocation key's branch, then the counterparty's key and the test for a preimage. */
const htlcStart = (keys: CommitmentKeys): readonly ScriptPart[] => [
  OP.DUP,
  OP.HASH160,
  crypto.hash160(keys.revocation),
  OP.EQUAL,
  OP.IF,
  OP.CHECKSIG,
  OP.ELSE,
  keys.counterpartyHtlc,
  OP.SWAP,
  OP.SIZE,
  32n,
  OP.EQUAL,
]

/** Anchors: no HTLC output is spendable in the block of its commitment, so that none can pin it. */
const htlcEnd = (type: ChannelTypeName): readonly ScriptPart[] =>
  type === 'anchors' ? [OP.ENDIF, OP[1], OP.CHECKSEQUENCEVERIFY, OP.DROP, OP.ENDIF] : [OP.ENDIF, OP.ENDIF]

/** What both kinds of HTLC script of one commitment have in common, compiled once: an HTLC fills in its hash and expiry. */
export interface HtlcScripts {
  /** Witness script of an HTLC that the commitment's holder offered. */
  offered(paymentHash: PaymentHash): Uint8Array
  /** Witness script of an HTLC that the holder received. */
  received(paymentHash: PaymentHash, cltvExpiry: number): Uint8Array
}

/**
 * @source BOLT 3 §offered-htlc-outputs
 * @source BOLT 3 §received-htlc-outputs
 */
export function htlcScripts(keys: CommitmentKeys, type: ChannelTypeName): HtlcScripts {
  const start = compileScript(htlcStart(keys))
  const end = compileScript(htlcEnd(type))
  const holderOf2: readonly ScriptPart[] = [OP[2], OP.SWAP, keys.holderHtlc, OP[2], OP.CHECKMULTISIG]
  const hashed = Uint8Array.of(OP.HASH160, 20)
  const offeredStart = concatBytes(start, compileScript([OP.NOTIF, OP.DROP, ...holderOf2, OP.ELSE]), hashed)
  const offeredEnd = concatBytes(Uint8Array.of(OP.EQUALVERIFY, OP.CHECKSIG), end)
  const receivedStart = concatBytes(start, Uint8Array.of(OP.IF), hashed)
  const receivedMiddle = compileScript([OP.EQUALVERIFY, ...holderOf2, OP.ELSE, OP.DROP])
  const receivedEnd = concatBytes(Uint8Array.of(OP.CHECKLOCKTIMEVERIFY, OP.DROP, OP.CHECKSIG), end)
  const ripemd = (hash: PaymentHash): Uint8Array => crypto.ripemd160(fromHex(hash))
  return {
    offered: (hash) => concatBytes(offeredStart, ripemd(hash), offeredEnd),
    received: (hash, expiry) =>
      concatBytes(receivedStart, ripemd(hash), receivedMiddle, compileScript([BigInt(expiry)]), receivedEnd),
  }
}
