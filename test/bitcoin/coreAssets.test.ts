import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import type { Sat } from '../../src/base/units.ts'
import { outputType } from '../../src/bitcoin/script.ts'
import { Reader } from '../../src/bitcoin/serialize.ts'
import { sighashLegacy } from '../../src/bitcoin/sighash.ts'
import { decodeTransaction, type Transaction, type TxOutput } from '../../src/bitcoin/transaction.ts'
import { verifyInput } from '../../src/bitcoin/verify.ts'
import { parseFlags } from './scriptText.ts'

/** Bitcoin Core's larger test data, as the bitcore-lib package carries it. */
const data = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../node_modules/bitcore-lib/test/data/${name}.json`, import.meta.url), 'utf8'))

describe('Bitcoin Core sighash: the digest that signatures before segwit sign', () => {
  it('all 500 random transactions with random sighash types', () => {
    const rows = (data('sighash') as (string | number)[][]).filter((r) => r.length === 5)
    expect(rows.length).toBe(500)
    for (const [tx, script, index, type, digest] of rows as [string, string, number, number, string][]) {
      const got = sighashLegacy(decodeTransaction(fromHex(tx)), index, fromHex(script), type)
      expect(toHex(got.reverse())).toBe(digest)
    }
  })
})

interface Solution {
  readonly scriptSig: string
  readonly witness: string[]
}
interface Asset {
  readonly tx: string
  readonly prevouts: string[]
  readonly index: number
  readonly flags: string
  readonly success?: Solution
  readonly failure?: Solution
  readonly comment: string
}

function readOutput(hex: string): TxOutput {
  const r = new Reader(fromHex(hex))
  return { amountSat: r.u64() as Sat, scriptPubKey: r.varbytes() }
}

const withSolution = (tx: Transaction, index: number, s: Solution): Transaction => ({
  ...tx,
  inputs: tx.inputs.map((input, i) =>
    i === index ? { ...input, scriptSig: fromHex(s.scriptSig), witness: s.witness.map(fromHex) } : input,
  ),
})

describe('Bitcoin Core script_assets: random spends under the rules of consensus', () => {
  const all = data('bitcoind/script_assets_test') as Asset[]
  const prevoutOf = (a: Asset) => readOutput(a.prevouts[a.index]!)
  const isTaproot = (a: Asset) =>
    a.flags.includes('TAPROOT') && outputType(prevoutOf(a).scriptPubKey) === 'witness_v1_taproot'
  const assets = all.filter((a) => !isTaproot(a))

  it('covers every spend that taproot does not decide', () => {
    expect([all.length, assets.length]).toEqual([2243, 1125])
  })

  it('accepts the right solution and refuses the wrong one', () => {
    for (const a of assets) {
      const tx = decodeTransaction(fromHex(a.tx))
      const flags = parseFlags(a.flags, ['TAPROOT'])
      for (const [solution, expected] of [
        [a.success, true],
        [a.failure, false],
      ] as const) {
        if (!solution) continue
        const result = verifyInput(withSolution(tx, a.index, solution), a.index, prevoutOf(a), flags)
        expect(result.ok, `${a.comment}: ${JSON.stringify(result)}`).toBe(expected)
      }
    }
  })
})
