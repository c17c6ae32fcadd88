import { compareBytes, concatBytes } from '../../base/bytes.ts'
import { derivePublicKey, deriveRevocationPublicKey } from '../../crypto/channelKeys.ts'
import { crypto } from '../../crypto/crypto.ts'
import type { Basepoints } from '../types.ts'

/**
 * The keys of one commitment transaction. `holder` is the side whose commitment it is, the one that may broadcast it;
 * `counterparty` the other, which may punish it (BOLT 3 calls them local and remote). All 33 B.
 *
 * Each derived key costs one to three curve operations and is made when first asked for: a commitment without HTLC outputs
 * never needs its HTLC keys. Keep the object for as long as the commitment is of interest; it is not stored.
 */
export interface CommitmentKeys {
  readonly commitmentPoint: Uint8Array
  readonly holderFunding: Uint8Array
  readonly counterpartyFunding: Uint8Array
  /** Where to_remote pays: the counterparty's payment basepoint as it is (option_static_remotekey). */
  readonly counterpartyPayment: Uint8Array
  readonly holderDelayed: Uint8Array
  readonly holderHtlc: Uint8Array
  readonly counterpartyHtlc: Uint8Array
  readonly revocation: Uint8Array
}

/** @source BOLT 3 §key-derivation */
export function commitmentKeys(
  holder: Basepoints,
  counterparty: Basepoints,
  commitmentPoint: Uint8Array,
): CommitmentKeys {
  let holderDelayed: Uint8Array | undefined
  let holderHtlc: Uint8Array | undefined
  let counterpartyHtlc: Uint8Array | undefined
  let revocation: Uint8Array | undefined
  return {
    commitmentPoint,
    holderFunding: holder.fundingPubkey,
    counterpartyFunding: counterparty.fundingPubkey,
    counterpartyPayment: counterparty.paymentBasepoint,
    get holderDelayed() {
      holderDelayed ??= derivePublicKey(holder.delayedPaymentBasepoint, commitmentPoint)
      return holderDelayed
    },
    get holderHtlc() {
      holderHtlc ??= derivePublicKey(holder.htlcBasepoint, commitmentPoint)
      return holderHtlc
    },
    get counterpartyHtlc() {
      counterpartyHtlc ??= derivePublicKey(counterparty.htlcBasepoint, commitmentPoint)
      return counterpartyHtlc
    },
    get revocation() {
      revocation ??= deriveRevocationPublicKey(counterparty.revocationBasepoint, commitmentPoint)
      return revocation
    },
  }
}

/**
 * What commitment numbers are masked with, as a 48-bit number: the same for both sides and for the channel's life.
 * @source BOLT 3 §commitment-transaction
 */
export function obscuringFactor(openerPaymentBasepoint: Uint8Array, accepterPaymentBasepoint: Uint8Array): number {
  const hash = crypto.sha256(concatBytes(openerPaymentBasepoint, accepterPaymentBasepoint))
  let n = 0
  for (let i = 26; i < 32; i++) n = n * 256 + hash[i]!
  return n
}

/** XOR of two 48-bit numbers, which JavaScript's own operator would cut to 32 bits. */
export function xor48(a: number, b: number): number {
  const high = (Math.floor(a / 0x1000000) ^ Math.floor(b / 0x1000000)) >>> 0
  const low = ((a % 0x1000000) ^ (b % 0x1000000)) >>> 0
  return high * 0x1000000 + low
}

/** The two funding keys in the order of the funding script. */
export const sortKeys = (a: Uint8Array, b: Uint8Array): readonly [Uint8Array, Uint8Array] =>
  compareBytes(a, b) <= 0 ? [a, b] : [b, a]
