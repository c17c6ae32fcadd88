import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeTransaction, type Transaction, type TxOutput } from '../../src/bitcoin/transaction.ts'
import { verifyInput, verifyTransaction } from '../../src/bitcoin/verify.ts'
import { STANDARD_FLAGS, VERIFY, type VerifyFlag } from '../../src/bitcoin/verifyFlags.ts'
import { DAMAGES, SHAPES, spendOf } from './lightningSpends.ts'

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
