import {
  type Context,
  context,
  isSpanContextValid,
  type Span,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { TimingObserver } from './metrics.ts'
import type { NodeService, PaymentView, PayRequest } from './service.ts'

/** What acts. What only looks is too quick to be worth a span. */
const ACTING = [
  ...(['connectPeer', 'openChannel', 'closeChannel', 'setChannelPolicy'] as const),
  ...(['createInvoice', 'settleInvoice', 'cancelInvoice', 'cancelPayment'] as const),
  ...(['newAddress', 'sendOnChain', 'bumpTransaction'] as const),
]
/** A payment that is held may take days. */
const LOOK_AGAIN_MS = 60_000

/** null unless an OpenTelemetry SDK was registered before the node started (`node --import`): then nothing is observed at all. */
export function tracerIfWanted(): Tracer | null {
  const tracer = trace.getTracer('fulmen')
  return isSpanContextValid(tracer.startSpan('probe').spanContext()) ? tracer : null
}

interface Past {
  /** performance.now() */
  readonly begun: number
  readonly seconds: number
}
/** A call of the service that waits for the reactor. Times are performance.now(). */
interface Call {
  readonly within: Context
  readonly since: number
  turned: number | null
  isOnDisk: boolean
}

/**
 * Spans of what the operator asks for: each acting call with the turn that did it and the batch that made it durable, and of a
 * payment every attempt until it is final. They hang below whatever span is active where the call is made.
 */
export class Traces implements TimingObserver {
  readonly #tracer: Tracer
  readonly #waiting = new Set<Call>()

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  /** The service, with spans. */
  over(service: NodeService): NodeService {
    const acting = ACTING.map((name) => {
      const act = service[name] as (...request: unknown[]) => Promise<unknown>
      return [name, (...request: unknown[]) => this.#call(name, () => act.apply(service, request))]
    })
    return { ...service, ...Object.fromEntries(acting), pay: (request) => this.#pay(service, request) }
  }

  onTurn(seconds: number, tasks: number, begun: number): void {
    for (const call of this.#waiting) {
      if (call.turned !== null || begun < call.since) continue
      call.turned = begun
      this.#past('turn', { begun, seconds }, call, { 'fulmen.tasks': tasks })
    }
  }

  /** The first that begins after the turn has what the turn wrote. */
  onBatch(seconds: number, operations: number, begun: number): void {
    for (const call of this.#waiting) {
      if (call.isOnDisk || call.turned === null || begun < call.turned) continue
      call.isOnDisk = true
      this.#past('fsync', { begun, seconds }, call, { 'fulmen.operations': operations })
    }
  }

  #past(name: string, { begun, seconds }: Past, { within }: Call, attributes: Readonly<Record<string, number>>): void {
    this.#tracer.startSpan(name, { startTime: unixMs(begun), attributes }, within).end(unixMs(begun + seconds * 1000))
  }

  async #call<T>(name: string, act: () => Promise<T>): Promise<T> {
    const span = start(this.#tracer, name)
    try {
      return await this.#within(span, act)
    } finally {
      end(span)
    }
  }

  async #within<T>(span: Span, act: () => Promise<T>): Promise<T> {
    const within = trace.setSpan(context.active(), span)
    const call: Call = { within, since: performance.now(), turned: null, isOnDisk: false }
    this.#waiting.add(call)
    try {
      return await context.with(within, act)
    } catch (error) {
      fail(span, error instanceof Error ? error.message : String(error))
      throw error
    } finally {
      this.#waiting.delete(call)
    }
  }

  async #pay(service: NodeService, request: PayRequest): Promise<PaymentView> {
    const span = start(this.#tracer, 'payment')
    try {
      const view = await this.#within(span, () => service.pay(request))
      void this.#follow(service, view, span)
        .catch(() => {}) // the node has stopped
        .finally(() => end(span))
      return view
    } catch (error) {
      end(span)
      throw error
    }
  }

  /** Until the payment is final: a span for each attempt from when it is on disk. */
  async #follow(service: NodeService, first: PaymentView, span: Span): Promise<void> {
    const { paymentHash, amountMsat } = first
    span.setAttributes({ 'fulmen.payment_hash': paymentHash, 'fulmen.amount_msat': Number(amountMsat) })
    const within = trace.setSpan(context.active(), span)
    const attempts: Span[] = []
    let view = first
    for (;;) {
      for (const [i, part] of view.parts.entries()) {
        const attributes = { 'fulmen.amount_msat': Number(part.amountMsat), 'fulmen.hops': part.route.length }
        attempts[i] ??= start(this.#tracer, 'attempt', { attributes }, within)
        if (part.status === 'pending') continue
        if (part.failure !== null) fail(attempts[i], part.failure)
        end(attempts[i])
      }
      if (view.status !== 'pending') break
      const seen = progressOf(view)
      const find = (): Promise<PaymentView> => service.payment(paymentHash)
      view = await service.waitFor(`payment:${paymentHash}`, find, (next) => progressOf(next) !== seen, LOOK_AGAIN_MS)
    }
    span.setAttribute('fulmen.fee_msat', Number(view.feeMsat))
    if (view.failure) fail(span, `${view.failure.code}: ${view.failure.detail}`)
  }
}

/** All times by one clock, so that spans nest: an SDK that is given none, or the clock's own numbers, mixes it with the calendar's. */
const unixMs = (time = performance.now()): number => performance.timeOrigin + time
export const start = (tracer: Tracer, name: string, options: SpanOptions = {}, within?: Context): Span =>
  tracer.startSpan(name, { ...options, startTime: unixMs() }, within)
export const end = (span: Span): void => span.end(unixMs())

const progressOf = ({ status, parts }: PaymentView): string => [status, ...parts.map((part) => part.status)].join()
const fail = (span: Span, message: string): void => void span.setStatus({ code: SpanStatusCode.ERROR, message })
