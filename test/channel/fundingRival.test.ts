import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outpointKey, type Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { knownResults, rebroadcasts, summary, watches } from '../../src/channel/describe.ts'
import { add, fundingTx, reachNormal, World } from './harness.ts'
import type { Side } from './side.ts'

/** What spends the same coin as the funding transaction, to somebody else. */
const rivalOf = (tx: Transaction): Transaction => ({ ...tx, outputs: tx.outputs.slice(0, 1) })

const fundingOf = (side: Side): Transaction => side.channel.funding.tx!

function isWatched(side: Side, tx: Transaction): boolean {
  const spends = watches(side.state!).flatMap((w) => (w.tag === 'spend' ? [outpointKey(w.outpoint)] : []))
  return tx.inputs.every((i) => spends.includes(outpointKey(i)))
}

function spent(side: Side, tx: Transaction, height: number): void {
  const [{ txid, index }] = tx.inputs as [Transaction['inputs'][number]]
  side.step({ tag: 'chain', event: { tag: 'spent', outpoint: { txid, index }, tx, height } })
}
function block(side: Side, height: number): void {
  side.ctx = { ...side.ctx, blockHeight: height }
  side.step({ tag: 'chain', event: { tag: 'block', height } })
}
function reorg(side: Side, height: number): void {
  side.ctx = { ...side.ctx, blockHeight: height }
  side.step({ tag: 'chain', event: { tag: 'reorg', height } })
}

