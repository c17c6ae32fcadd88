import type { PaymentHash } from '../base/ids.ts'
import type { IncomingHtlc } from '../channel/types.ts'
import {
  holdReleaseBlocks,
  type IncomingContext,
  isWhole,
  keysendInvoice,
  type ReleasedHtlc,
  receiveHtlc,
  recoverInvoice,
  recoverSet,
  tickInvoice,
} from '../payment/incoming.ts'
import { type FinalOnion, failRead, peelIncoming } from '../payment/peel.ts'
import type { InvoiceRecord, PaymentEffect, PaymentTurn } from '../payment/types.ts'
import type { Driver } from '../store/types.ts'
import type { Changes } from './changes.ts'
import type { ClaimRoom } from './claimRoom.ts'
import { incomingKey } from './forwards.ts'
import type { ExpiryMargins } from './margins.ts'
import type { TurnScope } from './reactor.ts'
import { RecordBook } from './recordBook.ts'

export interface IncomingOptions {
  readonly driver: Driver
  readonly changes: Changes
  readonly newId: () => string
  readonly margins: ExpiryMargins
  readonly nodeSecret: Uint8Array
  /** Unix milliseconds. */
  readonly now: () => number
  readonly blockHeight: () => number
  readonly claims: ClaimRoom
  /** An HTLC that was told of may be decided on yet. */
  readonly stillStands: (htlc: Pick<IncomingHtlc, 'channelId' | 'id'>) => boolean
  /** Runs it in a turn that comes, in which `effects` has its scope. */
  readonly later: (task: () => void) => void
  /** Does what an invoice calls for, in the turn that runs. */
  readonly effects: (effects: readonly PaymentEffect[], hash?: PaymentHash) => void
}

/** Invoices: a few milliseconds. */
const LOOKS_PER_TURN = 5_000
/** Where hundreds wait, a turn would take as long as all of them. */
const MISSES_PER_TURN = 4
/** Each makes a record for good: whoever fills the disk with them pays for it. */
const LEAST_KEYSEND_MSAT = 1_000n

/** What is paid to us: the records of invoices, when to look at them again, and the HTLCs that end here. */
export class Incoming {
  readonly book: RecordBook<InvoiceRecord>
  readonly #options: IncomingOptions
  /** When to look at an invoice again, Unix ms. */
  readonly #wakes = new Map<PaymentHash, number>()
  /** Whole payments that wait for room. */
  readonly #waiting = new Set<PaymentHash>()
  /** Of those, for which there may be room. */
  readonly #toLookAt = new Set<PaymentHash>()
  #isGoingOn = false

  constructor(options: IncomingOptions) {
    this.#options = options
    const { driver, changes, newId } = options
    this.book = new RecordBook({ kind: 'invoice', driver, changes, newId, live: ['open', 'accepted'] })
  }

