import fc from 'fast-check'
import { expect } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { committedIncoming, onchainOf } from '../../src/channel/describe.ts'
import { mapHtlcs } from '../../src/channel/htlcTable.ts'
import type { FundedState } from '../../src/channel/state.ts'
import { recount } from '../../src/channel/totals.ts'
import { expectAgreement, expectConserved, expectEnforceable } from './checks.ts'
import { add, hashOf, other, preimageOf, reachNormal, type World, type WorldOptions } from './harness.ts'
import type { Name, Side } from './side.ts'

/** Random lives of a channel: what may happen to it, and a run that plays one and keeps the books. */
type Settlement = 'fulfill' | 'fail' | 'malformed'
export type Step =
  | {
      readonly tag: 'deliver'
      readonly from: Name
      readonly count: number
      readonly sign: boolean
      readonly flush: boolean
    }
  | { readonly tag: 'add'; readonly who: Name; readonly amountMsat: number; readonly sign: boolean }
  | {
      readonly tag: 'settle'
      readonly who: Name
      readonly pick: number
      readonly how: Settlement
      readonly sign: boolean
    }
  | { readonly tag: 'fee'; readonly feeratePerKw: number }
  | { readonly tag: 'sign'; readonly who: Name }
  | { readonly tag: 'disconnect' | 'connect' | 'mine' }
  | { readonly tag: 'crash'; readonly who: Name; readonly reconnect: boolean }
  | { readonly tag: 'cut' | 'calm' }
  | { readonly tag: 'close'; readonly who: Name }
  /** Fulfils an HTLC, loses the connection, and forgets what it has not signed for: it may decide otherwise. */
  | { readonly tag: 'relent'; readonly who: Name; readonly pick: number; readonly heard: number }

export const name = fc.constantFrom<Name>('alice', 'bob')
const often = fc.integer({ min: 0, max: 9 }).map((n) => n < 8)
const amount = fc.oneof(
  fc.integer({ min: 1, max: 400_000 }),
  fc.integer({ min: 300_000, max: 3_000_000 }),
  fc.integer({ min: 1_000_000, max: 300_000_000 }),
)
type Parts<T extends Step['tag']> = {
  [K in Exclude<keyof Extract<Step, { tag: T }>, 'tag'>]: fc.Arbitrary<Extract<Step, { tag: T }>[K]>
}
const of = <T extends Step['tag']>(tag: T, parts: Parts<T>): fc.Arbitrary<Step> =>
  fc.record({ tag: fc.constant(tag), ...(parts as object) }) as unknown as fc.Arbitrary<Step>
const how = fc.constantFrom<Settlement>('fulfill', 'fulfill', 'fail', 'malformed')
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 24,
    arbitrary: of('deliver', { from: name, count: fc.integer({ min: 1, max: 6 }), sign: often, flush: often }),
  },
  { weight: 12, arbitrary: of('add', { who: name, amountMsat: amount, sign: often }) },
  { weight: 8, arbitrary: of('settle', { who: name, pick: fc.nat(20), how, sign: often }) },
  { weight: 2, arbitrary: of('fee', { feeratePerKw: fc.integer({ min: 300, max: 6000 }) }) },
  { weight: 2, arbitrary: of('sign', { who: name }) },
  { weight: 2, arbitrary: of('cut', {}) },
  { weight: 1, arbitrary: of('disconnect', {}) },
  { weight: 6, arbitrary: of('connect', {}) },
  { weight: 1, arbitrary: of('mine', {}) },
  { weight: 4, arbitrary: of('calm', {}) },
  { weight: 2, arbitrary: of('crash', { who: name, reconnect: often }) },
  { weight: 2, arbitrary: of('relent', { who: name, pick: fc.nat(20), heard: fc.integer({ min: 0, max: 6 }) }) },
)
export const life = fc.record({
  steps: fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }),
  closeAt: fc.option(fc.record({ at: fc.integer({ min: 0, max: 150 }), who: name }), { freq: 3 }),
  channelType: fc.constantFrom('anchors' as const, 'static_remotekey' as const),
  opener: name,
  pushed: fc.constantFrom(0, 20_000_000, 400_000_000),
  realSignatures: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  simpleClose: fc.boolean(),
})
export type Life = typeof life extends fc.Arbitrary<infer T> ? T : never

