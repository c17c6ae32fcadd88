import { assertNever } from '../base/errors.ts'
import type { ChannelId, NodeId, PaymentHash } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { Msat } from '../base/units.ts'
import type { Fault, HtlcFailure } from '../channel/types.ts'
import type { Graph } from '../routing/graph.ts'
import type { Liquidity } from '../routing/liquidity.ts'
import { shadowDelta } from '../routing/shadow.ts'
import { planRoutes, type RoutePlan, take } from '../routing/split.ts'
import type { DirectedChannel, LocalChannel, Route, RouteFault } from '../routing/types.ts'
import { buildAttempt, maxHopsFor } from './attempt.ts'
import { type Blame, blame, NOBODY } from './blame.ts'
import { lessonsOfFailure, lessonsOfSuccess } from './lessons.ts'
import type {
  NarrowChannel,
  PaymentAttempt,
  PaymentEffect,
  PaymentFailure,
  PaymentRecord,
  PaymentTarget,
  PaymentTurn,
} from './types.ts'

export interface PaymentContext {
  /** Unix ms. */
  readonly now: number
  readonly blockHeight: number
  readonly nodeId: NodeId
  readonly graph: Graph
  /** As they are now: what other payments of the same turn have taken is taken off. */
  readonly localChannels: readonly LocalChannel[]
  /** What earlier payments taught. */
  readonly liquidity?: Liquidity
  /** 32 fresh random bytes. */
  readonly entropy: Uint8Array
  /** HTLCs of new payments expire later than they need to (routing/shadow.ts). */
  readonly hidesPayee?: boolean
}

export type PaymentInput =
  | { readonly tag: 'fulfilled'; readonly attempt: number; readonly preimage: Uint8Array }
  | { readonly tag: 'failed'; readonly attempt: number; readonly failure: HtlcFailure }
  /** The channel did not take the HTLC. */
  | { readonly tag: 'rejected'; readonly attempt: number; readonly fault: Fault }
  /** No more attempts; what is in flight decides. */
  | { readonly tag: 'cancel' }
  /** There is another turn to look for routes in. */
  | { readonly tag: 'plan'; readonly plan: RoutePlan }

export interface PaymentStartFault {
  readonly code: 'ALREADY_PAID' | 'PAYMENT_PENDING' | RouteFault['code']
  readonly detail: string
}

/** Blocks may come while a payment is on its way: the last expiry allows for so many. */
const EXPIRY_MARGIN = 3
/** @source BOLT 4 §max_htlc_cltv-selection */
const MAX_HTLC_CLTV = 2016
/** A week: HTLCs are not made to expire later than this to hide the payee, so that one that hangs does not do so for a fortnight. */
const MOST_WITH_SHADOW = 1008
/** HTLCs that one try of a payment may use up. */
export const MAX_ATTEMPTS = 100

const notify = (
  type: 'payment.pending' | 'payment.succeeded' | 'payment.failed',
  paymentHash: PaymentHash,
): PaymentEffect => ({
  tag: 'notify',
  event: { type, paymentHash },
})

/** Attempts of the current try that still count towards the amount. */
const alive = (r: PaymentRecord): readonly PaymentAttempt[] => r.attempts.filter((a) => a.status !== 'failed')
/** Attempts whose HTLCs are out. */
export const inFlight = (r: PaymentRecord): readonly PaymentAttempt[] =>
  r.attempts.filter((a) => a.status === 'pending')
const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)

/** What the payment has cost, or will if all that is in flight succeeds. */
export const paymentFee = (r: PaymentRecord): Msat => sum(alive(r).map((a) => a.feeMsat)) as Msat

/**
 * Begins to pay, unless the hash is being paid or has been.
 * @param known the record of the payment hash, if any: a failed one is taken up again
 * @returns a fault when nothing was started and nothing is to be stored
 */