  /** An HTLC of which we are the last hop. */
  received(htlc: IncomingHtlc, onion: FinalOnion, scope: TurnScope): void {
    // An invoice that is over is on disk alone, and must not be taken for none by a payment that would make its own under the same hash.
    if (this.#makesOne(htlc, onion)) this.#recallFor(htlc, onion, scope)
    else this.#receive(htlc, onion)
  }

  /** Whether an HTLC was counted before, or is for what is paid: then it is nothing new that it comes again at a start. */
  isTaken(htlc: IncomingHtlc): boolean {
    const invoice = this.#record(htlc.paymentHash)
    const isPart = invoice?.htlcs.some((h) => h.channelId === htlc.channelId && h.id === htlc.id)
    return invoice?.status === 'settled' || isPart === true
  }

  apply({ record, effects }: PaymentTurn<InvoiceRecord | undefined>): void {
    if (record) this.#put(record)
    this.#options.effects(effects, record?.paymentHash)
  }

  /** HTLCs of channels may be gone: what waits for room is looked at in turns that come, a few in each. */
  makeRoom(): void {
    // Those that were not reached yet stay before the others.
    for (const hash of this.#waiting) this.#toLookAt.add(hash)
    this.#goOnLater()
  }

  /** @param at Unix ms at which the invoice is to be looked at, if not before */
  wake(hash: PaymentHash, at: number): void {
    this.#wakes.set(hash, Math.min(at, this.#wakes.get(hash) ?? at))
  }

  hasDue(): boolean {
    const now = this.#options.now()
    for (const at of this.#wakes.values()) if (at <= now) return true
    return false
  }

  /** Looks at what asked to be looked at by now. */
  tick(): void {
    const now = this.#options.now()
    const due = [...this.#wakes].filter(([, at]) => at <= now).map(([hash]) => hash)
    for (const hash of due) {
      this.#wakes.delete(hash)
      this.#look(hash)
    }
  }

  /** Looks at every invoice that is open. */
  review(): void {
    this.#lookAt(this.book.live().map(({ record }) => record.paymentHash))
  }

  /**
   * Brings the records in line with the channels after a start.
   * @param released HTLCs that we have given a preimage for and that are not gone yet
   * @param undecided HTLCs that are yet to be decided on
   */
  recover(
    released: readonly { readonly htlc: IncomingHtlc; readonly preimage: Uint8Array }[],
    undecided: readonly IncomingHtlc[],
  ): void {
    const byHash = new Map<PaymentHash, ReleasedHtlc[]>()
    for (const { htlc, preimage } of released) {
      const onion = peelIncoming(htlc, this.#options.nodeSecret)
      if (onion.tag !== 'final') continue
      byHash.set(htlc.paymentHash, [...(byHash.get(htlc.paymentHash) ?? []), { htlc, onion, preimage }])
    }
    for (const [hash, htlcs] of byHash) {
      const ctx = this.#context()
      const record = this.#record(hash) ?? keysendInvoice(hash, htlcs[0]!.onion, ctx)
      if (record) this.apply(recoverInvoice(record, htlcs, ctx.now))
    }
    const open = new Set(undecided.map((h) => incomingKey(h.channelId, h.id)))
    const isOpen = (h: Pick<IncomingHtlc, 'channelId' | 'id'>): boolean => open.has(incomingKey(h.channelId, h.id))
    const hashes = [...this.book.live().map((b) => b.record.paymentHash), ...undecided.map((h) => h.paymentHash)]
    for (const { htlc } of released) this.#options.claims.keep([htlc], htlc.paymentHash)
    for (const hash of new Set(hashes)) {
      const record = this.#record(hash)
      if (record) this.#count(record)
      if (record) this.apply(recoverSet(record, isOpen, this.#options.blockHeight()))
    }
  }

  // -------------------------------------------------------------- inside

  #put(record: InvoiceRecord): void {
    const before = this.#record(record.paymentHash)
    this.book.put(record)
    if (before === record) return
    const wasWaiting = this.#waiting.has(record.paymentHash)
    this.#count(record)
    const isBack = wasWaiting && record.status === 'open' && !isWhole(record)
    if (isBack) this.#options.claims.refused(before!.htlcs, record.paymentHash)
  }

  #count(record: InvoiceRecord): void {
    const { paymentHash, status, htlcs } = record
    if (status === 'settled' || status === 'accepted') this.#options.claims.keep(htlcs, paymentHash)
    if (status === 'open' && isWhole(record)) this.#waiting.add(paymentHash)
    else this.#waiting.delete(paymentHash)
  }

  #goOnLater(): void {
    if (this.#isGoingOn || this.#toLookAt.size === 0) return
    this.#isGoingOn = true
    this.#options.later(() => {
      this.#isGoingOn = false
      this.#goOn()
      this.#goOnLater()
    })
  }

  #goOn(): void {
    let misses = 0
    for (const hash of this.#toLookAt) {
      this.#toLookAt.delete(hash)
      this.#look(hash)
      if (this.#waiting.has(hash) && ++misses === MISSES_PER_TURN) return
    }
  }

  #record(hash: PaymentHash): InvoiceRecord | undefined {
    return this.book.get(hash)?.record
  }

  #makesOne({ paymentHash, amountMsat }: IncomingHtlc, onion: FinalOnion): boolean {
    if (this.#record(paymentHash) !== undefined) return false
    return keysendInvoice(paymentHash, onion, this.#context(amountMsat)) !== null
  }

  #receive(htlc: IncomingHtlc, onion: FinalOnion): void {
    this.apply(receiveHtlc(this.#record(htlc.paymentHash), htlc, onion, this.#context(htlc.amountMsat)))
  }

  #recallFor(htlc: IncomingHtlc, onion: FinalOnion, scope: TurnScope): void {
    const { later, effects } = this.#options
    const { channelId, paymentHash } = htlc
    const goOn = (): void => later(() => this.#receive(htlc, onion))
    const giveBack = (): void =>
      later(() => {
        const command = failRead(htlc, onion, { name: 'temporary_node_failure' })
        effects([{ tag: 'command', channelId, command }])
      })
    scope.after(() => void this.book.recall(paymentHash).then(goOn, giveBack))
  }

  /** Some in this turn and the rest in those that come: there may be 200,000. */
  #lookAt(hashes: readonly PaymentHash[]): void {
    for (const hash of hashes.slice(0, LOOKS_PER_TURN)) this.#look(hash)
    const rest = hashes.slice(LOOKS_PER_TURN)
    if (rest.length > 0) this.#options.later(() => this.#lookAt(rest))
  }

  #look(hash: PaymentHash): void {
    const invoice = this.#record(hash)
    if (invoice) this.apply(tickInvoice(invoice, this.#context()))
  }

  #context(amountMsat: bigint = LEAST_KEYSEND_MSAT): IncomingContext {
    const { now, blockHeight, margins } = this.#options
    const { minFinalCltvExpiryDelta, closeBeforeExpiry } = margins
    return {
      now: now(),
      blockHeight: blockHeight(),
      acceptKeysend: amountMsat >= LEAST_KEYSEND_MSAT,
      minFinalCltvExpiryDelta,
      holdReleaseBlocks: holdReleaseBlocks(closeBeforeExpiry),
      hasRoom: (record) => this.#hasRoom(record),
    }
  }

  #hasRoom({ htlcs, paymentHash, kind }: InvoiceRecord): boolean {
    const { claims, stillStands } = this.#options
    if (!htlcs.every(stillStands)) return false
    if (claims.hasRoom(htlcs, paymentHash)) return true
    // What has no invoice does not wait.
    if (kind === 'keysend') claims.refused(htlcs, paymentHash)
    return false
  }
}
