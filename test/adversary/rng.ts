/** A small generator of numbers (mulberry32): a seed is a schedule, for ever. */
export class Rng {
  #state: number
  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0
  }
  /** 0 … 2^32 − 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }
  below(n: number): number {
    return this.next() % n
  }
  /** An index, by weights. */
  pick(weights: readonly number[]): number {
    let at = this.below(weights.reduce((a, b) => a + b, 0))
    for (let i = 0; i < weights.length; i++) {
      at -= weights[i]!
      if (at < 0) return i
    }
    return weights.length - 1
  }
}
