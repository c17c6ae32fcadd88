import type { Page } from '../api/schemas.ts'
import type { PageQuery } from '../client/index.ts'

/** Between two loads of the same thing, however many events come. */
const REST_MS = 400
/** And this many times as long as a load takes, so that the page of a large node is a small part of its work. */
const REST_SHARE = 8

/**
 * Something of the node that is shown. It is loaded when first watched, and again after an event that may have changed it, as
 * long as somebody watches.
 */
export class Resource<T> {
  value: T | undefined
  error: unknown
  readonly #load: (before: T | undefined) => Promise<T>
  readonly #watchers = new Set<() => void>()
  #stale = true
  #busy = false
  #endRest = (): void => {}

  constructor(load: (before: T | undefined) => Promise<T>) {
    this.#load = load
  }

  /** Calls back with each change until the signal aborts, at once if there is something to show. */
  watch(signal: AbortSignal, show: () => void): void {
    if (signal.aborted) return
    this.#watchers.add(show)
    signal.addEventListener('abort', () => this.#watchers.delete(show), { once: true })
    if (this.value !== undefined || this.error !== undefined) show()
    this.refresh()
  }

  /** It may have changed. */
  touch(): void {
    this.#stale = true
    this.refresh()
  }

  /** It has changed by what somebody did here, who waits to see it. */
  hurry(): void {
    this.#stale = true
    this.#endRest()
    this.refresh()
  }

  /** Takes a newer value, from the answer to an action. */
  set(value: T): void {
    this.value = value
    this.error = undefined
    this.#tell()
  }

  /** Loads what has changed, if anybody looks: not in a tab in the background. */
  refresh(): void {
    if (!this.#stale || this.#busy || this.#watchers.size === 0 || document.hidden) return
    this.#busy = true
    this.#stale = false
    void this.#reload()
  }

  async #reload(): Promise<void> {
    const start = performance.now()
    try {
      this.value = await this.#load(this.value)
      this.error = undefined
    } catch (error) {
      this.error = error
    }
    this.#tell()
    const restMs = Math.max(REST_MS, REST_SHARE * (performance.now() - start))
    await new Promise<void>((resolve) => {
      this.#endRest = resolve
      setTimeout(resolve, restMs)
    })
    this.#busy = false
    this.refresh()
  }

  #tell(): void {
    for (const show of this.#watchers) show()
  }
}

/** Whatever it holds. */
export type Renewable = Pick<Resource<unknown>, 'touch' | 'refresh'>

/** For what no event tells of. */
export function lookEvery(resource: Renewable, everyMs: number, signal: AbortSignal): void {
  const timer = setInterval(() => resource.touch(), everyMs)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

export interface Listed<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

const PAGE = 50

/** A list, newest first, of which the first page is loaded again after events and further pages on demand. */
export class PagedResource<T> extends Resource<Listed<T>> {
  readonly #list: (query: PageQuery) => Promise<Page<T>>

  constructor(list: (query: PageQuery) => Promise<Page<T>>, key: (item: T) => string) {
    super(async (before) => {
      const first = await list({ limit: PAGE })
      const fresh = new Set(first.items.map(key))
      // Where the new page meets what is known, what comes after stays; with a gap between them it goes.
      const meets = before?.items.some((item) => fresh.has(key(item)))
      if (!before || !meets || first.nextCursor === null) return first
      const older = before.items.slice(before.items.findLastIndex((item) => fresh.has(key(item))) + 1)
      return older.length === 0 ? first : { items: [...first.items, ...older], nextCursor: before.nextCursor }
    })
    this.#list = list
  }

  async more(): Promise<void> {
    const cursor = this.value?.nextCursor
    if (!cursor) return
    const next = await this.#list({ limit: PAGE, cursor })
    this.set({ items: [...(this.value?.items ?? []), ...next.items], nextCursor: next.nextCursor })
  }
}
