import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { channelOf } from '../../src/channel/describe.ts'
import { torn } from './disk.ts'
import { Life } from './life.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

const CAPACITY = 1_000_000n

let base: Snapshot
beforeAll(async () => {
  const world = await World.start()
  await world.fund()
  base = world.snapshot()
  world.close()
})

/** Alice opens a channel; the power goes at her n-th write, of which only the part that is named is found afterwards. */
async function openTorn(n: number, keeps: (group: string) => boolean): Promise<{ life: Life; died: boolean }> {
  const life = await Life.begin(base)
  const { world } = life
  const { disk, service } = world.of('alice')
  const last = disk.writes + n
  disk.judge = (ops, at) => (at < last ? null : { tag: 'die', kept: torn(ops, { keeps, localIdOf: (id) => id }) })
  service?.openChannel({ peer: nodeIdOf('bob'), capacitySat: CAPACITY as never }).catch(() => {})
  await world.settle()
  const died = disk.dead
  await life.finish()
  await world.mine(6)
  return { life, died }
}

describe('the funding transaction of a channel', () => {
  it.each(['wallet', 'channel'])(
    'is never published without its channel on disk, though only the %s was written',
    async (part) => {
      for (let n = 1, died = true; died; n++) {
        const run = await openTorn(n, (group) => group.startsWith(part))
        died = run.died
        const { world } = run.life
        const alice = world.of('alice').node!
        const channels = alice.channels
          .all()
          .filter((e) => e.state.tag === 'normal')
          .map((e) => channelOf(e.state)!)
        const { state } = world.chain
        const paid = Array.from({ length: state.height }, (_, h) => state.at(h + 1)!.block.transactions)
          .flat()
          .flatMap((tx) => tx.outputs)
          .filter((o) => o.amountSat === CAPACITY)
        expect([n, paid.length]).toEqual([n, channels.length])
        expect([n, alice.wallet.state.locks.size]).toEqual([n, 0])
        expect([n, [...world.chain.mempool.entries()].length]).toEqual([n, 0])
        world.close()
      }
    },
  )
})

describe('an opening that we refuse ourselves', () => {
  it('is not told as refused by the peer, who was not asked', async () => {
    const { world } = await Life.begin(base)
    const request = { peer: nodeIdOf('bob'), capacitySat: CAPACITY as never, pushMsat: 999_999_999n as never }
    const opening = world
      .of('alice')
      .api.openChannel(request)
      .catch((e: unknown) => e)
    expect(await opening).toMatchObject({ code: 'LIMIT_EXCEEDED', message: expect.stringContaining('push less') })
    expect(world.of('bob').node!.channels.all()).toEqual([])
    world.close()
  })
})

describe('an opening that takes too long', () => {
  afterEach(() => void vi.useRealTimers())

  it('is not told as given up when the peer answers in the last moment', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const opening = alice.api.openChannel({ peer: bob.nodeId, capacitySat: CAPACITY as never })
    opening.catch(() => {})
    const phase = () => alice.node!.channels.all()[0]?.state.tag
    while (phase() !== 'await-funding-signed') {
      world.wire.deliver()
      await world.turn()
    }
    const sent = world.wire.sent.get(bob.nodeId)
    while (world.wire.sent.get(bob.nodeId) === sent) {
      world.wire.deliver(alice.nodeId)
      await world.turn()
    }
    // What it answered waits for its turn.
    while (world.wire.deliver(bob.nodeId));
    expect(phase()).toBe('await-funding-signed')
    vi.advanceTimersByTime(60_000)
    vi.useRealTimers()
    await world.settle()
    expect(await opening).toMatchObject({ state: 'waiting-confirmations' })
    await world.mine(6)
    expect(phase()).toBe('normal')
    world.close()
  })

  it('is given up otherwise, and costs nothing', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const opening = alice.api.openChannel({ peer: nodeIdOf('bob'), capacitySat: CAPACITY as never })
    opening.catch(() => {})
    while (!world.wire.deliver(alice.nodeId)) await world.turn()
    await world.turn()
    vi.advanceTimersByTime(60_000)
    vi.useRealTimers()
    await expect(opening).rejects.toMatchObject({ code: 'PEER_REFUSED' })
    await world.settle()
    expect(alice.node!.channels.all()).toEqual([])
    expect(alice.node!.wallet.state.locks.size).toBe(0)
    world.close()
  })
})
