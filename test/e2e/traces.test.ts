import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { tracerIfWanted } from '../../src/node/traces.ts'
import { type Pair, type Running, startPair } from './pair.ts'

/* Two real nodes, traced by the real SDK of OpenTelemetry. */

const spans = new InMemorySpanExporter()
let provider: NodeTracerProvider
let pair: Pair
let alice: Running
let bob: Running

beforeAll(async () => {
  expect(tracerIfWanted()).toBeNull()
  provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  provider.register()
  pair = await startPair()
  ;({ alice, bob } = pair)
  const { id } = await alice.client.channels.open({ peer: bob.uri, capacitySat: 1_000_000 })
  await vi.waitUntil(
    async () => {
      await alice.client.chain.mine(1)
      return (await alice.client.channels.get(id)).usable
    },
    { timeout: 30_000 },
  )
})
afterAll(async () => {
  await pair.stop()
  await provider.shutdown()
})
beforeEach(() => spans.reset())

const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }
async function pay(bolt11: string): Promise<{ status: string }> {
  const response = await fetch(`${alice.url}/v1/payments?wait=30`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${alice.key}`,
      'content-type': 'application/json',
      traceparent: `00-${CALLER.traceId}-${CALLER.spanId}-01`,
    },
    body: JSON.stringify({ bolt11 }),
  })
  return (await response.json()) as { status: string }
}

/** The spans of the caller's trace; waits until the last one, that of the call, has ended. */
async function traced(): Promise<readonly ReadableSpan[]> {
  const own = () => spans.getFinishedSpans().filter((span) => span.spanContext().traceId === CALLER.traceId)
  await vi.waitUntil(() => own().some(({ kind }) => kind === SpanKind.SERVER))
  await vi.waitUntil(() => own().some(({ name }) => name === 'payment'))
  return own()
}
/** A span as text with those below it, in the order in which they began. */
function tree(all: readonly ReadableSpan[], parent: string): string[] {
  return all
    .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
    .toSorted((a, b) => ms(a.startTime) - ms(b.startTime))
    .flatMap((span) => [span.name, ...tree(all, span.spanContext().spanId).map((line) => `  ${line}`)])
}
const ms = ([seconds, nanos]: readonly [number, number]): number => seconds * 1000 + nanos / 1e6

describe('OpenTelemetry', () => {
  it('a payment by REST is one trace: the caller’s, the call, the payment, its turn, its fsync, its attempt', async () => {
    const { bolt11, paymentHash } = await bob.client.invoices.create({ amountMsat: 5_000_000, description: 'tea' })
    expect((await pay(bolt11)).status).toBe('succeeded')
    const all = await traced()
    expect(tree(all, CALLER.spanId)).toEqual(['POST /v1/payments', '  payment', '    turn', '    fsync', '    attempt'])
    const of = (name: string) => all.find((span) => span.name === name)!
    expect(of('POST /v1/payments').attributes).toMatchObject({
      'http.route': '/v1/payments',
      'http.response.status_code': 200,
    })
    expect(of('payment').attributes).toEqual({
      'fulmen.payment_hash': paymentHash,
      'fulmen.amount_msat': 5_000_000,
      'fulmen.fee_msat': 0,
    })
    expect(of('attempt').attributes).toEqual({ 'fulmen.amount_msat': 5_000_000, 'fulmen.hops': 1 })
    expect(all.every(({ status }) => status.code === SpanStatusCode.UNSET)).toBe(true)
    // What was written is on disk before anything is said: the attempt begins after the fsync has ended.
    const order = [
      ms(of('payment').startTime),
      ms(of('turn').startTime),
      ms(of('turn').endTime),
      ms(of('fsync').endTime),
    ]
    expect([...order, ms(of('attempt').startTime), ms(of('attempt').endTime)]).toEqual(
      [...order, ms(of('attempt').startTime), ms(of('attempt').endTime)].toSorted((a, b) => a - b),
    )
  })

  it('a payment that the payee refuses says so in its attempt and in itself', async () => {
    const { bolt11, paymentHash } = await bob.client.invoices.create({ amountMsat: 1_000_000, description: 'gone' })
    await bob.client.invoices.cancel(paymentHash)
    expect((await pay(bolt11)).status).toBe('failed')
    const all = await traced()
    const failed = all.filter(({ status }) => status.code === SpanStatusCode.ERROR)
    expect(failed.map(({ name, status }) => [name, status.message])).toEqual([
      ['attempt', expect.stringContaining('incorrect_or_unknown_payment_details')],
      ['payment', expect.stringMatching(/^REJECTED_BY_PAYEE: /)],
    ])
  })

  it('other calls that act have their turn and fsync below them, calls that look have none', async () => {
    const { description } = await bob.client.invoices.create({ amountMsat: 1, description: 'tea' })
    await bob.client.node()
    await vi.waitUntil(() => spans.getFinishedSpans().some(({ name }) => name === 'GET /v1/node'))
    const all = spans.getFinishedSpans()
    const roots = all.filter(({ parentSpanContext }) => parentSpanContext === undefined)
    expect(roots.map(({ name }) => name)).toEqual(['POST /v1/invoices', 'GET /v1/node'])
    expect(tree(all, roots[0]!.spanContext().spanId)).toEqual(['createInvoice', '  turn', '  fsync'])
    expect(tree(all, roots[1]!.spanContext().spanId)).toEqual([])
    expect(JSON.stringify(all.map(({ name, attributes }) => [name, attributes]))).not.toContain(description)
  })
})
