import { unpackIfWhole } from '../base/pack.ts'
import { isDamaged } from '../store/checked.ts'
import { padded, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import { ServiceError } from './errors.ts'
import type { Page, PageRequest } from './service.ts'
import type { PlaceRange } from './timeRange.ts'

/** One page of a list in memory, in the order given; the cursor is the key of the last item shown. */
export const pageOf = <T>(items: readonly T[], key: (item: T) => string, page: PageRequest): Page<T> =>
  pageOfViews(items, { key, view: (item) => item }, page)

/** The same of what is looked at one by one, up to the end of the page. @param of `view`: null for an item that is not wanted */
export function pageOfViews<T, V>(
  items: readonly T[],
  { key, view }: { readonly key: (item: T) => string; readonly view: (item: T) => V | null },
  { limit, cursor }: PageRequest,
): Page<V> {
  const from = cursor === undefined ? 0 : items.findIndex((item) => key(item) === cursor) + 1
  if (from === 0 && cursor !== undefined) throw badCursor()
  const shown: V[] = []
  let last: string | null = null
  for (let i = from; i < items.length; i++) {
    const item = items[i]!
    const seen = view(item)
    if (seen === null) continue
    if (shown.length === limit) return { items: shown, nextCursor: last }
    shown.push(seen)
    last = key(item)
  }
  return { items: shown, nextCursor: null }
}

/**
 * One page of a list in memory, in the order of a place that is each item's own: the cursor is the last place shown, so that an item which
 * has gone since takes nothing with it, and none is left out.
 * @param place sorts as text
 */
export function pageByPlace<T>(
  items: readonly T[],
  place: (item: T) => string,
  { limit, cursor = '' }: PageRequest,
): Page<T> {
  const after = items.map((item) => ({ item, at: place(item) })).filter(({ at }) => at > cursor)
  const shown = after.sort((a, b) => (a.at < b.at ? -1 : 1)).slice(0, limit)
  return {
    items: shown.map(({ item }) => item),
    nextCursor: after.length > limit ? (shown.at(-1)?.at ?? null) : null,
  }
}

/** An order of items by a key that is each item's own, and that key as a cursor. */
export interface KeyOrder<T, K> {
  readonly key: (item: T) => K
  readonly isBefore: (a: K, b: K) => boolean
  readonly write: (key: K) => string
  /** @throws whatever says that the text is no key */
  readonly read: (cursor: string) => K
}

/**
 * One page of a large collection that is in no order: one pass without sorting it, and an item that has gone since, be it the one that the
 * cursor names, takes nothing with it.
 */
export function pageByKey<T, K>(
  items: Iterable<T>,
  { key, isBefore, write, read }: KeyOrder<T, K>,
  { limit, cursor }: PageRequest,
): Page<T> {
  const after = cursor === undefined ? undefined : keyOf(cursor, read)
  /** The first ones after the cursor, in order, and one more that tells whether there is a next page. */
  const found: { readonly item: T; readonly at: K }[] = []
  for (const item of items) {
    const at = key(item)
    if (after !== undefined && !isBefore(after, at)) continue
    if (found.length > limit && !isBefore(at, found[limit]!.at)) continue
    let [low, high] = [0, found.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBefore(found[middle]!.at, at)) low = middle + 1
      else high = middle
    }
    found.splice(low, 0, { item, at })
    if (found.length > limit + 1) found.pop()
  }
  const shown = found.slice(0, limit)
  const last = shown.at(-1)
  return { items: shown.map(({ item }) => item), nextCursor: found.length > limit && last ? write(last.at) : null }
}

function keyOf<K>(cursor: string, read: (cursor: string) => K): K {
  try {
    return read(cursor)
  } catch {
    throw badCursor()
  }
}

/**
 * One page, newest first, of an index whose keys end in a sequence number and whose values name the record: cost is that of the
 * page, however long the history. What cannot be read is left out.
 */
