import type { ShortChannelId } from '../base/ids.ts'

/** Short channel ids in ascending order, as queries want them. Sorted when it is read: additions come in thousands. */
export class ScidIndex {
  readonly #ids: ShortChannelId[] = []
  #sorted = true

  /** Must not be in it. */
  add(id: ShortChannelId): void {
    const last = this.#ids.at(-1)
    if (last !== undefined && id < last) this.#sorted = false
    this.#ids.push(id)
  }

  remove(id: ShortChannelId): void {
    this.#sort()
    const at = this.#firstFrom(id)
    if (this.#ids[at] === id) this.#ids.splice(at, 1)
  }

  /** The first `most` ids from `from` on that are less than `before`. */
  range(from: bigint, before: bigint, most: number): readonly ShortChannelId[] {
    this.#sort()
    const start = this.#firstFrom(from)
    const end = Math.min(this.#firstFrom(before), start + most)
    return this.#ids.slice(start, end)
  }

  #sort(): void {
    if (this.#sorted) return
    this.#ids.sort((a, b) => (a < b ? -1 : 1)) // merges runs: a few ids behind a sorted list cost one pass
    this.#sorted = true
  }

  #firstFrom(id: bigint): number {
    let [low, high] = [0, this.#ids.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ids[middle]! < id) low = middle + 1
      else high = middle
    }
    return low
  }
}
