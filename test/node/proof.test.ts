import { beforeAll, describe, expect, it } from 'vitest'
import { CHAIN_METHODS } from '../../src/chain/embedded/rpc/chainMethods.ts'
import { checkJournal } from '../../src/store/journal.ts'
import { keys } from '../../src/store/schema.ts'
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

describe('a database that lost a write: a restored old state', () => {
  it('has no commitment published before the peer has shown where the channel stands', async () => {
    const world = await World.start(['alice'], torn(late))
    await expect(forceClose(world)).rejects.toMatchObject({ code: 'CONFLICT' })
    await world.mine(2)
    expect(published(world)).toBe(0)
    world.close()
  })

  it('has its commitment published at its operator’s word who accepts that all may be lost', async () => {
    const world = await World.start(['alice'], torn(late))
    const { node, api } = world.of('alice')
    const { localId } = node!.channels.all()[0]!.meta
    await expect(forceClose(world)).rejects.toMatchObject({ message: expect.stringContaining('--accept-risk') })
    await world.attempt(api.closeChannel(localId, { force: true, acceptRisk: 'losing-the-whole-channel' }))
    expect(published(world)).toBe(1)
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

  it('is in doubt until then, however often it starts', async () => {
    const world = await World.start(['alice'], torn(late))
    expect((await checkJournal(world.of('alice').disk)).missing).toEqual([])
    await world.restart('alice')
    await expect(forceClose(world)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(published(world)).toBe(0)
    world.close()
  })

  /** Bob has closed the channel by force, and alice has lost the write that knew of it. */
  async function missedClose(): Promise<Snapshot> {
    const world = await World.start(['alice', 'bob'], late)
    const kept = new Map([...world.of('alice').disk.snapshot()].filter(([key]) => key.startsWith('channel')))
    const { node, api } = world.of('bob')
    await world.attempt(api.closeChannel(node!.channels.all()[0]!.meta.localId, { force: true }))
    await world.mine(20)
    // All that came of those blocks is there but what it did to the channel.
    const after = world.snapshot()
    const disk = new Map([...after.disks.alice!].filter(([key]) => !key.startsWith('channel')))
    for (const [key, value] of kept) disk.set(key, value)
    const numbers = [...disk.keys()].filter((k) => k.startsWith('journal/'))
    disk.delete(numbers.at(-10)!)
    world.close()
    return { ...after, disks: { alice: disk } }
  }

  it('looks through all blocks for what it may have missed: a channel that the peer has closed', async () => {
    const again = await World.start(['alice'], await missedClose())
    const { state } = again.of('alice').node!.channels.all()[0]!
    expect(state).toMatchObject({ onchain: { how: 'remote-force' } })
    again.close()
  })

  it('goes on looking after a stop that comes before it is through, and until then alone', async () => {
    const method = CHAIN_METHODS.getblock!
    const { run } = method
    const missed = await missedClose()
    Object.assign(method, {
      run: () => {
        throw new Error('not now')
      },
    })
    const again = await World.start(['alice'], missed)
    Object.assign(method, { run })
    const state = () => again.of('alice').node!.channels.all()[0]!.state
    expect(state()).toMatchObject({ tag: 'waiting-for-peer' })
    await again.restart('alice')
    await again.settle()
    expect(state()).toMatchObject({ onchain: { how: 'remote-force' } })
    expect(again.of('alice').disk.snapshot().has(keys.lookBack)).toBe(false)
    again.close()
  })

  it('starts without a channel that lost a record, says so, and goes on with the others', async () => {
    const base = torn(late)
    const alice = new Map(base.disks.alice!)
    const lost = [...alice.keys()].find((key) => /^channel\/.*\/fixed$/.test(key))!
    alice.delete(lost)
    const world = await World.start(['alice', 'bob'], { ...base, disks: { ...base.disks, alice } })
    expect(world.of('alice').node!.channels.all()).toEqual([])
    const events = await world.of('alice').api.eventsSince(0, 1_000)
    expect(events.map((e) => e.data.code)).toContain('CHANNEL_DAMAGED')
    world.close()
  })

  it('does not start at all when a record is missing though no write was lost', async () => {
    const alice = new Map(late.disks.alice!)
    for (const key of [...alice.keys()]) if (/^channel\/.*\/fixed$/.test(key)) alice.delete(key)
    const start = World.start(['alice'], { ...late, disks: { alice } })
    await expect(start).rejects.toMatchObject({ code: 'CHANNEL_RECORD' })
  })

  it.each([
    ['fixed', Uint8Array.of(0xc1)],
    ['core', Uint8Array.of(0x93, 1, 2)],
    ['stages', null],
    ['secret/00', null],
  ])(
    'goes on without a channel whose record %s is damaged though no write was lost, and has its peer close it',
    async (name, value) => {
      const world = await World.start(['alice', 'bob'], late)
      await world.open('alice', 'bob', 500_000)
      const alice = world.of('alice')
      const [first] = alice.node!.channels.all()
      const { localId: id } = first!.meta
      world.crash('alice')
      const key = `channel/${id}/${name}`
      expect(alice.disk.snapshot().has(key)).toBe(true)
      await alice.disk.harm(key, value)
      await world.boot('alice')
      const events = await alice.api.eventsSince(0, 1_000)
      const alert = events.find((e) => e.data.code === 'CHANNEL_DAMAGED')?.data
      expect(alert).toMatchObject({ id, message: expect.stringContaining('what the backup has of it takes its place') })
      const states = () => alice.node!.channels.all().map((c) => c.state.tag)
      expect(states()).toEqual(['offline', 'waiting-for-peer'])
      world.connectAll()
      await world.settle()
      await world.mine(1)
      expect(states()).toEqual(['normal', 'closing'])
      world.close()
    },
  )

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
