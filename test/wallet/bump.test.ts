import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import { type Sat, sat } from '../../src/base/units.ts'
import { txidOf, weightOf } from '../../src/bitcoin/transaction.ts'
import { addFees } from '../../src/wallet/bump.ts'
import { lockCoins } from '../../src/wallet/coins.ts'
import { unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import { type Bump, bump, bumpIfRich, child, htlc, rate } from './bumps.ts'
import { mine, signer, walletWith } from './world.ts'

describe('BIP 125 §implementation-details: a bump that replaces another', () => {
  it('pays the rules of replacement, spends the same coins again, and leaves all others free', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 3_000, max: 200_000 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 253, max: 5_000 }),
        fc.array(fc.integer({ min: 253, max: 40_000 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 500, max: 60_000 }),
        (amounts, first, later, budget) => {
          const budgetSat = sat(budget)
          const start = walletWith(amounts)
          const sum = walletBalance(start).spendableSat
          let last = bumpIfRich(start, { tx: htlc(), feeratePerKw: first, budgetSat })
          if (last === 'poor') return
          if (last === null) return expect(budget).toBeLessThan(1_500)
          for (const feeratePerKw of later) {
            const before: Bump = last
            const next = bump(before.state, { tx: htlc(), feeratePerKw, budgetSat, earlier: before.tx })
            expect(before.feeSat).toBeLessThanOrEqual(budgetSat)
            if (next === null) continue
            const old = before.tx.inputs.map(outpointKey)
            const now = next.tx.inputs.map(outpointKey)
            expect(now[0]).toBe(old[0])
            for (const key of old) expect(now).toContain(key)
            expect(next.feeSat - before.feeSat).toBeGreaterThanOrEqual(BigInt(Math.ceil(weightOf(next.tx) / 4)))
            expect(rate(next)).toBeGreaterThan(rate(before))
            expect(next.feeSat).toBeLessThanOrEqual(budgetSat)
            last = next
          }
          // As if only the last one had ever been: what it does not spend is free, its change is the only one.
          const alive = unspentCoins(last.state).reduce((s, v) => s + v.coin.amountSat, 0n)
          expect(alive).toBe(sum - last.feeSat)
          const settled = mine(last.state, last.tx)
          expect(walletBalance(settled).spendableSat).toBe(sum - last.feeSat)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('uses one change address, however often the fee is raised', () => {
    let now = bump(walletWith([500_000]), { tx: htlc(), feeratePerKw: 500 })!
    const { next } = now.state
    const change = now.tx.outputs[1]!.scriptPubKey
    for (const feeratePerKw of [1_000, 2_000, 4_000]) {
      now = bump(now.state, { tx: htlc(), feeratePerKw, earlier: now.tx })!
      expect(now.tx.outputs[1]!.scriptPubKey).toEqual(change)
    }
    expect(now.state.next).toEqual(next)
  })

  it('takes more coins where the first is not enough any more', () => {
    const first = bump(walletWith([3_000, 4_000, 50_000]), { tx: htlc(), feeratePerKw: 1_000 })!
    expect(first.tx.inputs.length).toBe(2)
    const second = bump(first.state, { tx: htlc(), feeratePerKw: 20_000, earlier: first.tx })!
    expect(second.tx.inputs.length).toBe(3)
    expect(rate(second)).toBeGreaterThanOrEqual(20_000)
  })

  it('stays when what is wanted is no more than is paid', () => {
    const first = bump(walletWith([90_000]), { tx: htlc(), feeratePerKw: 2_000 })!
    for (const feeratePerKw of [300, 2_000, 2_050]) {
      expect(bump(first.state, { tx: htlc(), feeratePerKw, earlier: first.tx })).toBeNull()
    }
  })

  it('pays for what was built on the replaced one, since that goes too', () => {
    const first = bump(walletWith([90_000]), { tx: htlc(1), feeratePerKw: 1_000 })!
    // The only coin is in use: its change serves a second HTLC, though the peer may undo it.
    const second = bump(first.state, { tx: htlc(2), feeratePerKw: 1_000 })!
    expect(second.tx.inputs[1]!.txid).toBe(txidOf(first.tx))
    const third = bump(second.state, { tx: htlc(1), feeratePerKw: 1_100, earlier: first.tx })!
    expect(third.feeSat).toBeGreaterThan(first.feeSat + second.feeSat)
    // The second one is made anew on what is there now.
    expect(bump(third.state, { tx: htlc(2), feeratePerKw: 1_000 })!.tx.inputs[1]!.txid).toBe(txidOf(third.tx))
  })
})

describe('a replacement for which what is left for others is too much', () => {
  it('is not made, since they need it', () => {
    const first = bump(walletWith([8_000]), { tx: htlc(), feeratePerKw: 3_600 })!
    expect(first.feeSat).toBeGreaterThan(3_800)
    const request = { tx: htlc(), feeratePerKw: 6_000, earlier: first.tx }
    expect(bump(first.state, { ...request, leaveSat: sat(100_000) })).toBe(null)
    expect(bump(first.state, request)!.feeSat).toBeGreaterThan(6_000)
  })
})

describe('a transaction that others build on', () => {
  it('pays for them when it is replaced, but not for their versions that others have taken the place of', () => {
    const root = bump(walletWith([200_000]), { tx: htlc(1), feeratePerKw: 500 })!
    let leaf = bump(root.state, { tx: htlc(2), feeratePerKw: 500 })!
    for (const feeratePerKw of [1_000, 2_000, 4_000]) {
      leaf = bump(leaf.state, { tx: htlc(2), feeratePerKw, earlier: leaf.tx })!
    }
    expect(leaf.tx.inputs[1]!.txid).toBe(txidOf(root.tx))
    const both = root.feeSat + leaf.feeSat
    const raised = bump(leaf.state, { tx: htlc(1), feeratePerKw: 4_100, earlier: root.tx })!
    expect(raised.feeSat).toBeGreaterThan(both)
    expect(raised.feeSat).toBeLessThan(both + 600n)
  })
})

describe('a claim that something dear builds on', () => {
  it('is not raised by a little at the price of all that, which brings it into a block by itself; near its deadline it is', () => {
    const parent = { weight: 100_000, feeSat: sat(0) }
    const claim = bump(walletWith([5_000_000]), { tx: htlc(1), feeratePerKw: 1_000 })!
    const dear = bump(claim.state, { tx: child(2), feeratePerKw: 5_000, paidSat: sat(330), parent })!
    expect(dear.feeSat).toBeGreaterThan(500_000n)
    const at = (feeratePerKw: number) =>
      bump(dear.state, { tx: htlc(1), feeratePerKw, budgetSat: sat(3_000_000), earlier: claim.tx })
    expect(at(1_100)).toBeNull()
    expect(at(3_800)).toBeNull()
    for (const pressed of [10_000, 250_000]) expect(at(pressed)?.feeSat).toBeGreaterThan(dear.feeSat)
  })
})

describe('a child that pays for its parent', () => {
  const parent = { weight: 1_800, feeSat: sat(456) }

  it('brings both together to the feerate, and always has an output', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2_000, max: 300_000 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 400, max: 30_000 }),
        fc.integer({ min: 400, max: 100_000 }),
        (amounts, feeratePerKw, budget) => {
          const request = { tx: child(), feeratePerKw, paidSat: sat(330), parent, budgetSat: sat(budget) }
          const built = bumpIfRich(walletWith(amounts), request)
          if (built === null || built === 'poor') return
          const { tx, feeSat } = built
          expect(tx.outputs.length).toBe(1)
          expect(tx.outputs[0]!.amountSat).toBeGreaterThanOrEqual(294n)
          expect(feeSat - 330n).toBeLessThanOrEqual(BigInt(budget))
          const both = (Number(feeSat + parent.feeSat) * 1000) / (weightOf(tx) + parent.weight)
          expect(both).toBeLessThan(feeratePerKw * 1.01 + 2)
          const poor = amounts.reduce((a, b) => a + b) < (2 * feeratePerKw * (weightOf(tx) + parent.weight)) / 1000
          const spent = Number(feeSat) > budget * 0.7
          if (!poor && !spent) expect(both).toBeGreaterThanOrEqual(feeratePerKw)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('is made where the anchor that it brings would do for the fee, which nobody pays without it', () => {
    const built = bump(walletWith([50_000]), { tx: child(), feeratePerKw: 350, paidSat: sat(330), parent })!
    expect(built.tx.outputs.length).toBe(1)
    expect((Number(built.feeSat + parent.feeSat) * 1000) / (weightOf(built.tx) + parent.weight)).toBeGreaterThan(350)
  })

  it('is not made when the parent pays enough', () => {
    const wallet = walletWith([50_000])
    const rich = { weight: 1_800, feeSat: sat(20_000) }
    const built = addFees(
      wallet,
      { tx: child(), feeratePerKw: 1_000, owner: 'x', paidSat: sat(330), parent: rich },
      signer,
    )!
    expect(built.coins).toEqual([])
    expect(built.state).toBe(wallet)
  })
})

describe('coins that others will need', () => {
  it('are left by a lower feerate, as long as that is relayed and never more than half of the wallet', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 400, max: 60_000 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 253, max: 60_000 }),
        fc.integer({ min: 0, max: 40_000 }),
        (amounts, feeratePerKw, leave) => {
          const state = walletWith(amounts)
          const owned = amounts.reduce((a, b) => a + b)
          const attempt = (leaveSat: Sat): Bump | null => {
            const tried = bumpIfRich(state, { tx: htlc(), feeratePerKw, leaveSat })
            return tried === 'poor' ? null : tried
          }
          const [greedy, fair] = [attempt(sat(0)), attempt(sat(leave))]
          // Whoever can pay at all still pays.
          expect(fair === null).toBe(greedy === null)
          if (!fair || !greedy) return
          const kept = owned - Number(fair.feeSat)
          const least = Math.min(leave, Math.floor(owned / 2))
          expect(rate(fair)).toBeLessThanOrEqual(rate(greedy))
          if (owned - Number(greedy.feeSat) >= least) expect(fair.feeSat).toBe(greedy.feeSat)
          // Unless nodes would not even relay what is left to pay.
          else if (kept < least) expect(owned - least).toBeLessThan((253 * 1.3 * weightOf(fair.tx)) / 1000 + 294)
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('a transaction that builds on what waits for a block at a lower feerate', () => {
  /** Of all of them together, as miners see the last. */
  const together = (...bumps: readonly Bump[]): number =>
    (Number(bumps.reduce((sum, b) => sum + b.feeSat, 0n)) * 1000) / bumps.reduce((sum, b) => sum + weightOf(b.tx), 0)

  it('pays for that as well where it is urgent, up to a limit, and no more when it is asked for the same again', () => {
    const slow = bump(walletWith([500_000]), { tx: htlc(1), feeratePerKw: 500 })!
    const request = { tx: htlc(2), feeratePerKw: 10_000, urgentSat: sat(100_000) }
    const urgent = bump(slow.state, request)!
    expect(urgent.tx.inputs[1]!.txid).toBe(txidOf(slow.tx))
    expect(together(slow, urgent)).toBeGreaterThanOrEqual(9_950)
    expect(together(slow, urgent)).toBeLessThan(10_100)
    expect(bump(urgent.state, { ...request, earlier: urgent.tx })).toBeNull()
    const raised = bump(urgent.state, { ...request, feeratePerKw: 20_000, earlier: urgent.tx })!
    expect(together(slow, raised)).toBeGreaterThanOrEqual(19_950)
    expect(bump(slow.state, { ...request, urgentSat: sat(15_000) })!.feeSat).toBe(15_000n)
    expect(rate(bump(slow.state, { ...request, urgentSat: sat(0) })!)).toBeLessThan(10_100)
  })

  it('pays for itself where there is too little for both', () => {
    const slow = bump(walletWith([16_000]), { tx: htlc(1), feeratePerKw: 500 })!
    const urgent = bump(slow.state, { tx: htlc(2), feeratePerKw: 10_000, urgentSat: sat(100_000) })!
    expect(rate(urgent)).toBeGreaterThanOrEqual(10_000)
  })

  it('pays nothing for what others pay for already', () => {
    const slow = bump(walletWith([2_000_000]), { tx: htlc(1), feeratePerKw: 500, coinsWanted: 4 })!
    const urgent = { feeratePerKw: 10_000, urgentSat: sat(100_000) }
    const first = bump(slow.state, { tx: htlc(2), ...urgent })!
    expect(together(slow, first)).toBeGreaterThanOrEqual(9_950)
    const change = { txid: txidOf(first.tx), index: 1 }
    const second = bump(lockCoins(first.state, [change], 'y'), { tx: htlc(3), ...urgent })!
    expect(second.tx.inputs[1]!.txid).toBe(txidOf(slow.tx))
    expect(rate(second)).toBeLessThan(10_100)
  })

  it('is made wherever one would be that pays for itself alone', () => {
    const budgetSat = sat(50_000)
    // With the only coin, which is little more than the budget.
    for (let more = -2_000; more <= 2_000; more += 50) {
      const slow = bump(walletWith([50_269 + more]), { tx: htlc(1), feeratePerKw: 253 })!
      const request = { tx: htlc(2), feeratePerKw: 50_000, budgetSat }
      const calm = bump(slow.state, request)
      const urgent = bump(slow.state, { ...request, urgentSat: budgetSat })
      expect([more, urgent !== null]).toEqual([more, calm !== null])
    }
  })
})

describe('BOLT 3 §htlc-timeout-and-htlc-success-transactions (option_anchors): a coin too small for change', () => {
  it('does not keep a small HTLC from being paid for with another coin', () => {
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 560 }), fc.integer({ min: 300, max: 600 }), (small, budget) => {
        const request = { tx: htlc(), feeratePerKw: 253, budgetSat: sat(budget) }
        const alone = bump(walletWith([150_000]), request)
        expect(alone).not.toBeNull()
        expect(bump(walletWith([150_000, small]), request)?.feeSat).toBeLessThanOrEqual(budget)
      }),
      { numRuns: 50 },
    )
  })
})
