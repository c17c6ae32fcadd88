import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Outpoint, outpointKey, txid } from '../../../src/base/ids.ts'
import { type Msat, msat, type Sat, sat } from '../../../src/base/units.ts'
import { drawUp, type Facts, type Funds, type Spending } from '../../../src/cli/demo/account.ts'

const NAMES = ['alice', 'bob', 'carol']
const txidOf = (n: number) => txid(n.toString(16).padStart(64, '0'))

interface Coin {
  readonly outpoint: Outpoint
  readonly amountSat: bigint
  /** null: an output on its way, as a funding output or what a commitment pays with a delay. */
  readonly owner: string | null
}

/** One transaction of the random world: what it spends and how it splits that up. */
const step = fc.record({
  spend: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
  feeSat: fc.bigInt({ min: 0n, max: 2_000n }),
  shares: fc.array(fc.record({ owner: fc.constantFrom(...NAMES, null), weight: fc.nat({ max: 100 }) }), {
    minLength: 1,
    maxLength: 4,
  }),
  anchors: fc.nat({ max: 2 }),
})

/** A history in which nothing is lost: every coin ends in a wallet or is an anchor, and the nodes report their wallets rightly. */
const history: fc.Arbitrary<Facts> = fc
  .tuple(
    fc.array(fc.bigInt({ min: 100_000n, max: 5_000_000_000n }), { minLength: 3, maxLength: 9 }),
    fc.array(step, { maxLength: 8 }),
  )
  .map(([amounts, steps]) => {
    let coins = amounts.map((amountSat, i): Coin => {
      return { outpoint: { txid: txidOf(1_000 + i), index: 0 }, amountSat, owner: NAMES[i % NAMES.length]! }
    })
    const before = fundsOf(coins)
    const spendings: Spending[] = []
    const apply = (s: typeof step extends fc.Arbitrary<infer T> ? T : never, chosen: readonly Coin[]): void => {
      const anchors = Array.from({ length: s.anchors }, (): bigint => 330n)
      const inSat = chosen.reduce((sum, coin) => sum + coin.amountSat, 0n)
      const left = inSat - s.feeSat - 330n * BigInt(anchors.length)
      if (left <= 0n) return
      const weights = s.shares.reduce((sum, share) => sum + share.weight, 0) + 1
      const parts = s.shares.map((share) => (left * BigInt(share.weight)) / BigInt(weights))
      const rest = left - parts.reduce((sum, part) => sum + part, 0n)
      const id = txidOf(spendings.length)
      const made = [
        ...s.shares.map((share, i) => ({ owner: share.owner, amountSat: parts[i]! })),
        { owner: 'alice', amountSat: rest },
      ].map((output, index): Coin => ({ outpoint: { txid: id, index }, ...output }))
      spendings.push({
        txid: id,
        kind: 'test',
        commitment: anchors.length > 0,
        inputs: chosen.map((coin) => ({ outpoint: coin.outpoint, amountSat: coin.amountSat as Sat })),
        outputs: [...made.map((coin) => coin.amountSat as Sat), ...(anchors as Sat[])],
      })
      coins = [...coins.filter((coin) => !chosen.includes(coin)), ...made]
    }
    for (const s of steps) apply(s, [...new Set(s.spend.map((i) => coins[i % coins.length]!))])
    const onTheWay = coins.filter((coin) => coin.owner === null)
    const sweep = { spend: [], feeSat: 0n, shares: [{ owner: 'bob', weight: 1 }], anchors: 0 }
    if (onTheWay.length > 0) apply(sweep, onTheWay)
    // Outputs of nothing on their way cannot be swept: they are no coins at all.
    const owned = new Set(coins.map((coin) => outpointKey(coin.outpoint)))
    return { before, after: fundsOf(coins), spendings, owned }
  })

function fundsOf(coins: readonly Coin[]): Funds[] {
  return NAMES.map((name) => ({
    name,
    onchainSat: sat(coins.filter((c) => c.owner === name).reduce((sum, c) => sum + c.amountSat, 0n)),
    closingSat: sat(0),
    channelMsat: msat(0),
  }))
}

const changed = (facts: Facts, index: number, change: (funds: Funds) => Funds): Facts => ({
  ...facts,
  after: facts.after.map((funds, i) => (i === index ? change(funds) : funds)),
})

describe('the account of the demo', () => {
  it('is conserved when every coin is in a wallet or an anchor and the balances say so', () => {
    fc.assert(
      fc.property(history, (facts) => {
        const account = drawUp(facts)
        expect(account.strays).toEqual([])
        expect(account.missingMsat).toBe(0n)
        expect(account.conserved).toBe(true)
      }),
    )
  })

  it('is not conserved when a balance is off by any amount, down to one millisatoshi', () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 2 }), fc.bigInt({ min: 1n, max: 10n ** 12n }), (facts, index, extra) => {
        const more = changed(facts, index, (f) => ({ ...f, channelMsat: (f.channelMsat + extra) as Msat }))
        expect(drawUp(more).conserved).toBe(false)
        expect(drawUp(more).missingMsat).toBe(-extra)
      }),
    )
  })

  it('names an output that no wallet has, unless it is the anchor of a commitment', () => {
    fc.assert(
      fc.property(history, fc.nat(), (facts, pick) => {
        const outputs = facts.spendings.flatMap((tx) =>
          tx.outputs.map((amountSat, index) => ({ tx, amountSat, key: outpointKey({ txid: tx.txid, index }) })),
        )
        const mine = outputs.filter((o) => facts.owned.has(o.key) && !(o.tx.commitment && o.amountSat === 330n))
        fc.pre(mine.length > 0)
        const lost = mine[pick % mine.length]!
        const account = drawUp({ ...facts, owned: new Set([...facts.owned].filter((key) => key !== lost.key)) })
        expect(account.strays.map((stray) => outpointKey(stray.outpoint))).toEqual([lost.key])
        expect(account.conserved).toBe(false)
      }),
    )
  })

  it('takes an output of 330 sat for an anchor only in a commitment transaction', () => {
    const one = (commitment: boolean): Facts => ({
      before: [{ name: 'alice', onchainSat: sat(1_000), closingSat: sat(0), channelMsat: msat(0) }],
      after: [{ name: 'alice', onchainSat: sat(600), closingSat: sat(0), channelMsat: msat(0) }],
      spendings: [
        {
          txid: txidOf(1),
          kind: 'test',
          commitment,
          inputs: [{ outpoint: { txid: txidOf(0), index: 0 }, amountSat: sat(1_000) }],
          outputs: [sat(600), sat(330)],
        },
      ],
      owned: new Set([outpointKey({ txid: txidOf(1), index: 0 })]),
    })
    expect(drawUp(one(true))).toMatchObject({
      conserved: true,
      fees: [{ feeSat: 70n }],
      anchors: [{ amountSat: 330n }],
    })
    expect(drawUp(one(false))).toMatchObject({ conserved: false, anchors: [], strays: [{ amountSat: 330n }] })
  })
})
