import { toHex } from '../../../src/base/bytes.ts'
import { type PaymentHash, type Txid, txid } from '../../../src/base/ids.ts'
import { type Msat, msat, type Sat, sat } from '../../../src/base/units.ts'
import type { Transaction, TxOutput } from '../../../src/bitcoin/transaction.ts'
import { verifyInput } from '../../../src/bitcoin/verify.ts'
import type { HtlcStage, Spend } from '../../../src/channel/onchain/claims.ts'
import { signHtlcTx } from '../../../src/channel/onchain/claims.ts'
import { secpSigner } from '../../../src/channel/signer.ts'
import { type BuiltCommitment, buildCommitment, type HtlcOutput } from '../../../src/channel/tx/commitment.ts'
import { withFundingWitness } from '../../../src/channel/tx/funding.ts'
import { buildHtlcTx, htlcSighashes } from '../../../src/channel/tx/htlc.ts'
import { commitmentKeys, obscuringFactor } from '../../../src/channel/tx/keys.ts'
import { fundingScriptPubKey } from '../../../src/channel/tx/scripts.ts'
import type { ChannelSigner, ChannelTypeName } from '../../../src/channel/types.ts'
import { crypto } from '../../../src/crypto/crypto.ts'

const nodeSecret = new Uint8Array(32).fill(3)
export const alice = secpSigner(new Uint8Array(32).fill(1), nodeSecret)
export const bob = secpSigner(new Uint8Array(32).fill(2), nodeSecret)

export const CAPACITY: Sat = sat(10_000_000)
export const DELAY = 144
export const NUMBER = 42
export const SWEEP_SCRIPT = new Uint8Array([0, 20, ...new Uint8Array(20).fill(9)])
export const FUNDING = { txid: txid('ab'.repeat(32)), index: 1 }
export const fundingOutput: TxOutput = {
  amountSat: CAPACITY,
  scriptPubKey: fundingScriptPubKey(alice.basepoints.fundingPubkey, bob.basepoints.fundingPubkey),
}

export interface TestHtlc {
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
  readonly preimage: Uint8Array
}

export const htlc = (n: number, amountSat: number, cltvExpiry: number): TestHtlc => {
  const preimage = new Uint8Array(32).fill(n)
  return {
    amountMsat: msat(amountSat * 1000),
    paymentHash: toHex(crypto.sha256(preimage)) as PaymentHash,
    cltvExpiry,
    preimage,
  }
}

export interface Scene {
  readonly type: ChannelTypeName
  readonly holder: ChannelSigner
  readonly counterparty: ChannelSigner
  readonly point: Uint8Array
  readonly commitment: BuiltCommitment<TestHtlc>
  /** With both signatures. */
  readonly signed: Transaction
}

/** One side's commitment with the given HTLCs, signed by both. Alice opened the channel. */
export function scene(
  type: ChannelTypeName,
  holder: ChannelSigner,
  htlcs: { offered: readonly TestHtlc[]; received: readonly TestHtlc[]; feeratePerKw?: number },
): Scene {
  const counterparty = holder === alice ? bob : alice
  const point = holder.commitmentPoint(NUMBER)
  const inHtlcs = [...htlcs.offered, ...htlcs.received].reduce((sum, h) => sum + h.amountMsat, 0n)
  const toHolderMsat = msat(4_000_000_000)
  const commitment = buildCommitment({
    channelType: type,
    funding: FUNDING,
    capacitySat: CAPACITY,
    commitmentNumber: NUMBER,
    obscuringFactor: obscuringFactor(alice.basepoints.paymentBasepoint, bob.basepoints.paymentBasepoint),
    keys: commitmentKeys(holder.basepoints, counterparty.basepoints, point),
    toSelfDelay: DELAY,
    dustLimitSat: sat(546),
    feeratePerKw: htlcs.feeratePerKw ?? 1000,
    holderIsOpener: holder === alice,
    toHolderMsat,
    toCounterpartyMsat: msat(CAPACITY * 1000n - toHolderMsat - inHtlcs),
    offered: htlcs.offered,
    received: htlcs.received,
  })
  const sign = (s: ChannelSigner) => ({
    publicKey: s.basepoints.fundingPubkey,
    signature: s.signFunding(commitment.sighash),
  })
  const signed = withFundingWitness(commitment.tx, sign(holder), sign(counterparty))
  return { type, holder, counterparty, point, commitment, signed }
}

/** The second stage of an HTLC output, with the counterparty's signature. */
export function stageOf(s: Scene, output: HtlcOutput<TestHtlc>): HtlcStage {
  const at = s.commitment.htlcs.indexOf(output)
  return {
    tag: output.offered ? 'htlc-timeout' : 'htlc-success',
    tx: buildHtlcTx(s.commitment, output),
    witnessScript: output.witnessScript,
    amountSat: output.amountSat,
    counterpartySignature: s.counterparty.signHtlc(htlcSighashes(s.commitment)[at]!, s.point),
    channelType: s.type,
    commitmentPoint: s.point,
    cltvExpiry: output.htlc.cltvExpiry,
    delayedScript: s.commitment.delayedScript!,
    delay: DELAY,
  }
}

export const signStage = (s: Scene, output: HtlcOutput<TestHtlc>): Transaction => {
  const stage = stageOf(s, output)
  return signHtlcTx(stage.tx, stage, output.offered ? null : output.htlc.preimage, s.holder)
}

/** What the script interpreter says of one input: 'ok' or Bitcoin Core's code. */
export const verdict = (tx: Transaction, prevout: TxOutput, index = 0): string => {
  const r = verifyInput(tx, index, prevout)
  return r.ok ? 'ok' : r.error
}

export const outpoint = (id: Txid, index: number) => ({ txid: id, index })

/** The holder's way to its own delayed money. */
export const delayedSpend = (s: Scene): Spend & { tag: 'delayed' } => ({
  tag: 'delayed',
  witnessScript: s.commitment.delayedScript!,
  delay: DELAY,
  commitmentPoint: s.point,
})
