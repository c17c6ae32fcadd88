import { describe, expect, it } from 'vitest'
import { ChainShell } from '../../src/node/chain.ts'
import type { Reactor, TurnScope } from '../../src/node/reactor.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { FakeSource } from '../chain/fakeSource.ts'

const HOUR = 3_600_000

/** Every task is a turn of its own. */
const scope = { write: () => {}, after: (act: () => void) => act() } as unknown as TurnScope
const reactor = {
  post: (task: (s: TurnScope) => void) => task(scope),
  run: async (task: (s: TurnScope) => void) => task(scope),
} as unknown as Reactor

/** A Bitcoin node that tells the time of its tip, and says that it is in step whatever that is. */
class TimedSource extends FakeSource {
  override tip = async () => ({ hash: this.top.hash, height: this.top.height, syncing: false, time: this.top.time })
}

async function followed(source: FakeSource, now = Date.now) {
  const changed: (() => void)[] = []
  const chain = await ChainShell.open({
    source,
    driver: new MemoryDriver(),
    reactor,
    onEvents: () => {},
    onSearched: () => {},
    onBlock: () => {},
    onReorg: () => {},
    onStatus: () => changed.splice(0).forEach((f) => void f()),
    onBack: () => {},
    onFatal: (e) => {
      throw e
    },
    now,
  })
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise<void>((resolve) => changed.push(resolve))
  }
  return { chain, until }
}

describe('the chain of a Bitcoin node that catches up itself', () => {
  it('is one of the past, though all blocks that it has are here, until it has those that it knows of', async () => {
    const source = new FakeSource()
    for (let i = 0; i < 5; i++) source.extend([])
    source.syncing = true
    const { chain, until } = await followed(source)
    chain.start()
    for (const height of [6, 7]) {
      source.extend([])
      await until(() => chain.height === height)
      expect([chain.isBehind, chain.isCatchingUp]).toEqual([false, true])
    }
    source.syncing = false
    source.extend([])
    await until(() => chain.status.synced)
    expect([chain.height, chain.isCatchingUp]).toEqual([8, false])
    await chain.stop()
  })
})

describe('the chain of a Bitcoin node that hears of no blocks (time dilation)', () => {
  it('is not that of now after two hours, though that node calls itself in step; with the next block it is again', async () => {
    const source = new TimedSource()
    for (let i = 0; i < 50; i++) source.extend([])
    const tipTime = (): number => source.top.time * 1000
    let now = tipTime() + 0.5 * HOUR
    const { chain, until } = await followed(source, () => now)
    expect([chain.isCurrent, chain.highest]).toEqual([false, null])
    chain.start()
    await until(() => chain.status.synced)
    expect([chain.isCurrent, chain.isSynced, chain.highest]).toEqual([true, true, 50])

    now = tipTime() + 2 * HOUR + 1
    expect([chain.status.synced, chain.isOld, chain.isCurrent, chain.isSynced]).toEqual([true, true, false, false])
    expect(chain.highest).toBe(50 + 2 * 12 + 1)
    source.extend([])
    await until(() => chain.height === 51 && chain.status.synced)
    now = tipTime() + HOUR
    expect([chain.isCurrent, chain.isSynced, chain.highest]).toEqual([true, true, 51])

    // A start after a day: the Bitcoin node has all blocks that it knows of, and does not call that a download.
    now = tipTime() + 23 * HOUR
    expect([chain.isCurrent, chain.highest]).toEqual([false, 51 + 23 * 12])
    await chain.stop()
  })
})
