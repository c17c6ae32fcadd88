import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { type Outpoint, outpointKey, txidFromBytes } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import {
  connectBlock,
  createWatcher,
  disconnectBlocks,
  removeOwner,
  rescanBlock,
  setWatches,
  type Watcher,
} from '../../src/chain/watcher.ts'
import type { ChainEvent, Watch } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { FakeSource, tx } from './fakeSource.ts'

const EMPTY = new Uint8Array(0)
const outpoint = (n: number): Outpoint => ({ txid: txidFromBytes(crypto.sha256(utf8(`o${n}`))), index: n % 4 })
const onConfirmation = (t: Transaction): Watch => ({
  tag: 'confirmation',
  txid: txidOf(t),
  scriptPubKey: EMPTY,
  minDepth: 1,
})
const onSpend = (o: Outpoint): Watch => ({ tag: 'spend', outpoint: o, scriptPubKey: EMPTY })

function connect(w: Watcher, block: ChainBlock): Record<string, readonly ChainEvent[]> {
  return Object.fromEntries(connectBlock(w, block).map(({ owner, events }) => [owner, events]))
}

describe('the watcher', () => {
  const spend = tx([outpoint(1), outpoint(2)])
  const other = tx([outpoint(3)], 7)

  it('tells each owner what it watches for, in the order of the block, and then of the block', () => {
    const chain = new FakeSource()
    const w = createWatcher()
    setWatches(w, 'alice', [onSpend(outpoint(2)), onConfirmation(other), onConfirmation(spend)])
    setWatches(w, 'bob', [onSpend(outpoint(2)), onSpend(outpoint(9))])
    setWatches(w, 'carol', [])
    const block = chain.extend([other, spend])
    expect(connect(w, block)).toEqual({
      alice: [
        { tag: 'confirmed', txid: txidOf(other), tx: other, height: 1, txIndex: 0 },
        { tag: 'spent', outpoint: outpoint(2), tx: spend, height: 1 },
        { tag: 'confirmed', txid: txidOf(spend), tx: spend, height: 1, txIndex: 1 },
        { tag: 'block', height: 1 },
      ],
      bob: [
        { tag: 'spent', outpoint: outpoint(2), tx: spend, height: 1 },
        { tag: 'block', height: 1 },
      ],
      carol: [{ tag: 'block', height: 1 }],
    })
  })

  it('an outpoint is more than its transaction', () => {
    const w = createWatcher()
    setWatches(w, 'alice', [onSpend({ ...outpoint(1), index: outpoint(1).index + 1 })])
    expect(connect(w, new FakeSource().extend([spend])).alice).toEqual([{ tag: 'block', height: 1 }])
  })

  it('finds in the same block what is watched only because of it', () => {
    const chain = new FakeSource()
    const commitment = tx([outpoint(1)])
    const secondStage = tx([{ txid: txidOf(commitment), index: 3 }])
    const w = createWatcher()
    setWatches(w, 'alice', [onSpend(outpoint(1))])
    connectBlock(w, chain.extend([commitment, secondStage]))
    const watches = [onSpend(outpoint(1)), onSpend({ txid: txidOf(commitment), index: 3 })]
    expect(setWatches(w, 'alice', watches, 1)).toEqual({
      events: [{ tag: 'spent', outpoint: { txid: txidOf(commitment), index: 3 }, tx: secondStage, height: 1 }],
      rescan: null,
    })
    expect(setWatches(w, 'alice', watches, 1)).toEqual({ events: [], rescan: null })
  })

  it('asks for older blocks when something may have happened in them', () => {
    const chain = new FakeSource()
    const w = createWatcher()
    const blocks = [chain.extend([spend]), ...Array.from({ length: 9 }, () => chain.extend([]))]
    for (const b of blocks) connectBlock(w, b)
    const { events, rescan } = setWatches(w, 'alice', [onConfirmation(spend)], 1)
    expect(events).toEqual([])
    expect(rescan).toEqual({ owner: 'alice', watches: [onConfirmation(spend)], fromHeight: 1, toHeight: 8 })
    expect(rescanBlock(rescan!.watches, blocks[0]!)).toEqual([
      { tag: 'confirmed', txid: txidOf(spend), tx: spend, height: 1, txIndex: 0 },
    ])
    expect(setWatches(w, 'bob', [onConfirmation(spend)]).rescan).toBeNull()
    expect(setWatches(w, 'carol', [onConfirmation(spend)], 9).rescan).toBeNull()
  })

  it('says nothing more to an owner that is gone, or of what is no longer watched', () => {
    const chain = new FakeSource()
    const w = createWatcher()
    setWatches(w, 'alice', [onSpend(outpoint(1))])
    setWatches(w, 'bob', [onSpend(outpoint(1)), onConfirmation(spend)])
    removeOwner(w, 'alice')
    setWatches(w, 'bob', [])
    expect(connect(w, chain.extend([spend]))).toEqual({ bob: [{ tag: 'block', height: 1 }] })
    removeOwner(w, 'bob')
    expect([w.index.confirmations.size, w.index.spends.size, w.owners.size]).toEqual([0, 0, 0])
  })

  it('a block that does not follow the last one is an error of ours', () => {
    const chain = new FakeSource()
    const w = createWatcher()
    connectBlock(w, chain.extend([]))
    chain.undo(1)
    expect(() => connectBlock(w, chain.extend([], 1))).toThrow('does not follow')
  })
})

