import { describe, expect, it } from 'vitest'
import { ChainError } from '../../src/chain/errors.ts'
import type { ChainEvent, Watch } from '../../src/channel/types.ts'
import { ChainShell } from '../../src/node/chain.ts'
import type { Reactor, TurnScope } from '../../src/node/reactor.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { FakeSource, tx } from '../chain/fakeSource.ts'
import { foreignOutpoint } from '../wallet/world.ts'

/** Turns that come when the test says so. */
class SteppedReactor {
  readonly tasks: ((scope: TurnScope) => void)[] = []
  readonly #scope = { write: () => {}, after: (act: () => void) => act() } as unknown as TurnScope
  post = (task: (scope: TurnScope) => void): void => void this.tasks.push(task)
  run = (task: (scope: TurnScope) => void): Promise<void> =>
    new Promise((resolve) =>
      this.post((scope) => {
        task(scope)
        resolve()
      }),
    )
  turn(): void {
    for (const task of this.tasks.splice(0)) task(this.#scope)
  }
}
const breathe = async (rounds = 20): Promise<void> => {
  for (let i = 0; i < rounds; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** The chain of a source, what it tells of what is watched, and why older blocks could not be read. */
async function shellOver(source: FakeSource) {
  const reactor = new SteppedReactor()
  const told: ChainEvent[] = []
  const failures: unknown[] = []
  const chain = await ChainShell.open({
    source,
    driver: new MemoryDriver(),
    reactor: reactor as unknown as Reactor,
    onEvents: (_, events) => void told.push(...events),
    onSearched: () => {},
    onBlock: () => {},
    onReorg: () => {},
    onStatus: () => {},
    onUnread: (e) => failures.push(e),
    onBack: () => {},
    onFatal: (e) => {
      throw e
    },
  })
  return { chain, reactor, told, failures }
}

describe('older blocks that are looked through for a new watch', () => {
  it('are looked through again when a reorganisation waits for its turn before what was found', async () => {
    const outpoint = foreignOutpoint(1)
    const source = new FakeSource()
    for (let i = 0; i < 2; i++) source.extend([])
    source.extend([tx([outpoint])])
    for (let i = 0; i < 4; i++) source.extend([])
    const { chain, reactor, told } = await shellOver(source)
    // Its reading is held up until the reorganisation is on its way.
    let letGo = (): void => {}
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const { block } = source
    const first = source.active[1]!.hash
    source.block = async (hash) => {
      if (hash === first) await held
      return block(hash)
    }
    const watch: Watch = { tag: 'spend', outpoint, scriptPubKey: new Uint8Array(22) }
    reactor.post((scope) => chain.watch('channel', [watch], scope, 1))
    reactor.turn()
    await breathe()
    chain.start()
    source.undo(5)
    for (let i = 0; i < 7; i++) source.extend([], 9)
    await breathe()
    reactor.turn() // the position goes back first
    await breathe()
    expect(reactor.tasks).toHaveLength(1)
    letGo()
    await breathe()
    for (let i = 0; i < 40 && chain.height < source.top.height; i++) {
      reactor.turn()
      await breathe()
    }
    await breathe()
    reactor.turn()
    await chain.stop()
    expect(chain.height).toBe(source.top.height)
    // What spent it is in no block any more.
    expect(told.filter((e) => e.tag !== 'block')).toEqual([{ tag: 'reorg', height: 2 }])
  })
})

describe('older blocks that the Bitcoin node no longer has', () => {
  it('are told of, and looked through as soon as it has them again', async () => {
    const outpoint = foreignOutpoint(2)
    const source = new FakeSource()
    source.extend([tx([outpoint])])
    for (let i = 0; i < 4; i++) source.extend([])
    const { chain, reactor, told, failures } = await shellOver(source)
    const { block } = source
    const pruned = new ChainError('PRUNED', 'the block is gone')
    let tries = 0
    source.block = (hash) => (tries++ < 2 ? Promise.reject(pruned) : block(hash))
    const watch: Watch = { tag: 'spend', outpoint, scriptPubKey: new Uint8Array(22) }
    reactor.post((scope) => chain.watch('channel', [watch], scope, 1))
    while (told.length === 0) {
      reactor.turn()
      await breathe()
    }
    expect(told).toMatchObject([{ tag: 'spent', height: 1 }])
    expect(failures).toEqual([pruned])
  })
})
