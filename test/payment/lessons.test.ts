import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { OnionFailure } from '../../src/onion/failure.ts'
import { learn } from '../../src/payment/lessons.ts'
import { onPaymentInput, type PaymentContext, type PaymentInput, startPayment } from '../../src/payment/outgoing.ts'
import type { PaymentAttempt } from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import { Liquidity, UNKNOWN } from '../../src/routing/liquidity.ts'
import { directedChannel } from '../../src/routing/types.ts'
import { channelId, scid, update } from '../routing/network.ts'
import { failureFrom, HEIGHT, hashOf, IDS, NOW, paymentTarget, preimageOf } from './world.ts'

const PREIMAGE = preimageOf(3)
const HOPS = 4

/** us – 1 – 2 – 3 – 4, one channel each, all but ours announced. */
function lineGraph(): Graph {
  const graph = new Graph()
  for (let i = 1; i < HOPS; i++) {
    const [nodeId1, nodeId2] = [IDS[i]!, IDS[i + 1]!].sort() as [NodeId, NodeId]
    graph.addChannel({ shortChannelId: scid(i), nodeId1, nodeId2, capacitySat: null, features: new Uint8Array(0) })
    const policy = { base: 1000, rate: 100, delta: 40, min: 1, max: 10 ** 12 }
    for (const direction of [0, 1] as const) graph.applyUpdate(update(i, direction, policy))
  }
  return graph
}
const graph = lineGraph()
const context = (liquidity: Liquidity): PaymentContext => ({
  now: NOW,
  blockHeight: HEIGHT,
  nodeId: IDS[0]!,
  graph,
  localChannels: [
    {
      channelId: channelId(1),
      shortChannelId: scid(77),
      remoteNodeId: IDS[1]!,
      sendableMsat: msat(10n ** 9n),
      htlcMinimumMsat: msat(1n),
    },
  ],
  liquidity,
  entropy: new Uint8Array(32).fill(0xab),
})
const target = paymentTarget(IDS[HOPS]!)

/** What an attempt teaches, by what becomes of it. */
function lessonsOf(input: (attempt: PaymentAttempt) => Exclude<PaymentInput, { tag: 'cancel' }>) {
  const liquidity = new Liquidity()
  const started = startPayment(undefined, { paymentHash: hashOf(PREIMAGE), target }, context(liquidity))
  if (!started.ok) throw new Error(started.error.detail)
  const { record } = started.value
  const turn = onPaymentInput(record, input(record.attempts[0]!), context(liquidity))
  learn(liquidity, turn.lessons ?? [], NOW)
  const { hops } = record.attempts[0]!
  const bounds = hops.slice(1).map(({ nodeId, shortChannelId, amountMsat }, i) => {
    const from = hops[i]!.nodeId
    const of = (key: string) => {
      const { lower, upper } = liquidity.bounds(key, NOW)
      const amount = Number(amountMsat)
      return `${lower === amount ? 'has' : ''}${upper === amount ? 'has not' : ''}`
    }
    return {
      there: of(directedChannel(shortChannelId, from, nodeId)),
      back: of(directedChannel(shortChannelId, nodeId, from)),
    }
  })
  return { bounds, size: liquidity.size }
}

const failures: readonly OnionFailure[] = [
  { name: 'temporary_channel_failure', channelUpdate: new Uint8Array(0) },
  { name: 'temporary_node_failure' },
  { name: 'unknown_next_peer' },
  { name: 'fee_insufficient', htlcMsat: msat(1n), channelUpdate: new Uint8Array(0) },
  { name: 'incorrect_or_unknown_payment_details', htlcMsat: msat(1n), height: HEIGHT },
]

describe('what an attempt teaches other payments', () => {
  it('is of the failing node about its own channel alone, and about those that led to it that they carried', () => {
    fc.assert(
      fc.property(fc.nat(HOPS - 1), fc.constantFrom(...failures), (hop, failure) => {
        const { bounds, size } = lessonsOf((a) => ({
          tag: 'failed',
          attempt: 0,
          failure: failureFrom(a, hop, failure),
        }))
        const isShort = failure.name === 'temporary_channel_failure' && hop < HOPS - 1
        const want = bounds.map((_, i) => (i < hop ? 'has' : i === hop && isShort ? 'has not' : ''))
        expect(bounds.map((b) => b.there)).toEqual(want)
        expect(size).toBe(want.filter((w) => w !== '').length)
      }),
      { numRuns: 40 },
    )
  })

  it('is nothing where nobody signed the failure, or it is our own channel that failed', () => {
    expect(lessonsOf(() => ({ tag: 'failed', attempt: 0, failure: { tag: 'onchain' } })).size).toBe(0)
    const reason = new Uint8Array(292).fill(5)
    expect(lessonsOf(() => ({ tag: 'failed', attempt: 0, failure: { tag: 'onion', reason } })).size).toBe(0)
    const malformed = { tag: 'malformed', failureCode: 0xc005, sha256OfOnion: new Uint8Array(32) } as const
    expect(lessonsOf(() => ({ tag: 'failed', attempt: 0, failure: malformed })).size).toBe(0)
  })

  it('is nothing about channels of others, though a hint of the invoice has their ids', () => {
    // us – 1 – 5 – 6, the last by an invoice that calls it as the channel of 2 and 3 is called.
    const hint = { nodeId: IDS[5]!, feeBaseMsat: 0, feeProportionalMillionths: 0, cltvExpiryDelta: 40 }
    const first = { ...hint, nodeId: IDS[1]!, shortChannelId: scid(50) }
    const second = (shortChannelId: bigint) => ({ ...hint, shortChannelId: scid(Number(shortChannelId)) })
    const pay = (id: bigint, input: (attempt: PaymentAttempt) => PaymentInput) => {
      const liquidity = new Liquidity()
      const target = paymentTarget(IDS[6]!, { routeHints: [[first, second(id)]] })
      const started = startPayment(undefined, { paymentHash: hashOf(PREIMAGE), target }, context(liquidity))
      if (!started.ok) throw new Error(started.error.detail)
      const { record } = started.value
      const attempt = record.attempts[0]!
      learn(liquidity, onPaymentInput(record, input(attempt), context(liquidity)).lessons ?? [], NOW)
      const known = [0, 1].map((d) => liquidity.bounds(`${id}/${d}`, NOW)).filter((b) => b !== UNKNOWN)
      return { hops: attempt.hops.map((h) => h.nodeId), known: known.length }
    }
    const failed = (a: PaymentAttempt): PaymentInput => ({
      tag: 'failed',
      attempt: 0,
      failure: failureFrom(a, 1, failures[0]!),
    })
    const paid = (): PaymentInput => ({ tag: 'fulfilled', attempt: 0, preimage: PREIMAGE })
    const hops = [IDS[1], IDS[5], IDS[6]]
    expect([failed, paid].map((input) => pay(2n, input))).toEqual([
      { hops, known: 0 },
      { hops, known: 0 },
    ])
    // One that nobody has announced is whose the hint says.
    expect([failed, paid].map((input) => pay(60n, input))).toEqual([
      { hops, known: 1 },
      { hops, known: 2 },
    ])
  })

  it('is that the money has moved to the other end of each channel when it succeeded', () => {
    const { bounds } = lessonsOf(() => ({ tag: 'fulfilled', attempt: 0, preimage: PREIMAGE }))
    expect(bounds).toEqual(bounds.map(() => ({ there: '', back: 'has' })))
  })
})
