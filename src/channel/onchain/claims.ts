import { concatBytes, EMPTY } from '../../base/bytes.ts'
import { assertNever } from '../../base/errors.ts'
import type { Outpoint } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { dustThreshold } from '../../bitcoin/policy.ts'
import { p2wpkhScriptCode } from '../../bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../bitcoin/sighash.ts'
import { type Transaction, unsignedInput } from '../../bitcoin/transaction.ts'
import { crypto } from '../../crypto/crypto.ts'
import { COUNTERPARTY_HTLC_SIGHASH, htlcWitness } from '../tx/htlc.ts'
import { delayedScript } from '../tx/scripts.ts'
import { feeOf } from '../tx/weights.ts'
import type { ChannelSigner, ChannelTypeName } from '../types.ts'

/** A way to move one output of a closed channel to the wallet. Plain data; names the keys to sign with, never holds one of ours. */
export type Spend =
  /** Our own money, once our commitment's (or HTLC transaction's) delay is over. */
  | {
      readonly tag: 'delayed'
      readonly witnessScript: Uint8Array
      readonly delay: number
      readonly commitmentPoint: Uint8Array
    }
  /** Our money in the peer's commitment. witnessScript: with anchors; null for P2WPKH of our payment key. */
  | { readonly tag: 'to-remote'; readonly witnessScript: Uint8Array | null }
  /** An HTLC in the peer's commitment: ours after its expiry, or theirs with the preimage. */
  | {
      readonly tag: 'claim-timeout' | 'claim-preimage'
      readonly witnessScript: Uint8Array
      readonly commitmentPoint: Uint8Array
      readonly channelType: ChannelTypeName
      readonly cltvExpiry: number
    }
  /** An HTLC in our commitment: its second stage, signed by the peer beforehand. */
  | HtlcStage
  /** Anything in a revoked commitment; revocationKey (33 B) for HTLC outputs, null for delayed ones. */
  | {
      readonly tag: 'penalty'
      readonly witnessScript: Uint8Array
      readonly commitmentSecret: Uint8Array
      readonly revocationKey: Uint8Array | null
    }

/** The HTLC transaction of one of our commitment's outputs, with the peer's signature on it. */
export interface HtlcStage {
  readonly tag: 'htlc-timeout' | 'htlc-success'
  /** Unsigned: one input, one output. */
  readonly tx: Transaction
  readonly witnessScript: Uint8Array
  /** Of the output being spent. */
  readonly amountSat: Sat
  readonly counterpartySignature: Uint8Array
  readonly channelType: ChannelTypeName
  readonly commitmentPoint: Uint8Array
  readonly cltvExpiry: number
  /** Witness script of the HTLC transaction's output, and its delay. */
  readonly delayedScript: Uint8Array
  readonly delay: number
}

/** How an output is swept directly, without a second stage. */
export type SweepSpend = Exclude<Spend, HtlcStage>

export const isHtlcStage = (spend: Spend): spend is HtlcStage =>
  spend.tag === 'htlc-timeout' || spend.tag === 'htlc-success'

/** A signature at its longest, with its length byte and sighash byte. */
const SIGNATURE = 74
const INPUT_WEIGHT = 4 * 41

/** Weight of the input that sweeps an output, signature at its longest. */
export function inputWeight(spend: SweepSpend): number {
  const script = spend.tag === 'to-remote' && spend.witnessScript === null ? 33 : spend.witnessScript!.length
  return INPUT_WEIGHT + 1 + SIGNATURE + argumentSize(spend) + 1 + script
}

/** Bytes between signature and script, with their length. */
function argumentSize(spend: SweepSpend): number {
  switch (spend.tag) {
    case 'to-remote':
      return 0
    case 'delayed':
    case 'claim-timeout':
      return 1
    case 'claim-preimage':
      return 33
    case 'penalty':
      return spend.revocationKey ? 34 : 2
    default:
      return assertNever(spend)
  }
}

/** Weight of everything in a sweep but its inputs. */
const sweepBaseWeight = (scriptPubKey: Uint8Array): number => 4 * (4 + 1 + 1 + 9 + scriptPubKey.length + 4) + 2

