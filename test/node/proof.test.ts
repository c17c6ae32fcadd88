import { beforeAll, describe, expect, it } from 'vitest'
import { checkJournal } from '../../src/store/journal.ts'
import { type Snapshot, World } from './world.ts'

const pay = async (world: World): Promise<void> => {
  const { bolt11 } = await world.of('bob').api.createInvoice({ amountMsat: 50_000_000n as never, description: '' })
  await world.of('alice').api.pay({ bolt11 })
  await world.settle()
}

/** With a channel; and the same world a payment later. */
let early: Snapshot
let late: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  early = world.snapshot()
  await pay(world)
  late = world.snapshot()
  world.close()
})

/** Alice's disk as it was in one snapshot, with a write in the middle lost, in the world of the later one. */
function torn(alices: Snapshot): Snapshot {
  const disk = new Map(alices.disks.alice!)
  const numbers = [...disk.keys()].filter((k) => k.startsWith('journal/'))
  disk.delete(numbers[numbers.length >> 1]!)
  return { blocks: late.blocks, disks: { alice: disk, bob: late.disks.bob! } }
}
const published = (world: World): number => [...world.chain.mempool.entries()].length
const forceClose = async (world: World) => {
  const { node, api } = world.of('alice')
  return world.attempt(api.closeChannel(node!.channels.all()[0]!.meta.localId, { force: true }))
}

describe('a database that lost a write', () => {
  it('has no commitment published before the peer has shown where the channel stands', async () => {
    const world = await World.start(['alice'], torn(late))
    await expect(forceClose(world)).rejects.toMatchObject({ code: 'CONFLICT' })
    await world.mine(2)
    expect(published(world)).toBe(0)
    world.close()
  })

  it('is trusted again once the peer agrees, and the gap is closed for later starts', async () => {
    const world = await World.start(['alice', 'bob'], torn(late))
    expect((await checkJournal(world.of('alice').disk)).missing).toEqual([])
    await forceClose(world)
    await world.settle()
    expect(published(world)).toBeGreaterThan(0)
    world.close()
  })

  it('never publishes its commitment when the peer shows that it is an old one', async () => {
    const world = await World.start(['alice', 'bob'], torn(early))
    const [entry] = world.of('alice').node!.channels.all()
    expect(['waiting-for-peer', 'closing']).toContain(entry!.state.tag)
    await world.mine(6)
    const { state } = world.of('alice').node!.channels.all()[0]!
    expect(state).toMatchObject({ onchain: { how: 'remote-force' } })
    world.close()
  })
})