/** One run: what was asked for, and what came of it. */
export class Run {
  readonly w: World
  readonly preimages = new Map<PaymentHash, Uint8Array>()
  readonly offered = new Map<number, { readonly who: Name; readonly amountMsat: number }>()
  readonly decided = new Map<PaymentHash, Settlement>()
  /** Whose preimages their offerers may have heard in vain. */
  readonly relented = new Set<PaymentHash>()
  readonly enforce: boolean
  readonly expiry: (n: number) => number
  #count = 0

  constructor(options: WorldOptions & { readonly enforce?: boolean }, expiry = (_n: number): number => 600) {
    this.w = reachNormal(options)
    this.enforce = options.enforce ?? options.realSignatures === true
    this.expiry = expiry
  }

  step(s: Step): void {
    const { w } = this
    switch (s.tag) {
      case 'deliver':
        this.#deliver(s)
        break
      case 'add': {
        const n = this.#count++
        this.preimages.set(hashOf(n), preimageOf(n))
        this.offered.set(n, { who: s.who, amountMsat: s.amountMsat })
        w.side(s.who).command(add(n, s.amountMsat, { cltvExpiry: this.expiry(n) }), s.sign)
        break
      }
      case 'settle':
        this.settle(w.side(s.who), s.pick, s.how, s.sign)
        break
      case 'fee':
        w.side(w.opener).command({ tag: 'updateFee', feeratePerKw: s.feeratePerKw })
        break
      case 'sign':
        w.side(s.who).step({ tag: 'sign' })
        break
      case 'disconnect':
        w.disconnect()
        break
      case 'connect':
        if (!w.connected) w.connect()
        break
      case 'mine':
        w.mine()
        break
      case 'crash':
        w.side(s.who).crash()
        w.disconnect()
        if (s.reconnect) w.connect()
        break
      case 'calm':
        w.settle()
        break
      case 'cut':
        w.disconnect()
        w.connect()
        break
      case 'close':
        w.side(s.who).command({ tag: 'close', requestId: 9 })
        break
      case 'relent':
        this.settle(w.side(s.who), s.pick, 'fulfill', false)
        this.#deliver({ tag: 'deliver', from: s.who, count: s.heard, sign: false, flush: true })
        w.disconnect()
        this.#relent(w.side(s.who))
        w.connect()
        break
    }
    this.check()
  }