// ---------------------------------------------------------------- random chains

type Step =
  | { readonly tag: 'mine'; readonly txs: readonly number[] }
  | { readonly tag: 'reorg'; readonly depth: number; readonly blocks: readonly (readonly number[])[] }
  | { readonly tag: 'watch'; readonly owner: number; readonly what: number; readonly early: number }
  | { readonly tag: 'unwatch'; readonly owner: number; readonly what: number }

const txs = fc.uniqueArray(fc.nat(19), { maxLength: 5 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ tag: fc.constant('mine' as const), txs }),
  fc.record({
    tag: fc.constant('reorg' as const),
    depth: fc.integer({ min: 1, max: 12 }),
    blocks: fc.array(txs, { maxLength: 14 }),
  }),
  fc.record({ tag: fc.constant('mine' as const), txs }),
  fc.record({ tag: fc.constant('watch' as const), owner: fc.nat(3), what: fc.nat(29), early: fc.nat(3) }),
  fc.record({ tag: fc.constant('watch' as const), owner: fc.nat(3), what: fc.nat(29), early: fc.nat(3) }),
  fc.record({ tag: fc.constant('unwatch' as const), owner: fc.nat(3), what: fc.nat(29) }),
)

/** 20 transactions: n spends outpoint n / 2, so that two rivals exist for each. */
const universe = Array.from({ length: 20 }, (_, n) => tx([outpoint(n >> 1)], n))
/** 30 things to watch: the 20 transactions and the 10 outpoints. */
const watchable = [...universe.map(onConfirmation), ...Array.from({ length: 10 }, (_, n) => onSpend(outpoint(n)))]

const factKey = (e: ChainEvent): string =>
  e.tag === 'spent' ? outpointKey(e.outpoint) : e.tag === 'confirmed' ? e.txid : ''

/** What an owner holds true after the events it was told. */
class Owner {
  readonly watching = new Map<number, Watch>()
  facts = new Map<string, ChainEvent>()
  height = 0

  take(events: readonly ChainEvent[], late = false): void {
    for (const e of events) {
      if (e.tag === 'block') {
        expect(e.height).toBe(this.height + 1)
        this.height = e.height
      } else if (e.tag === 'reorg') {
        expect(e.height).toBeLessThan(this.height)
        this.height = e.height
        for (const [key, fact] of this.facts) if (fact.height > e.height) this.facts.delete(key)
      } else {
        if (!late) expect(e.height).toBe(this.height + 1)
        expect(this.facts.has(factKey(e))).toBe(false)
        this.facts.set(factKey(e), e)
      }
    }
  }
}

