import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { NodeEvent } from './service.ts'

/** Seconds. A turn is done in slices of 1 ms, and what ends it, unless a single task is long. */
const TURN_SECONDS = [0.0001, 0.0003, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.2, 1]
/** Seconds, from a disk with a protected cache to one that is failing. */
const BATCH_SECONDS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
/** Seconds, up to the time that a payment is tried for. */
const PAYMENT_SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300]

/** What is known only when somebody asks; the gauges of src/node/services/metrics.ts. */
const GAUGES = {
  up: 'The node runs',
  ready: 'The chain is in sync and the store takes writes',
  synced: 'The node has every block of its backend',
  uptime_seconds: 'Since the start',
  block_height: 'Of the last block taken in',
  chain_lag_blocks: 'Blocks that the backend has and the node has not',
  channels_usable: 'Channels that can carry an HTLC now',
  channel_local_msat: 'Our side of the open channels',
  channel_remote_msat: "The peers' side of the open channels",
  channel_sendable_msat: 'What one could send over the usable channels now',
  channel_receivable_msat: 'What one could receive over the usable channels now',
  onchain_confirmed_sat: 'In confirmed coins of the wallet',
  onchain_unconfirmed_sat: 'In unconfirmed coins of the wallet',
  onchain_reserved_sat: 'Kept in the wallet to close channels with anchors, where there is as much',
  onchain_closing_sat: 'In outputs of closed channels that are not ours to spend yet',
  payments_pending: 'Payments under way',
  forwards_pending: 'Forwards under way',
  peers_connected: 'Connections over which messages flow',
  reactor_tasks: 'Inputs that wait for a turn',
  reactor_batches: 'Turns whose batch is not on disk yet',
  peer_inbox_bytes: 'Messages of peers that wait for a turn',
  peer_outbox_bytes: 'Messages that peers have not taken yet',
  event_last_id: 'Id of the newest event',
  event_subscribers: 'Clients that follow events',
  alerts_raised: 'What somebody should see to now',
} as const

export type GaugeName = keyof typeof GAUGES

/** Who else hears of turns and batches as they end. */
export interface TimingObserver {
  /** @param seconds that the loop was busy with it @param begun performance.now() */
  onTurn(seconds: number, tasks: number, begun: number): void
  /** @param seconds until it was on disk @param begun performance.now() */
  onBatch(seconds: number, operations: number, begun: number): void
}

/**
 * What Prometheus is told. Counters and histograms move with what happens anyway: a durable event, the end of a turn, a batch on disk.
 * Labels have the few values that are written here, never a text or an id that somebody else chose.
 */
export class Metrics {
  readonly #also: TimingObserver | null
  readonly registry = new Registry()
  readonly gauges: Readonly<Record<GaugeName, Gauge>>
  readonly channels = this.#gauge('channels', 'Channels that are not closed, by state', ['state'])
  readonly htlcs = this.#gauge('htlcs_in_flight', 'HTLCs in channels, by direction', ['direction'])
  readonly htlcsMsat = this.#gauge('htlcs_in_flight_msat', 'What they carry', ['direction'])
  readonly #turns = this.#histogram(
    'turn_seconds',
    'How long the loop was busy with one turn, or a slice of it',
    TURN_SECONDS,
  )
  readonly #tasks = this.#counter('turn_tasks_total', 'Inputs handled in turns')
  readonly #batches = this.#histogram('journal_batch_seconds', 'One batch on its way to the disk, fsync', BATCH_SECONDS)
  readonly #operations = this.#counter('journal_operations_total', 'Records written or deleted in batches')
  readonly #payments = this.#counter('payments_total', 'Payments that ended', ['result'])
  readonly #duration = this.#histogram('payment_seconds', 'From start to end of a payment', PAYMENT_SECONDS, ['result'])
  readonly #paid = this.#counter('payments_msat_total', 'Paid, without fees')
  readonly #paidFees = this.#counter('payment_fees_msat_total', 'Paid in routing fees')
  readonly #forwards = this.#counter('forwards_total', 'Forwards that ended', ['result'])
  readonly #forwarded = this.#counter('forwards_msat_total', 'Forwarded, without fees')
  readonly #earned = this.#counter('forward_fees_msat_total', 'Earned in routing fees')
  readonly #settled = this.#counter('invoices_settled_total', 'Invoices paid to us')
  readonly #received = this.#counter('received_msat_total', 'Received by invoices')
  readonly #alerts = this.#counter('alerts_total', 'What the operator should look at', ['cause'])
  readonly #reorgs = this.#counter('chain_reorgs_total', 'Reorganisations followed')

  /** @param also hears of the same turns and batches */
  constructor(also: TimingObserver | null = null) {
    this.#also = also
    const made = Object.entries(GAUGES).map(([name, help]) => [name, this.#gauge(name, help)])
    this.gauges = Object.fromEntries(made)
    // Series that exist from the start: a rate over one that appears with its first event would miss that event.
    for (const result of ['succeeded', 'failed']) this.#payments.inc({ result }, 0)
    for (const result of ['settled', 'failed']) this.#forwards.inc({ result }, 0)
    for (const cause of ['peer', 'node']) this.#alerts.inc({ cause }, 0)
  }

  /** @param seconds that the loop was busy with it */
  readonly onTurn = (seconds: number, tasks: number, begun: number): void => {
    this.#turns.observe(seconds)
    this.#tasks.inc(tasks)
    this.#also?.onTurn(seconds, tasks, begun)
  }

  /** @param seconds until it was on disk */
  readonly onBatch = (seconds: number, operations: number, begun: number): void => {
    this.#batches.observe(seconds)
    this.#operations.inc(operations)
    this.#also?.onBatch(seconds, operations, begun)
  }

  /** Every event, once it is durable. */
  readonly onEvent = ({ type, data }: NodeEvent): void => {
    switch (type) {
      case 'payment.succeeded':
        this.#paid.inc(Number(data.amountMsat ?? 0))
        this.#paidFees.inc(Number(data.feeMsat ?? 0))
        return this.#paymentEnded('succeeded', data)
      case 'payment.failed':
        return this.#paymentEnded('failed', data)
      case 'forward.settled':
        this.#forwards.inc({ result: 'settled' })
        this.#forwarded.inc(Number(data.amountOutMsat))
        this.#earned.inc(Math.max(0, Number(data.feeMsat)))
        return
      case 'forward.failed':
        return this.#forwards.inc({ result: 'failed' })
      case 'invoice.settled':
        this.#settled.inc()
        return this.#received.inc(Number(data.amountMsat ?? 0))
      case 'chain.reorg':
        return this.#reorgs.inc()
      case 'node.alert':
        return this.#alerts.inc({ cause: data.byPeer === true ? 'peer' : 'node' })
    }
  }

  #paymentEnded(result: 'succeeded' | 'failed', data: NodeEvent['data']): void {
    this.#payments.inc({ result })
    if (typeof data.durationMs === 'number') this.#duration.observe({ result }, Math.max(0, data.durationMs) / 1000)
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: `fulmen_${name}`, help, labelNames, registers: [this.registry] })
  }
  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name: `fulmen_${name}`, help, labelNames, registers: [this.registry] })
  }
  #histogram(name: string, help: string, buckets: number[], labelNames: string[] = []): Histogram {
    return new Histogram({ name: `fulmen_${name}`, help, buckets, labelNames, registers: [this.registry] })
  }
}
