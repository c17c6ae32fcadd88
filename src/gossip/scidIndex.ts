import type { ShortChannelId } from '../base/ids.ts'

/** Additions out of order that are put into their places one by one; more are sorted in with all others, which costs ten milliseconds. */
const FEW = 100

/** Short channel ids in ascending order, as queries want them. In order when it is read: additions come in thousands. */
export class ScidIndex {
  readonly #ids: ShortChannelId[] = []
  /** Those that have no place yet. */
  #late: ShortChannelId[] = []

  /** Must not be in it. */
  add(id: ShortChannelId): void {
    const last = this.#ids.at(-1)
    if (last === undefined || id > last) this.#ids.push(id)
    else this.#late.push(id)
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
    const late = this.#late
    if (late.length === 0) return
    this.#late = []
    if (late.length <= FEW) {
      for (const id of late) this.#ids.splice(this.#firstFrom(id), 0, id)
      return
    }
    for (const id of late) this.#ids.push(id)
    this.#ids.sort((a, b) => (a < b ? -1 : 1)) // merges runs
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
