import { afterEach, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { ServiceError } from '../../src/node/errors.ts'
import { type Snapshot, World } from './world.ts'

const CAPACITY = 600_000_000
const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

/** @param percent of the capacity that each node lets the other have under way at a time; left out: as by default */
const start = async (percent?: number, snapshot?: Snapshot): Promise<World> => {
  const world = await World.start(['alice', 'bob'], snapshot, {
    ...(percent !== undefined && { maxHtlcValueInFlightPercent: percent }),
  })
  worlds.push(world)
  await world.settle()
  return world
}
const opened = async (percent?: number): Promise<World> => {
  const world = await start(percent)
  await world.fund()
  await world.open('alice', 'bob', CAPACITY)
  await world.mine(6)
  return world
}
const announced = (world: World) =>
  [...world.of('bob').node!.graph.channels()].flatMap((c) => c.policies.map((p) => p?.htlcMaximumMsat))
const declared = (world: World) =>
  world
    .of('bob')
    .node!.channels.all()
    .map((e) => channelOf(e.state)?.params.local.maxHtlcValueInFlightMsat)
const pays = async (world: World, amountMsat: bigint): Promise<string> => {
  const { bolt11, paymentHash } = await world
    .of('bob')
    .api.createInvoice({ amountMsat: msat(amountMsat), description: '' })
  const paying = world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 })
  const refused = paying.then(
    () => null,
    (e: ServiceError) => e.code,
  )
  await world.settle()
  return (await refused) ?? (await world.of('alice').api.payment(paymentHash)).status
}

describe('max_htlc_value_in_flight_msat', () => {
  it('is the capacity, so that a channel carries all that it has, however large it is', async () => {
    const world = await opened()
    expect(declared(world)).toEqual([600_000_000_000n])
    expect(await pays(world, 590_000_000_000n)).toBe('succeeded')
  })

  it('is less where the operator says so, and neither side sends or announces more', async () => {
    const world = await opened(10)
    expect(declared(world)).toEqual([60_000_000_000n])
    expect(announced(world)).toEqual([60_000_000_000, 60_000_000_000])
    expect(await pays(world, 60_000_000_001n)).toBe('INSUFFICIENT_BALANCE')
    expect(await pays(world, 60_000_000_000n)).toBe('succeeded')
  })

  it('stays what was agreed on in channels that are there: a later choice is for new ones', async () => {
    const before = await opened()
    const world = await start(10, before.snapshot())
    expect(declared(world)).toEqual([600_000_000_000n])
    expect(await pays(world, 590_000_000_000n)).toBe('succeeded')
    await world.open('alice', 'bob', CAPACITY / 2)
    expect(declared(world)).toEqual([600_000_000_000n, 30_000_000_000n])
  })
})
