import { beforeAll, describe, expect, it } from 'vitest'
import { onchainSat } from './accounts.ts'
import { entryOf, FEES, forwarded, htlcsOf, PREIMAGE, putBack, reconnect, stateOf, statusOf } from './lostOffers.ts'
import { type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

describe('a forward of which only the HTLC that came in is lost', () => {
  it.each([
    ['when it has learned that', false],
    ['before', true],
  ])('is claimed with the preimage that the next node gives it off chain %s', async (_, early) => {
    const world = await World.start(undefined, base)
    const bob = world.of('bob')
    const { localId } = entryOf(world, 'alice').meta
    const isAlices = (key: string): boolean => key.startsWith(`channel/${localId}/`)
    const older = bob.disk.snapshot()
    const { id } = await forwarded(world)
    const now = bob.disk.snapshot()
    const wealthBefore = onchainSat(world).bob
    await putBack(
      world,
      new Map([...now].filter(([k]) => !isAlices(k)).concat([...older].filter(([k]) => isAlices(k)))),
    )
    expect(htlcsOf(world, 'alice').incoming).toEqual([])
    if (early) {
      world.wire.connect(world.of('bob').nodeId, world.of('carol').nodeId)
      await world.settle()
      await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
      await world.settle()
    }
    await reconnect(world)
    if (!early) {
      await world.mine(8)
      await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
      await world.settle()
    }
    for (let n = 0; n < 30; n++) await world.mine(1)
    expect([await statusOf(world), stateOf(world, 'carol').tag]).toEqual(['succeeded', 'normal'])
    // Half of the channel with Alice, and what she paid for the forward.
    expect(onchainSat(world).bob - wealthBefore).toBeGreaterThan(600_000n - FEES)
    world.close()
  })
})
