import { equalBytes, equalBytesConstantTime, fromHex } from '../base/bytes.ts'
import type { PaymentHash } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { Msat } from '../base/units.ts'
import type { IncomingHtlc } from '../channel/types.ts'
import { crypto } from '../crypto/crypto.ts'
import { buildErrorPacket } from '../onion/errorPacket.ts'
import type { OnionFailure } from '../onion/failure.ts'
import type { FinalOnion } from './peel.ts'
import type { InvoiceRecord, PaymentEffect, PaymentTurn, ReceivedHtlc } from './types.ts'

export interface IncomingContext {
  /** Unix ms. */
  readonly now: number
  readonly blockHeight: number
  readonly acceptKeysend: boolean
  /** For keysend, in blocks. */
  readonly minFinalCltvExpiryDelta: number
  /** HOLD_RELEASE_BLOCKS when left out. */
  readonly holdReleaseBlocks?: number
  /** Whether the parts of a payment that is whole can be claimed on chain if they have to be; always when left out. */
  readonly hasRoom?: (record: InvoiceRecord) => boolean
}

/** How long the parts of a payment are waited for, from the first. @source BOLT 4 §basic-multi-part-payments: at least 60 s */
export const MPP_TIMEOUT_MS = 60_000
/** Held HTLCs go back this many blocks before they expire, so that nobody closes a channel over them. */
export const HOLD_RELEASE_BLOCKS = 12

/** The same, where channels go on chain sooner: a preimage that is given out later would find one on its way. */
export const holdReleaseBlocks = (closeBeforeExpiry: number): number => Math.max(HOLD_RELEASE_BLOCKS, closeBeforeExpiry)

/** The height at which what a hold invoice holds goes back by itself; null where it holds no whole payment. */
export const settleBefore = (r: InvoiceRecord, releaseBlocks: number): number | null =>
  r.status === 'accepted' ? Math.min(...r.htlcs.map((h) => h.cltvExpiry)) - releaseBlocks : null

export interface NewInvoice
  extends Pick<
    InvoiceRecord,
    | 'paymentHash'
    | 'preimage'
    | 'amountMsat'
    | 'minFinalCltvExpiryDelta'
    | 'bolt11'
    | 'description'
    | 'descriptionHash'
    | 'createdAt'
    | 'expiresAt'
  > {
  /** 32 B. */
  readonly paymentSecret: Uint8Array
}

/** The record of a new invoice; without a preimage, of a hold invoice. */
export const newInvoice = (i: NewInvoice): InvoiceRecord => ({
  ...i,
  kind: i.preimage === null ? 'hold' : 'invoice',
  status: 'open',
  settledAt: null,
  htlcs: [],
  totalMsat: null,
  setStartedAt: null,
})

/** msat in the HTLC set. */
export const receivedMsat = (r: Pick<InvoiceRecord, 'htlcs'>): Msat =>
  r.htlcs.reduce((sum, h) => sum + h.amountMsat, 0n) as Msat

/** The whole payment has come; until it is settled, or held, it waits for room. */
export const isWhole = (r: Pick<InvoiceRecord, 'htlcs' | 'totalMsat'>): boolean =>
  r.totalMsat !== null && receivedMsat(r) >= r.totalMsat

const keyOf = (h: { channelId: string; id: bigint }): string => `${h.channelId}:${h.id}`

// ---------------------------------------------------------------- commands and events

const fulfill = (h: ReceivedHtlc, preimage: Uint8Array): PaymentEffect => ({
  tag: 'command',
  channelId: h.channelId,
  command: { tag: 'fulfillHtlc', id: h.id, preimage },
})
const fail = (h: ReceivedHtlc, failure: OnionFailure): PaymentEffect => ({
  tag: 'command',
  channelId: h.channelId,
  command: { tag: 'failHtlc', id: h.id, reason: buildErrorPacket(h.sharedSecret, failure) },
})
const notify = (
  type: 'invoice.accepted' | 'invoice.settled' | 'invoice.expired',
  paymentHash: PaymentHash,
): PaymentEffect => ({
  tag: 'notify',
  event: { type, paymentHash },
})
const unknownDetails = (h: ReceivedHtlc, blockHeight: number): OnionFailure => ({
  name: 'incorrect_or_unknown_payment_details',
  htlcMsat: h.amountMsat,
  height: blockHeight,
})

// ---------------------------------------------------------------- an HTLC for us

