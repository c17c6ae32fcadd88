import { randomBytes } from 'node:crypto'
import type { ChannelId, NodeId, PaymentHash } from '../base/ids.ts'
import type { Result } from '../base/result.ts'
import type { HtlcEvent, HtlcOrigin, IncomingHtlc } from '../channel/types.ts'
import { learn } from '../payment/lessons.ts'
import {
  onPaymentInput,
  type PaymentContext,
  type PaymentInput,
  type PaymentStartFault,
  startPayment,
} from '../payment/outgoing.ts'
import { failDust, failRead, peelIncoming } from '../payment/peel.ts'
import type { LiveHtlc } from '../payment/recovery.ts'
import type {
  HtlcCommand,
  InvoiceRecord,
  PaymentEffect,
  PaymentEvent,
  PaymentRecord,
  PaymentTarget,
  PaymentTurn,
} from '../payment/types.ts'
import type { Graph } from '../routing/graph.ts'
import { Liquidity } from '../routing/liquidity.ts'
import type { RoutePlan } from '../routing/split.ts'
import type { LocalChannel } from '../routing/types.ts'
import type { Driver } from '../store/types.ts'
import type { Changes } from './changes.ts'
import type { EventLog } from './events.ts'
import { ForwardEvents } from './forwardEvents.ts'
import { Forwards, type ForwardsOptions } from './forwards.ts'
import { Incoming } from './incoming.ts'
import type { ExpiryMargins } from './margins.ts'
import { OnionsSeen } from './onionsSeen.ts'
import { aboutInvoice, aboutPayment } from './paymentEvents.ts'
import { PaymentRecovery, type RecoveryOptions } from './paymentRecovery.ts'
import type { TurnScope } from './reactor.ts'
import { type Beginning, RecordBook } from './recordBook.ts'

export interface PaymentsOptions extends ForwardsOptions, RecoveryOptions {
  readonly driver: Driver
  readonly changes: Changes
  readonly events: EventLog
  readonly graph: Graph
  readonly nodeId: NodeId
  readonly margins: ExpiryMargins
  /** Payments say nothing of how far their payees are. */
  readonly hidesPayee: boolean
  readonly newId: () => string
  /** Unix milliseconds. */
  readonly now: () => number
  readonly localChannels: () => readonly LocalChannel[]
  /** Whether an HTLC of the channel is what it seems: `blockHeight` is that of now, and the funding is in the chain. */
  readonly isSound: (channelId: ChannelId) => boolean
  /** An incoming HTLC that was told of may be decided on yet. */
  readonly stillStands: (htlc: Pick<IncomingHtlc, 'channelId' | 'id'>) => boolean
  /** Runs it in a turn that comes. */
  readonly post: (task: (scope: TurnScope) => void) => void
  /** Puts the command into the channel's inbox; false when there is no such channel. */
  readonly command: (channelId: ChannelId, command: HtlcCommand) => boolean
}

/** What the channels hold when the node starts. */
export interface ChannelHoldings {
  readonly outgoing: readonly {
    readonly channelId: ChannelId
    readonly origin: HtlcOrigin
    readonly amountMsat: LiveHtlc['amountMsat']
  }[]
  /** Incoming HTLCs that we have given a preimage for and that are not gone yet. */
  readonly released: readonly { readonly htlc: IncomingHtlc; readonly preimage: Uint8Array }[]
  /** Incoming HTLCs that are yet to be decided on, or to be decided on again. */
  readonly undecided: readonly IncomingHtlc[]
}

/** Invoices, payments and forwards: the pure machines' records, and what joins them to channels, events and the store. */
export class Payments {
  readonly outgoing: RecordBook<PaymentRecord>
  readonly #options: PaymentsOptions
  readonly #incoming: Incoming
  readonly #forwards: Forwards
  readonly #forwardEvents: ForwardEvents
  readonly #onions: OnionsSeen
  readonly #recovery: PaymentRecovery
  readonly #liquidity = new Liquidity()
  /** By payment: the routes that are being looked for. */
  readonly #plans = new Map<PaymentHash, RoutePlan>()
  #scope: TurnScope | null = null