  #deliver(s: Extract<Step, { tag: 'deliver' }>): void {
    for (let i = 0; i < s.count; i++) {
      const message = this.w.take(s.from)
      if (!message) return
      if (s.flush) this.w.receive(other(s.from), message, s.sign)
      // Taken in, not yet written: a crash forgets it.
      else this.w.side(other(s.from)).feed({ tag: 'message', message })
    }
  }

  /** @source BOLT 2 §message-retransmission: what nobody signed for may be forgotten */
  #relent(side: Side): void {
    const { channel } = side
    const { params, commitments } = channel
    const incoming = mapHtlcs(commitments.incoming, (h) => {
      if (h.stage !== 'removing' || h.removal?.tag !== 'fulfilled') return h
      this.relented.add(h.add.paymentHash)
      this.decided.delete(h.add.paymentHash)
      return { ...h, stage: 'committed', removal: null }
    })
    const changed = { ...commitments, incoming }
    const forgetful = { ...channel, commitments: { ...changed, next: recount(params, changed) } }
    const { state } = side
    if (state?.tag === 'offline' && incoming !== commitments.incoming)
      side.state = { ...state, from: { ...state.from, channel: forgetful } as FundedState }
    side.flush()
  }

  settle(side: Side, pick: number, how: Settlement, sign: boolean): boolean {
    const open = committedIncoming(side.state!)
    const htlc = open[pick % Math.max(1, open.length)]
    if (!htlc) return false
    this.decided.set(htlc.paymentHash, how)
    const { id } = htlc
    if (how === 'fulfill')
      side.command({ tag: 'fulfillHtlc', id, preimage: this.preimages.get(htlc.paymentHash)! }, sign)
    else if (how === 'fail') side.command({ tag: 'failHtlc', id, reason: new Uint8Array(292) }, sign)
    else side.command({ tag: 'failMalformedHtlc', id, sha256OfOnion: new Uint8Array(32), failureCode: 0xc005 }, sign)
    return true
  }

  rest(): void {
    this.w.settle()
    for (const side of this.w.sides) side.step({ tag: 'sign' })
    this.w.settle()
  }

  /** Every HTLC that waits for a decision gets one; false when none did. */
  settleAll(): boolean {
    let any = false
    for (const side of this.w.sides) {
      for (let left = committedIncoming(side.state!).length; left > 0; left--)
        any = this.settle(side, 0, left % 3 === 0 ? 'fail' : 'fulfill', true)
    }
    return any
  }

  check(): void {
    for (const side of this.w.sides) {
      const faults = side.notices.filter((n) => n.tag === 'fault')
      expect(faults).toEqual([])
      expectConserved(side.channel)
      if (this.enforce) expectEnforceable(side, this.preimages)
    }
  }

  /** Everything under way comes to its end. */
  finish(): void {
    const { w } = this
    for (const side of w.sides) side.flush()
    if (!w.connected) w.connect()
    this.rest()
    for (let round = 0; this.settleAll(); round++) {
      expect(round).toBeLessThan(20)
      this.rest()
    }
    this.check()
  }

  /** The channel goes on, both sides agreeing, or ends together. */
  ended(): void {
    const { w } = this
    const tags = w.sides.map((s) => s.phase.tag)
    if (tags.every((t) => t === 'normal')) {
      expect(w.sides.map((s) => s.state!.tag)).toEqual(['normal', 'normal'])
      expectAgreement(w)
      return
    }
    const closes = w.sides.map(({ phase }) => {
      if (phase.tag === 'negotiating') return phase.published.map(txidOf)
      const end = onchainOf(phase)
      return end?.how === 'cooperative' ? [end.closing.txid] : []
    })
    expect([tags, closes[0]!.some((id) => closes[1]!.includes(id))]).toEqual([tags, true])
  }

  /** What its offerer was told of an HTLC: one kind of result, however often; null while there is none. */
  resultOf(n: number): string | null {
    const { who } = this.offered.get(n)!
    const { events } = this.w.side(who)
    const own = events.filter((e) => 'origin' in e && e.origin.tag === 'payment' && e.origin.attempt === n)
    const tags = new Set(own.map((e) => e.tag))
    expect([n, tags.size]).not.toEqual([n, 2])
    return [...tags][0] ?? null
  }

  /**
   * Each HTLC that was asked for has one result, the one that its receiver chose, or the preimage that it showed before; and the money is where
   * that choice says.
   */
  results(): void {
    let toAlice = 0n
    for (const [n, { who, amountMsat }] of this.offered) {
      const decided = this.decided.get(hashOf(n))
      const want = decided === 'fulfill' ? 'fulfilled' : decided === undefined ? 'rejected' : 'failed'
      const result = this.resultOf(n)
      const isShown = this.relented.has(hashOf(n)) && want === 'failed' && result === 'fulfilled'
      expect([n, result]).toEqual([n, isShown ? 'fulfilled' : want])
      if (want === 'fulfilled') toAlice += who === 'alice' ? -BigInt(amountMsat) : BigInt(amountMsat)
    }
    const { alice, bob } = this.w
    expect(alice.channel.commitments.local.shiftMsat).toBe(toAlice)
    expect(bob.channel.commitments.local.shiftMsat).toBe(-toAlice)
    for (const side of [alice, bob]) {
      expect(side.channel.commitments.outgoing.size + side.channel.commitments.incoming.size).toBe(0)
    }
  }
}
