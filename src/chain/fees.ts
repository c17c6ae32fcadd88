import { FEERATE_CEILING, FEERATE_FLOOR } from '../bitcoin/policy.ts'
import { backOff, type Clock, realClock } from './clock.ts'
import { ChainError } from './errors.ts'
import type { ChainSource } from './source.ts'

/** FEERATE_FLOOR, not rounded up: what a Bitcoin node's minimum is as long as its mempool has room. */
const LOWEST_MINIMUM = 250
/** Where nothing is known yet, and on a chain without a fee market. 4 sat per vbyte. */
const FEERATE_FALLBACK = 1_000

/** Confirmation targets that are asked for, in blocks, soonest first. */
export const FEE_TARGETS = [2, 6, 12, 144, 1008] as const
export type FeeTarget = (typeof FEE_TARGETS)[number]
const COMMITMENT_TARGET: FeeTarget = 12

/** Smoothed feerates in sat per 1,000 weight units; all within floor and ceiling, a sooner target never cheaper than a later one. */
export interface FeeEstimates {
  readonly byTarget: Readonly<Record<FeeTarget, number>>
  /** Below this the backend takes no transaction now; ≥ 253. Every target is above it by what rounding to vbytes may cost. */
  readonly minimum: number
  /** The backend has never had an estimate for commitments, as when it has just begun to watch: the fallback stands in its place. */
  readonly isGuess?: true
}

/** What the backend said; null where it has no estimate. */
export interface RawEstimates {
  readonly byTarget: Readonly<Record<FeeTarget, number | null>>
  readonly minimum: number | null
}

const record = <T>(of: (target: FeeTarget) => T): Record<FeeTarget, T> => {
  const pairs = FEE_TARGETS.map((t) => [t, of(t)] as const)
  return Object.fromEntries(pairs) as Record<FeeTarget, T>
}

/** Before the backend has been asked. */
export const initialEstimates = (fallback = FEERATE_FALLBACK): FeeEstimates => ({
  byTarget: record(() => Math.max(FEERATE_FLOOR, fallback)),
  minimum: FEERATE_FLOOR,
  isGuess: true,
})

/** The part of a fall that is followed at each update. */
const FALL = 0.25
/** 40 sat per vbyte: what an ordinary day may bring is believed at once. */
const ORDINARY = 10_000
/** Beyond that, how many times as high an estimate may get at each update: a spike is followed within minutes, far less than a block. */
const RISE = 3

/**
 * Takes in what the backend says. A rise counts at once, since too low a fee can lose money, but for what is far from all before: a single
 * answer that is absurd must not set the fees of channels and claims. A fall counts only little by little, so that one quiet block makes
 * no peer update its feerate and no claim go out too cheap. The minimum is no estimate: below it nothing goes out.
 * @param fallback for a target that has no estimate and never had one
 */
export function updateEstimates(
  before: FeeEstimates | null,
  raw: RawEstimates,
  fallback = FEERATE_FALLBACK,
): FeeEstimates {
  const said = raw.minimum ?? before?.minimum ?? LOWEST_MINIMUM
  const minimum = bounded(said)
  const byTarget = record(() => 0)
  let atLeast = inWholeVbytes(said)
  for (const target of FEE_TARGETS.toReversed()) {
    const old = before?.byTarget[target]
    const said = raw.byTarget[target]
    const now = bounded(said ?? old ?? fallback)
    const most = Math.max(ORDINARY, RISE * (old ?? ORDINARY))
    const smooth = old !== undefined && now < old ? Math.round(old + (now - old) * FALL) : Math.min(now, most)
    atLeast = Math.max(atLeast, smooth)
    byTarget[target] = atLeast
  }
  const isGuess = raw.byTarget[COMMITMENT_TARGET] === null && (before === null || before.isGuess === true)
  return { byTarget, minimum, ...(isGuess && { isGuess }) }
}

/**
 * Nodes ask their minimum for whole vbytes, and a transaction's last one may be begun by a single weight unit: at the very minimum per
 * weight unit it would be refused. The floor has this margin: 253 for 250.
 */
const inWholeVbytes = (minimum: number): number =>
  bounded((Math.min(minimum, FEERATE_CEILING) * FEERATE_FLOOR) / LOWEST_MINIMUM)

const bounded = (feerate: number): number => {
  if (!Number.isFinite(feerate)) return FEERATE_FLOOR
  return Math.min(FEERATE_CEILING, Math.max(FEERATE_FLOOR, Math.ceil(feerate)))
}

/**
 * Feerates of the channel core's context (ChannelContext.feerates).
 * `commitment` need not confirm by itself when channels have anchors; `claim` races a time lock; `slow` has
 * a day.
 */
export const channelFeerates = (
  e: FeeEstimates,
): { readonly commitment: number; readonly closing: number; readonly claim: number; readonly slow: number } => ({
  commitment: e.byTarget[COMMITMENT_TARGET],
  closing: e.byTarget[12],
  claim: e.byTarget[2],
  slow: e.byTarget[144],
})

/** What people pay with when they give no feerate, and channel openings. */
export const walletFeerate = (e: FeeEstimates): number => e.byTarget[6]

/** Of transactions in sat per vbyte, from sat per 1,000 weight units. */
export const perVbyte = (feeratePerKw: number): number => (feeratePerKw * 4) / 1000
/** Rounded up, never below the floor. */
export const perKw = (feeratePerVbyte: number): number =>
  Math.max(FEERATE_FLOOR, Math.ceil((feeratePerVbyte * 1000) / 4))

/** A backend may have no such call, or words of its own for having no estimate (−1, once). */
const NO_ESTIMATE: readonly ChainError['code'][] = ['RPC_ERROR', 'BAD_RESPONSE']

/** Asks the backend for everything. A single answer that is none is null. @throws ChainError when the backend cannot be reached */
async function readEstimates(source: ChainSource): Promise<RawEstimates> {
  const none = (e: unknown): null => {
    if (e instanceof ChainError && NO_ESTIMATE.includes(e.code)) return null
    throw e
  }
  const minimum = await source.mempoolMinFeerate().catch(none)
  const found = await Promise.all(FEE_TARGETS.map((t) => source.estimateFeerate(t).catch(none)))
  return { byTarget: record((t) => found[FEE_TARGETS.indexOf(t)] ?? null), minimum }
}

export interface FeeFollowerOptions {
  readonly source: ChainSource
  readonly onEstimates: (estimates: FeeEstimates) => void
  readonly signal: AbortSignal
  readonly fallback?: number
  readonly clock?: Clock
}

const INTERVAL_MS = 60_000

/** Keeps estimates current until the signal aborts; while the backend is away the last ones stay. Never rejects. */
export async function followFees(options: FeeFollowerOptions): Promise<void> {
  const { source, onEstimates, signal, fallback, clock = realClock } = options
  let estimates: FeeEstimates | null = null
  for (let failures = 0; !signal.aborted; ) {
    const raw = await readEstimates(source).catch(() => null)
    if (signal.aborted) return
    if (!raw) {
      await clock.sleep(backOff(failures++, 1_000, INTERVAL_MS), signal)
      continue
    }
    failures = 0
    estimates = updateEstimates(estimates, raw, fallback)
    onEstimates(estimates)
    await clock.sleep(INTERVAL_MS, signal)
  }
}
