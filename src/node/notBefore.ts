import type { NodeId } from '../base/ids.ts'

/** Waits of peers, each forgotten when it is over: identities cost nothing, and whoever connects is given one. */
export class NotBefore {
  readonly #now: () => number
  /** The end of each, in the order in which they were last set. */
  readonly #ends = new Map<NodeId, number>()

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now
  }

  get size(): number {
    return this.#ends.size
  }
  isWaiting(peer: NodeId): boolean {
    return this.#now() < (this.#ends.get(peer) ?? 0)
  }

  /** From now on, or as long as it has to wait already. */
  wait(peer: NodeId, ms: number): void {
    const now = this.#now()
    const end = Math.max(this.#ends.get(peer) ?? 0, now + ms)
    this.#ends.delete(peer)
    for (const [other, until] of this.#ends) {
      if (until > now) break
      this.#ends.delete(other)
    }
    this.#ends.set(peer, end)
  }
}
