/** So many requests in a period, which may come all at once. */
export interface RateLimit {
  readonly maxRequests: number
  readonly periodSeconds: number
}

export interface RateState {
  readonly allowed: boolean
  readonly limit: number
  /** Requests that may follow at once. */
  readonly remaining: number
  /** Until the whole limit is there again. */
  readonly resetSeconds: number
  /** Until the next request is allowed; 0 when it is now. */
  readonly retryAfterSeconds: number
}

/**
 * A token bucket in whole numbers, so that it neither drifts nor forgets: a request costs `period` ms, each ms brings `maxRequests`.
 */
export class TokenBucket {
  readonly #limit: RateLimit
  readonly #cost: number
  readonly #full: number
  #level: number
  #at: number

  /** @param now Unix ms */
  constructor(limit: RateLimit, now: number) {
    this.#limit = limit
    this.#cost = limit.periodSeconds * 1000
    this.#full = this.#cost * limit.maxRequests
    this.#level = this.#full
    this.#at = now
  }

  /** Whether it would make no difference to begin anew. */
  isFull(now: number): boolean {
    this.#fill(now)
    return this.#level === this.#full
  }

  take(now: number): RateState {
    const { maxRequests } = this.#limit
    this.#fill(now)
    const allowed = this.#level >= this.#cost
    if (allowed) this.#level -= this.#cost
    const seconds = (missing: number): number => Math.ceil(missing / maxRequests / 1000)
    return {
      allowed,
      limit: maxRequests,
      remaining: Math.floor(this.#level / this.#cost),
      resetSeconds: seconds(this.#full - this.#level),
      retryAfterSeconds: allowed ? 0 : seconds(this.#cost - this.#level),
    }
  }

  #fill(now: number): void {
    // A clock that was set back brings nothing and takes nothing.
    this.#level = Math.min(this.#full, this.#level + Math.max(0, now - this.#at) * this.#limit.maxRequests)
    this.#at = now
  }
}