class Run {
  readonly chain = new FakeSource()
  readonly w = createWatcher()
  readonly owners = [0, 1, 2, 3].map(() => new Owner())
  #fork = 0

  constructor() {
    this.owners.forEach((_, i) => {
      setWatches(this.w, `${i}`, [])
    })
  }

  mine(picks: readonly number[]): void {
    const mined = this.chain.active.flatMap((b) => b.transactions)
    const spent = new Set(mined.flatMap((t) => t.inputs.map(outpointKey)))
    const fits = picks
      .map((n) => universe[n]!)
      .filter((t) => {
        const key = outpointKey(t.inputs[0]!)
        return !spent.has(key) && spent.add(key)
      })
    const block = this.chain.extend(fits, this.#fork++)
    for (const { owner, events } of connectBlock(this.w, block)) this.owners[Number(owner)]!.take(events)
  }

  do(s: Step): void {
    if (s.tag === 'mine') this.mine(s.txs)
    else if (s.tag === 'reorg') {
      this.chain.undo(s.depth)
      const { height, hash } = this.chain.top
      if (height < (this.w.tip?.height ?? 0)) {
        for (const { owner, events } of disconnectBlocks(this.w, height, hash)) this.owners[Number(owner)]!.take(events)
      }
      for (const picks of s.blocks) this.mine(picks)
    } else {
      const owner = this.owners[s.owner]!
      const watch = watchable[s.what]!
      if (s.tag === 'unwatch') {
        owner.watching.delete(s.what)
        const key = watch.tag === 'spend' ? outpointKey(watch.outpoint) : watch.txid
        owner.facts.delete(key)
      } else if (owner.watching.has(s.what)) return
      else owner.watching.set(s.what, watch)
      // A true hint: nothing that is watched happened before it.
      const first = this.chain.active.find((b) => rescanBlock([watch], b).length > 0)
      const hint = Math.max(1, (first?.height ?? this.chain.top.height + 1) - (s.tag === 'watch' ? s.early : 0))
      const { events, rescan } = setWatches(this.w, `${s.owner}`, [...owner.watching.values()], hint)
      for (const b of rescan ? this.chain.active.slice(rescan.fromHeight, rescan.toHeight + 1) : []) {
        owner.take(rescanBlock(rescan!.watches, b), true)
      }
      owner.take(events, true)
    }
  }
}

describe('random chains', () => {
  it('every owner ends up with exactly what a scan of the whole chain finds, whenever it began to watch', () => {
    let found = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 3, maxLength: 50 }), (steps) => {
        const run = new Run()
        for (const s of steps) run.do(s)
        for (const owner of run.owners) {
          const expected = new Map<string, ChainEvent>()
          for (const b of run.chain.active) {
            b.transactions.forEach((t, txIndex) => {
              for (const w of owner.watching.values()) {
                if (w.tag === 'confirmation' && w.txid === txidOf(t)) {
                  expected.set(w.txid, {
                    tag: 'confirmed',
                    txid: w.txid,
                    tx: b.transactions[txIndex]!,
                    height: b.height,
                    txIndex,
                  })
                }
                if (w.tag === 'spend' && t.inputs.some((i) => outpointKey(i) === outpointKey(w.outpoint))) {
                  expected.set(outpointKey(w.outpoint), { tag: 'spent', outpoint: w.outpoint, tx: t, height: b.height })
                }
              }
            })
          }
          found += expected.size
          expect(isDeepStrictEqual(new Map([...owner.facts].sort()), new Map([...expected].sort()))).toBe(true)
          expect(owner.height).toBe(run.chain.top.height)
        }
      }),
      { numRuns: 300 },
    )
    expect(found).toBeGreaterThan(200)
  })
})
