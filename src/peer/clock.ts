/** Time as an input, so that tests drive it by hand. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number
  /** Runs once after the delay; the returned function takes it back. */
  schedule(delayMs: number, run: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
}
