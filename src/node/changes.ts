/** What a caller can wait on: `payment:<hash>`, `invoice:<hash>`, `channel:<id>`. */
export type ResourceKey = `${'payment' | 'invoice' | 'channel'}:${string}`

/** Wakes those who wait for one resource, and nobody else: with a thousand waiting calls, each change costs one look-up. */
export class Changes {
  readonly #waiting = new Map<ResourceKey, Set<() => void>>()

  /** Call when the resource's new state is durable. */
  notify(resource: ResourceKey): void {
    const waiting = this.#waiting.get(resource)
    if (!waiting) return
    for (const wake of [...waiting]) wake()
  }

  /**
   * Resolves with the first view for which `done` is true, or with the last one when the time is up, or the caller waits no more.
   * @param timeoutMs milliseconds
   */
  async waitFor<T>(
    resource: ResourceKey,
    get: () => Promise<T>,
    done: (view: T) => boolean,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<T> {
    const until = performance.now() + timeoutMs
    for (;;) {
      const change = this.#next(resource, Math.max(0, until - performance.now()), signal)
      const view = await get()
      if (done(view)) {
        change.cancel()
        return view
      }
      if (!(await change.happened)) return get()
    }
  }

  #next(
    resource: ResourceKey,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): { happened: Promise<boolean>; cancel: () => void } {
    let settle: (happened: boolean) => void = () => {}
    const waiting = this.#waiting.get(resource) ?? new Set()
    this.#waiting.set(resource, waiting)
    const happened = new Promise<boolean>((resolve) => {
      settle = resolve
    })
    const finish = (changed: boolean): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      waiting.delete(wake)
      if (waiting.size === 0 && this.#waiting.get(resource) === waiting) this.#waiting.delete(resource)
      settle(changed)
    }
    const wake = (): void => finish(true)
    const end = (): void => finish(false)
    const timer = setTimeout(end, timeoutMs)
    waiting.add(wake)
    if (signal?.aborted) end()
    else signal?.addEventListener('abort', end)
    return { happened, cancel: end }
  }
}