/** Weight of a sweep of these outputs, signatures at their longest. */
export const sweepWeight = (inputs: readonly { readonly spend: SweepSpend }[], scriptPubKey: Uint8Array): number =>
  inputs.reduce((sum, i) => sum + inputWeight(i.spend), sweepBaseWeight(scriptPubKey))

/** Lets the fee be raised, and lock times count. */
const SEQUENCE_RBF = 0xfffffffd

function sequenceOf(spend: SweepSpend): number {
  switch (spend.tag) {
    case 'delayed':
      return spend.delay
    case 'to-remote':
      return spend.witnessScript ? 1 : SEQUENCE_RBF
    case 'claim-timeout':
    case 'claim-preimage':
      return spend.channelType === 'anchors' ? 1 : SEQUENCE_RBF
    case 'penalty':
      return SEQUENCE_RBF
    default:
      return assertNever(spend)
  }
}

/** One input of a sweep. preimage: 32 B, for 'claim-preimage' alone. */
export interface SweepInput {
  readonly outpoint: Outpoint
  readonly amountSat: Sat
  readonly spend: SweepSpend
  readonly preimage: Uint8Array | null
}

export interface SweepOptions {
  readonly scriptPubKey: Uint8Array
  /** sat per 1,000 weight units. */
  readonly feeratePerKw: number
}

/** The inputs of one channel, and what signs them. */
export interface SweepPart {
  readonly inputs: readonly SweepInput[]
  readonly signer: ChannelSigner
}

/** What a sweep is made of again, together with those of other channels. */
export interface SweepShare {
  readonly inputs: readonly SweepInput[]
  /** sat per 1,000 weight units. */
  readonly feeratePerKw: number
  /** Height at which that was chosen. */
  readonly at: number
}

/**
 * Moves outputs of one channel to one script, signed. With 'claim-timeout' inputs its lock time is the highest of their expiries.
 * @returns null when what is left after the fee would be dust
 * @source BOLT 5
 */
export const buildSweep = (
  inputs: readonly SweepInput[],
  options: SweepOptions,
  signer: ChannelSigner,
): { readonly tx: Transaction; readonly feeSat: Sat } | null => buildSharedSweep([{ inputs, signer }], options)

/** The same with outputs of several channels, each of which signs for its own. */
export function buildSharedSweep(
  parts: readonly SweepPart[],
  options: SweepOptions,
): { readonly tx: Transaction; readonly feeSat: Sat } | null {
  const inputs = parts.flatMap((p) => p.inputs)
  const signers = parts.flatMap((p) => p.inputs.map(() => p.signer))
  let total = 0n
  let lockTime = 0
  for (const i of inputs) {
    total += i.amountSat
    if (i.spend.tag === 'claim-timeout') lockTime = Math.max(lockTime, i.spend.cltvExpiry)
  }
  const feeSat = feeOf(sweepWeight(inputs, options.scriptPubKey), options.feeratePerKw)
  const amountSat = (total - feeSat) as Sat
  if (amountSat < dustThreshold(options.scriptPubKey)) return null
  const unsigned: Transaction = {
    version: 2,
    inputs: inputs.map((i) => unsignedInput(i.outpoint, sequenceOf(i.spend))),
    outputs: [{ amountSat, scriptPubKey: options.scriptPubKey }],
    lockTime,
  }
  const signed = unsigned.inputs.map((input, index) => ({
    ...input,
    witness: sweepWitness(unsigned, index, inputs[index]!, signers[index]!),
  }))
  return { tx: { ...unsigned, inputs: signed }, feeSat }
}

/** Whether an output pays for its own input at a feerate: one that does not only makes a sweep of several poorer. */
export const isWorthSweeping = (amountSat: Sat, spend: SweepSpend, feeratePerKw: number): boolean =>
  amountSat > feeOf(inputWeight(spend), feeratePerKw)

/** Any witness program of 34 B, and the dust limit that goes with it: what a wallet asks for at most. */
const WIDEST_SCRIPT = concatBytes(Uint8Array.of(0, 32), new Uint8Array(32))

/** What a sweep must leave over, whichever script it pays. */
export const LEAST_LEFT_SAT = dustThreshold(WIDEST_SCRIPT)

