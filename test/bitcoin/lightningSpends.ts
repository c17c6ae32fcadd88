import { fromHex } from '../../src/base/bytes.ts'
import { type Outpoint, txid } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { OP } from '../../src/bitcoin/opcodes.ts'
import {
  compileScript,
  multisig,
  p2wpkhOfKey,
  p2wpkhScriptCode,
  p2wsh,
  type ScriptPart,
} from '../../src/bitcoin/script.ts'
import {
  derSignature,
  SIGHASH_ALL,
  SIGHASH_ANYONECANPAY,
  SIGHASH_SINGLE,
  sighashV0,
} from '../../src/bitcoin/sighash.ts'
import { type Transaction, type TxOutput, withWitness } from '../../src/bitcoin/transaction.ts'
import { crypto } from '../../src/crypto/crypto.ts'

/** Secrets of the two sides and of the one that punishes. */
const secret = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const [LOCAL, REMOTE, REVOKED] = [secret(1), secret(2), secret(3)] as const
const key = (s: Uint8Array): Uint8Array => crypto.publicKey(s)
const PREIMAGE = new Uint8Array(32).fill(7)
const PAYMENT_HASH160 = crypto.ripemd160(crypto.sha256(PREIMAGE))
const EXPIRY = 500
const DELAY = 144

type Witness = (sign: (secret: Uint8Array, type?: number) => Uint8Array) => Uint8Array[]

export interface SpendShape {
  readonly name: string
  readonly script: Uint8Array
  readonly lockTime: number
  readonly sequence: number
  readonly witness: Witness
}

const NONE = new Uint8Array(0)
const ONE = Uint8Array.of(1)
const SINGLE = SIGHASH_SINGLE | SIGHASH_ANYONECANPAY

const anchorTail = (anchors: boolean): ScriptPart[] => (anchors ? [1n, OP.CHECKSEQUENCEVERIFY, OP.DROP] : [])

const htlcHead: ScriptPart[] = [
  ...[OP.DUP, OP.HASH160, crypto.hash160(key(REVOKED)), OP.EQUAL],
  ...[OP.IF, OP.CHECKSIG, OP.ELSE, key(REMOTE), OP.SWAP, OP.SIZE, 32n, OP.EQUAL],
]

/** BOLT 3 §offered-htlc-outputs. */
const offered = (anchors: boolean): Uint8Array =>
  compileScript([
    ...htlcHead,
    ...[OP.NOTIF, OP.DROP, 2n, OP.SWAP, key(LOCAL), 2n, OP.CHECKMULTISIG],
    ...[OP.ELSE, OP.HASH160, PAYMENT_HASH160, OP.EQUALVERIFY, OP.CHECKSIG, OP.ENDIF],
    ...anchorTail(anchors),
    OP.ENDIF,
  ])

/** BOLT 3 §received-htlc-outputs. */
const received = (anchors: boolean): Uint8Array =>
  compileScript([
    ...htlcHead,
    ...[OP.IF, OP.HASH160, PAYMENT_HASH160, OP.EQUALVERIFY, 2n, OP.SWAP, key(LOCAL), 2n, OP.CHECKMULTISIG],
    ...[OP.ELSE, OP.DROP, BigInt(EXPIRY), OP.CHECKLOCKTIMEVERIFY, OP.DROP, OP.CHECKSIG, OP.ENDIF],
    ...anchorTail(anchors),
    OP.ENDIF,
  ])

/** BOLT 3 §to_local-output, and the second stage's output. */
const TO_LOCAL = compileScript([
  ...[OP.IF, key(REVOKED), OP.ELSE, BigInt(DELAY), OP.CHECKSEQUENCEVERIFY, OP.DROP, key(LOCAL), OP.ENDIF, OP.CHECKSIG],
])
const TO_REMOTE_ANCHORS = compileScript([key(REMOTE), OP.CHECKSIGVERIFY, 1n, OP.CHECKSEQUENCEVERIFY])
const ANCHOR = compileScript([key(LOCAL), OP.CHECKSIG, OP.IFDUP, OP.NOTIF, 16n, OP.CHECKSEQUENCEVERIFY, OP.ENDIF])
const FUNDING = multisig(2, [key(LOCAL), key(REMOTE)])

const shape = (name: string, script: Uint8Array, witness: Witness, more: Partial<SpendShape> = {}): SpendShape => ({
  name,
  script,
  witness,
  lockTime: 0,
  sequence: 0xfffffffd,
  ...more,
})

const htlcShapes = (anchors: boolean): SpendShape[] => {
  const type = anchors ? SINGLE : SIGHASH_ALL
  const sequence = anchors ? 1 : 0
  const kind = anchors ? 'anchors' : 'plain'
  return [
    shape(`HTLC-timeout, ${kind}`, offered(anchors), (sign) => [NONE, sign(REMOTE, type), sign(LOCAL), NONE], {
      lockTime: EXPIRY,
      sequence,
    }),
    shape(`offered, claimed with the preimage, ${kind}`, offered(anchors), (sign) => [sign(REMOTE), PREIMAGE], {
      sequence,
    }),
    shape(`offered, revoked, ${kind}`, offered(anchors), (sign) => [sign(REVOKED), key(REVOKED)]),
    shape(`HTLC-success, ${kind}`, received(anchors), (sign) => [NONE, sign(REMOTE, type), sign(LOCAL), PREIMAGE], {
      sequence,
    }),
    shape(`received, timed out, ${kind}`, received(anchors), (sign) => [sign(REMOTE), NONE], {
      lockTime: EXPIRY,
      sequence,
    }),
    shape(`received, revoked, ${kind}`, received(anchors), (sign) => [sign(REVOKED), key(REVOKED)]),
  ]
}