/**
 * An HTLC that ends here. Repeats after a restart change nothing and repeat the commands.
 * @param record of its payment hash; undefined when there is none
 * @returns the record to store, if any, and what to do with this HTLC and perhaps the others of its set
 * @source BOLT 4 §failure-messages (the final node), §basic-multi-part-payments
 */
export function receiveHtlc(
  record: InvoiceRecord | undefined,
  htlc: IncomingHtlc,
  onion: FinalOnion,
  ctx: IncomingContext,
): PaymentTurn<InvoiceRecord | undefined> {
  const part = partOf(htlc, onion)
  const arrival: Arrival = { part, onion, ctx }
  const invoice = record ?? keysendInvoice(htlc.paymentHash, onion, ctx)
  if (invoice?.htlcs.some((h) => keyOf(h) === keyOf(part))) return repeat(invoice, arrival)
  // Before anything that depends on the invoice: a hop that suspects us could else ask whether we know the hash.
  const cut = finalFailure(arrival)
  if (invoice === null) return { record, effects: [fail(part, cut ?? unknownDetails(part, ctx.blockHeight))] }
  const failure = cut ?? invoiceFailure(invoice, arrival)
  if (failure === null) return addToSet(invoice, arrival)
  const effects = [fail(part, failure)]
  if (invoice.status === 'open' && failsSet(invoice, arrival)) {
    return { record: withoutSet(invoice), effects: [...effects, ...failSet(invoice, failure)] }
  }
  return { record, effects }
}

const partOf = (htlc: IncomingHtlc, { sharedSecret }: FinalOnion): ReceivedHtlc => {
  const { channelId, id, amountMsat, cltvExpiry } = htlc
  return { channelId, id, amountMsat, cltvExpiry, sharedSecret }
}

interface Arrival {
  readonly part: ReceivedHtlc
  readonly onion: FinalOnion
  readonly ctx: IncomingContext
}

/** An HTLC that the record knows is there again: what was decided is done again. */
function repeat(r: InvoiceRecord, { part, ctx }: Arrival): PaymentTurn<InvoiceRecord> {
  if (r.status === 'settled') return { record: r, effects: [fulfill(part, r.preimage!)] }
  if (r.status === 'cancelled' || r.status === 'expired') {
    return { record: r, effects: [fail(part, unknownDetails(part, ctx.blockHeight))] }
  }
  return { record: r, effects: r.setStartedAt === null ? [] : [{ tag: 'wake', at: r.setStartedAt + MPP_TIMEOUT_MS }] }
}

/** The HTLC against its own onion: a node on the way took or waited too much. */
function finalFailure({ part, onion }: Arrival): OnionFailure | null {
  if (part.cltvExpiry < onion.outgoingCltvValue) {
    return { name: 'final_incorrect_cltv_expiry', cltvExpiry: part.cltvExpiry }
  }
  if (part.amountMsat < onion.amtToForward) {
    return { name: 'final_incorrect_htlc_amount', incomingHtlcAmt: part.amountMsat }
  }
  return null
}

/** The HTLC against the invoice. One answer for all that is wrong: anything else would help whoever probes. */
function invoiceFailure(r: InvoiceRecord, { part, onion, ctx }: Arrival): OnionFailure | null {
  const brought = receivedMsat(r) + part.amountMsat
  const most = r.amountMsat === null ? null : 2n * r.amountMsat
  const amountFits = most === null || (onion.totalMsat >= r.amountMsat! && onion.totalMsat <= most && brought <= most)
  const timeFits = part.cltvExpiry >= ctx.blockHeight + r.minFinalCltvExpiryDelta
  // Without a secret nobody can be trusted to add parts, so a keysend is one HTLC.
  const partFits = onion.totalMsat > 0n && (r.paymentSecret !== null || part.amountMsat >= onion.totalMsat)
  const fits = secretFits(r, onion) && amountFits && timeFits && partFits && isOpenFor(r, onion, ctx)
  return fits ? null : unknownDetails(part, ctx.blockHeight)
}

const secretFits = (r: InvoiceRecord, { paymentSecret }: FinalOnion): boolean =>
  r.paymentSecret === null || (paymentSecret !== null && equalBytesConstantTime(r.paymentSecret, paymentSecret))

function isOpenFor(r: InvoiceRecord, onion: FinalOnion, ctx: IncomingContext): boolean {
  const sameSet = r.totalMsat === null || r.totalMsat === onion.totalMsat
  if (r.status === 'open') return sameSet && !isWhole(r) && (r.setStartedAt !== null || ctx.now < r.expiresAt)
  // A crash can leave a settled record with less than its whole set: the preimage is out, so the other parts are ours too.
  return r.status === 'settled' && r.kind !== 'keysend' && sameSet && receivedMsat(r) < onion.totalMsat
}

