import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { type PaymentHash, paymentHash, txid } from '../../src/base/ids.ts'
import { type Msat, msat, sat } from '../../src/base/units.ts'
import { dustThreshold } from '../../src/bitcoin/policy.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../src/bitcoin/sighash.ts'
import { decodeTransaction, encodeTransaction, txidOf, withWitness } from '../../src/bitcoin/transaction.ts'
import { type BuiltCommitment, buildCommitment, commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { withFundingWitness } from '../../src/channel/tx/funding.ts'
import { buildHtlcTx, COUNTERPARTY_HTLC_SIGHASH, htlcSighashes, htlcWitness } from '../../src/channel/tx/htlc.ts'
import { commitmentKeys, obscuringFactor, xor48 } from '../../src/channel/tx/keys.ts'
import { fundingScript, fundingScriptPubKey } from '../../src/channel/tx/scripts.ts'
import * as weights from '../../src/channel/tx/weights.ts'
import type { ChannelTypeName } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import vectors from './fixtures/bolt03.json' with { type: 'json' }

const { common } = vectors
const k = common.keys
const internal = common.internal_keys
/** The source writes private keys with a trailing 01. */
const secret = (hex: string): Uint8Array => fromHex(hex.slice(0, 64))

interface VectorHtlc {
  readonly id: number
  readonly offered: boolean
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
  readonly preimage: Uint8Array
}
const allHtlcs: readonly VectorHtlc[] = common.htlcs.map((h) => ({
  id: h.id,
  offered: h.direction === 'offered',
  amountMsat: msat(h.amount_msat),
  paymentHash: paymentHash(h.payment_hash),
  cltvExpiry: h.expiry,
  preimage: fromHex(h.payment_preimage),
}))

const factor = obscuringFactor(fromHex(k.local_payment_basepoint), fromHex(k.remote_payment_basepoint))
const keys = commitmentKeys(
  {
    fundingPubkey: fromHex(k.local_funding_pubkey),
    revocationBasepoint: new Uint8Array(33),
    paymentBasepoint: fromHex(k.local_payment_basepoint),
    delayedPaymentBasepoint: fromHex(internal.local_delayed_payment_basepoint),
    htlcBasepoint: fromHex(k.local_htlc_basepoint),
  },
  {
    fundingPubkey: fromHex(k.remote_funding_pubkey),
    revocationBasepoint: fromHex(internal.remote_revocation_basepoint),
    paymentBasepoint: fromHex(k.remote_payment_basepoint),
    delayedPaymentBasepoint: new Uint8Array(33),
    htlcBasepoint: fromHex(k.remote_htlc_basepoint),
  },
  fromHex(internal.local_per_commitment_point),
)

type VectorCommitment = (typeof vectors.commitments)[number]
const typeOf = (v: { option_anchors: boolean }): ChannelTypeName => (v.option_anchors ? 'anchors' : 'static_remotekey')

function build(v: {
  option_anchors: boolean
  htlcs: number[]
  dust_limit_satoshis: number
  feerate_per_kw: number
  toLocalMsat: Msat
  toRemoteMsat: Msat
}): BuiltCommitment<VectorHtlc> {
  const htlcs = v.htlcs.map((id) => allHtlcs[id]!)
  return buildCommitment({
    channelType: typeOf(v),
    funding: { txid: txid(common.funding_tx_id), index: common.funding_output_index },
    capacitySat: sat(common.funding_amount_satoshi),
    commitmentNumber: common.commitment_number,
    obscuringFactor: factor,
    keys,
    toSelfDelay: common.local_delay,
    dustLimitSat: sat(v.dust_limit_satoshis),
    feeratePerKw: v.feerate_per_kw,
    holderIsOpener: true,
    toHolderMsat: v.toLocalMsat,
    toCounterpartyMsat: v.toRemoteMsat,
    offered: htlcs.filter((h) => h.offered),
    received: htlcs.filter((h) => !h.offered),
  })
}

const buildVector = (v: VectorCommitment): BuiltCommitment<VectorHtlc> =>
  build({
    ...v,
    feerate_per_kw: v.local_feerate_per_kw,
    toLocalMsat: msat(v.to_local_msat),
    toRemoteMsat: msat(v.to_remote_msat),
  })

const der = (hash: Uint8Array, key: string): string =>
  toHex(derSignature(crypto.ecdsaSign(hash, secret(key)), SIGHASH_ALL).slice(0, -1))

describe('BOLT 3 appendix C and F: derived keys', () => {
  it('gives the published keys', () => {
    expect(toHex(keys.holderHtlc)).toBe(k.local_htlcpubkey)
    expect(toHex(keys.counterpartyHtlc)).toBe(k.remote_htlcpubkey)
    expect(toHex(keys.holderDelayed)).toBe(k.local_delayedpubkey)
    expect(toHex(keys.revocation)).toBe(k.local_revocation_pubkey)
    expect(toHex(fundingScript(keys.counterpartyFunding, keys.holderFunding))).toBe(k.funding_witness_script)
  })

  it('obscures the commitment number', () => {
    const o = vectors.obscured_commitment_number
    expect(factor.toString(16)).toBe(o.obscuring_factor)
    expect(xor48(factor, o.commitment_number).toString(16)).toBe(o.obscured)
  })
})

describe('BOLT 3 appendix B: funding transaction', () => {
  it('pays to the 2-of-2 of both funding keys', () => {
    const f = vectors.funding_transaction
    const tx = decodeTransaction(fromHex(f.funding_tx))
    const script = fundingScriptPubKey(fromHex(f.local_funding_pubkey), fromHex(f.remote_funding_pubkey))
    expect(tx.outputs[f.funding_output_index]).toEqual({ amountSat: BigInt(f.funding_satoshis), scriptPubKey: script })
    expect(txidOf(tx)).toBe(f.funding_txid)
  })
})

describe('BOLT 3 §commitment-transaction-outputs, §appendix-b-funding-transaction-test-vectors: commitments of appendix C and F, byte for byte', () => {
  for (const v of vectors.commitments) {
    const type = typeOf(v)
    it(`${type}: ${v.name}`, () => {
      const c = buildVector(v)
      expect(der(c.sighash, k.local_funding_privkey)).toBe(v.local_signature)
      expect(der(c.sighash, internal.remote_funding_privkey)).toBe(v.remote_signature)
      const signed = withFundingWitness(
        c.tx,
        {
          publicKey: keys.holderFunding,
          signature: crypto.ecdsaSign(c.sighash, secret(k.local_funding_privkey)),
        },
        {
          publicKey: keys.counterpartyFunding,
          signature: crypto.ecdsaSign(c.sighash, secret(internal.remote_funding_privkey)),
        },
      )
      expect(toHex(encodeTransaction(signed))).toBe(v.commitment_tx)
      expect(commitmentNumberOf(c.tx, factor)).toBe(common.commitment_number)
      expect(c.htlcs.map((o) => o.htlc.id).sort()).toEqual([...v.untrimmed_htlcs].sort())
      expect(c.trimmed.length).toBe(v.htlcs.length - v.num_htlcs)
      expect(weights.commitFee(v.local_feerate_per_kw, c.htlcs.length, type)).toBe(
        BigInt(Math.floor((v.local_feerate_per_kw * weights.commitmentWeight(v.num_htlcs, type)) / 1000)),
      )
    })

    it(`${type}: ${v.name}: HTLC transactions`, () => {
      const c = buildVector(v)
      const digests = htlcSighashes(c)
      expect(digests.length).toBe(v.htlc_resolution_txs.length)
      v.htlc_resolution_txs.forEach((r, i) => {
        const output = c.htlcs[i]!
        const tx = buildHtlcTx(c, output)
        const spent = { index: 0, scriptCode: output.witnessScript, amountSat: output.amountSat }
        expect(digests[i]).toEqual(sighashV0(tx, spent, COUNTERPARTY_HTLC_SIGHASH[type]))
        expect(der(digests[i]!, internal.remote_privkey)).toBe(r.remote_htlc_signature)
        const witness = htlcWitness({
          channelType: type,
          witnessScript: output.witnessScript,
          counterpartySignature: crypto.ecdsaSign(digests[i]!, secret(internal.remote_privkey)),
          holderSignature: crypto.ecdsaSign(sighashV0(tx, spent, SIGHASH_ALL), secret(k.local_privkey)),
          preimage: output.offered ? null : output.htlc.preimage,
        })
        expect(toHex(encodeTransaction(withWitness(tx, 0, witness)))).toBe(r.tx)
      })
    })
  }

  it('accounts for every satoshi of the fee', () => {
    for (const v of vectors.commitments) {
      const fee = (v as { actual_fee_satoshi?: number }).actual_fee_satoshi
      if (fee !== undefined) expect(buildVector(v).feeSat).toBe(BigInt(fee))
    }
  })
})

describe('BOLT 3 §trimmed-outputs, appendix C: trimming at feerates on either side of each boundary', () => {
  for (const v of vectors.trim_boundaries) {
    it(`${typeOf(v)}: ${v.name}`, () => {
      const commitment = vectors.commitments.find((c) => c.name === v.name && c.option_anchors === v.option_anchors)!
      const c = build({
        ...v,
        toLocalMsat: msat(commitment.to_local_msat),
        toRemoteMsat: msat(commitment.to_remote_msat),
      })
      expect(c.htlcs.map((o) => o.htlc.id).sort()).toEqual([...v.untrimmed_htlcs].sort())
      expect(c.tx.outputs.length).toBe(v.outputs)
    })
  }
})

describe('BOLT 3 §fee-calculation and appendix A', () => {
  it('matches the worked example', () => {
    const e = vectors.fee_example
    const thresholds = weights.trimThresholds({
      channelType: 'static_remotekey',
      dustLimitSat: sat(e.dust_limit_satoshis),
      feeratePerKw: e.feerate_per_kw,
    })
    expect(weights.htlcTimeoutFee(e.feerate_per_kw, 'static_remotekey')).toBe(BigInt(e.htlc_timeout_fee))
    expect(weights.htlcSuccessFee(e.feerate_per_kw, 'static_remotekey')).toBe(BigInt(e.htlc_success_fee))
    const offered = e.offered_htlcs_msat.filter((a) => !weights.isTrimmed(msat(a), true, thresholds))
    const received = e.received_htlcs_msat.filter((a) => !weights.isTrimmed(msat(a), false, thresholds))
    expect([offered, received]).toEqual([[5000000], [7000000]])
    expect(weights.commitFee(e.feerate_per_kw, 2, 'static_remotekey')).toBe(BigInt(e.base_fee_satoshi))
    expect([0, 1, 2].map((n) => weights.commitmentWeight(n, 'static_remotekey'))).toEqual(e.commitment_weights)
  })

  it('uses the expected weights', () => {
    const w = vectors.expected_weights
    expect(weights.COMMITMENT_WEIGHT).toEqual({
      static_remotekey: w.commitment_weight_base,
      anchors: w.commitment_weight_base_anchors,
    })
    expect(weights.HTLC_OUTPUT_WEIGHT).toBe(w.commitment_weight_per_htlc)
    expect(weights.HTLC_TIMEOUT_WEIGHT).toEqual({
      static_remotekey: w.htlc_timeout_weight,
      anchors: w.htlc_timeout_weight_anchors,
    })
    expect(weights.HTLC_SUCCESS_WEIGHT).toEqual({
      static_remotekey: w.htlc_success_weight,
      anchors: w.htlc_success_weight_anchors,
    })
  })

  it('charges no HTLC fee with anchors', () => {
    expect(weights.htlcTimeoutFee(5000, 'anchors')).toBe(0n)
    expect(weights.htlcSuccessFee(5000, 'anchors')).toBe(0n)
  })
})

describe('BOLT 3 §dust-limits', () => {
  const d = vectors.dust_thresholds_sat
  const scripts: Record<keyof typeof d, Uint8Array> = {
    p2pkh: fromHex(`76a914${'00'.repeat(20)}88ac`),
    p2sh: fromHex(`a914${'00'.repeat(20)}87`),
    p2wpkh: fromHex(`0014${'00'.repeat(20)}`),
    p2wsh: fromHex(`0020${'00'.repeat(32)}`),
    p2a: fromHex('51024e73'),
    'unknown segwit versions': fromHex(`6028${'00'.repeat(40)}`),
  }
  for (const [name, amount] of Object.entries(d)) {
    it(name, () => expect(dustThreshold(scripts[name as keyof typeof d])).toBe(BigInt(amount)))
  }
})
