import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { ChannelTypeName } from '../../src/channel/types.ts'
import {
  CAPACITY,
  channelOf,
  type HtlcSpec,
  type Name,
  other,
  type Setup,
  START,
  settled,
} from '../channel/onchain/fixture.ts'
import { type World, won, world } from '../channel/onchain/world.ts'

const names: readonly Name[] = ['alice', 'bob']

/** What the chain does to the closing of a channel: blocks that leave some transactions out, reorgs, changing feerates. */
type Op =
  | { readonly tag: 'mine'; readonly blocks: number; readonly censor: number }
  | { readonly tag: 'reorg'; readonly depth: number }
  | { readonly tag: 'feerate'; readonly who: Name; readonly feerate: number }

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      tag: fc.constant('mine' as const),
      blocks: fc.integer({ min: 1, max: 5 }),
      censor: fc.integer({ min: 0, max: 15 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant('reorg' as const), depth: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      tag: fc.constant('feerate' as const),
      who: fc.constantFrom(...names),
      feerate: fc.integer({ min: 253, max: 2000 }),
    }),
  },
)
const ops = fc.array(op, { maxLength: 8 })
/** More blocks than the operations above can mine. */
const SAFE_EXPIRY = 60

const htlcs: fc.Arbitrary<readonly HtlcSpec[]> = fc
  .array(
    fc.record({
      from: fc.constantFrom(...names),
      amountSat: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 10_000, max: 300_000 })),
      knows: fc.boolean(),
      blocks: fc.integer({ min: 2, max: 40 }),
    }),
    { maxLength: 7 },
  )
  .map((list) =>
    list.map((h, i) => ({ ...h, n: i + 1, cltvExpiry: START + (h.knows ? SAFE_EXPIRY + h.blocks : h.blocks) })),
  )
const types = fc.constantFrom<ChannelTypeName>('static_remotekey', 'anchors')

function play(w: World, op: Op): void {
  switch (op.tag) {
    case 'mine': {
      // Four bits: leaves out the transactions whose id falls into the quarter.
      const lets = (tx: Transaction) => ((op.censor >> (Number.parseInt(txidOf(tx)[0]!, 16) & 3)) & 1) === 0
      w.mine(op.blocks, lets)
      break
    }
    case 'reorg': {
      // A reorg of 6 blocks undoes what counts as irrevocable, in one go or in several.
      const depth = Math.min(op.depth, w.chain.height - START, w.chain.height - (w.chain.peak - 5))
      if (depth > 0) w.reorg(depth)
      break
    }
    case 'feerate':
      w[op.who].claim = op.feerate
      break
  }
}

describe('a force close, whatever the chain does', () => {
  it('ends with all HTLCs reported once, nobody out of pocket, and every satoshi accounted for', () => {
    fc.assert(
      fc.property(
        fc.record({
          type: types,
          opener: fc.constantFrom(...names),
          htlcs,
          ops,
          closers: fc.constantFrom<readonly Name[]>(['alice'], ['bob'], names),
        }),
        ({ closers, ops, ...setup }) => {
          const w = world({ ...setup, number: 3 })
          for (const who of closers) w[who].forceClose()
          for (const o of ops) play(w, o)
          for (const who of names) w[who].claim = 300
          w.finish()

          expect([...w.alice.refused, ...w.bob.refused]).toEqual([])
          const { closing, outputs } = w.alice.onchain!
          expect(w.bob.onchain!.closing.txid).toBe(closing.txid)
          for (const who of names) expectResults(w, who, setup.htlcs)
          const poor = outputs.filter((o) => !o.spent).reduce((sum, o) => sum + o.amountSat, 0n)
          const total = won(w, 'alice') + won(w, 'bob')
          expect(total).toBeLessThanOrEqual(CAPACITY - closing.feeSat - closing.anchorsSat)
          // What is left is too poor to claim: alice's leftovers and bob's to_local alone can be.
          expect(total).toBeGreaterThanOrEqual(CAPACITY - closing.feeSat - closing.anchorsSat - poor - 1_000n)
          // Nobody paid for an HTLC that was reported as failed, nor failed to get one it had the preimage of.
          for (const who of names) expect(won(w, who)).toBeGreaterThanOrEqual(leastOf(w, who, setup) - 1_000n)
        },
      ),
      { numRuns: 40 },
    )
  })
})

function expectResults(w: World, who: Name, specs: readonly HtlcSpec[]): void {
  const own = specs.filter((h) => h.from === who)
  expect(w[who].events.map((e) => ('id' in e ? e.id : -1n)).sort()).toEqual(own.map((_, id) => BigInt(id)))
}

/** Its half, less what it offered and was not reported as failed, less what went to the miner. */
function leastOf(w: World, who: Name, setup: Omit<Setup, 'number'>): bigint {
  const { closing, outputs } = w[who].onchain!
  let least = CAPACITY / 2n - (setup.opener === who ? closing.feeSat + closing.anchorsSat : 0n)
  const own = setup.htlcs.filter((h) => h.from === who)
  const received = setup.htlcs.filter((h) => h.from === other(who))
  const has = (direction: 'in' | 'out', id: number) =>
    outputs.some((o) => o.htlc?.direction === direction && o.htlc.id === BigInt(id))
  own.forEach((h, id) => {
    const failed = w[who].events.some((e) => e.tag === 'failed' && e.id === BigInt(id))
    if (!failed || !has('out', id)) least -= BigInt(h.amountSat)
  })
  received.forEach((h, id) => {
    if (h.knows && has('in', id)) least += BigInt(h.amountSat)
  })
  return least
}

describe('a revoked commitment, whatever the chain does within the delay', () => {
  it('is punished in full, HTLC transactions too', () => {
    const few = fc.array(
      op.filter((o) => o.tag !== 'mine' || o.blocks <= 2),
      { maxLength: 4 },
    )
    fc.assert(
      fc.property(fc.record({ type: types, old: htlcs, ops: few }), ({ type, old, ops }) => {
        const setup: Setup = { type, opener: 'bob', number: 3, htlcs: old }
        const w = world({ type, opener: 'bob', number: 6, htlcs: [] })
        w.alice.revokedHtlcs = settled('alice', setup, 5)
        w.bob.channel = channelOf('bob', setup)
        w.bob.forceClose()
        w.mine()
        for (const o of ops) if (o.tag !== 'reorg') play(w, o)
        w.alice.claim = 300
        for (let i = 0; i < 300 && !w.alice.done; i++) w.mine()
        expect(w.alice.done).toBe(true)
        expect(w.alice.refused).toEqual([])
        const { closing, outputs, spenders } = w.alice.onchain!
        const fees = spenders.filter((s) => s.kind === 'theirs').reduce((sum, s) => sum + (s.feeSat ?? 0n), 0n)
        const poor = outputs.filter((o) => !o.spent).reduce((sum, o) => sum + o.amountSat, 0n)
        expect(won(w, 'alice')).toBe(CAPACITY - closing.feeSat - closing.anchorsSat - fees - poor)
      }),
      { numRuns: 25 },
    )
  })
})