export async function pageOfIndex<T>(
  driver: Driver,
  prefix: string,
  { limit, cursor }: PageRequest,
  get: (name: string) => Promise<T | null>,
  places: PlaceRange = {},
): Promise<Page<T>> {
  checkCursor(cursor, /^\d{1,16}$/)
  const range = { ...within(prefix, places, cursor), reverse: true, limit: limit + 1 }
  const names: { readonly seq: string; readonly name: string | undefined }[] = []
  for await (const [key, value] of driver.entries(range)) {
    names.push({ seq: key.slice(prefix.length), name: unpackIfWhole<string>(value) })
  }
  const shown = names.slice(0, limit)
  const items = await Promise.all(shown.map(({ name }) => (name === undefined ? null : get(name))))
  const more = names.length > limit ? (shown.at(-1)?.seq ?? null) : null
  return { items: items.filter((item) => item !== null) as T[], nextCursor: more }
}

/** The keys of an index between two places and before a cursor. */
function within(prefix: string, { from, before }: PlaceRange, cursor: string | undefined): { gte: string; lt: string } {
  const all = prefixRange(prefix)
  const ends = [
    ...(before === undefined ? [] : [prefix + padded(before)]),
    ...(cursor === undefined ? [] : [prefix + cursor]),
  ]
  const lt = ends.reduce((least, end) => (end < least ? end : least), all.lt)
  return { gte: from === undefined ? all.gte : prefix + padded(from), lt }
}

/** Pages as full as those of the whole list, of what is wanted alone. */
export async function pageWhere<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  isWanted: (item: T) => boolean,
  { limit, cursor }: PageRequest,
): Promise<Page<T>> {
  const items: T[] = []
  for (let next = cursor; ; ) {
    const page = await list({ limit: limit - items.length, ...(next !== undefined && { cursor: next }) })
    items.push(...page.items.filter(isWanted))
    if (page.nextCursor === null || items.length === limit) return { items, nextCursor: page.nextCursor }
    next = page.nextCursor
  }
}

/** Records that one look at the end of an index takes; more where all of them are damaged. */
const LAST = 8

/** The last sequence number of such an index; 0 when it is empty. Of a damaged record the key may be what has changed: it counts where it follows another. */
export async function lastSequence(driver: Driver, prefix: string): Promise<number> {
  for (let limit = LAST; ; limit *= 8) {
    const found: { readonly n: number; readonly isSure: boolean }[] = []
    for await (const [key, value] of driver.entries({ ...prefixRange(prefix), reverse: true, limit }))
      found.push({ n: Number(key.slice(prefix.length)), isSure: !isDamaged(value) })
    if (found.length === limit && !found.some(({ isSure }) => isSure)) continue
    return found.reduceRight((last, { n, isSure }) => (isSure || n === last + 1 ? n : last), 0)
  }
}

const badCursor = (): ServiceError =>
  new ServiceError('VALIDATION_FAILED', 'the cursor is not one that this list gave: start again without it', {
    fields: [{ in: 'query', pointer: '/cursor' }],
  })

export interface RecordRange {
  readonly prefix: string
  /** What the name, which is what follows the prefix in the key, begins with at least and at most. */
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** One page, newest first, of records whose keys lie in the order of time; the cursor is the name of the last one. Damaged ones are left out. */
export async function pageOfRecords(
  driver: Driver,
  { prefix, from = '', to }: RecordRange,
  { limit, cursor }: PageRequest,
): Promise<Page<{ readonly name: string; readonly value: Uint8Array }>> {
  const end = prefixRange(to === undefined ? prefix : prefix + to).lt
  const before = cursor === undefined ? end : prefix + cursor
  const range = { gte: prefix + from, lt: before < end ? before : end, reverse: true, limit: limit + 1 }
  const found: { readonly name: string; readonly value: Uint8Array }[] = []
  for await (const [key, value] of driver.entries(range)) found.push({ name: key.slice(prefix.length), value })
  const items = found.slice(0, limit)
  const nextCursor = found.length > limit ? (items.at(-1)?.name ?? null) : null
  return { items: items.filter(({ value }) => !isDamaged(value)), nextCursor }
}

/** @throws ServiceError VALIDATION_FAILED */
export function checkCursor(cursor: string | undefined, form: RegExp): void {
  if (cursor !== undefined && !form.test(cursor)) throw badCursor()
}
