import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { type Transaction, weightOf } from '../../src/bitcoin/transaction.ts'
import { InsufficientFundsError } from '../../src/wallet/errors.ts'
import { mostFee, mostFeeOf } from '../../src/wallet/mostFee.ts'
import { selectCoins } from '../../src/wallet/select.ts'
import { outputWeight } from '../../src/wallet/weights.ts'
import { foreignScript, output } from './world.ts'

const SIGNED = [new Uint8Array(72), new Uint8Array(33)]

/** Weight by the encoder, with signatures of the largest size. */
function weightOfReal(inputs: number, outputs: readonly number[], change: boolean): number {
  const tx: Transaction = {
    version: 2,
    inputs: Array.from({ length: inputs }, (_, index) => ({
      txid: '11'.repeat(32) as Txid,
      index,
      scriptSig: new Uint8Array(0),
      sequence: 0,
      witness: SIGNED,
    })),
    outputs: [...outputs, ...(change ? [1] : [])].map((a) => output(a, foreignScript(a))),
    lockTime: 0,
  }
  return weightOf(tx)
}
const feeFor = (weight: number, feerate: number): bigint => BigInt(Math.ceil((weight * feerate) / 1000))

const amounts = fc.array(fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: 5_000_000 })), {
  maxLength: 40,
})
const scenario = fc.record({
  amounts,
  outputs: fc.array(fc.integer({ min: 294, max: 8_000_000 }), { minLength: 1, maxLength: 4 }),
  feerate: fc.oneof(fc.integer({ min: 253, max: 2_000 }), fc.integer({ min: 253, max: 100_000 })),
  reserve: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100_000 })),
  required: fc.nat(3),
})

function select({
  amounts,
  outputs,
  feerate,
  reserve,
  required,
}: typeof scenario extends fc.Arbitrary<infer S> ? S : never) {
  const coins = amounts.map((a, id) => ({ id, amountSat: sat(a) }))
  const scripts = outputs.map((a) => output(a, foreignScript(a)))
  return selectCoins({
    required: coins.slice(0, required),
    candidates: coins.slice(required),
    shape: {
      inputs: 0,
      inputsWeight: 0,
      outputs: outputs.length,
      outputsWeight: scripts.reduce((s, o) => s + outputWeight(o), 0),
    },
    targetSat: BigInt(outputs.reduce((s, a) => s + a, 0)),
    feeratePerKw: feerate,
    reserveSat: BigInt(reserve),
  })
}

describe('coin selection', () => {
  it('spends each coin once, conserves every satoshi, pays the feerate and not much more, makes no dust, keeps the reserve', () => {
    let succeeded = 0
    fc.assert(
      fc.property(scenario, (s) => {
        const owned = s.amounts.reduce((a, b) => a + b, 0)
        const target = BigInt(s.outputs.reduce((a, b) => a + b, 0))
        let selection: ReturnType<typeof select>
        try {
          selection = select(s)
        } catch (e) {
          expect(e).toBeInstanceOf(InsufficientFundsError)
          const { neededSat, availableSat, missingSat } = e as InsufficientFundsError
          expect(neededSat).toBe(availableSat + missingSat)
          expect(missingSat).toBeGreaterThan(0n)
          // Whatever is worth its input, together with what must be spent, is really not enough.
          const usable = s.amounts.filter((a, i) => i < s.required || BigInt(a) > feeFor(272, s.feerate))
          const all = BigInt(usable.reduce((a, b) => a + b, 0))
          const fee = feeFor(weightOfReal(usable.length, s.outputs, false), s.feerate)
          const changeFee = feeFor(weightOfReal(usable.length, s.outputs, true), s.feerate) + 294n
          expect(all < target + fee || BigInt(owned - s.reserve) < target + changeFee).toBe(true)
          return
        }
        succeeded++
        const { coins, feeSat, changeSat } = selection
        expect(new Set(coins.map((c) => c.id)).size).toBe(coins.length)
        for (let id = 0; id < Math.min(s.required, s.amounts.length); id++) expect(coins.map((c) => c.id)).toContain(id)
        const spent = coins.reduce((sum, c) => sum + c.amountSat, 0n)
        expect(spent).toBe(target + feeSat + (changeSat ?? 0n))
        const least = feeFor(weightOfReal(coins.length, s.outputs, changeSat !== null), s.feerate)
        expect(feeSat).toBeGreaterThanOrEqual(least)
        if (changeSat !== null) {
          expect(changeSat).toBeGreaterThanOrEqual(294n)
          expect(feeSat).toBe(least)
        } else {
          expect(feeSat - least).toBeLessThan(294n + feeFor(124, s.feerate) + 1n)
        }
        expect(BigInt(owned) - target - feeSat).toBeGreaterThanOrEqual(BigInt(s.reserve))
      }),
      { numRuns: 1_000 },
    )
    expect(succeeded).toBeGreaterThan(100)
  })

  it('finds a set that needs no change where one exists', () => {
    const fee = feeFor(weightOfReal(2, [300_000], false), 1_000)
    const { coins, changeSat, feeSat } = select({
      amounts: [5_000_000, 171_717, 90_000, 128_283 + Number(fee), 1_000_000],
      outputs: [300_000],
      feerate: 1_000,
      reserve: 0,
      required: 0,
    })
    expect(coins.map((c) => c.id).sort()).toEqual([1, 3])
    expect(changeSat).toBeNull()
    expect(feeSat).toBe(fee)
  })

  it('takes the smallest coin that is enough by itself rather than breaking a large one', () => {
    const { coins, changeSat } = select({
      amounts: [9_000_000, 700_000, 2_000_000, 100_000],
      outputs: [500_000],
      feerate: 1_000,
      reserve: 0,
      required: 0,
    })
    expect(coins.map((c) => c.id)).toEqual([1])
    expect(changeSat).not.toBeNull()
  })

  it('leaves coins that cost more than they bring', () => {
    const { coins } = select({
      amounts: [2_000, 2_000, 2_000, 60_000],
      outputs: [40_000],
      feerate: 10_000,
      reserve: 0,
      required: 0,
    })
    expect(coins.map((c) => c.id)).toEqual([3])
  })

  it('says how much is missing', () => {
    const fee = feeFor(weightOfReal(2, [100_000], false), 1_000)
    expect(() =>
      select({ amounts: [40_000, 30_000], outputs: [100_000], feerate: 1_000, reserve: 0, required: 0 }),
    ).toThrow(`${30_000n + fee} sat are missing`)
  })

  it('counts inputs beyond 252, where their number takes more bytes', () => {
    const { coins, feeSat, changeSat } = select({
      amounts: Array.from({ length: 300 }, () => 1_000),
      outputs: [190_000],
      feerate: 253,
      reserve: 0,
      required: 0,
    })
    expect(coins.length).toBeGreaterThan(190)
    const many = select({
      amounts: Array.from({ length: 400 }, () => 1_000),
      outputs: [250_000],
      feerate: 253,
      reserve: 0,
      required: 0,
    })
    expect(many.coins.length).toBeGreaterThan(252)
    expect(many.feeSat).toBeGreaterThanOrEqual(
      feeFor(weightOfReal(many.coins.length, [250_000], many.changeSat !== null), 253),
    )
    expect(feeSat).toBeGreaterThanOrEqual(feeFor(weightOfReal(coins.length, [190_000], changeSat !== null), 253))
  })
})

