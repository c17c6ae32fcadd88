import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeTransaction, type Transaction, type TxOutput } from '../../src/bitcoin/transaction.ts'
import { verifyInput, verifyTransaction } from '../../src/bitcoin/verify.ts'
import { STANDARD_FLAGS, VERIFY, type VerifyFlag } from '../../src/bitcoin/verifyFlags.ts'
import { SHAPES, spendOf } from './lightningSpends.ts'

interface Bitcore {
  readonly Script: ((b: Buffer) => object) & { readonly Interpreter: new () => { verify(...a: unknown[]): boolean } }
  readonly Transaction: new (b: Buffer) => object
}
const bitcore = createRequire(import.meta.url)('bitcore-lib') as Bitcore

/** Rules that both interpreters know. (bitcore-lib refuses every witness spend under CLEANSTACK, against Core's vectors.) */
const SHARED: readonly VerifyFlag[] = [
  ...(['P2SH', 'STRICTENC', 'DERSIG', 'LOW_S', 'NULLDUMMY', 'MINIMALDATA'] as const),
  ...([
    'CHECKLOCKTIMEVERIFY',
    'CHECKSEQUENCEVERIFY',
    'WITNESS',
    'MINIMALIF',
    'NULLFAIL',
    'WITNESS_PUBKEYTYPE',
  ] as const),
]
const OUR_FLAGS = SHARED.reduce((bits, name) => bits | VERIFY[name], 0)
const THEIR_FLAGS = SHARED.reduce((bits, name) => {
  const flag = (bitcore.Script.Interpreter as unknown as Record<string, number | undefined>)[`SCRIPT_VERIFY_${name}`]
  if (flag === undefined) throw new Error(`bitcore-lib has no flag ${name}`)
  return bits | flag
}, 0)

function bitcoreVerdict(tx: Transaction, index: number, prevout: TxOutput): boolean {
  const input = tx.inputs[index]!
  return new bitcore.Script.Interpreter().verify(
    bitcore.Script(Buffer.from(input.scriptSig)),
    bitcore.Script(Buffer.from(prevout.scriptPubKey)),
    new bitcore.Transaction(Buffer.from(encodeTransaction(tx))),
    index,
    THEIR_FLAGS,
    input.witness.map((w) => Buffer.from(w)),
    Number(prevout.amountSat),
  )
}

/** One thing gone wrong with a spend; `at` picks where. */
type Damage = (tx: Transaction, at: number) => Transaction
const changeWitness = (tx: Transaction, f: (w: Uint8Array[]) => Uint8Array[]): Transaction => ({
  ...tx,
  inputs: tx.inputs.map((input, i) => (i === 0 ? { ...input, witness: f([...input.witness]) } : input)),
})
const flip = (b: Uint8Array, at: number): Uint8Array => b.map((v, i) => (i === at % b.length ? v ^ (1 << (at % 8)) : v))
const changeItem = (tx: Transaction, at: number, f: (item: Uint8Array) => Uint8Array): Transaction =>
  changeWitness(tx, (w) => w.map((item, i) => (i === at % w.length ? f(item) : item)))

const DAMAGES: { readonly [name: string]: Damage } = {
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

describe('the script interpreter beside an independent one, on what Lightning spends', () => {
  it.each(SHAPES)('$name: both accept it, and every relay rule too', (shape) => {
    const { tx, prevouts } = spendOf(shape)
    expect(verifyTransaction(tx, prevouts, STANDARD_FLAGS)).toEqual({ ok: true })
    expect(bitcoreVerdict(tx, 0, prevouts[0]!)).toBe(true)
  })

  it.each(SHAPES)('$name: refused for another amount', (shape) => {
    const { tx, prevouts } = spendOf(shape)
    const other = { ...prevouts[0]!, amountSat: (prevouts[0]!.amountSat + 1n) as TxOutput['amountSat'] }
    const anyone = shape.name.includes('anyone')
    expect(verifyInput(tx, 0, other).ok).toBe(anyone)
  })

  it('both give the same verdict when one thing has gone wrong', () => {
    const verdicts = new Map<boolean, number>()
    fc.assert(
      fc.property(
        fc.constantFrom(...SHAPES),
        fc.constantFrom(...Object.keys(DAMAGES)),
        fc.nat(1 << 12),
        (shape, damage, at) => {
          const { tx, prevouts } = spendOf(shape)
          const damaged = DAMAGES[damage]!(tx, at)
          const ours = verifyInput(damaged, 0, prevouts[0]!, OUR_FLAGS)
          expect(ours.ok, JSON.stringify(ours)).toBe(bitcoreVerdict(damaged, 0, prevouts[0]!))
          verdicts.set(ours.ok, (verdicts.get(ours.ok) ?? 0) + 1)
        },
      ),
      { numRuns: 150 },
    )
    expect([...verdicts.keys()].sort()).toEqual([false, true])
  })
})