export function startPayment(
  known: PaymentRecord | undefined,
  { paymentHash, target }: { readonly paymentHash: PaymentHash; readonly target: PaymentTarget },
  ctx: PaymentContext,
): Result<PaymentTurn<PaymentRecord>, PaymentStartFault> {
  if (known?.status === 'succeeded')
    return err({ code: 'ALREADY_PAID', detail: 'this payment hash has been paid: see its payment' })
  if (known?.status === 'pending')
    return err({
      code: 'PAYMENT_PENDING',
      detail: 'this payment hash is being paid: wait for its payment, or cancel it',
    })
  const attempts = known?.attempts ?? []
  const record: PaymentRecord = {
    ...hiding(known, target, ctx),
    paymentHash,
    status: 'pending',
    target,
    attempts,
    since: attempts.length,
    ...(known?.failure?.code === 'OUTCOME_UNKNOWN' && { mayBePaid: true }),
    excludedChannels: [],
    excludedNodes: [],
    excludedLocal: [],
    preimage: null,
    failure: null,
    createdAt: ctx.now,
    completedAt: null,
  }
  const plan = planFor(record, ctx)
  if (!plan.ok) return plan
  const routes = plan.value.advance(ctx.graph)
  if (routes !== null && !routes.ok) return routes
  const begun = notify('payment.pending', paymentHash)
  if (routes === null) return ok({ record, effects: [begun], plan: plan.value })
  const turn = send(record, routes.value, ctx)
  return ok({ record: turn.record, effects: [begun, ...turn.effects] })
}

/** Whoever sees several tries of a payment could take the least for what the payee asks, if they differed. */
function hiding(
  known: PaymentRecord | undefined,
  { payee, routeHints }: PaymentTarget,
  { graph, entropy, hidesPayee }: PaymentContext,
): Pick<PaymentRecord, 'shadowDelta'> {
  if (known?.shadowDelta !== undefined) return { shadowDelta: known.shadowDelta }
  const from = [payee, ...routeHints.map(([entry]) => entry?.nodeId)].filter((id) => id != null)
  return hidesPayee === true ? { shadowDelta: shadowDelta(graph, from, entropy) } : {}
}

/** Takes in what became of an attempt, and tries again where that is of use. Repeats change nothing. */
export function onPaymentInput(r: PaymentRecord, input: PaymentInput, ctx: PaymentContext): PaymentTurn<PaymentRecord> {
  switch (input.tag) {
    case 'fulfilled':
      return succeed(r, input.attempt, input.preimage, ctx)
    case 'failed': {
      const attempt = r.attempts[input.attempt]
      if (attempt?.status !== 'pending') return { record: r, effects: [] }
      const known = { graph: ctx.graph, learned: r.learned ?? [], amountMsat: r.target.amountMsat }
      const found = blame(attempt, input.failure, known)
      const turn = proceed(withBlame(r, input.attempt, found), ctx)
      return found.shown === null ? turn : { ...turn, lessons: lessonsOfFailure(attempt.hops, found.shown, ctx.graph) }
    }
    case 'rejected': {
      const attempt = r.attempts[input.attempt]
      if (attempt?.status !== 'pending') return { record: r, effects: [] }
      const detail = `our channel did not take it: ${input.fault.detail}`
      const refused = { ...NOBODY, detail, local: seemsFit(attempt, ctx) ? [attempt.channelId] : [] }
      return proceed(withBlame(r, input.attempt, refused), ctx)
    }
    case 'cancel': {
      if (r.status !== 'pending' || r.failure !== null) return { record: r, effects: [] }
      return proceed(giveUp(r, { code: 'CANCELLED', detail: 'cancelled by the user' }), ctx)
    }
    case 'plan': {
      const isOpen = r.status === 'pending' && r.failure === null && limitReached(r, ctx) === null
      return isOpen && input.plan.amountMsat === missing(r) ? goOn(r, input.plan, ctx) : proceed(r, ctx)
    }
    default:
      return assertNever(input)
  }
}

const setAttempt = (r: PaymentRecord, index: number, change: Partial<PaymentAttempt>): PaymentRecord => ({
  ...r,
  attempts: r.attempts.map((a, i) => (i === index ? { ...a, ...change } : a)),
})

/** Whether our channel would be chosen for the same again; not where others have taken its room since the routes were found. */
const seemsFit = ({ channelId, hops: [first] }: PaymentAttempt, { localChannels }: PaymentContext): boolean =>
  localChannels.some((c) => c.channelId === channelId && c.sendableMsat >= (first?.amountMsat ?? 0n))

