import { FulmenError } from '../../base/errors.ts'

/** The demo or the set-up did not come out as it should; `message` says what and where to look. */
export class DemoError extends FulmenError {
  constructor(message: string) {
    super('DEMO', message)
  }
}

const PROBE_EVERY_MS = 25

export interface UntilOptions {
  readonly signal: AbortSignal
  readonly seconds?: number
  /** What to add to the message when it never happens. */
  readonly hint?: () => string
}

/**
 * Probes until there is a value.
 * @param what as in "waited 60 s for WHAT"
 * @throws DemoError at the time limit; the signal's reason when it aborts; what `probe` throws
 */
export async function until<T>(what: string, probe: () => Promise<T | null>, options: UntilOptions): Promise<T> {
  const { signal, seconds = 60, hint } = options
  const limit = performance.now() + seconds * 1000
  for (;;) {
    signal.throwIfAborted()
    const value = await probe()
    if (value !== null) return value
    if (performance.now() > limit) {
      throw new DemoError(`waited ${seconds} s for ${what}, in vain${hint ? ` (${hint()})` : ''}`)
    }
    await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS))
  }
}