/** A part that disagrees about the total spoils its whole set; only the payer knows the secret that makes it a part. */
const failsSet = (r: InvoiceRecord, { onion }: Arrival): boolean =>
  r.totalMsat !== null && r.totalMsat !== onion.totalMsat && secretFits(r, onion)

function addToSet(r: InvoiceRecord, { part, onion, ctx }: Arrival): PaymentTurn<InvoiceRecord | undefined> {
  const record: InvoiceRecord = {
    ...r,
    htlcs: [...r.htlcs, part],
    totalMsat: onion.totalMsat,
    setStartedAt: r.setStartedAt ?? ctx.now,
  }
  if (r.status === 'settled') return { record, effects: [fulfill(part, r.preimage!)] }
  const taken = whole(record, ctx)
  if (taken !== null) return taken
  // Without a secret, whoever passed it on could pay a record that is open with a millisatoshi, and has the preimage.
  if (r.kind === 'keysend') return { record: undefined, effects: [fail(part, { name: 'temporary_node_failure' })] }
  return { record, effects: [{ tag: 'wake', at: record.setStartedAt! + MPP_TIMEOUT_MS }] }
}

/** Takes a payment, or holds it; null while parts are missing, or there is no room for them. */
function whole(r: InvoiceRecord, ctx: Pick<IncomingContext, 'now' | 'hasRoom'>): PaymentTurn<InvoiceRecord> | null {
  if (!isWhole(r) || ctx.hasRoom?.(r) === false) return null
  if (r.preimage !== null) return settle(r, r.preimage, ctx.now)
  return { record: { ...r, status: 'accepted' }, effects: [notify('invoice.accepted', r.paymentHash)] }
}

function settle(r: InvoiceRecord, preimage: Uint8Array, now: number): PaymentTurn<InvoiceRecord> {
  return {
    record: { ...r, status: 'settled', preimage, settledAt: now },
    effects: [...r.htlcs.map((h) => fulfill(h, preimage)), notify('invoice.settled', r.paymentHash)],
  }
}

/** A payment that brings its own preimage (bLIP 3) makes its own invoice; null for any other. */
export function keysendInvoice(
  paymentHash: PaymentHash,
  onion: FinalOnion,
  ctx: IncomingContext,
): InvoiceRecord | null {
  const preimage = onion.keysendPreimage
  if (!ctx.acceptKeysend || preimage === null || !equalBytes(crypto.sha256(preimage), fromHex(paymentHash))) return null
  return {
    paymentHash,
    kind: 'keysend',
    status: 'open',
    preimage,
    paymentSecret: null,
    amountMsat: null,
    minFinalCltvExpiryDelta: ctx.minFinalCltvExpiryDelta,
    bolt11: null,
    description: null,
    createdAt: ctx.now,
    expiresAt: Number.MAX_SAFE_INTEGER,
    settledAt: null,
    htlcs: [],
    totalMsat: null,
    setStartedAt: null,
  }
}

const withoutSet = (r: InvoiceRecord): InvoiceRecord => ({ ...r, htlcs: [], totalMsat: null, setStartedAt: null })
const failSet = (r: InvoiceRecord, failure: OnionFailure): readonly PaymentEffect[] =>
  r.htlcs.map((h) => fail(h, failure))

// ---------------------------------------------------------------- time

/**
 * Time has passed, a block came, or there may be room: takes a payment that waits for that; gives back the parts of one that stayed
 * incomplete, or found no room, and held HTLCs that are about to expire; expires the invoice.
 */
export function tickInvoice(
  r: InvoiceRecord,
  ctx: Pick<IncomingContext, 'now' | 'blockHeight' | 'holdReleaseBlocks' | 'hasRoom'>,
): PaymentTurn<InvoiceRecord> {
  if (r.status !== 'open' && r.status !== 'accepted') return { record: r, effects: [] }
  const release = ctx.blockHeight + (ctx.holdReleaseBlocks ?? HOLD_RELEASE_BLOCKS)
  if (r.htlcs.some((h) => h.cltvExpiry <= release)) {
    return r.status === 'accepted' ? cancel(r, ctx.blockHeight) : timeOut(r)
  }
  if (r.status === 'accepted') return { record: r, effects: [] }
  if (r.setStartedAt !== null) {
    const until = r.setStartedAt + MPP_TIMEOUT_MS
    const taken = whole(r, ctx)
    if (taken !== null) return taken
    return ctx.now >= until ? timeOut(r) : { record: r, effects: [{ tag: 'wake', at: until }] }
  }
  if (ctx.now < r.expiresAt) return { record: r, effects: [] }
  return { record: { ...r, status: 'expired' }, effects: [notify('invoice.expired', r.paymentHash)] }
}