/** A preimage is proof of payment, whatever else the record says. */
function succeed(
  r: PaymentRecord,
  index: number,
  preimage: Uint8Array,
  ctx: PaymentContext,
): PaymentTurn<PaymentRecord> {
  if (r.status === 'succeeded' && r.attempts[index]?.status !== 'pending') return { record: r, effects: [] }
  const record = setAttempt(r, index, { status: 'succeeded', failure: null })
  const lessons = lessonsOfSuccess(r.attempts[index]?.hops ?? [], ctx.graph)
  if (r.status === 'succeeded') return { record, effects: [], lessons }
  return {
    lessons,
    record: { ...record, status: 'succeeded', preimage, failure: null, completedAt: ctx.now },
    effects: [notify('payment.succeeded', r.paymentHash)],
  }
}

const union = <T>(a: readonly T[], b: readonly T[]): readonly T[] => (b.length === 0 ? a : [...new Set([...a, ...b])])

function withBlame(r: PaymentRecord, index: number, b: Blame): PaymentRecord {
  const narrow = narrowOf(r.attempts[index]!, b)
  const record: PaymentRecord = {
    ...setAttempt(r, index, { status: 'failed', failure: b.detail }),
    ...(narrow !== null
      ? { narrow: [...(r.narrow ?? []).filter((n) => n.key !== narrow.key), narrow] }
      : { excludedChannels: union(r.excludedChannels, b.channels) }),
    excludedNodes: union(r.excludedNodes, b.nodes),
    excludedLocal: union(r.excludedLocal, b.local),
    ...(b.learned !== null && { learned: [...(r.learned ?? []), b.learned] }),
  }
  if (b.undecided) return undecided(record, b.detail)
  return b.final ? giveUp(record, { code: 'REJECTED_BY_PAYEE', detail: b.detail }) : record
}

/** A channel without room for an HTLC may have some for a smaller part, as when two ways could each carry half of a payment. */
function narrowOf({ hops }: PaymentAttempt, { shown, channels: [key] }: Blame): NarrowChannel | null {
  if (key === undefined || shown === null || !shown.isShort) return null
  return { key, mostMsat: (hops[shown.hop + 1]!.amountMsat / 2n) as Msat }
}

/** Whatever it ended for: who reads that it failed pays again. */
export const undecided = (r: PaymentRecord, detail: string): PaymentRecord =>
  r.status === 'pending' ? { ...r, failure: { code: 'OUTCOME_UNKNOWN', detail } } : r

/** The first reason stands. */
const giveUp = (r: PaymentRecord, failure: PaymentFailure): PaymentRecord =>
  r.status === 'pending' ? { ...r, failure: r.failure ?? failure } : r

/** Sends what is missing, or ends the payment when nothing can be sent and nothing is out. */
export function proceed(r: PaymentRecord, ctx: PaymentContext): PaymentTurn<PaymentRecord> {
  if (r.status !== 'pending') return { record: r, effects: [] }
  if (r.failure === null) {
    if (missing(r) <= 0n) return { record: r, effects: [] }
    const stop = limitReached(r, ctx)
    const plan = stop === null ? planFor(r, ctx) : err(stop)
    if (plan.ok) return goOn(r, plan.value, ctx)
    return proceed(giveUp(r, withLastFailure(r, plan.error)), ctx)
  }
  if (inFlight(r).length > 0) return { record: r, effects: [] }
  return {
    record: { ...r, status: 'failed', failure: asTold(r, r.failure), completedAt: ctx.now },
    effects: [notify('payment.failed', r.paymentHash)],
  }
}

/** A payee that has been paid refuses another try: what that failed for is not what became of the payment. */
function asTold({ mayBePaid }: PaymentRecord, failure: PaymentFailure): PaymentFailure {
  if (!mayBePaid || failure.code === 'OUTCOME_UNKNOWN') return failure
  const detail = `whether an earlier try has paid it is not known: ask the payee before you pay again; this one: ${failure.detail}`
  return { code: 'OUTCOME_UNKNOWN', isOfEarlier: true, detail }
}

