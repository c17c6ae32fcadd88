import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChainError } from '../../src/chain/errors.ts'
import {
  type FollowerEvent,
  type FollowerState,
  type FollowerStatus,
  follow,
  followFrom,
  MAX_REORG,
  readBlocks,
} from '../../src/chain/follower.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import { FakeSource, instantClock } from './fakeSource.ts'

/** Follows into `blocks`, checking every event against what came before, until `done`. */
class Consumer {
  readonly source: FakeSource
  state: FollowerState
  blocks: ChainBlock[]
  readonly events: FollowerEvent[] = []
  readonly statuses: FollowerStatus[] = []
  readonly stop = new AbortController()
  fatal: unknown = null
  /** Runs within the handling of every event. */
  onEvent: (event: FollowerEvent) => Promise<void> | void = () => {}
  #busy = false
  #waiting: { done: () => boolean; resolve: () => void }[] = []

  constructor(source: FakeSource, state: FollowerState) {
    this.source = source
    this.state = state
    this.blocks = source.active.slice(0, state.height + 1)
  }

  start(): Promise<void> {
    return follow({
      source: this.source,
      state: this.state,
      signal: this.stop.signal,
      clock: instantClock,
      onStatus: (s) => {
        this.statuses.push(s)
        this.#look()
      },
      onFatal: (e) => {
        this.fatal = e
      },
      onEvent: async (event, next) => {
        expect(this.#busy).toBe(false)
        this.#busy = true
        await this.onEvent(event)
        this.#take(event)
        expect(next.hash).toBe(this.blocks.at(-1)!.hash)
        expect(next.recent).toEqual(this.blocks.slice(-next.recent.length).map((b) => b.hash))
        expect(next.recent.length).toBeLessThanOrEqual(MAX_REORG + 1)
        this.state = next
        this.#busy = false
      },
    })
  }

  #take(event: FollowerEvent): void {
    this.events.push(event)
    if (event.tag === 'block') {
      expect(event.block.previousHash).toBe(this.blocks.at(-1)!.hash)
      expect(event.block.height).toBe(this.blocks.length)
      this.blocks.push(event.block)
    } else {
      expect(event.height).toBeLessThan(this.blocks.length - 1)
      this.blocks.length = event.height + 1
      expect(event.hash).toBe(this.blocks.at(-1)!.hash)
    }
  }

  get status(): FollowerStatus | undefined {
    return this.statuses.at(-1)
  }

  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ done, resolve })
      this.#look()
    })
  }

  synced(): Promise<void> {
    return this.until(() => this.status?.synced === true && this.state.hash === this.source.top.hash)
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ done, resolve }) => {
      if (!done()) return true
      resolve()
      return false
    })
  }
}

const grow = (source: FakeSource, blocks: number, fork = 0): void => {
  for (let i = 0; i < blocks; i++) source.extend([], fork)
}

