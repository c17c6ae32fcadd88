import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { pack, unpack } from '../../src/base/pack.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import { ownChannelUpdate } from '../../src/gossip/own.ts'
import type { OnionFailure } from '../../src/onion/failure.ts'
import { onPaymentInput, type PaymentContext, paymentFee, startPayment } from '../../src/payment/outgoing.ts'
import type { PaymentAttempt, PaymentRecord, PaymentTarget } from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import { directedChannel, type LocalChannel } from '../../src/routing/types.ts'
import type { ChannelUpdate } from '../../src/wire/messages/gossip.ts'
import { encodeMessage } from '../../src/wire/registry.ts'
import { channelId, type Policy, scid, update } from '../routing/network.ts'
import { failureFrom, HEIGHT, hashOf, IDS, NOW, paymentTarget, preimageOf, SECRETS } from './world.ts'

const HASH = hashOf(preimageOf(3))
const AMOUNT = 1_000_000n
const [US, PEER, GATE, PAYEE] = IDS as readonly [NodeId, NodeId, NodeId, NodeId]
const cheap: Policy = { base: 1000, rate: 100, delta: 40, min: 1, max: 10 ** 12 }
/** The payee's private channel, as its invoice has it: from `gate`. */
const PRIVATE = scid(9)
const hint = {
  nodeId: GATE,
  shortChannelId: PRIVATE,
  feeBaseMsat: 10,
  feeProportionalMillionths: 0,
  cltvExpiryDelta: 9,
}
const PRIVATE_KEY = directedChannel(PRIVATE, GATE, PAYEE)

/** us – peer – gate, and another way from peer over a fifth node; announced. */
function graphOf(): Graph {
  const graph = new Graph()
  const ends = [
    [1, 2, cheap],
    [1, 4, { ...cheap, base: 3000 }],
    [4, 2, { ...cheap, base: 3000 }],
  ] as const
  ends.forEach(([a, b, policy], i) => {
    const [nodeId1, nodeId2] = [IDS[a]!, IDS[b]!].sort() as [never, never]
    graph.addChannel({ shortChannelId: scid(i + 1), nodeId1, nodeId2, capacitySat: null, features: new Uint8Array(0) })
    for (const direction of [0, 1] as const) graph.applyUpdate(update(i + 1, direction, policy))
  })
  return graph
}
const localChannel: LocalChannel = {
  channelId: channelId(1),
  shortChannelId: scid(77),
  remoteNodeId: PEER,
  sendableMsat: msat(10n * AMOUNT),
  htlcMinimumMsat: msat(1n),
}
const context = (graph: Graph): PaymentContext => ({
  now: NOW,
  blockHeight: HEIGHT,
  nodeId: US,
  graph,
  localChannels: [localChannel],
  entropy: new Uint8Array(32).fill(0xab),
})
const target = (more: Partial<PaymentTarget> = {}): PaymentTarget =>
  paymentTarget(PAYEE, { amountMsat: msat(AMOUNT), routeHints: [[hint]], ...more })
const start = (graph: Graph, t = target()): PaymentRecord => {
  const started = startPayment(undefined, { paymentHash: HASH, target: t }, context(graph))
  if (!started.ok) throw new Error(started.error.detail)
  return started.value.record
}

/** What a node says about a channel of its own, signed by it. */
const says = (
  who: number,
  to: number,
  p: Partial<Policy> & { readonly channel?: bigint; readonly at?: number } = {},
): ChannelUpdate =>
  ownChannelUpdate(
    { nodeId: IDS[who]!, nodeSecret: SECRETS[who]!, chainHash: new Uint8Array(32) },
    {
      shortChannelId: (p.channel ?? PRIVATE) as never,
      remoteNodeId: IDS[to]!,
      policy: {
        feeBaseMsat: p.base ?? 10,
        feeProportionalMillionths: p.rate ?? 0,
        cltvExpiryDelta: p.delta ?? 9,
        htlcMinimumMsat: msat(BigInt(p.min ?? 1)),
        htlcMaximumMsat: msat(BigInt(p.max ?? 10 ** 12)),
      },
      disabled: p.disabled ?? false,
      dontForward: true,
      timestamp: p.at ?? 1000,
    },
  )
