/** Waiting, injected so that tests need not. */
export interface Clock {
  /** Resolves after the time, or as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const realClock: Clock = {
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done)
    }),
}

/** Milliseconds to wait before try n (0, 1, 2 …): doubles from `first` up to `most`. */
export const backOff = (n: number, first: number, most: number): number => Math.min(most, first * 2 ** Math.min(n, 30))