describe('a wallet with thousands of small coins', () => {
  const COINS = 4_000
  let looks = 0
  const coins = Array.from({ length: COINS }, (_, id) => ({
    id,
    get amountSat() {
      looks++
      return sat(1_000 + ((id * 7) % 500))
    },
  }))
  const shape = { inputs: 0, inputsWeight: 0, outputs: 1, outputsWeight: 124 }
  const spend = (targetSat: bigint) => selectCoins({ candidates: coins, shape, targetSat, feeratePerKw: 300 })

  it('is spent from without adding up the same coins again and again', () => {
    for (const targetSat of [1_000_000n, 1_500_000n]) {
      looks = 0
      expect(spend(targetSat).coins.length).toBeGreaterThan(600)
      expect(looks).toBeLessThan(60 * COINS)
    }
  })

  it('says that there is too little, or that what would do does not fit a transaction', () => {
    expect(() => spend(2_000_000n)).toThrow(expect.objectContaining({ code: 'TRANSACTION_TOO_LARGE' }))
    expect(() => spend(6_000_000n)).toThrow(expect.objectContaining({ code: 'INSUFFICIENT_FUNDS' }))
  })
})

describe('the most that a selection can pay in fees', () => {
  /** Many alike, of which many are taken. */
  const alike = fc
    .record({
      amount: fc.integer({ min: 2_000, max: 9_000 }),
      count: fc.integer({ min: 5, max: 40 }),
      share: fc.double({ min: 0.1, max: 0.9, noNaN: true }),
      feerate: fc.integer({ min: 1_000, max: 5_000 }),
    })
    .map(({ amount, count, share, feerate }) => ({
      amounts: Array<number>(count).fill(amount),
      outputs: [Math.ceil(294 + share * count * Math.max(0, amount - 0.273 * feerate))],
      feerate,
    }))
  const enough = fc.oneof(scenario, alike).map((s) => ({ ...s, reserve: 0, required: 0 }))
  const spendOf = ({ outputs, feerate }: { outputs: readonly number[]; feerate: number }) => ({
    targetSat: BigInt(outputs.reduce((sum, a) => sum + a, 0)),
    outputs: outputs.length,
    feeratePerKw: feerate,
  })

  it('is never less than what it pays, whichever coins are chosen', () => {
    let paid = 0
    fc.assert(
      fc.property(enough, (s) => {
        try {
          const { feeSat, coins } = select(s)
          paid++
          expect(feeSat).toBeLessThanOrEqual(mostFee(s.amounts.map(sat), spendOf(s)))
          if (s.amounts.length === coins.length)
            expect(feeSat).toBeLessThanOrEqual(mostFeeOf(s.amounts.length, spendOf(s)))
        } catch (e) {
          if (!(e instanceof InsufficientFundsError)) throw e
        }
      }),
    )
    expect(paid).toBeGreaterThan(10)
  })

  it('does not grow with coins that are not needed', () => {
    const of = (count: number) =>
      mostFee(Array(count).fill(sat(100_000)), { targetSat: 50_000n, outputs: 1, feeratePerKw: 5_000 })
    expect(of(1_000)).toBe(of(1))
  })
})