const insufficient = (channelUpdate: Uint8Array): OnionFailure => ({
  name: 'fee_insufficient',
  htlcMsat: msat(1n),
  channelUpdate,
})

const fail = (r: PaymentRecord, index: number, hop: number, failure: OnionFailure, graph: Graph): PaymentRecord => {
  const input = { tag: 'failed', attempt: index, failure: failureFrom(r.attempts[index]!, hop, failure) } as const
  return onPaymentInput(r, input, context(graph)).record
}
const last = (r: PaymentRecord): PaymentAttempt => r.attempts.at(-1)!
/** What the gate gets for the payee's channel from an attempt: fee and blocks. */
const atGate = (a: PaymentAttempt): { fee: bigint; blocks: number } => {
  const [gate, payee] = a.hops.slice(-2) as [PaymentAttempt['hops'][0], PaymentAttempt['hops'][0]]
  return { fee: gate.amountMsat - payee.amountMsat, blocks: gate.cltvExpiry - payee.cltvExpiry }
}

describe('BOLT 4 §receiving-failure-codes: a channel_update in a failure', () => {
  const graph = graphOf()
  const before = JSON.stringify([...graph.channels()], (_, v) => (typeof v === 'bigint' ? `${v}` : v))

  it.each([
    ['a fee that has risen', { base: 5000, rate: 200 }, { fee: 5200n, blocks: 9 }],
    ['a time that has grown', { delta: 144 }, { fee: 10n, blocks: 144 }],
    ['a least amount', { min: 1_000_001, base: 7 }, null],
    ['a largest amount', { max: 600_000 }, null],
  ])('of a private channel, with %s, is kept to in the next attempt', (_what, p, want) => {
    const first = start(graph)
    expect(atGate(last(first))).toEqual({ fee: 10n, blocks: 9 })
    const r = fail(first, 0, 1, insufficient(encodeMessage(says(2, 3, p))), graph)
    if (want === null) expect(r.failure?.code).toBe('NO_ROUTE')
    else expect([atGate(last(r)), r.status, r.excludedChannels]).toEqual([want, 'pending', []])
    expect(unpack(pack(r))).toEqual(r)
  })

  it('may come without its type', () => {
    const r = fail(start(graph), 0, 1, insufficient(encodeMessage(says(2, 3, { base: 44 })).slice(2)), graph)
    expect(atGate(last(r)).fee).toBe(44n)
  })

  it('of an announced channel is newer than gossip, or left', () => {
    const about = { channel: 1n, base: 2000, rate: 100, delta: 40 }
    const rises = (at: number) =>
      fail(start(graph), 0, 0, insufficient(encodeMessage(says(1, 2, { ...about, at }))), graph)
    expect(last(rises(2)).hops.map((h) => h.shortChannelId)).toEqual([77n, 1n, 9n])
    expect(last(rises(0)).hops.map((h) => h.shortChannelId)).toEqual([77n, 2n, 3n, 9n])
  })

  it('that refuses less than was sent explains nothing: the channel is left alone', () => {
    const r = fail(start(graph), 0, 1, insufficient(encodeMessage(says(2, 3, { base: 10 }))), graph)
    expect([r.excludedChannels, r.learned, r.status]).toEqual([[PRIVATE_KEY], undefined, 'failed'])
  })

  it.each<[string, Uint8Array]>([
    ['of another channel', encodeMessage(says(2, 3, { base: 5000, channel: 10n }))],
    ['of the other direction', encodeMessage(says(3, 2, { base: 5000 }))],
    ['that another node signed', encodeMessage({ ...says(2, 3, { base: 5000 }), signature: says(1, 2).signature })],
    ['that was changed', encodeMessage({ ...says(2, 3, { base: 5000 }), feeBaseMsat: 4999 })],
    ['that switches the channel off', encodeMessage(says(2, 3, { base: 5000, disabled: true }))],
    ['that is cut short', encodeMessage(says(2, 3, { base: 5000 })).slice(0, 90)],
    ['that is empty', new Uint8Array(0)],
  ])('%s is none', (_what, bytes) => {
    const r = fail(start(graph), 0, 1, insufficient(bytes), graph)
    expect([r.excludedChannels, r.learned, r.status]).toEqual([[PRIVATE_KEY], undefined, 'failed'])
  })

  it('asks for no more than the limit on fees', () => {
    const r = fail(start(graph), 0, 1, insufficient(encodeMessage(says(2, 3, { base: 2 ** 32 - 1 }))), graph)
    expect([r.status, r.failure?.code, r.attempts.length]).toEqual(['failed', 'NO_ROUTE', 1])
  })

  it('teaches once: a node that then asks for more still is not asked again', () => {
    const once = fail(start(graph), 0, 1, insufficient(encodeMessage(says(2, 3, { base: 20 }))), graph)
    const twice = fail(once, 1, 1, insufficient(encodeMessage(says(2, 3, { base: 30, at: 1001 }))), graph)
    expect([twice.status, twice.attempts.length, twice.excludedChannels]).toEqual(['failed', 2, [PRIVATE_KEY]])
  })

  it('spares a channel that the other parts, sent before, fail at, too', () => {
    const halves = { ...context(graph), localChannels: [1, 2].map((n) => half(n)) }
    const started = startPayment(undefined, { paymentHash: HASH, target: target() }, halves)
    if (!started.ok) throw new Error(started.error.detail)
    let r = started.value.record
    expect(r.attempts.length).toBe(2)
    for (const index of [0, 1]) {
      const failure = failureFrom(r.attempts[index]!, 1, insufficient(encodeMessage(says(2, 3, { base: 500 }))))
      r = onPaymentInput(r, { tag: 'failed', attempt: index, failure }, halves).record
    }
    expect([r.excludedChannels, r.status]).toEqual([[], 'pending'])
    expect(new Set(r.attempts.slice(2).map((a) => atGate(a).fee))).toEqual(new Set([500n]))
  })

  it('serves this try of this payment alone', () => {
    const r = fail(start(graph), 0, 1, insufficient(encodeMessage(says(2, 3, { base: 2 ** 32 - 1 }))), graph)
    expect(r.learned).toHaveLength(1)
    const again = startPayment(r, { paymentHash: HASH, target: target() }, context(graph))
    expect(again.ok && again.value.record.learned).toBe(undefined)
    expect(JSON.stringify([...graph.channels()], (_, v) => (typeof v === 'bigint' ? `${v}` : v))).toBe(before)
  })

  it('of a node that lies in all of them neither loops nor costs more than the limit', () => {
    const lie = fc.record({
      hop: fc.nat(3),
      base: fc.oneof(fc.nat(60_000), fc.constant(2 ** 32 - 1)),
      rate: fc.oneof(fc.nat(50_000), fc.constant(2 ** 32 - 1)),
      delta: fc.nat(2 ** 16 - 1),
      at: fc.nat(2 ** 32 - 1),
    })
    fc.assert(
      fc.property(fc.array(lie, { minLength: 12, maxLength: 12 }), (lies) => {
        let r = start(graph)
        for (const { hop: h, ...p } of lies) {
          if (r.status !== 'pending') break
          const index = r.attempts.length - 1
          const { hops } = last(r)
          const hop = h % (hops.length - 1)
          const [who, to] = [hops[hop]!, hops[hop + 1]!].map((x) => IDS.indexOf(x.nodeId)) as [number, number]
          const channel = hops[hop + 1]!.shortChannelId
          r = fail(r, index, hop, insufficient(encodeMessage(says(who, to, { ...p, channel }))), graph)
          expect(paymentFee(r)).toBeLessThanOrEqual(100_000n)
        }
        // Four directions in all: each teaches once and is then left alone.
        expect(r.status).toBe('failed')
        expect(r.attempts.length).toBeLessThanOrEqual(8)
      }),
      { numRuns: 30 },
    )
  })
})

const half = (n: number): LocalChannel => ({
  ...localChannel,
  channelId: channelId(n),
  shortChannelId: scid(76 + n),
  sendableMsat: (AMOUNT / 2n + 2500n) as Msat,
})
