import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { msat, msatToSatFloor, sat } from '../../src/base/units.ts'
import { p2tr, p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { fundingScriptOf } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { faultsOf, other, reachNormal, type World } from '../channel/harness.ts'
import type { Name, Side } from '../channel/side.ts'

/**
 * Closes with option_simple_close: feerates that change, offers that are raised, addresses that move, connections and processes that
 * fail. FULMEN_RUNS=2000 npx vitest run test/property/close.test.ts looks longer.
 */
const RUNS = Number(process.env.FULMEN_RUNS ?? 40)
const CAPACITY = 1_000_000n
/** The highest threshold of BOLT 3 §dust-limits: nobody loses an output that holds more. */
const DUST = 354n

type Step =
  | { readonly tag: 'deliver'; readonly from: Name; readonly count: number; readonly flush: boolean }
  | { readonly tag: 'estimate'; readonly who: Name; readonly feerate: number }
  | { readonly tag: 'raise'; readonly who: Name; readonly feerate: number }
  | { readonly tag: 'move'; readonly who: Name; readonly n: number; readonly kind: number }
  | { readonly tag: 'crash'; readonly who: Name }
  | { readonly tag: 'cut' | 'block' | 'calm' | 'disconnect' | 'connect' }

const who = fc.constantFrom<Name>('alice', 'bob')
const feerate = fc.integer({ min: 253, max: 20_000 })
const tag = <T extends Step['tag']>(t: T) => fc.constant(t)
const often = fc.integer({ min: 0, max: 9 }).map((n) => n < 8)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({ tag: tag('deliver'), from: who, count: fc.integer({ min: 1, max: 4 }), flush: often }),
  },
  { weight: 3, arbitrary: fc.record({ tag: tag('estimate'), who, feerate }) },
  { weight: 3, arbitrary: fc.record({ tag: tag('raise'), who, feerate }) },
  { weight: 2, arbitrary: fc.record({ tag: tag('move'), who, n: fc.integer({ min: 1, max: 120 }), kind: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ tag: tag('crash'), who }) },
  {
    weight: 4,
    arbitrary: fc.record({ tag: fc.constantFrom('cut', 'block', 'block', 'calm', 'disconnect', 'connect', 'connect') }),
  },
)
const balance = fc.oneof(
  fc.integer({ min: 0, max: 2_000_000 }),
  fc.constantFrom(293_999, 294_000, 499_999_999, 500_000_000, 500_000_001),
  fc.integer({ min: 0, max: 980_000_000 }),
)
const closing = fc.record({
  bobMsat: balance,
  opener: who,
  closer: who,
  steps: fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }),
  pick: fc.nat(1000),
})
type Closing = typeof closing extends fc.Arbitrary<infer T> ? T : never

const scriptOf = (n: number, kind: number): Uint8Array =>
  [p2wpkh(new Uint8Array(20).fill(n)), p2wsh(Uint8Array.of(n)), p2tr(new Uint8Array(32).fill(n))][kind]!

class Close {
  readonly w: World
  /** Everything that a side was ever to be paid to. */
  readonly scripts: Record<Name, Uint8Array[]>
  readonly #balance: Record<Name, bigint>
  readonly #checked = new Set<string>()

  constructor({ bobMsat, opener: wanted, closer }: Closing) {
    // Who opens a channel has to have the fee of a commitment.
    const opener = bobMsat < 20_000_000 ? 'alice' : wanted
    const pushMsat = opener === 'alice' ? msat(bobMsat) : msat(CAPACITY * 1000n - BigInt(bobMsat))
    this.w = reachNormal({ simpleClose: true, realSignatures: true, opener, pushMsat, capacitySat: sat(CAPACITY) })
    const { alice, bob } = this.w
    this.scripts = { alice: [alice.ctx.sweepScriptPubKey], bob: [bob.ctx.sweepScriptPubKey] }
    const bobs = msatToSatFloor(msat(bobMsat))
    this.#balance = { alice: msatToSatFloor(msat(CAPACITY * 1000n - BigInt(bobMsat))), bob: bobs }
    for (const side of this.w.sides) side.handler = (effect) => effect.tag === 'broadcast'
    this.w.side(closer).command({ tag: 'close', requestId: 1 })
  }

  step(s: Step): void {
    const { w } = this
    switch (s.tag) {
      case 'deliver':
        for (let i = 0; i < s.count; i++) this.#deliver(s.from, s.flush)
        break
      case 'estimate': {
        const side = w.side(s.who)
        side.ctx = { ...side.ctx, feerates: { ...side.ctx.feerates, closing: s.feerate, claim: s.feerate } }
        break
      }
      case 'raise':
        w.side(s.who).command({ tag: 'close', requestId: 2, feeratePerKw: s.feerate })
        break
      case 'move': {
        const scriptPubKey = scriptOf(s.who === 'alice' ? s.n : s.n + 128, s.kind)
        this.scripts[s.who].push(scriptPubKey)
        w.side(s.who).command({ tag: 'close', requestId: 3, scriptPubKey })
        break
      }
      case 'crash':
        w.side(s.who).crash()
        w.disconnect()
        break
      case 'block':
        this.block(null)
        break
      case 'calm':
        if (w.connected) w.settle()
        break
      case 'cut':
        w.disconnect()
        w.connect()
        break
      case 'disconnect':
        w.disconnect()
        break
      case 'connect':
        if (!w.connected) w.connect()
        break
    }
    this.check()
  }

