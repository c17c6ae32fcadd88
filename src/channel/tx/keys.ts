import { compareBytes, concatBytes } from '../../base/bytes.ts'
import { deriveCommitmentKeys } from '../../crypto/channelKeys.ts'
import { crypto } from '../../crypto/crypto.ts'
import type { Basepoints } from '../types.ts'

/**
 * The keys of one commitment transaction. `holder` is the side whose commitment it is, the one that may broadcast it;
 * `counterparty` the other, which may punish it (BOLT 3 calls them local and remote). All 33 B.
 *
 * Derived keys are made when first asked for, the two of to_local together and the two of HTLCs: a commitment without HTLC outputs
 * never needs the latter. Keep the object for as long as the commitment is of interest; it is not stored.
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

interface Made {
  readonly holder: Basepoints
  readonly counterparty: Basepoints
  readonly keys: CommitmentKeys
}
/** By the point: a commitment's keys are wanted ahead of time, when it is signed or checked, and when it is closed. */
const made = new WeakMap<Uint8Array, Made>()

/** @source BOLT 3 §key-derivation */
export function commitmentKeys(
  holder: Basepoints,
  counterparty: Basepoints,
  commitmentPoint: Uint8Array,
): CommitmentKeys {
  const known = made.get(commitmentPoint)
  if (known && known.holder === holder && known.counterparty === counterparty) return known.keys
  const keys = derivedKeys(holder, counterparty, commitmentPoint)
  made.set(commitmentPoint, { holder, counterparty, keys })
  return keys
}

/** Makes the keys of a commitment now that will be asked for soon. */
export function deriveAhead(keys: CommitmentKeys): void {
  void keys.revocation
  void keys.counterpartyHtlc
}

function derivedKeys(holder: Basepoints, counterparty: Basepoints, commitmentPoint: Uint8Array): CommitmentKeys {
  let outputKeys: readonly Uint8Array[] | undefined
  let htlcKeys: readonly Uint8Array[] | undefined
  const outputKey = (which: 0 | 1): Uint8Array => {
    const { revocationBasepoint } = counterparty
    outputKeys ??= deriveCommitmentKeys(commitmentPoint, [holder.delayedPaymentBasepoint], revocationBasepoint)
    return outputKeys[which]!
  }
  const htlcKey = (which: 0 | 1): Uint8Array => {
    htlcKeys ??= deriveCommitmentKeys(commitmentPoint, [holder.htlcBasepoint, counterparty.htlcBasepoint], null)
    return htlcKeys[which]!
  }
  return {
    commitmentPoint,
    holderFunding: holder.fundingPubkey,
    counterpartyFunding: counterparty.fundingPubkey,
    counterpartyPayment: counterparty.paymentBasepoint,
    get holderDelayed() {
      return outputKey(0)
    },
    get holderHtlc() {
      return htlcKey(0)
    },
    get counterpartyHtlc() {
      return htlcKey(1)
    },
    get revocation() {
      return outputKey(1)
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
