import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { Effects } from '../../src/node/effects.ts'
import { GossipShell } from '../../src/node/gossip.ts'
import { Payments } from '../../src/node/payments.ts'
import { type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})
afterEach(() => {
  vi.restoreAllMocks()
})

const bug = (): never => {
  throw new TypeError('a bug')
}
const alerts = async (world: World): Promise<readonly unknown[]> =>
  (await world.of('bob').api.eventsSince(0, 5_000)).filter((e) => e.type === 'node.alert').map((e) => e.data.code)
/** Alice pays bob; what becomes of it. */
async function payment(world: World): Promise<() => Promise<string>> {
  const { bolt11 } = await world.of('bob').api.createInvoice({ amountMsat: msat(1_000_000) })
  const { api } = world.of('alice')
  const { id } = (await world.attempt(api.pay({ bolt11 })))!
  await world.settle()
  return async () => (await api.payment(id)).status
}

describe('a bug of ours, which somebody may know how to bring about', () => {
  it('in what becomes of an HTLC stops neither the node nor its next starts; without it the HTLC is decided on', async () => {
    const world = await World.start(['alice', 'bob'], base)
    vi.spyOn(Payments.prototype, 'onRelay').mockImplementation(bug)
    const status = await payment(world)
    expect([await status(), world.of('bob').fatal, await alerts(world)]).toEqual([
      'pending',
      null,
      ['CHANNEL_EVENT_NOT_HANDLED'],
    ])
    await world.restart('bob')
    expect([world.of('bob').node?.channels.all().length, await alerts(world)]).toEqual([
      2,
      ['CHANNEL_EVENT_NOT_HANDLED', 'CHANNEL_EVENT_NOT_HANDLED'],
    ])
    vi.restoreAllMocks()
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    expect([await status(), world.of('bob').node!.channels.all()[0]!.state]).toMatchObject([
      'failed',
      { tag: 'normal' },
    ])
    world.close()
  })

  it('in what is published for one channel keeps nothing from being published for another, now and after a start', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const apply = Effects.prototype.apply
    vi.spyOn(Effects.prototype, 'apply').mockImplementation(function (this: Effects, entry, effect, scope) {
      if (effect.tag === 'broadcast' && entry.meta.seq === 1) bug()
      apply.call(this, entry, effect, scope)
    })
    const { api, node } = world.of('bob')
    for (const { meta } of node!.channels.all()) await world.attempt(api.closeChannel(meta.localId, { force: true }))
    await world.settle()
    const published = (): number => [...world.chain.mempool.entries()].length
    expect([published(), world.of('bob').fatal]).toEqual([1, null])
    await world.restart('bob')
    await world.mine(1)
    expect(
      world
        .of('bob')
        .node?.channels.all()
        .map((c) => c.state.tag),
    ).toEqual(['closing', 'closing'])
    vi.restoreAllMocks()
    await world.mine(1)
    expect(world.of('alice').node!.channels.all()).toMatchObject([{ state: { tag: 'closing' } }])
    world.close()
  })

  it('in a part that takes blocks is told once, and the blocks are taken', async () => {
    const world = await World.start(['alice', 'bob'], base)
    vi.spyOn(GossipShell.prototype, 'onBlock').mockImplementation(bug)
    await world.mine(3)
    expect([world.of('bob').node?.chain.height, await alerts(world)]).toEqual([
      world.chain.state.height,
      ['PART_FAILED'],
    ])
    world.close()
  })
})