describe('following', () => {
  it('gives every block in order, waits for the consumer, and then for the next one', async () => {
    const source = new FakeSource()
    const state = await followFrom(source, 0)
    grow(source, 5)
    const consumer = new Consumer(source, state)
    consumer.onEvent = () => new Promise((resolve) => setImmediate(resolve))
    const end = consumer.start()
    await consumer.synced()
    expect(consumer.events.map((e) => e.tag)).toEqual(Array(5).fill('block'))
    source.extend([])
    await consumer.synced()
    expect(consumer.state.height).toBe(6)
    expect(consumer.status).toEqual({ synced: true, height: 6, tipHeight: 6, syncing: false, error: null })
    consumer.stop.abort()
    await end
  })

  it('begins at the tip when told nothing else, ready for a reorganisation at once', async () => {
    const source = new FakeSource()
    grow(source, 20)
    const consumer = new Consumer(source, await followFrom(source))
    expect(consumer.state.height).toBe(20)
    source.undo(7)
    grow(source, 8, 1)
    const end = consumer.start()
    await consumer.synced()
    expect(consumer.events[0]).toEqual({ tag: 'reorg', height: 13, hash: source.active[13]!.hash })
    expect(consumer.blocks).toEqual(source.active)
    consumer.stop.abort()
    await end
  })

  it('undoes nothing while the backend is merely behind', async () => {
    const source = new FakeSource()
    grow(source, 10)
    const consumer = new Consumer(source, await followFrom(source))
    source.undo(4)
    const end = consumer.start()
    await consumer.until(() => consumer.status?.tipHeight === 6)
    expect(consumer.status).toMatchObject({ synced: false, height: 10, error: null })
    expect(consumer.events).toEqual([])
    for (const b of [...source.all.values()].slice(7)) source.active.push(b)
    source.extend([])
    await consumer.synced()
    expect(consumer.events.map((e) => e.tag)).toEqual(['block'])
    consumer.stop.abort()
    await end
  })

  it('is not in sync while the backend itself is catching up', async () => {
    const source = new FakeSource()
    source.syncing = true
    const consumer = new Consumer(source, await followFrom(source))
    const end = consumer.start()
    await consumer.until(() => consumer.status?.tipHeight === 0)
    expect(consumer.status?.synced).toBe(false)
    consumer.stop.abort()
    await end
  })

  it('refuses a chain that shares nothing of what it remembers, and says so', async () => {
    const source = new FakeSource()
    grow(source, MAX_REORG + 20)
    const consumer = new Consumer(source, await followFrom(source))
    source.undo(MAX_REORG + 1)
    grow(source, MAX_REORG + 2, 1)
    const end = consumer.start()
    await consumer.until(() => consumer.status?.error?.code === 'DIVERGED')
    expect(consumer.events).toEqual([])
    consumer.stop.abort()
    await end
  })

  it('believes no block at another height than its place in the chain, nor one of those that are looked through', async () => {
    const source = new FakeSource()
    grow(source, 5)
    const consumer = new Consumer(source, await followFrom(source))
    grow(source, 3)
    const { block } = source
    source.block = async (hash) => ({ ...(await block(hash)), height: 2_000 })
    const end = consumer.start()
    await consumer.until(() => consumer.status?.error?.code === 'BAD_RESPONSE')
    expect(consumer.status!.error!.message).toContain('is at height 6, and the Bitcoin node says 2000')
    expect(consumer.events).toEqual([])
    const range = { fromHeight: 2, toHeight: 4 }
    await expect(readBlocks(source, consumer.state, range, () => {})).rejects.toMatchObject({ code: 'BAD_RESPONSE' })
    source.block = block
    await consumer.synced()
    expect(consumer.blocks).toEqual(source.active)
    consumer.stop.abort()
    await end
  })

  it('follows a reorganisation of the greatest depth', async () => {
    const source = new FakeSource()
    grow(source, MAX_REORG + 20)
    const consumer = new Consumer(source, await followFrom(source))
    source.undo(MAX_REORG)
    grow(source, MAX_REORG + 1, 1)
    const end = consumer.start()
    await consumer.synced()
    expect(consumer.events[0]).toMatchObject({ tag: 'reorg', height: 20 })
    consumer.stop.abort()
    await end
  })

  it('ends when the consumer fails, without giving it anything more', async () => {
    const source = new FakeSource()
    const consumer = new Consumer(source, await followFrom(source))
    grow(source, 3)
    consumer.onEvent = (e) => {
      if (e.tag === 'block' && e.block.height === 2) throw new Error('disk full')
    }
    await consumer.start()
    expect(String(consumer.fatal)).toContain('disk full')
    expect(consumer.state.height).toBe(1)
  })

  it('whatever the chain and the connection do meanwhile, the consumer ends up with the chain', async () => {
    const disturbance = fc.oneof(
      { weight: 6, arbitrary: fc.constant({ tag: 'none' as const }) },
      { weight: 2, arbitrary: fc.constant({ tag: 'fail' as const }) },
      { weight: 2, arbitrary: fc.constant({ tag: 'mine' as const }) },
      {
        weight: 1,
        arbitrary: fc.record({
          tag: fc.constant('reorg' as const),
          depth: fc.integer({ min: 1, max: 9 }),
          more: fc.nat(3),
        }),
      },
    )
    let reorgs = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(disturbance, { minLength: 20, maxLength: 80 }),
        fc.nat(12),
        async (disturbances, behind) => {
          const source = new FakeSource()
          grow(source, 12)
          const consumer = new Consumer(source, await followFrom(source, 12 - behind))
          let n = 0
          source.onCall = () => {
            const d = disturbances[n++]
            if (d?.tag === 'fail') throw new ChainError('UNAVAILABLE', 'gone')
            if (d?.tag === 'mine') source.extend([], n)
            if (d?.tag === 'reorg') {
              source.undo(d.depth)
              grow(source, d.depth + d.more, n)
            }
          }
          const end = consumer.start()
          while (n < disturbances.length) {
            await consumer.until(() => n >= disturbances.length || consumer.status?.synced === true)
            source.extend([], 77)
            await instantClock.sleep(0)
          }
          source.onCall = () => {}
          source.extend([], 99)
          await consumer.synced()
          expect(consumer.blocks).toEqual(source.active)
          reorgs += consumer.events.filter((e) => e.tag === 'reorg').length
          consumer.stop.abort()
          await end
          expect(consumer.fatal).toBeNull()
        },
      ),
      { numRuns: 100 },
    )
    expect(reorgs).toBeGreaterThan(20)
  })
})

describe('readBlocks', () => {
  it('reads old blocks by height and recent ones by the hashes that were followed', async () => {
    const source = new FakeSource()
    grow(source, MAX_REORG + 10)
    const state = await followFrom(source)
    const followed = [...source.active]
    source.undo(5)
    grow(source, 6, 1)
    const read: ChainBlock[] = []
    await readBlocks(source, state, { fromHeight: 3, toHeight: state.height }, (b) => void read.push(b))
    expect(read).toEqual(followed.slice(3))
  })
})
