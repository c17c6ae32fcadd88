import { EMPTY } from '../base/bytes.ts'
import type { ChannelId, PaymentHash } from '../base/ids.ts'
import { type Msat, ZERO_MSAT } from '../base/units.ts'
import { mayBePaid, NOT_KNOWN } from './blame.ts'
import type { Standing } from './held.ts'
import { inFlight, missing, type PaymentContext, proceed, undecided } from './outgoing.ts'
import type { PaymentAttempt, PaymentEffect, PaymentRecord, PaymentTarget, PaymentTurn } from './types.ts'

/*
 * What a start makes of payments. The channels are the truth about what is in flight: records are brought in line with them, whatever a
 * crash kept of either.
 */

/** An HTLC of a payment of ours that some channel still holds. */
export interface LiveHtlc {
  readonly attempt: number
  readonly channelId: ChannelId
  readonly amountMsat: Msat
}

/** Blocks after the expiry of an HTLC in which it may still be settled. @source BOLT 5 §general-nomenclature: 100 are irrevocable */
const SETTLED_BLOCKS = 144

const NOT_OFFERED = 'not offered before the node stopped'
const UNREAD = mayBePaid('cannot be read any more')
const MISSING = mayBePaid('has it no more, and a write is missing')
const UNSENT = `a write is missing, which may have had its last attempt: ${NOT_KNOWN}`

/**
 * After the channels have told every result that they know: attempts that no channel holds were never offered and count as
 * failed, and HTLCs that the record does not know are taken into it, so that the hash is not paid twice.
 * @param isWhole nothing that the channel held was lost; of another an HTLC may be out
 * @param isThere it is known, and tells what becomes of that; of one that is not, until the HTLC has long expired
 */
export function recoverPayment(
  r: PaymentRecord,
  live: readonly LiveHtlc[],
  ctx: PaymentContext,
  isWhole: (channelId: ChannelId) => boolean = () => true,
  isThere: (channelId: ChannelId) => boolean = () => false,
): PaymentTurn<PaymentRecord> {
  const attempts = withUnrecorded(r, live)
  const held = new Set(live.map((h) => h.attempt))
  const mayBeOut = ({ channelId, hops }: PaymentAttempt): boolean =>
    !isWhole(channelId) && (isThere(channelId) || ctx.blockHeight <= (hops[0]?.cltvExpiry ?? 0) + SETTLED_BLOCKS)
  const isLost = (a: PaymentAttempt, i: number): boolean => a.status === 'pending' && !held.has(i) && !mayBeOut(a)
  const isSame = attempts.length === r.attempts.length && !attempts.some(isLost)
  // The routes of what is missing were being looked for.
  if (isSame) return proceed(r, ctx)
  const whyLost = ({ channelId, isDoubted }: PaymentAttempt): string =>
    isDoubted ? MISSING : isWhole(channelId) ? NOT_OFFERED : UNREAD
  const recovered = attempts.map(
    (a, i): PaymentAttempt => (isLost(a, i) ? { ...a, status: 'failed', failure: whyLost(a) } : a),
  )
  const record = pendingAgain({ ...r, attempts: recovered })
  const unknown = attempts
    .filter(isLost)
    .map(whyLost)
    .find((why) => why !== NOT_OFFERED)
  return proceed(unknown === undefined ? record : undecided(record, unknown), ctx)
}

/**
 * A write is missing, which may have had the end of what no channel has any more, the preimage too; or the attempt that routes were being
 * looked for.
 */
export function doubtMissing(r: PaymentRecord, live: readonly LiveHtlc[]): PaymentRecord {
  const held = new Set(live.map((h) => h.attempt))
  const isMissing = (a: PaymentAttempt, i: number): boolean => a.status === 'pending' && !held.has(i)
  const isUnsent = missing({ ...r, attempts: withUnrecorded(r, live) }) > 0n
  const record = r.failure === null && isUnsent ? undecided(r, UNSENT) : r
  if (!r.attempts.some(isMissing)) return record
  return { ...record, attempts: r.attempts.map((a, i) => (isMissing(a, i) ? { ...a, isDoubted: true } : a)) }
}

