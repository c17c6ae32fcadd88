/** Reconnecting: double the wait each time, up to a limit, each wait shortened at random so that two ends do not march in step. */
export interface Backoff {
  readonly firstMs: number
  readonly maxMs: number
  /** A connection that lasted this long makes the next failure the first one again. */
  readonly stableMs: number
}

export const DEFAULT_BACKOFF: Backoff = { firstMs: 1_000, maxMs: 60_000, stableMs: 30_000 }

/**
 * @param failures in a row before this wait, from 0
 * @param random 0 ≤ random < 1
 * @returns milliseconds, between half and all of the doubled wait
 */
export function backoffDelay(b: Backoff, failures: number, random: number): number {
  const full = Math.min(b.maxMs, b.firstMs * 2 ** Math.min(failures, 30))
  return full * (0.5 + random / 2)
}