/** Whether an output can be swept at a feerate without others beside it, leaving more than dust. */
export const isWorthSweepingAlone = (amountSat: Sat, spend: SweepSpend, feeratePerKw: number): boolean =>
  amountSat - feeOf(sweepBaseWeight(WIDEST_SCRIPT) + inputWeight(spend), feeratePerKw) >= LEAST_LEFT_SAT

const KEY = new Uint8Array(33)
/** Weight of a sweep of what an HTLC transaction leaves behind, by itself, whichever the delay and the script that it pays. */
export const DELAYED_SWEEP_WEIGHT =
  sweepBaseWeight(WIDEST_SCRIPT) +
  inputWeight({ tag: 'delayed', witnessScript: delayedScript(KEY, 0xffff, KEY), delay: 0xffff, commitmentPoint: KEY })

const ONE = Uint8Array.of(1)

function sweepWitness(
  tx: Transaction,
  index: number,
  { amountSat, spend, preimage }: SweepInput,
  signer: ChannelSigner,
): readonly Uint8Array[] {
  const digest = (scriptCode: Uint8Array): Uint8Array => sighashV0(tx, { index, scriptCode, amountSat }, SIGHASH_ALL)
  const der = (signature: Uint8Array): Uint8Array => derSignature(signature, SIGHASH_ALL)
  switch (spend.tag) {
    case 'delayed': {
      const signature = signer.signDelayed(digest(spend.witnessScript), spend.commitmentPoint)
      return [der(signature), EMPTY, spend.witnessScript]
    }
    case 'to-remote': {
      const key = signer.basepoints.paymentBasepoint
      const code = spend.witnessScript ?? p2wpkhScriptCode(crypto.hash160(key))
      return [der(signer.signPayment(digest(code))), spend.witnessScript ?? key]
    }
    case 'claim-timeout':
    case 'claim-preimage': {
      const signature = signer.signHtlc(digest(spend.witnessScript), spend.commitmentPoint)
      if (spend.tag === 'claim-preimage' && !preimage) throw new RangeError('an HTLC is claimed without its preimage')
      return [der(signature), spend.tag === 'claim-timeout' ? EMPTY : preimage!, spend.witnessScript]
    }
    case 'penalty': {
      const signature = signer.signRevocation(digest(spend.witnessScript), spend.commitmentSecret)
      return [der(signature), spend.revocationKey ?? ONE, spend.witnessScript]
    }
    default:
      return assertNever(spend)
  }
}

/** Whether the peer's signature is of this HTLC transaction. */
export function isSignedFor(stage: HtlcStage, theirHtlcKey: Uint8Array, signer: ChannelSigner): boolean {
  const { tx, witnessScript, amountSat, channelType, counterpartySignature } = stage
  const input = { index: 0, scriptCode: witnessScript, amountSat }
  return signer.verify(
    counterpartySignature,
    sighashV0(tx, input, COUNTERPARTY_HTLC_SIGHASH[channelType]),
    theirHtlcKey,
  )
}

/**
 * Signs the input of an HTLC transaction that spends our commitment: over the transaction as it is given, so again after the
 * wallet has added inputs and outputs behind its own for the fee (option_anchors).
 * @param preimage 32 B for HTLC-success, null for HTLC-timeout
 * @source BOLT 5 §generation-of-htlc-transactions
 */
export function signHtlcTx(
  tx: Transaction,
  stage: HtlcStage,
  preimage: Uint8Array | null,
  signer: ChannelSigner,
): Transaction {
  const spent = stage.tx.inputs[0]!
  const index = tx.inputs.findIndex((i) => i.txid === spent.txid && i.index === spent.index)
  if (index < 0) throw new RangeError('the transaction does not spend the HTLC output')
  if ((stage.tag === 'htlc-success') !== (preimage !== null)) throw new RangeError('HTLC-success alone has a preimage')
  const digest = sighashV0(tx, { index, scriptCode: stage.witnessScript, amountSat: stage.amountSat }, SIGHASH_ALL)
  const witness = htlcWitness({
    channelType: stage.channelType,
    witnessScript: stage.witnessScript,
    counterpartySignature: stage.counterpartySignature,
    holderSignature: signer.signHtlc(digest, stage.commitmentPoint),
    preimage,
  })
  return { ...tx, inputs: tx.inputs.map((input, i) => (i === index ? { ...input, witness } : input)) }
}