/**
 * Attempts that no channel knows of and that may be out all the same, as what was offered can be in writes that the disk has lost: each is
 * noted in its channel where that is lost or ends, as forwards are (held.ts).
 * @param earlier how many attempts there were at the start: later ones are under way
 * @returns null when there are none
 */
export function presumeOut(
  { paymentHash, attempts }: PaymentRecord,
  earlier: number,
  live: readonly LiveHtlc[],
  standingOf: (channelId: ChannelId) => Standing | null,
): readonly PaymentEffect[] | null {
  const held = new Set(live.map((h) => h.attempt))
  const isMissing = (i: number): boolean => attempts[i]!.status === 'pending' && !held.has(i)
  const missing = [...attempts.slice(0, earlier).keys()].filter(isMissing)
  if (missing.length === 0) return null
  return missing.flatMap((attempt): readonly PaymentEffect[] => {
    const { channelId, hops } = attempts[attempt]!
    if (hops.length === 0 || standingOf(channelId) !== 'lost') return []
    const { amountMsat, cltvExpiry } = hops[0]!
    const origin = { tag: 'payment', paymentHash, attempt } as const
    return [{ tag: 'command', channelId, command: { tag: 'presumeHtlc', amountMsat, paymentHash, cltvExpiry, origin } }]
  })
}

function withUnrecorded(r: PaymentRecord, live: readonly LiveHtlc[]): PaymentAttempt[] {
  const attempts = [...r.attempts]
  for (const htlc of live) {
    while (attempts.length <= htlc.attempt) attempts.push({ ...unrecorded(htlc), status: 'failed' })
    if (htlc.attempt >= r.attempts.length) attempts[htlc.attempt] = unrecorded(htlc)
  }
  return attempts
}

/** A payment that has failed has not, where an HTLC of it is out. */
const pendingAgain = (r: PaymentRecord): PaymentRecord =>
  r.status === 'failed' && inFlight(r).length > 0 ? { ...r, status: 'pending', completedAt: null } : r

/** HTLCs are out that the record, which may be of another life of the database, does not know or has given up: they decide how it ends. */
export function reopenPayment(r: PaymentRecord, live: readonly LiveHtlc[]): PaymentTurn<PaymentRecord> {
  const attempts = withUnrecorded(r, live)
  for (const htlc of live) if (attempts[htlc.attempt]!.status === 'failed') attempts[htlc.attempt] = unrecorded(htlc)
  return { record: pendingAgain({ ...r, attempts }), effects: [] }
}

/** A record for HTLCs whose payment was not stored before a crash: nothing more is sent, and they decide how it ends. */
export function interruptedPayment(
  paymentHash: PaymentHash,
  live: readonly LiveHtlc[],
  ctx: PaymentContext,
): PaymentTurn<PaymentRecord> {
  const target: PaymentTarget = {
    payee: null,
    amountMsat: live.reduce((sum, h) => sum + h.amountMsat, 0n) as Msat,
    maxFeeMsat: ZERO_MSAT,
    maxParts: 1,
    deadline: 0,
    finalCltvDelta: 0,
    paymentSecret: null,
    paymentMetadata: null,
    keysendPreimage: null,
    routeHints: [],
    bolt11: null,
  }
  const record: PaymentRecord = {
    paymentHash,
    status: 'pending',
    target,
    attempts: [],
    since: 0,
    excludedChannels: [],
    excludedNodes: [],
    excludedLocal: [],
    preimage: null,
    failure: { code: 'INTERRUPTED', detail: 'the node stopped while this payment was being started' },
    createdAt: ctx.now,
    completedAt: null,
  }
  return recoverPayment(record, live, ctx)
}

const unrecorded = (h: LiveHtlc): PaymentAttempt => ({
  status: 'pending',
  sessionKey: EMPTY,
  channelId: h.channelId,
  hops: [],
  amountMsat: h.amountMsat,
  feeMsat: ZERO_MSAT,
  failure: null,
})
