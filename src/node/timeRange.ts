import { unpackIfWhole } from '../base/pack.ts'
import { padded, prefixRange } from '../store/schema.ts'
import type { Driver, Range } from '../store/types.ts'

/** From `from` on and before `to`, Unix ms; absent: from the beginning, up to now. */
export interface TimeRange {
  readonly from?: number
  readonly to?: number
}

/** Places in an order that is also one of time: from `from` on and before `before`. */
export interface PlaceRange {
  readonly from?: number
  readonly before?: number
}

/** Something in its place, with its time in Unix ms. */
export interface Placed {
  readonly place: number
  readonly time: number
}

/**
 * Where in an order of time a range lies, found by halving: a few dozen reads however long the history. Where the clock was set back, the
 * edge of a range that lies in the time that was lived through twice is one of the places that fit.
 * @param end no place is this or higher
 * @param at the first that is in that place or after it; null: none
 */
export async function placesIn(
  { from, to }: TimeRange,
  end: number,
  at: (place: number) => Promise<Placed | null>,
): Promise<PlaceRange> {
  const first = async (time: number): Promise<number> => {
    let [low, high] = [0, end]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const found = await at(middle)
      if (found === null || found.place >= high || found.time >= time) high = middle
      else low = found.place + 1
    }
    return low
  }
  return {
    ...(from !== undefined && { from: await first(from) }),
    ...(to !== undefined && { before: await first(to) }),
  }
}

/** For `placesIn`, of records whose keys are a prefix and their place. @param timeOf null: passed over, as if it were not there */
export const recordsFrom =
  <V>(driver: Driver, prefix: string, timeOf: (value: V) => number | null | Promise<number | null>) =>
  async (place: number): Promise<Placed | null> => {
    const { lt } = prefixRange(prefix)
    let range: Range | null = { gte: prefix + padded(place), lt, limit: 1 } // a driver reads ahead as far as it is let
    while (range !== null) {
      const one: Range = range
      range = null
      for await (const [key, value] of driver.entries(one)) {
        const record = unpackIfWhole<V>(value)
        const time = record === undefined ? null : await timeOf(record)
        if (time !== null) return { place: Number(key.slice(prefix.length)), time }
        // By its key: one that has changed on disk may be no number.
        range = { gt: key, lt, limit: 1 }
      }
    }
    return null
  }
