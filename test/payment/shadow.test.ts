import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Msat, msat } from '../../src/base/units.ts'
import { onPaymentInput, type PaymentContext, startPayment } from '../../src/payment/outgoing.ts'
import type { PaymentRecord, PaymentTarget } from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import { shadowDelta } from '../../src/routing/shadow.ts'
import { channelId, type Policy, scid, update } from '../routing/network.ts'
import { FINAL_DELTA, failureFrom, HEIGHT, hashOf, IDS, NOW, paymentTarget, preimageOf } from './world.ts'

const HASH = hashOf(preimageOf(3))
const policy = (delta: number): Policy => ({ base: 1000, rate: 100, delta, min: 1, max: 10 ** 12 })
/** Node 1 is our peer, 2 and 3 lead from it to the payee, 4; 5 and 6 lie beyond. Each channel has its own delta, in each direction. */
const LINKS: readonly (readonly [number, number])[] = [
  [1, 2],
  [2, 4],
  [1, 3],
  [3, 4],
  [4, 5],
  [5, 6],
]
const deltaOf = (from: number, to: number): number => 10 * from + to
function graphOf(delta: (from: number, to: number) => number): Graph {
  const graph = new Graph()
  LINKS.forEach(([a, b], i) => {
    const [low, high] = IDS[a]! < IDS[b]! ? [a, b] : [b, a]
    const shortChannelId = scid(i + 1)
    const [nodeId1, nodeId2] = [IDS[low]!, IDS[high]!]
    graph.addChannel({ shortChannelId, nodeId1, nodeId2, capacitySat: null, features: new Uint8Array(0) })
    graph.applyUpdate(update(i + 1, 0, policy(delta(low, high))))
    graph.applyUpdate(update(i + 1, 1, policy(delta(high, low))))
  })
  return graph
}
const GRAPH = graphOf(deltaOf)
const context = (entropy: Uint8Array, more: Partial<PaymentContext> = {}): PaymentContext => ({
  now: NOW,
  blockHeight: HEIGHT,
  nodeId: IDS[0]!,
  graph: GRAPH,
  localChannels: [
    {
      channelId: channelId(1),
      shortChannelId: scid(99),
      remoteNodeId: IDS[1]!,
      sendableMsat: 10_000_000n as Msat,
      htlcMinimumMsat: 1n as Msat,
    },
  ],
  entropy,
  hidesPayee: true,
  ...more,
})
const target = (more: Partial<PaymentTarget> = {}): PaymentTarget => paymentTarget(IDS[4]!, more)
function started(ctx: PaymentContext, known?: PaymentRecord, t = target()): PaymentRecord {
  const turn = startPayment(known, { paymentHash: HASH, target: t }, ctx)
  if (!turn.ok) throw new Error(turn.error.detail)
  const sent = turn.value.effects.flatMap((e) =>
    e.tag === 'command' && e.command.tag === 'addHtlc' ? [e.command] : [],
  )
  const last = turn.value.record.attempts.slice(-sent.length)
  expect(sent.map((c) => c.cltvExpiry)).toEqual(last.map((a) => a.hops[0]!.cltvExpiry))
  return turn.value.record
}
const entropy = fc.uint8Array({ minLength: 32, maxLength: 32 })
const lastExpiry = (r: PaymentRecord): number => r.attempts.at(-1)!.hops.at(-1)!.cltvExpiry
const LEAST = HEIGHT + FINAL_DELTA + 3

describe('BOLT 7 §recommendations-for-routing: the expiry of a payment', () => {
  it('is later, in all of its HTLCs alike, by what a way on from the payee would ask; nothing else is changed', () => {
    fc.assert(
      fc.property(entropy, (bytes) => {
        const [plain, hidden] = [started(context(bytes, { hidesPayee: false })), started(context(bytes))]
        const blocks = lastExpiry(hidden) - lastExpiry(plain)
        expect(lastExpiry(plain)).toBe(LEAST)
        expect(blocks).toBe(hidden.shadowDelta)
        expect(plain.shadowDelta).toBeUndefined()
        const shifted = plain.attempts.map((a) => ({
          ...a,
          hops: a.hops.map((h) => ({ ...h, cltvExpiry: h.cltvExpiry + blocks })),
        }))
        expect(hidden.attempts).toEqual(shifted)
      }),
      { numRuns: 30 },
    )
    const seen = new Set(
      Array.from({ length: 2_000 }, (_, i) => shadowDelta(GRAPH, [IDS[4]!], Uint8Array.of(i >> 8, i & 255))),
    )
    // One to three steps; where a step would lead back, it counts for what channels usually ask.
    const [four, five, two, three] = [deltaOf(4, 5), deltaOf(5, 6), deltaOf(4, 2), deltaOf(4, 3)]
    for (const walk of [four, two, three, four + five, two + deltaOf(2, 1), three + deltaOf(3, 1), four + 40])
      expect(seen).toContain(walk)
    expect(Math.min(...seen)).toBeGreaterThan(0)
  })

  it('is as much later in every attempt, and when the payment is tried again: the least of several would tell', () => {
    fc.assert(
      fc.property(entropy, entropy, (first, second) => {
        const begun = started(context(first))
        const failure = failureFrom(begun.attempts[0]!, 1, { name: 'temporary_node_failure' })
        const next = onPaymentInput(begun, { tag: 'failed', attempt: 0, failure }, context(second)).record
        expect(next.attempts).toHaveLength(2)
        expect(lastExpiry(next)).toBe(lastExpiry(begun))
        const over = onPaymentInput(next, { tag: 'cancel' }, context(second)).record
        const ended = onPaymentInput(over, { tag: 'failed', attempt: 1, failure: { tag: 'onchain' } }, context(second))
        expect(ended.record.status).toBe('failed')
        expect(lastExpiry(started(context(second), ended.record))).toBe(lastExpiry(begun))
      }),
      { numRuns: 20 },
    )
  })

  it('stays within a week for it, and a way that takes nearly as long by itself goes as it is', () => {
    const long = graphOf(() => 475)
    fc.assert(
      fc.property(entropy, (bytes) => {
        expect(lastExpiry(started(context(bytes, { graph: long })))).toBe(LEAST)
        const most = started(context(bytes, { graph: graphOf(() => 250) }))
        expect(most.attempts[0]!.hops[0]!.cltvExpiry).toBeLessThanOrEqual(HEIGHT + 1008)
        expect(most.shadowDelta).toBeLessThanOrEqual(432)
      }),
      { numRuns: 30 },
    )
  })

  it('is later also where the network does not know the payee', () => {
    const hint = { nodeId: IDS[4]!, shortChannelId: scid(500), feeBaseMsat: 1, feeProportionalMillionths: 1 }
    const routeHints = [[{ ...hint, cltvExpiryDelta: 40 }]]
    fc.assert(
      fc.property(entropy, (bytes) => {
        expect(shadowDelta(new Graph(), [IDS[7]!], bytes) % 40).toBe(0)
        const t = target({ payee: IDS[7]!, routeHints, amountMsat: msat(1000n) })
        const found = started(context(bytes), undefined, t)
        expect(lastExpiry(found)).toBe(LEAST + shadowDelta(GRAPH, [IDS[7]!, IDS[4]!], bytes))
        expect(lastExpiry(found)).toBeGreaterThan(LEAST)
      }),
      { numRuns: 20 },
    )
  })
})
