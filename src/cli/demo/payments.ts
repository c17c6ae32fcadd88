import { ApiError } from '../../client/errors.ts'
import type { DemoNode, Name } from './network.ts'
import type { PlannedPayment } from './plan.ts'
import { quantile } from './quantile.ts'

/** How the payments went. */
export interface PaymentResults {
  readonly succeeded: number
  readonly failed: number
  /** Of those that succeeded, over the wall-clock time from the first call to the last answer. */
  readonly perSecond: number
  /** From the call that pays to the answer that it succeeded; null when none did. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  readonly seconds: number
  readonly movedMsat: number
  readonly routingFeesMsat: number
  /** Reason → how many. */
  readonly failures: Readonly<Record<string, number>>
}

export interface RunOptions {
  /** How many payments are under way at any time. */
  readonly atOnce: number
  readonly signal: AbortSignal
  readonly onDone: (done: number) => void
}

type Nodes = Readonly<Record<Name, DemoNode>>
interface Prepared extends PlannedPayment {
  readonly bolt11: string
}

/** One call's wait; a payment that is still pending then is asked after again. */
const WAIT_SECONDS = 30
const MAX_WAITS = 3

/** A BOLT 11 invoice for every planned payment, from its receiver. */
export async function createInvoices(
  nodes: Nodes,
  plan: readonly PlannedPayment[],
  options: RunOptions,
): Promise<Prepared[]> {
  const prepared = new Array<Prepared>(plan.length)
  await inParallel(plan, options, async (payment, i) => {
    const description = `payment ${i + 1} from ${payment.from}`
    const { bolt11 } = await nodes[payment.to].client.invoices.create({ amountMsat: payment.amountMsat, description })
    prepared[i] = { ...payment, bolt11 }
  })
  return prepared
}

/** Pays them all, `atOnce` at a time, each as one REST call that is held until the outcome. */
export async function payAll(
  nodes: Nodes,
  prepared: readonly Prepared[],
  options: RunOptions,
): Promise<PaymentResults> {
  const latencies: number[] = []
  const failures = new Map<string, number>()
  let movedMsat = 0
  let routingFeesMsat = 0
  const begin = performance.now()
  await inParallel(prepared, options, async ({ from, bolt11, amountMsat }) => {
    const sent = performance.now()
    const outcome = await payOne(nodes[from], bolt11)
    if (typeof outcome === 'string') {
      failures.set(outcome, (failures.get(outcome) ?? 0) + 1)
      return
    }
    latencies.push(performance.now() - sent)
    movedMsat += amountMsat
    routingFeesMsat += outcome.feeMsat
  })
  const seconds = (performance.now() - begin) / 1000
  latencies.sort((a, b) => a - b)
  return {
    succeeded: latencies.length,
    failed: prepared.length - latencies.length,
    perSecond: round(latencies.length / seconds),
    p50Ms: maybeRound(quantile(latencies, 0.5)),
    p99Ms: maybeRound(quantile(latencies, 0.99)),
    seconds,
    movedMsat,
    routingFeesMsat,
    failures: Object.fromEntries(failures),
  }
}

/** @returns what it cost, or why it failed */
async function payOne({ client }: DemoNode, bolt11: string): Promise<{ feeMsat: number } | string> {
  try {
    let payment = await client.payments.send({ bolt11 }, { wait: WAIT_SECONDS })
    for (let waits = 1; payment.status === 'pending' && waits < MAX_WAITS; waits++) {
      payment = await client.payments.get(payment.id, { wait: WAIT_SECONDS })
    }
    if (payment.status === 'succeeded') return payment
    return payment.status === 'pending' ? 'STILL_PENDING' : (payment.failure?.code ?? 'NO_REASON_GIVEN')
  } catch (error) {
    if (error instanceof ApiError) return error.code
    throw error
  }
}

async function inParallel<T>(
  items: readonly T[],
  { atOnce, signal, onDone }: RunOptions,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  let done = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      signal.throwIfAborted()
      const i = next++
      await work(items[i]!, i)
      onDone(++done)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
}

const round = (value: number): number => Math.round(value * 10) / 10
const maybeRound = (value: number | null): number | null => (value === null ? null : round(value))