describe('BOLT 5 §general-nomenclature: a funding transaction of ours whose coins another transaction has spent', () => {
  it('is given up once that is as deep as nothing is undone, and its peer and the operator are told', () => {
    const { alice } = new World().open()
    const rival = rivalOf(fundingOf(alice))
    expect(isWatched(alice, rival)).toBe(true)
    spent(alice, rival, 101)
    for (let height = 101; height < 200; height++) block(alice, height)
    expect(alice.state!.tag).toBe('await-ready')
    expect(summary(alice.state!, alice.ctx).waitsFor).toContain('at height 200')
    block(alice, 200)
    expect(alice.state).toMatchObject({ tag: 'closed', onchain: null, forGood: true })
    expect(alice.outbox.at(-1)?.type).toBe('error')
    expect(alice.notices.at(-1)).toMatchObject({ tag: 'closed', how: 'never-funded' })
    expect(watches(alice.state!)).toEqual([])
    expect(rebroadcasts(alice.state!, alice.ctx)).toEqual([])
  })

  it('is not given up where a reorganisation has undone what spent them', () => {
    const { alice } = new World().open()
    spent(alice, rivalOf(fundingOf(alice)), 101)
    for (let height = 101; height < 150; height++) block(alice, height)
    reorg(alice, 100)
    for (let height = 101; height < 300; height++) block(alice, height)
    expect(alice.state!.tag).toBe('await-ready')
  })

  it('is never given up otherwise, whatever is undone and done again', () => {
    const step = fc.oneof(
      fc.record({ tag: fc.constant('block' as const), blocks: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ tag: fc.constant('reorg' as const), depth: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ tag: fc.constantFrom('rival' as const, 'funding' as const, 'close' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const { alice } = new World().open()
        const tx = fundingOf(alice)
        const { txid } = alice.channel.commitments.active[0]!.funding
        // What the chain has of the two.
        let taken: { readonly isRival: boolean; readonly height: number } | null = null
        let height = 100
        let isOver = false
        for (const s of steps) {
          if (s.tag === 'block') {
            for (let i = 0; i < s.blocks && !isOver; i++) {
              block(alice, ++height)
              isOver = taken?.isRival === true && height - taken.height + 1 >= 100
              expect(alice.state!.tag === 'closed').toBe(isOver)
            }
          } else if (s.tag === 'reorg') {
            height = Math.max(50, height - s.depth)
            reorg(alice, height)
            if (taken && taken.height > height) taken = null
          } else if (s.tag === 'close') {
            alice.command({ tag: 'forceClose', requestId: 1 })
          } else if (taken === null) {
            block(alice, ++height)
            taken = { isRival: s.tag === 'rival', height }
            spent(alice, taken.isRival ? rivalOf(tx) : tx, height)
            if (!taken.isRival) alice.step({ tag: 'chain', event: { tag: 'confirmed', txid, tx, height, txIndex: 1 } })
          }
          if (isOver) break
          expect(alice.state!.tag).not.toBe('closed')
        }
      }),
      { numRuns: 25 },
    )
  })

  it.each([
    ['open', 600],
    ['closed by force', 150],
  ])(
    'ends a channel that was in use before its block was undone, and is %s, with the HTLCs that it offered',
    (_, cltvExpiry) => {
      const w = reachNormal()
      w.alice.command(add(1, 50_000_000, { cltvExpiry }))
      w.settle()
      expect(w.alice.channel.commitments.outgoing.size).toBe(1)
      const rival = rivalOf(fundingOf(w.alice))
      reorg(w.alice, 100)
      spent(w.alice, rival, 101)
      for (let height = 101; height <= 200; height++) block(w.alice, height)
      expect(w.alice.state!.tag).toBe('closed')
      const failed = { tag: 'failed', id: 0n, failure: { tag: 'onchain' } }
      expect(w.alice.events).toMatchObject([failed])
      expect(knownResults(w.alice.state!)).toMatchObject([failed])
    },
  )

  it('tells an HTLC as undecided where the store has lost writes: it may have been settled in those', () => {
    const w = reachNormal()
    w.alice.command(add(1, 50_000_000))
    w.settle()
    const rival = rivalOf(fundingOf(w.alice))
    w.disconnect()
    w.alice.step({ tag: 'doubted' }, false)
    reorg(w.alice, 100)
    spent(w.alice, rival, 101)
    for (let height = 101; height <= 200; height++) block(w.alice, height)
    const failed = { tag: 'failed', id: 0n, failure: { tag: 'onchain', undecided: true } }
    expect(w.alice.events).toMatchObject([failed])
    expect(knownResults(w.alice.state!)).toMatchObject([failed])
  })
})

it('a funding transaction that is in the chain is not given up for what spends its coins in a chain that is gone', () => {
  const { alice } = new World().open()
  const tx = fundingOf(alice)
  spent(alice, rivalOf(tx), 101)
  for (let height = 101; height < 190; height++) block(alice, height)
  reorg(alice, 100)
  spent(alice, tx, 101)
  alice.step({ tag: 'chain', event: { tag: 'confirmed', txid: txidOf(tx), tx, height: 101, txIndex: 1 } })
  for (let height = 101; height < 300; height++) block(alice, height)
  expect(alice.channel.localReady).toBe(true)
})

describe('BOLT 5 §general-nomenclature: a funding transaction of ours that builds on others', () => {
  const [input] = fundingTx({ amountSat: sat(1), scriptPubKey: new Uint8Array(0) }).inputs
  const spending = (txid: Txid): Transaction => ({
    version: 2,
    inputs: [{ ...input!, txid }],
    outputs: [1, 2].map((n) => ({ amountSat: sat(n * 1_000), scriptPubKey: new Uint8Array(22) })),
    lockTime: 0,
  })
  const first = spending('a1'.repeat(32) as Txid)
  const second = spending(txidOf(first))

  function opened(): Side {
    const w = new World()
    w.fund = () => {
      const { funding } = w.alice
      if (!funding) return
      w.alice.funding = null
      const ancestors = [first, second].map((t) => ({ txid: txidOf(t), inputs: t.inputs }))
      w.alice.step({ tag: 'funded', tx: fundingTx(funding), outputIndex: 1, ancestors })
    }
    return w.open().alice
  }

  it.each([
    ['first', first],
    ['second', second],
  ])('is given up with the %s of them, once a rival of that is as deep as nothing is undone', (_, ancestor) => {
    const alice = opened()
    expect(isWatched(alice, ancestor)).toBe(true)
    if (ancestor === second) spent(alice, first, 101)
    spent(alice, rivalOf(ancestor), 102)
    alice.crash()
    for (let height = 102; height < 201; height++) block(alice, height)
    expect(alice.state!.tag).toBe('offline')
    block(alice, 201)
    expect(alice.state).toMatchObject({ tag: 'closed', onchain: null, forGood: true })
  })

  it('is not given up where they confirm, nor where a reorganisation has undone a rival', () => {
    const alice = opened()
    spent(alice, rivalOf(first), 101)
    for (let height = 101; height < 199; height++) block(alice, height)
    reorg(alice, 100)
    for (const t of [first, second]) spent(alice, t, 101)
    for (let height = 101; height < 300; height++) block(alice, height)
    expect(alice.state!.tag).toBe('await-ready')
  })
})