  #deliver(from: Name, flush: boolean): void {
    const message = this.w.connected ? this.w.take(from) : undefined
    if (!message) return
    if (flush) this.w.receive(other(from), message)
    else this.w.side(other(from)).feed({ tag: 'message', message })
  }

  /** One more block, with a spend of the funding output or without. */
  block(tx: Transaction | null): void {
    const height = this.w.height + 1
    for (const side of this.w.sides) {
      side.ctx = { ...side.ctx, blockHeight: height }
      const outpoint = side.channel.commitments.active[0]!.funding
      if (tx) side.step({ tag: 'chain', event: { tag: 'spent', outpoint, tx, height } })
      side.step({ tag: 'chain', event: { tag: 'block', height } })
      if (side.wantsDisconnect) this.w.disconnect()
    }
  }

  published(side: Side): readonly Transaction[] {
    return side.phase.tag === 'negotiating' ? side.phase.published : []
  }

  check(): void {
    const { params } = this.w.alice.channel
    const funding = { amountSat: sat(CAPACITY), scriptPubKey: fundingScriptOf(params.local, params.remote) }
    for (const side of this.w.sides) {
      for (const tx of this.published(side)) {
        const id = `${side.name} ${txidOf(tx)}`
        if (this.#checked.has(id)) continue
        this.#checked.add(id)
        expect(verifyTransaction(tx, [funding])).toEqual({ ok: true })
        this.#amounts(tx)
        // Whoever signed it had it on disk before the signature left.
        const signer = this.w.side(other(side.name))
        expect(channelOf(signer.load())!.closings).toContain(txidOf(tx))
      }
    }
  }

  /** One side has all that it had; the other, who pays, all but the fee; what is missing is dust. */
  #amounts(tx: Transaction): void {
    const paid: Record<Name, bigint> = { alice: 0n, bob: 0n }
    const has: Record<Name, boolean> = { alice: false, bob: false }
    for (const o of tx.outputs) {
      const name = (['alice', 'bob'] as const).find((n) => this.scripts[n].some((s) => equalBytes(s, o.scriptPubKey)))!
      expect(name).toBeDefined()
      paid[name] += o.amountSat
      has[name] = true
      expect(o.amountSat).toBeGreaterThanOrEqual(294n)
    }
    const fee = CAPACITY - paid.alice - paid.bob
    expect(fee).toBeGreaterThan(0n)
    const holds = (closer: Name): boolean => {
      const closee = other(closer)
      const whole = paid[closee] === this.#balance[closee] || (!has[closee] && this.#balance[closee] < DUST)
      return (
        whole && paid[closer] <= this.#balance[closer] && (has[closer] || this.#balance[closer] < this.#balance[closee])
      )
    }
    expect([tx.outputs, this.#balance, holds('alice') || holds('bob')]).toEqual([tx.outputs, this.#balance, true])
  }

  /** Everything comes to rest with somebody's transaction that both hold. */
  finish(pick: number): void {
    const { w } = this
    for (const side of w.sides) side.flush()
    for (let n = 0; n < 5; n++) {
      if (!w.connected) w.connect()
      w.settle()
      // Who waits for the offer of a peer that then makes none offers with the next block.
      this.block(null)
    }
    if (!w.connected) w.connect()
    w.settle()
    this.check()
    const held = w.sides.map((side) => this.published(side))
    const ids = held.map((txs) => new Set(txs.map(txidOf)))
    expect(held[0]!.some((tx) => ids[1]!.has(txidOf(tx)))).toBe(true)
    const all = [...held[0]!, ...held[1]!]
    const tx = all[pick % all.length]!
    const rival = all[(pick * 7 + 1) % all.length]!
    for (const side of w.sides) side.crash()
    this.block(tx)
    const mutual = (t: Transaction) => ({ how: 'cooperative', closing: { kind: 'mutual', txid: txidOf(t) } })
    for (const side of w.sides) expect(side.state).toMatchObject({ tag: 'closing', onchain: mutual(tx) })
    w.reorg(w.height - 1)
    for (const side of w.sides) side.crash()
    this.block(rival)
    for (const side of w.sides) expect(side.state).toMatchObject({ tag: 'closing', onchain: mutual(rival) })
    for (let n = 0; n < 5; n++) this.block(null)
    for (const side of w.sides) {
      expect(side.state!.tag).toBe('closed')
      expect(side.notices.filter((n) => n.tag === 'closing')).toHaveLength(1)
    }
  }
}

describe('option_simple_close between two cores', () => {
  it('every transaction that both signed is valid, pays each its own, and may be the one that confirms', () => {
    const play = ({ steps, pick, ...rest }: Closing): void => {
      const run = new Close({ steps, pick, ...rest })
      for (const s of steps) run.step(s)
      run.finish(pick)
      const { alice, bob } = run.w
      // Two new addresses at once, or a peer that was slow, are all that can be complained of.
      const odd = [...faultsOf(alice), ...faultsOf(bob)].filter(
        (f) => !/last that the closee sent|none came in/.test(f.requirement + f.detail),
      )
      expect(odd).toEqual([])
    }
    fc.assert(fc.property(closing, play), { numRuns: RUNS, endOnFailure: process.env.FULMEN_SHRINK !== '1' })
  }, 3_600_000)
})
