import { describe, expect, it } from 'vitest'
import { toHex, u32be } from '../../src/base/bytes.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { onPaymentInput, type PaymentContext, startPayment } from '../../src/payment/outgoing.ts'
import { recoverPayment } from '../../src/payment/recovery.ts'
import type { PaymentRecord, PaymentTarget, PaymentTurn } from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import { planRoutes, type RoutePlan } from '../../src/routing/split.ts'
import type { LocalChannel } from '../../src/routing/types.ts'
import { largeNetwork } from '../routing/large.ts'
import { channelId, scid } from '../routing/network.ts'
import { HEIGHT, hashOf, NOW, paymentTarget, preimageOf } from './world.ts'

const keyOf = (n: number): NodeId => toHex(crypto.publicKey(crypto.sha256(u32be(n)))) as NodeId
const { graph, nodes } = largeNetwork(5_000, 20_000, 1, keyOf)
const AMOUNT = msat(6n * 10n ** 9n)
const MOST = 8
const HASH = hashOf(preimageOf(3))
const localChannels = [3, 40, 900].map(
  (n, i): LocalChannel => ({
    channelId: channelId(i + 1),
    shortChannelId: scid(900_000 + i),
    remoteNodeId: nodes[n]!,
    sendableMsat: msat(3n * 10n ** 9n),
    htlcMinimumMsat: 1n as Msat,
  }),
)
const context = (more: Partial<PaymentContext> = {}): PaymentContext => ({
  now: NOW,
  blockHeight: HEIGHT,
  nodeId: `03${'ff'.repeat(32)}` as NodeId,
  graph,
  localChannels,
  entropy: new Uint8Array(32).fill(7),
  ...more,
})
const target = (payee: NodeId): PaymentTarget =>
  paymentTarget(payee, { amountMsat: AMOUNT, maxFeeMsat: msat(AMOUNT / 100n), maxParts: 16 })

/** Payments of which the routes are not all found within a turn. */
const slow: NodeId[] = []
function begun(): { readonly record: PaymentRecord; readonly plan: RoutePlan } {
  for (const payee of slow.length > 0 ? slow : nodes) {
    const started = startPayment(undefined, { paymentHash: HASH, target: target(payee) }, context())
    if (!started.ok || started.value.plan === undefined) continue
    slow.push(payee)
    return { record: started.value.record, plan: started.value.plan }
  }
  throw new Error('each was found within a turn')
}
const next = (r: PaymentRecord, plan: RoutePlan, more: Partial<PaymentContext> = {}): PaymentTurn<PaymentRecord> =>
  onPaymentInput(r, { tag: 'plan', plan }, context(more))

describe('a payment whose routes take long to find', () => {
  it('looks for them in several turns, each of bounded work, and sends once all have been found', () => {
    const { record, plan } = begun()
    expect(record).toMatchObject({ status: 'pending', attempts: [] })
    let turn: PaymentTurn<PaymentRecord> = { record, effects: [], plan }
    for (let n = 0; n < MOST && turn.plan !== undefined; n++) turn = next(turn.record, turn.plan)
    const { attempts } = turn.record
    expect(attempts.length).toBeGreaterThan(1)
    expect(turn.effects.length).toBe(attempts.length)
    expect(attempts.reduce((sum, a) => sum + a.amountMsat, 0n)).toBe(AMOUNT)
  })

  it('goes by the network as it is in each turn', () => {
    const { record, plan } = begun()
    expect(next(record, plan, { graph: new Graph() }).record).toMatchObject({
      status: 'failed',
      failure: { code: 'NO_ROUTE' },
    })
  })

  it('sends nothing after it was cancelled, or after its time, and is not begun twice meanwhile', () => {
    const { record, plan } = begun()
    expect(startPayment(record, { paymentHash: HASH, target: record.target }, context())).toMatchObject({
      error: { code: 'PAYMENT_PENDING' },
    })
    const cancelled = onPaymentInput(record, { tag: 'cancel' }, context()).record
    expect(cancelled.status).toBe('failed')
    expect(next(cancelled, plan)).toEqual({ record: cancelled, effects: [] })
    const late = next(record, plan, { now: record.target.deadline })
    expect(late.record).toMatchObject({ status: 'failed', failure: { code: 'TIMEOUT' }, attempts: [] })
  })

  it('ends at a restart, with which the search is gone', () => {
    const { record } = begun()
    const { record: ended, effects } = recoverPayment(record, [], context({ localChannels: [] }))
    expect(ended).toMatchObject({ status: 'failed', failure: { code: 'NO_ROUTE' } })
    expect(effects).toMatchObject([{ event: { type: 'payment.failed' } }])
  })

  it('asks of one turn about 20,000 labels and those of the last search', () => {
    const spent: number[] = []
    for (const payee of [...slow, ...nodes.slice(0, 4)]) {
      const effort = { labels: 600_000 }
      const { paymentSecret: _, ...t } = target(payee)
      const plan = planRoutes(
        {
          ...{ source: context().nodeId, target: payee, amountMsat: t.amountMsat, maxFeeMsat: t.maxFeeMsat },
          ...{ finalCltvExpiry: HEIGHT + 21, maxCltvExpiry: HEIGHT + 2016, localChannels, effort },
        },
        16,
      )
      for (let before = effort.labels, done = false; !done; before = effort.labels) {
        done = plan.advance(graph) !== null
        spent.push(before - effort.labels)
      }
    }
    expect(spent.length).toBeGreaterThan(slow.length + 4)
    expect(Math.max(...spent)).toBeLessThan(40_000)
  })
})