export const SHAPES: readonly SpendShape[] = [
  shape('commitment', FUNDING, (sign) => [NONE, sign(LOCAL), sign(REMOTE)], {
    sequence: 0x80123456,
    lockTime: 0x20abcdef,
  }),
  ...htlcShapes(false),
  ...htlcShapes(true),
  shape('to_local after its delay', TO_LOCAL, (sign) => [sign(LOCAL), NONE], { sequence: DELAY }),
  shape('to_local revoked', TO_LOCAL, (sign) => [sign(REVOKED), ONE]),
  shape('to_remote with anchors', TO_REMOTE_ANCHORS, (sign) => [sign(REMOTE)], { sequence: 1 }),
  shape('anchor by its owner', ANCHOR, (sign) => [sign(LOCAL)]),
  shape('anchor by anyone after 16 blocks', ANCHOR, () => [NONE], { sequence: 16 }),
]

const PREVOUT_SAT = 100_000n as Sat

/** What spendOf spends: the output of the shape, and one beside it. */
export const prevoutsOf = (s: SpendShape): [TxOutput, TxOutput] => [
  { amountSat: PREVOUT_SAT, scriptPubKey: p2wsh(s.script) },
  { amountSat: PREVOUT_SAT, scriptPubKey: p2wpkhOfKey(key(LOCAL)) },
]

const SOMEWHERE: readonly [Outpoint, Outpoint] = [
  { txid: txid('aa'.repeat(32)), index: 0 },
  { txid: txid('bb'.repeat(32)), index: 0 },
]

/** A transaction that spends a P2WSH output the way the shape says, beside an input and two outputs of no matter. */
export function spendOf(s: SpendShape, [first, second] = SOMEWHERE): { tx: Transaction; prevouts: TxOutput[] } {
  const input = { scriptSig: NONE, witness: [] }
  const tx: Transaction = {
    version: 2,
    lockTime: s.lockTime,
    inputs: [
      { ...input, ...first, sequence: s.sequence },
      { ...input, ...second, sequence: 0xfffffffd },
    ],
    outputs: [
      { amountSat: 60_000n as Sat, scriptPubKey: p2wsh(TO_LOCAL) },
      { amountSat: 30_000n as Sat, scriptPubKey: fromHex(`0014${'cc'.repeat(20)}`) },
    ],
  }
  const signer =
    (index: number, scriptCode: Uint8Array) =>
    (secretKey: Uint8Array, type: number = SIGHASH_ALL) =>
      derSignature(
        crypto.ecdsaSign(sighashV0(tx, { index, scriptCode, amountSat: PREVOUT_SAT }, type), secretKey),
        type,
      )
  const withFirst = withWitness(tx, 0, [...s.witness(signer(0, s.script)), s.script])
  const signature = signer(1, p2wpkhScriptCode(crypto.hash160(key(LOCAL))))(LOCAL)
  return { tx: withWitness(withFirst, 1, [signature, key(LOCAL)]), prevouts: prevoutsOf(s) }
}

/** One thing gone wrong with a spend; `at` picks where. */
export type Damage = (tx: Transaction, at: number) => Transaction
const changeWitness = (tx: Transaction, f: (w: Uint8Array[]) => Uint8Array[]): Transaction => ({
  ...tx,
  inputs: tx.inputs.map((input, i) => (i === 0 ? { ...input, witness: f([...input.witness]) } : input)),
})
const flip = (b: Uint8Array, at: number): Uint8Array => b.map((v, i) => (i === at % b.length ? v ^ (1 << (at % 8)) : v))
const changeItem = (tx: Transaction, at: number, f: (item: Uint8Array) => Uint8Array): Transaction =>
  changeWitness(tx, (w) => w.map((item, i) => (i === at % w.length ? f(item) : item)))

export const DAMAGES: { readonly [name: string]: Damage } = {
  'one bit of the witness': (tx, at) => changeItem(tx, at, (item) => flip(item, at >> 4)),
  'an item dropped': (tx, at) => changeWitness(tx, (w) => w.filter((_, i) => i !== at % w.length)),
  'an item emptied': (tx, at) => changeItem(tx, at, () => new Uint8Array(0)),
  'an item set to 1': (tx, at) => changeItem(tx, at, () => Uint8Array.of(1)),
  'items swapped': (tx, at) =>
    changeWitness(tx, (w) => w.map((item, i) => w[i === 0 ? at % w.length : i === at % w.length ? 0 : i] ?? item)),
  'the lock time one lower': (tx) => ({ ...tx, lockTime: Math.max(tx.lockTime - 1, 0) }),
  'the sequence one lower': (tx) => ({
    ...tx,
    inputs: tx.inputs.map((input) => ({ ...input, sequence: Math.max(input.sequence - 1, 0) })),
  }),
  'version 1': (tx) => ({ ...tx, version: 1 }),
  'an output less': (tx) => ({ ...tx, outputs: tx.outputs.slice(0, 1) }),
  'outputs swapped': (tx) => ({ ...tx, outputs: [...tx.outputs].reverse() }),
}