  constructor(options: PaymentsOptions) {
    this.#options = options
    this.#forwards = new Forwards(options)
    this.#forwardEvents = new ForwardEvents(options)
    this.#onions = new OnionsSeen(options.driver)
    this.#recovery = new PaymentRecovery(options, {
      record: (hash) => this.outgoing.get(hash)?.record,
      context: () => this.#paymentContext(),
      apply: (turn) => this.#applyPayment(turn),
      effects: (effects) => this.#effects(effects),
    })
    const { driver, changes, newId } = options
    const later = (task: () => void): void => options.post((scope) => this.#within(scope, task))
    this.#incoming = new Incoming({ ...options, later, effects: (effects, hash) => this.#effects(effects, hash) })
    this.outgoing = new RecordBook({ kind: 'payment', driver, changes, newId, live: ['pending'] })
  }

  get invoices(): RecordBook<InvoiceRecord> {
    return this.#incoming.book
  }

  /** @returns how many records could not be read */
  async load(): Promise<number> {
    const forwards = this.#forwards.load(this.#options.driver)
    const unreadable = await Promise.all([this.invoices.load(), this.outgoing.load(), this.#onions.load(), forwards])
    await this.#forwardEvents.load()
    return unreadable.reduce((a, b) => a + b)
  }

  get forwardsPending(): number {
    return this.#forwards.size
  }

  /** Records that a restart repeats and that are final: must be in memory before `recover`. */
  async recall({ outgoing, released, undecided }: ChannelHoldings): Promise<void> {
    this.#forwards.remember(undecided)
    const leaveOut = (): void => {} // a damaged record is none: the channels know what is in flight
    for (const { origin } of outgoing)
      if (origin.tag === 'payment') await this.outgoing.recall(origin.paymentHash).catch(leaveOut)
    for (const { paymentHash } of [...undecided, ...released.map((r) => r.htlc)])
      await this.invoices.recall(paymentHash).catch(leaveOut)
  }

  /**
   * Brings the records in line with the channels after a start, once those have told what they know: they are the truth about
   * what is in flight.
   */
  recover({ outgoing, released, undecided }: ChannelHoldings, scope: TurnScope): void {
    this.#within(scope, () => {
      this.#resumeForwards(outgoing)
      const pending = [...this.outgoing.live()].map(({ record }) => record.paymentHash)
      this.#recovery.begin(outgoing, pending)
      this.#effects(this.#forwards.recovered())
      this.#incoming.recover(released, undecided)
    })
  }

  /** HTLCs of channels that a backup brought back: how their payments and forwards end is told like that of any other. */
  takeIn(outgoing: ChannelHoldings['outgoing'], scope: TurnScope): void {
    this.#within(scope, () => {
      this.#resumeForwards(outgoing)
      this.#recovery.takeIn(outgoing)
    })
  }

  #resumeForwards(outgoing: ChannelHoldings['outgoing']): void {
    for (const { channelId, origin } of outgoing) if (origin.tag === 'forward') this.#forwards.resume(origin, channelId)
  }

  start(
    request: { readonly paymentHash: PaymentHash; readonly target: PaymentTarget } & Beginning,
    scope: TurnScope,
  ): Result<PaymentRecord, PaymentStartFault> {
    return this.#within(scope, () => {
      const { paymentHash, target } = request
      const known = this.outgoing.get(paymentHash)?.record
      const started = startPayment(known, { paymentHash, target }, this.#paymentContext())
      if (!started.ok) return started
      this.outgoing.begin(started.value.record, request)
      this.#effects(started.value.effects)
      this.#goOnLater(paymentHash, started.value.plan)
      return { ok: true, value: started.value.record }
    })
  }

  cancel(hash: PaymentHash, scope: TurnScope): void {
    this.#within(scope, () => this.#paymentInput(hash, { tag: 'cancel' }))
  }

  applyInvoice(turn: PaymentTurn<InvoiceRecord | undefined>, scope: TurnScope): void {
    this.#within(scope, () => this.#incoming.apply(turn))
  }

  /** What a channel tells of an HTLC. */
  onRelay(event: HtlcEvent, scope: TurnScope): void {
    this.#within(scope, () => {
      if (event.tag === 'received') this.#received(event.htlc)
      else if (event.origin.tag === 'payment') this.#paymentResult(event, event.origin)
      else this.#effects(this.#forwards.end(event, event.origin))
    })
  }

  /** Time has passed: looks at what asked to be looked at. */
  tick(scope: TurnScope): void {
    this.#within(scope, () => this.#incoming.tick())
  }

  hasDue(): boolean {
    return this.#incoming.hasDue()
  }

  /** A block came, or a minute passed: every invoice that is open is looked at, and every forward. */
  review(scope: TurnScope): void {
    this.#within(scope, () => {
      this.#effects(this.#forwards.review())
      this.#recovery.review()
      this.#incoming.review()
    })
    this.#onions.review(this.#options.blockHeight(), scope)
  }

  /** A channel has changed: its peer may have shown where it stands. */
  goOn(scope: TurnScope): void {
    this.#within(scope, () => {
      this.#effects(this.#forwards.goOn())
      this.#recovery.goOn()
    })
  }

  /** An HTLC of a channel may be settled, or a height known: payments that wait for room are looked at in a turn that comes. */
  makeRoom(): void {
    this.#incoming.makeRoom()
  }

  /**
   * A channel is behind what its peer knows: HTLCs of before the start that it has not seen committed may have been, and been passed on.
   * Of those that are for us, nothing is given out.
   */
  holdForwards(htlcs: readonly IncomingHtlc[], scope: TurnScope): void {
    this.#within(scope, () => {
      for (const htlc of htlcs) {
        const onion = this.#forwards.mayBeOut(htlc) ? peelIncoming(htlc, this.#options.nodeSecret) : null
        if (onion?.tag === 'forward') this.#effects(this.#forwards.hold(htlc, onion))
      }
    })
  }

  endOfTurn(scope: TurnScope): void {
    this.invoices.endOfTurn(scope)
    this.outgoing.endOfTurn(scope)
    this.#onions.endOfTurn(scope)
    this.#forwards.endOfTurn(scope)
  }

  // -------------------------------------------------------------- results from channels

  #received(htlc: IncomingHtlc): void {
    const onion = peelIncoming(htlc, this.#options.nodeSecret)
    if (onion.tag === 'refused') this.#command(htlc.channelId, onion.command)
    else if (this.#onions.isReplay(htlc, this.#options.blockHeight())) {
      this.#command(htlc.channelId, failRead(htlc, onion, { name: 'temporary_node_failure' }))
    } else if (onion.tag === 'forward' && !htlc.excessDust && this.#forwards.mayBeOut(htlc)) {
      this.#effects(this.#forwards.hold(htlc, onion))
    } else if (!this.#options.isSound(htlc.channelId) && !this.#isTaken(htlc, onion.tag)) {
      // It may have expired already, or have nothing behind it: passed on, or paid with a preimage, it would be lost.
      this.#command(htlc.channelId, failRead(htlc, onion, { name: 'temporary_node_failure' }))
    } else if (htlc.excessDust) this.#command(htlc.channelId, failDust(htlc, onion, this.#options.publicUpdate))
    else if (onion.tag === 'final') this.#incoming.received(htlc, onion, this.#scope!)
    else this.#effects(this.#forwards.begin(htlc, onion))
  }

  /** Whether an HTLC is nothing new: it comes again at a start. */
  #isTaken(htlc: IncomingHtlc, where: 'forward' | 'final'): boolean {
    return where === 'forward' ? this.#forwards.has(htlc) : this.#incoming.isTaken(htlc)
  }

  #paymentResult(
    event: Exclude<HtlcEvent, { tag: 'received' }>,
    { paymentHash, attempt }: Extract<HtlcOrigin, { tag: 'payment' }>,
  ): void {
    switch (event.tag) {
      case 'fulfilled':
        return this.#proven(paymentHash, { tag: 'fulfilled', attempt, preimage: event.preimage })
      case 'failed':
        return this.#paymentInput(paymentHash, { tag: 'failed', attempt, failure: event.failure })
      default:
        // What a start takes back may be signed in writes that were lost: it is looked at with all that no channel knows.
        if (!this.#recovery.hasBegun) return
        return this.#paymentInput(paymentHash, { tag: 'rejected', attempt, fault: event.fault })
    }
  }

  // -------------------------------------------------------------- records

  /** Also of a payment that was told as failed long ago, whose record is on disk alone. */
  #proven(hash: PaymentHash, input: PaymentInput): void {
    if (this.outgoing.get(hash)) return this.#paymentInput(hash, input)
    const goOn = (): void => this.#options.post((scope) => this.#within(scope, () => this.#paymentInput(hash, input)))
    this.#scope!.after(() => void this.outgoing.recall(hash).then(goOn, () => {}))
  }

  #paymentInput(hash: PaymentHash, input: PaymentInput): void {
    const record = this.outgoing.get(hash)?.record
    if (record) this.#applyPayment(onPaymentInput(record, input, this.#paymentContext()))
  }

  #applyPayment({ record, effects, lessons = [], plan }: PaymentTurn<PaymentRecord>): void {
    this.outgoing.put(record)
    learn(this.#liquidity, lessons, this.#options.now())
    this.#effects(effects, record.paymentHash)
    this.#goOnLater(record.paymentHash, plan)
  }

  /** A search for routes goes on in a turn of its own: everything else would wait for it. */
  #goOnLater(hash: PaymentHash, plan: RoutePlan | undefined): void {
    if (plan === undefined) return
    this.#plans.set(hash, plan)
    this.#options.post((scope) => {
      if (this.#plans.get(hash) !== plan) return
      this.#plans.delete(hash)
      this.#within(scope, () => this.#paymentInput(hash, { tag: 'plan', plan }))
    })
  }

  #paymentContext(): PaymentContext {
    const { now, blockHeight, nodeId, graph, localChannels, hidesPayee } = this.#options
    return {
      now: now(),
      blockHeight: blockHeight(),
      nodeId,
      graph,
      localChannels: localChannels(),
      liquidity: this.#liquidity,
      entropy: new Uint8Array(randomBytes(32)),
      hidesPayee,
    }
  }

  // -------------------------------------------------------------- effects

  #within<T>(scope: TurnScope, act: () => T): T {
    const outer = this.#scope
    this.#scope = scope
    try {
      return act()
    } finally {
      this.#scope = outer
    }
  }

  #effects(effects: readonly PaymentEffect[], hash?: PaymentHash): void {
    for (const effect of effects) {
      if (effect.tag === 'command') this.#command(effect.channelId, effect.command)
      else if (effect.tag === 'notify') this.#notify(effect.event)
      else if (hash !== undefined) this.#incoming.wake(hash, effect.at)
    }
  }

  /** A channel that is gone cannot take an HTLC; that it cannot settle one either needs no answer. */
  #command(channelId: ChannelId, command: HtlcCommand): void {
    if (this.#options.command(channelId, command) || command.tag !== 'addHtlc') return
    const fault = {
      code: 'CHANNEL_CLOSING',
      response: 'reject-command',
      requirement: 'an HTLC needs a channel',
      detail: `there is no channel ${channelId} any more`,
    } as const
    const event = { tag: 'rejected', origin: command.origin, fault } as const
    if (command.origin.tag === 'payment') this.#paymentResult(event, command.origin)
    else this.#effects(this.#forwards.end(event, command.origin))
  }

  #notify(event: PaymentEvent): void {
    const scope = this.#scope!
    const { events } = this.#options
    if ('forward' in event) {
      this.#forwardEvents.tell(event, scope)
      return
    }
    const { paymentHash } = event
    // The record of this event is put before its effects are handled.
    const about = event.type.startsWith('payment.')
      ? aboutPayment(this.outgoing.get(paymentHash))
      : aboutInvoice(this.invoices.get(paymentHash))
    events.emit(scope, event.type, { paymentHash, ...about })
  }
}
