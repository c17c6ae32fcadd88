import type { NodeId } from '../base/ids.ts'
import type { Clock } from './clock.ts'

export interface TurnSizes {
  /** Of the time that passes, 0 – 1. */
  readonly share: number
  /** Milliseconds that may be taken at once. */
  readonly burstMs: number
}

/**
 * What some connections may take of the event loop, all together. Who comes while there is time left and nobody waits is served at once;
 * otherwise one after the other, each in an iteration of the event loop of its own, between which everything else goes on.
 */
export class Turns {
  readonly #clock: Clock
  readonly #sizes: TurnSizes
  #line: { readonly work: () => void; readonly isOver: () => boolean }[] = []
  /** Of the line, those that were served. */
  #served = 0
  #left: number
  #at: number
  #isBusy = false

  constructor(clock: Clock, sizes: TurnSizes) {
    this.#clock = clock
    this.#sizes = sizes
    this.#left = sizes.burstMs
    this.#at = clock.now()
  }

  /**
   * @param work done at once or later; what it takes up again goes to the end of the line
   * @param isOver nobody wants it any more: it takes nobody's time
   */
  take(work: () => void, isOver = () => false): void {
    if (!this.#isBusy && this.#wait() === 0) return this.#serve(work)
    this.#line.push({ work, isOver })
    if (!this.#isBusy) this.#next()
  }

  #serve(work: () => void): void {
    this.#isBusy = true
    const begun = this.#clock.now()
    try {
      work()
    } finally {
      this.#left -= this.#clock.now() - begun
      this.#next()
    }
  }

  #next(): void {
    while (this.#line[this.#served]?.isOver()) this.#served++
    const next = this.#line[this.#served]
    this.#isBusy = next !== undefined
    if (next === undefined || this.#served > 1_000) [this.#line, this.#served] = [this.#line.slice(this.#served), 0]
    if (next === undefined) return
    const run = (): void => {
      this.#served++
      this.#serve(next.isOver() ? () => {} : next.work)
    }
    const wait = this.#wait()
    if (wait === 0) setImmediate(run)
    else this.#clock.schedule(wait, run)
  }

  /** Milliseconds until there is time again; 0: there is. */
  #wait(): number {
    const { share, burstMs } = this.#sizes
    const now = this.#clock.now()
    this.#left = Math.min(burstMs, this.#left + (now - this.#at) * share)
    this.#at = now
    return this.#left > 0 ? 0 : 1 - this.#left / share
  }
}

/** Of which connections a share is. A handshake costs most, and anybody can begin one; those that the operator chose come with payments. */
const SIZES = {
  newcomers: { share: 0.25, burstMs: 100 },
  strangers: { share: 0.25, burstMs: 100 },
  chosen: { share: 0.5, burstMs: 500 },
}

/**
 * When the bytes of a connection are opened and read: nobody keeps the event loop by sending as fast as the line carries, in the smallest
 * of messages.
 * @param isChosen peers of which strangers take no time
 * @returns the turns of a peer; null: who has not sent init yet
 */
export function turnsFor(clock: Clock, isChosen: (peer: NodeId) => boolean): (peer: NodeId | null) => Turns {
  const newcomers = new Turns(clock, SIZES.newcomers)
  const strangers = new Turns(clock, SIZES.strangers)
  const chosen = new Turns(clock, SIZES.chosen)
  return (peer) => (peer === null ? newcomers : isChosen(peer) ? chosen : strangers)
}
