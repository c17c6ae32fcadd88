import { beforeAll, describe, expect, it } from 'vitest'
import { Life } from './life.ts'
import { type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  const world = await World.start()
  await world.fund()
  await world.open('alice', 'bob', 1_000_000, 500_000)
  await world.open('bob', 'carol', 1_000_000, 500_000)
  base = world.snapshot()
  world.close()
})

describe('a forward over a restart', () => {
  it('is counted once, though both channels still hold its settled HTLCs at the start', async () => {
    const life = await Life.begin(base)
    const { world } = life
    await life.step({ tag: 'pay', from: 'alice', to: 'carol', amountMsat: 10_000_000, kind: 'invoice' })
    const bob = world.of('bob')
    const isSettled = () =>
      bob
        .node!.channels.all()
        .some(
          (e) =>
            e.state.tag === 'normal' &&
            [...e.state.channel.commitments.incoming.chunks.flat()].some((h) => h.removal !== null),
        )
    while (!isSettled()) await life.step({ tag: 'run', rounds: 1 })
    await world.turn()
    await world.restart('bob')
    await world.restart('bob')
    await life.finish()
    const count = async (type: string) => (await bob.api.eventsSince(0, 1000)).filter((e) => e.type === type).length
    expect(await count('forward.settled')).toBe(1)
    world.close()
  })
})
