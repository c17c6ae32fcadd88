import { beforeAll, describe, expect, it } from 'vitest'
import { doubtAll } from '../../src/node/adopt.ts'
import { onchainSat } from './accounts.ts'
import {
  type Disk,
  endOfCarols,
  entryOf,
  expectNothingLost,
  FEES,
  forwarded,
  htlcsOf,
  PREIMAGE,
  putBack,
  reconnect,
  stateOf,
  statusOf,
  wealth,
} from './lostOffers.ts'
import { type Snapshot, World } from './world.ts'

/** Alice – Bob – Carol, 500,000 sat at each end of both channels. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

const kept = (world: World): readonly string[] =>
  [...world.of('bob').disk.snapshot().keys()].filter((key) => key.startsWith('lost-htlc/'))

/** Bob starts on an older content of his disk while Carol is away, and the forward goes back before she is heard of. */
async function returned(world: World, older: Disk): Promise<void> {
  world.crash('carol')
  await putBack(world, older)
  await reconnect(world)
  const { cltvExpiry } = htlcsOf(world, 'alice').incoming[0]!.add
  await world.mine(cltvExpiry - 12 - world.chain.state.height)
}

describe('what a start has to know of HTLCs that lost writes had', () => {
  it('is the offer of a forward that went back before its next node was heard of, until that node’s channel has it', async () => {
    const world = await World.start(undefined, base)
    const wealthBefore = wealth(world)
    const { before } = await forwarded(world)
    await returned(world, before)
    expect([await statusOf(world), stateOf(world, 'alice').tag, kept(world).length]).toEqual(['failed', 'normal', 1])
    await world.restart('bob')
    await world.boot('carol')
    await reconnect(world)
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'presumed' }])
    await world.mine(2)
    await endOfCarols(world)
    expectNothingLost(world, wealthBefore)
    expect(kept(world)).toEqual([])
    world.close()
  })

  it('is that offer also where a peer has shown meanwhile that all of the database is old', async () => {
    const world = await World.start(undefined, base)
    const bob = world.of('bob')
    const { before } = await forwarded(world)
    await returned(world, before)
    expect([await statusOf(world), kept(world).length]).toEqual(['failed', 1])
    const newer = { ...bob.wholeBackup!, journal: 1_000_000 }
    await world.attempt(doubtAll(bob.node!, newer, null))
    await world.boot('carol')
    await reconnect(world)
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'presumed' }])
    world.close()
  })

  it('is that offer also where its channel cannot be read, until a backup brings that back', async () => {
    const world = await World.start(undefined, base)
    const bob = world.of('bob')
    const backup = bob.wholeBackup
    const { localId } = entryOf(world, 'carol').meta
    const { before } = await forwarded(world)
    bob.wholeBackup = null
    await returned(world, new Map([...before, [`channel/${localId}/core`, Uint8Array.of(1, 2, 3)]]))
    await world.mine(2)
    expect([await statusOf(world), kept(world).length]).toEqual(['failed', 1])

    bob.restoreFrom = backup
    await putBack(world, bob.disk.snapshot(), true)
    bob.restoreFrom = null
    await world.boot('carol')
    await reconnect(world)
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'presumed' }])
    world.close()
  })

  it('is the preimage of a forward whose incoming HTLC is lost, until its channel has that', async () => {
    const world = await World.start(undefined, base)
    const bob = world.of('bob')
    const { localId } = entryOf(world, 'alice').meta
    const isAlices = (key: string): boolean => key.startsWith(`channel/${localId}/`)
    const older = [...bob.disk.snapshot()].filter(([key]) => isAlices(key))
    const { id } = await forwarded(world)
    const now = [...bob.disk.snapshot()].filter(([key]) => !isAlices(key))
    const wealthBefore = onchainSat(world).bob
    await putBack(world, new Map([...now, ...older]))
    world.wire.connect(bob.nodeId, world.of('carol').nodeId)
    await world.settle()
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    expect([htlcsOf(world, 'carol').outgoing, kept(world).length]).toEqual([[], 1])
    await world.restart('bob')
    await reconnect(world)
    for (let n = 0; n < 30; n++) await world.mine(1)
    expect([await statusOf(world), stateOf(world, 'carol').tag]).toEqual(['succeeded', 'normal'])
    expect(onchainSat(world).bob - wealthBefore).toBeGreaterThan(600_000n - FEES)
    expect(kept(world)).toEqual([])
    world.close()
  })

  it('is the preimage of a forward whose incoming channel cannot be read, until a backup brings that back', async () => {
    const world = await World.start(undefined, base)
    const bob = world.of('bob')
    const { id } = await forwarded(world)
    for (let n = 0; n < 6; n++) await world.attempt(bob.node!.backup.look())
    await world.settle()
    const { localId } = entryOf(world, 'alice').meta
    world.crash('bob')
    const backup = bob.wholeBackup
    bob.wholeBackup = null
    await bob.disk.harm(`channel/${localId}/core`, Uint8Array.of(1, 2, 3))
    await world.boot('bob')
    world.wire.connect(bob.nodeId, world.of('carol').nodeId)
    await world.settle()
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    expect([htlcsOf(world, 'carol').outgoing, kept(world).length]).toEqual([[], 1])

    bob.restoreFrom = backup
    await putBack(world, bob.disk.snapshot(), true)
    bob.restoreFrom = null
    await reconnect(world)
    for (let n = 0; n < 3; n++) await world.mine(1)
    expect(await statusOf(world)).toBe('succeeded')
    expect(htlcsOf(world, 'alice').incoming).toMatchObject([{ removal: { preimage: PREIMAGE } }])
    world.close()
  })
})
