import { expect, it } from 'vitest'
import { Life } from './life.ts'
import { nodeIdOf, World } from './world.ts'

it('a node whose write fails says nothing more, whatever comes in, and can start again', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000, 500_000)
  const life = new Life(world)
  const bob = world.of('bob')
  const said = (): number => world.wire.sent.get(nodeIdOf('bob')) ?? 0

  bob.lingers = true
  life.doom('bob', 2, { how: 'refused' })
  await life.step({ tag: 'pay', from: 'bob', to: 'alice', amountMsat: 30_000_000, kind: 'invoice' })
  await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat: 20_000_000, kind: 'invoice' })
  while (bob.fatal === null) await life.step({ tag: 'run', rounds: 1 })
  expect(bob.fatal).toMatchObject({ code: 'STORE_WRITE_FAILED' })

  const before = said()
  const written = bob.disk.writes
  const [entry] = bob.node!.channels.all()
  bob.api.closeChannel(entry!.meta.localId, { force: true }).catch(() => {})
  await expect(bob.api.createInvoice({ amountMsat: 1n as never })).rejects.toThrow()
  for (let n = 0; n < 30; n++) await life.step({ tag: 'run', rounds: 1 })
  world.chain.mine(3, Uint8Array.of(0x51))
  for (let n = 0; n < 30; n++) await life.step({ tag: 'run', rounds: 1 })
  expect([said(), bob.disk.writes, [...world.chain.mempool.entries()].length]).toEqual([before, written, 0])

  world.crash('bob')
  bob.lingers = false
  await life.finish()
  for (const p of life.payments) {
    const [outcome, received] = [await life.outcome(p), await life.received(p)]
    expect(outcome === 'succeeded').toBe(received !== null)
  }
  expect([life.openHtlcs(), life.complaints()]).toEqual([0, []])
  world.close()
})

it('a node that is short of disk space keeps it from the network’s gossip, and takes that in when there is room again', async () => {
  const world = await World.start(['alice', 'bob', 'carol'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  const { node, disk } = world.of('alice')
  const resources = node!.resources as { storageLow: () => boolean }
  const known = (): number => [...disk.snapshot().keys()].filter((key) => key.startsWith('gossip/1-channel')).length
  const before = known()
  resources.storageLow = () => true
  await world.open('bob', 'carol', 1_000_000)
  await world.mine(6)
  expect([known() - before, world.of('bob').node!.graph.channelsOf(nodeIdOf('carol')).length]).toEqual([0, 1])
  resources.storageLow = () => false
  world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
  await world.settle()
  world.connectAll()
  await world.settle()
  expect(known() - before).toBe(1)
  world.close()
})