const timeOut = (r: InvoiceRecord): PaymentTurn<InvoiceRecord> => ({
  record: withoutSet(r),
  effects: failSet(r, { name: 'mpp_timeout' }),
})

const cancel = (r: InvoiceRecord, blockHeight: number): PaymentTurn<InvoiceRecord> => ({
  record: { ...r, status: 'cancelled' },
  effects: r.htlcs.map((h) => fail(h, unknownDetails(h, blockHeight))),
})

// ---------------------------------------------------------------- what the operator asks

export type InvoiceCommandFault =
  | { readonly code: 'NOT_ACCEPTED'; readonly detail: string }
  | { readonly code: 'WRONG_PREIMAGE'; readonly detail: string }
  | { readonly code: 'ALREADY_SETTLED'; readonly detail: string }

/** Takes the payment that a hold invoice holds. Doing it again repeats the commands. */
export function settleInvoice(
  r: InvoiceRecord,
  preimage: Uint8Array,
  now: number,
): Result<PaymentTurn<InvoiceRecord>, InvoiceCommandFault> {
  if (!equalBytes(crypto.sha256(preimage), fromHex(r.paymentHash))) {
    return err({ code: 'WRONG_PREIMAGE', detail: 'the SHA-256 of the preimage is not the payment hash of the invoice' })
  }
  if (r.status === 'settled') return ok({ record: r, effects: r.htlcs.map((h) => fulfill(h, preimage)) })
  if (r.status !== 'accepted') {
    return err({
      code: 'NOT_ACCEPTED',
      detail: `the invoice is ${r.status}: it can be settled once its whole amount has arrived`,
    })
  }
  return ok(settle(r, preimage, now))
}

/** Gives back what is held and takes no more. Doing it again repeats the commands. */
export function cancelInvoice(
  r: InvoiceRecord,
  blockHeight: number,
): Result<PaymentTurn<InvoiceRecord>, InvoiceCommandFault> {
  if (r.status === 'settled') return err({ code: 'ALREADY_SETTLED', detail: 'the invoice is paid' })
  return ok(cancel(r, blockHeight))
}

// ---------------------------------------------------------------- after a crash

/** An incoming HTLC that its channel has fulfilled. */
export interface ReleasedHtlc {
  readonly htlc: IncomingHtlc
  readonly onion: FinalOnion
  readonly preimage: Uint8Array
}

/**
 * A channel shows that we gave the preimage out for HTLCs which the record does not count: the channel was stored, the record was
 * not. The invoice is settled then, and parts of the same payment that come again are taken.
 * @param released of this payment hash
 */
export function recoverInvoice(
  r: InvoiceRecord,
  released: readonly ReleasedHtlc[],
  now: number,
): PaymentTurn<InvoiceRecord> {
  const first = released[0]
  if (first === undefined || r.status === 'settled') return { record: r, effects: [] }
  const known = new Set(r.htlcs.map(keyOf))
  const more = released.filter((x) => !known.has(keyOf(x.htlc))).map((x) => partOf(x.htlc, x.onion))
  const record = {
    ...r,
    htlcs: [...r.htlcs, ...more],
    totalMsat: first.onion.totalMsat,
    setStartedAt: r.setStartedAt ?? now,
  }
  return settle(record, first.preimage, now)
}

/**
 * The channels say which HTLCs of a payment are still undecided. A settled invoice decides them again. Where an HTLC that an invoice
 * holds is failed or gone, its record was not stored with that, and the payment cannot be taken any more.
 */
export function recoverSet(
  r: InvoiceRecord,
  isUndecided: (htlc: Pick<ReceivedHtlc, 'channelId' | 'id'>) => boolean,
  blockHeight: number,
): PaymentTurn<InvoiceRecord> {
  const left = r.htlcs.filter(isUndecided)
  if (r.status === 'settled') return { record: r, effects: left.map((h) => fulfill(h, r.preimage!)) }
  if ((r.status !== 'open' && r.status !== 'accepted') || left.length === r.htlcs.length)
    return { record: r, effects: [] }
  const rest = { ...r, htlcs: left }
  return r.status === 'accepted' ? cancel(rest, blockHeight) : timeOut(rest)
}
