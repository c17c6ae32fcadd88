const WINDOW_MS = 60_000
const FREE = 20
const STEP_MS = 10
const MAX_DELAY_MS = 500
const MAX_ADDRESSES = 10_000
const MAX_WAITING = 32

interface Failures {
  count: number
  since: number
  waiting: number
}

export interface SignInClock {
  /** Unix milliseconds */
  now(): number
  delay(ms: number): Promise<void>
}

export const realClock: SignInClock = {
  now: Date.now,
  delay: (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref()),
}

/**
 * Slows down whoever guesses keys, per address. Only failures wait: a valid key is served at once, so nobody can lock out the
 * others of a shared address (on loopback all have the same).
 */
export class FailedSignIns {
  readonly #clock: SignInClock
  readonly #byAddress = new Map<string, Failures>()

  constructor(clock: SignInClock = realClock) {
    this.#clock = clock
  }

  /**
   * Counts a failure and waits as long as the address has earned.
   * @returns false when too many failures of the address wait already: refuse it with 429
   */
  async record(address: string): Promise<boolean> {
    const failures = this.#failuresOf(address)
    failures.count++
    const delayMs = Math.min(MAX_DELAY_MS, STEP_MS * (failures.count - FREE))
    if (delayMs <= 0) return true
    if (failures.waiting >= MAX_WAITING) return false
    failures.waiting++
    await this.#clock.delay(delayMs)
    failures.waiting--
    return true
  }

  #failuresOf(address: string): Failures {
    const now = this.#clock.now()
    const known = this.#byAddress.get(address)
    if (known) {
      if (now - known.since >= WINDOW_MS) Object.assign(known, { count: 0, since: now })
      return known
    }
    // First in, first out: an attacker with many addresses pushes out old ones, never grows the map.
    if (this.#byAddress.size >= MAX_ADDRESSES) {
      const [oldest] = this.#byAddress.keys()
      if (oldest !== undefined) this.#byAddress.delete(oldest)
    }
    const fresh = { count: 0, since: now, waiting: 0 }
    this.#byAddress.set(address, fresh)
    return fresh
  }
}