/** Looks for routes for as long as a turn may take, and sends what is missing once all of it has one. */
function goOn(r: PaymentRecord, plan: RoutePlan, ctx: PaymentContext): PaymentTurn<PaymentRecord> {
  const routes = plan.advance(ctx.graph)
  if (routes === null) return { record: r, effects: [], plan }
  return routes.ok ? send(r, routes.value, ctx) : proceed(giveUp(r, withLastFailure(r, routes.error)), ctx)
}

/** msat that no HTLC is out for. */
export const missing = (r: PaymentRecord): bigint => r.target.amountMsat - sum(inFlight(r).map((a) => a.amountMsat))

function limitReached(r: PaymentRecord, ctx: PaymentContext): PaymentFailure | null {
  if (ctx.now >= r.target.deadline) return { code: 'TIMEOUT', detail: 'the time for new attempts is over' }
  if (r.attempts.length - r.since >= MAX_ATTEMPTS) {
    return { code: 'TOO_MANY_ATTEMPTS', detail: `${MAX_ATTEMPTS} attempts have failed` }
  }
  return null
}

function withLastFailure(r: PaymentRecord, f: PaymentFailure): PaymentFailure {
  const last = r.attempts.slice(r.since).findLast((a) => a.failure !== null)
  return last ? { ...f, detail: `${f.detail}; the last attempt: ${last.failure}` } : f
}

/** Routes for what is missing, within what is left of the fee limit, of the parts and of the attempts. */
function planFor(r: PaymentRecord, ctx: PaymentContext): Result<RoutePlan, RouteFault> {
  const { target } = r
  const out = inFlight(r)
  if (target.payee === null) return err({ code: 'NO_ROUTE', detail: 'the payee is not known any more' })
  const taken = new Map<DirectedChannel | ChannelId, number>()
  for (const a of out) if (a.hops.length > 0) take(taken, a)
  for (const c of ctx.localChannels) taken.delete(c.channelId) // what is out over our own channels is off their room already
  const fee = target.maxFeeMsat - sum(out.map((a) => a.feeMsat))
  const parts = Math.min(target.maxParts - out.length, MAX_ATTEMPTS - (r.attempts.length - r.since))
  if (parts < 1 || fee < 0n) return err({ code: 'NO_ROUTE', detail: 'no part and no fee is left to send with' })
  const request = {
    source: ctx.nodeId,
    target: target.payee,
    amountMsat: missing(r) as Msat,
    finalCltvExpiry: ctx.blockHeight + target.finalCltvDelta + EXPIRY_MARGIN,
    maxFeeMsat: fee as Msat,
    maxCltvExpiry: ctx.blockHeight + MAX_HTLC_CLTV,
    maxHops: maxHopsFor(target),
    localChannels: ctx.localChannels,
    routeHints: target.routeHints,
    learned: new Map((r.learned ?? []).map((l) => [l.key, l.policy])),
    narrow: new Map((r.narrow ?? []).map((n) => [n.key, Number(n.mostMsat)])),
    excludedChannels: new Set(r.excludedChannels),
    excludedNodes: new Set(r.excludedNodes),
    excludedLocal: new Set(r.excludedLocal),
    taken,
    ...(ctx.liquidity && { liquidity: { known: ctx.liquidity, now: ctx.now } }),
  }
  return ok(planRoutes(request, parts))
}

function send(r: PaymentRecord, routes: readonly Route[], ctx: PaymentContext): PaymentTurn<PaymentRecord> {
  const { paymentHash, target } = r
  const built = routes.map((route, i) =>
    buildAttempt({ paymentHash, target, index: r.attempts.length + i }, shadowed(route, r, ctx), ctx.entropy),
  )
  return {
    record: { ...r, attempts: [...r.attempts, ...built.map((b) => b.attempt)] },
    effects: built.map((b) => b.effect),
  }
}

/** As it is where there is no time left to hide anything behind. */
function shadowed(route: Route, { shadowDelta: blocks = 0 }: PaymentRecord, { blockHeight }: PaymentContext): Route {
  if (route.hops[0]!.cltvExpiry + blocks > blockHeight + MOST_WITH_SHADOW) return route
  return { ...route, hops: route.hops.map((h) => ({ ...h, cltvExpiry: h.cltvExpiry + blocks })) }
}
