import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import { channelOf, type HtlcSpec, type Setup, START, settled } from '../channel/onchain/fixture.ts'
import { Market } from '../channel/onchain/market.ts'
import { type World, world } from '../channel/onchain/world.ts'

const ESTIMATE = 1_000
/** What the rise of a feerate can keep up with: far above the estimates, which stay where they were, and below the budget's end. */
const reach = (budgetSat: number, weight: number): number => {
  const ceiling = Math.min(250_000, (budgetSat * 1000) / weight)
  return ceiling <= ESTIMATE ? ceiling : ESTIMATE * (ceiling / ESTIMATE) ** 0.6
}

const floors = fc.record({
  noise: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 70, maxLength: 70 }),
})

/** The floor of each block: above the estimates from the start, and up to the highest over so many blocks, by ups and downs. */
const rising =
  (highest: number, blocks: number, noise: readonly number[]) =>
  (i: number): number => {
    const lowest = Math.min(highest, ESTIMATE * 1.3)
    return lowest + (highest - lowest) * (i / blocks) * (0.6 + 0.4 * noise[i]!)
  }

function run(w: World<Market>, blocks: number, floorAt: (block: number) => number): void {
  for (let i = 0; i < blocks; i++) {
    w.chain.floor = floorAt(i)
    w.mine()
  }
}

describe('claims on a chain whose blocks ask for more than the estimates say', () => {
  it('an HTLC that the peer may take back at its expiry is ours before, and never for more than half of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 20_000, max: 3_000_000 }),
        fc.integer({ min: 4, max: 50 }),
        floors,
        (amountSat, blocks, { noise }) => {
          const spec: HtlcSpec = { from: 'bob', amountSat, cltvExpiry: START + 1 + blocks, n: 1, knows: true }
          const w = world({ type: 'anchors', opener: 'bob', number: 3, htlcs: [spec] }, Market)
          w.bob.forceClose()
          w.mine()
          const highest = reach(amountSat / 2, 700)
          run(w, blocks, rising(highest, blocks, noise))
          const { outputs } = w.alice.onchain!
          const claimed = outputs.find((o) => o.htlc)!
          expect(claimed.spent).not.toBeNull()
          expect(claimed.spent!.height).toBeLessThanOrEqual(spec.cltvExpiry)
          expect(w.alice.paid.has(claimed.spent!.txid)).toBe(true)
          expect(Number(w.chain.fees.get(claimed.spent!.txid))).toBeLessThanOrEqual(amountSat / 2)
          expect(w.alice.refused).toEqual([])
        },
      ),
      { numRuns: 30 },
    )
  })

  it('a cheat is punished before its delay is over, each output for no more than half of it', () => {
    const amounts = fc.array(fc.integer({ min: 30_000, max: 300_000 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(amounts, floors, (list, { noise }) => {
        const htlcs = list.map(
          (amountSat, i): HtlcSpec => ({
            from: i % 2 ? 'alice' : 'bob',
            amountSat,
            cltvExpiry: START + 200,
            n: i + 1,
            knows: false,
          }),
        )
        const old: Setup = { type: 'anchors', opener: 'bob', number: 3, htlcs }
        const w = world({ type: 'anchors', opener: 'bob', number: 6, htlcs: [] }, Market)
        w.alice.revokedHtlcs = settled('alice', old, 5)
        w.bob.channel = channelOf('bob', old)
        w.bob.forceClose()
        w.mine()
        const delay = w.alice.channel.params.local.toSelfDelay
        const highest = reach(Math.min(...list) / 2, 700)
        run(w, delay, rising(highest, delay, noise))
        const { outputs } = w.alice.onchain!
        for (const o of outputs.filter((x) => x.spend.tag === 'penalty')) {
          expect(o.spent, outpointKey(o.outpoint)).not.toBeNull()
          expect(w.alice.paid.has(o.spent!.txid)).toBe(true)
          const together = outputs.filter((x) => x.spent?.txid === o.spent!.txid)
          const value = together.reduce((sum, x) => sum + x.amountSat, 0n)
          expect(w.chain.fees.get(o.spent!.txid)).toBeLessThanOrEqual(value / 2n)
        }
        expect(w.alice.refused).toEqual([])
      }),
      { numRuns: 20 },
    )
  })
})
