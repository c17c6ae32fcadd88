import { AsyncResource } from 'node:async_hooks'
import type { RouteOptions } from 'fastify'
import type { App } from './app.ts'

/** Milliseconds of one iteration of the event loop in which calls that act may begin, all together; one of them at least. */
const SLICE_MS = 1

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/**
 * Calls that come together begin one after another, some in each iteration of the event loop: what else has come is served in between.
 * Who comes alone begins at once.
 */
export class Slices {
  readonly #now: () => number
  readonly #line: (() => void)[] = []
  /** Of the iteration that runs; null: nothing has begun in it. */
  #until: number | null = null

  /** @param now milliseconds, monotonic */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** @param begin must not throw; what it goes on with in microtasks counts as well */
  take(begin: () => void): void {
    if (this.#until === null) {
      this.#open()
      begin()
    } else if (this.#line.length === 0 && this.#now() < this.#until) begin()
    // Whoever lets it begin is another call: what it does would hang below that one's span.
    else this.#line.push(AsyncResource.bind(begin))
  }

  #open(): void {
    this.#until = this.#now() + SLICE_MS
    setImmediate(() => this.#nextIteration())
  }

  #nextIteration(): void {
    this.#until = null
    if (this.#line.length === 0) return
    this.#open()
    this.#next()
  }

  #next(): void {
    this.#line.shift()?.()
    if (this.#line.length === 0) return
    // Behind all microtasks of what has just begun: they are part of what it took.
    queueMicrotask(() => process.nextTick(() => this.#now() < this.#until! && this.#next()))
  }
}

/** Not a mere question. */
export const isActing = ({ method }: Pick<RouteOptions, 'method'>): boolean =>
  ![method].flat().every((one) => READS.has(one))

/** Every call that acts waits for its slice. */
export function beginInSlices(app: App): void {
  const slices = new Slices()
  app.addHook('onRoute', (route) => {
    if (!isActing(route)) return
    const wait = (_request: unknown, _reply: unknown, done: () => void): void => slices.take(done)
    route.preHandler = [wait, ...[route.preHandler ?? []].flat()] as NonNullable<typeof route.preHandler>
  })
}
