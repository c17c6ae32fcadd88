import { afterEach, describe, expect, it, vi } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { type Name, World } from './world.ts'

const HOUR = 3_600_000

afterEach(() => {
  vi.useRealTimers()
})

/** Alice – Bob – Carol, and a clock that is set. */
async function watched() {
  const world = await World.start(['alice', 'bob', 'carol'], await World.line())
  await world.settle()
  const [bob, carol] = [world.of('bob'), world.of('carol')]
  vi.useFakeTimers({ toFake: ['Date'] })
  const later = async (ms: number): Promise<void> => {
    vi.setSystemTime(Date.now() + ms)
    for (const { node } of world.alive) await node!.reactor.run((scope) => node!.gossip.tick(scope))
    await world.settle()
  }
  /** Bob's end of his channel with carol, as a node knows it. */
  const told = (by: Name) => {
    const channel = [...world.of(by).node!.graph.channels()].find((c) =>
      [c.nodeId1, c.nodeId2].every((id) => id === bob.nodeId || id === carol.nodeId),
    )!
    return channel.policies[bob.nodeId === channel.nodeId1 ? 0 : 1]!
  }
  return { world, later, told }
}

describe('BOLT 7 §the-channel_update-message: a public channel whose peer is away', () => {
  it('is told as one that carries nothing after an hour or two, once, and as before when the peer is back', async () => {
    const { world, later, told } = await watched()
    const [alice, carol] = [world.of('alice'), world.of('carol')]
    await later(HOUR)
    const before = told('alice')
    expect(before.enabled).toBe(true)
    world.crash('carol')
    await world.settle()
    await later(HOUR)
    // It may be back in a moment: an update for each lost connection would be a flood.
    expect(told('alice')).toEqual(before)
    await later(HOUR)
    const away = told('alice')
    expect(away).toMatchObject({ enabled: false, feeBaseMsat: before.feeBaseMsat })
    await later(8 * 24 * HOUR) // others are made anew by then
    expect(told('bob')).toEqual(away)

    await world.boot('carol')
    world.connectAll()
    await world.settle()
    expect(told('alice')).toMatchObject({ enabled: true, feeBaseMsat: before.feeBaseMsat })
    const { bolt11, paymentHash } = await carol.api.createInvoice({ amountMsat: msat(5_000_000) })
    await alice.api.pay({ bolt11 })
    await world.settle()
    expect(await alice.api.payment(paymentHash)).toMatchObject({ status: 'succeeded' })
    world.close()
  })

  it('that was back for less than an hour is told so again', async () => {
    const { world, later, told } = await watched()
    await later(HOUR)
    world.crash('carol')
    await world.settle()
    for (let n = 0; n < 2; n++) await later(HOUR)
    expect(told('alice').enabled).toBe(false)
    await world.boot('carol')
    world.connectAll()
    await world.settle()
    expect(told('alice').enabled).toBe(true)
    world.crash('carol')
    await world.settle()
    for (let n = 0; n < 5; n++) await later(HOUR)
    expect(told('alice').enabled).toBe(false)
    world.close()
  })
})
