import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { ChainShell } from '../../src/node/chain.ts'
import { Channels } from '../../src/node/channels.ts'
import { Effects } from '../../src/node/effects.ts'
import { GossipShell } from '../../src/node/gossip.ts'
import { Payments } from '../../src/node/payments.ts'
import { workAhead } from '../../src/node/workAhead.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

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

  it('in what an opening or a connection leads to costs no more than those', async () => {
    const world = await World.start(['alice', 'bob'], base)
    vi.spyOn(Channels.prototype, 'accept').mockImplementationOnce(bug)
    const opening = world.of('alice').api.openChannel({ peer: nodeIdOf('bob'), capacitySat: sat(200_000n) })
    opening.catch(() => {})
    await world.settle()
    expect([world.of('bob').fatal, await alerts(world)]).toEqual([null, ['MESSAGE_NOT_HANDLED']])
    vi.spyOn(GossipShell.prototype, 'onConnected').mockImplementation(bug)
    world.connectAll()
    await world.settle()
    expect([world.of('bob').fatal, await (await payment(world))()]).toEqual([null, 'succeeded'])
    world.close()
  })

  it('that a call comes upon ends that call, and leaves all channels to what comes after it', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { api } = world.of('alice')
    const [{ id }] = (await api.channels({ limit: 1 }, {})).items as unknown as [{ id: string }]
    vi.spyOn(ChainShell.prototype, 'watch').mockImplementationOnce(bug)
    await expect(api.closeChannel(id, { force: true })).rejects.toThrow('a bug')
    await world.settle()
    await world.mine(1) // with it the close is published again
    await world.mine(1)
    expect([world.of('alice').fatal, (await api.channel(id)).closing?.confirmations]).toEqual([null, 1])
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

describe('a bug in what nothing depends on', () => {
  it('in a listener to events keeps neither the node nor other listeners from going on', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { node } = world.of('bob')
    const heard: string[] = []
    node!.events.subscribe(bug)
    node!.events.subscribe((e) => heard.push(e.type))
    await world.mine(1)
    expect([heard, world.of('bob').fatal]).toEqual([['chain.block'], null])
    world.close()
  })

  it('in work done ahead is none: what is needed is made when it is', async () => {
    const world = await World.start(['alice', 'bob'], base)
    for (const { signer } of world.of('bob').node!.channels.all())
      vi.spyOn(signer, 'commitmentPoint').mockImplementationOnce(bug)
    const entries = world.of('bob').node!.channels.all()
    expect(() => workAhead(entries, new Uint8Array(32))).not.toThrow()
    expect(await (await payment(world))()).toBe('succeeded')
    world.close()
  })
})

describe('a damaged record', () => {
  it('of a payment, an invoice, a peer’s address or the place in the chain takes nothing with it but itself', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const bob = world.of('bob')
    const { id } = await bob.api.createInvoice({ amountMsat: msat(1_000) })
    await bob.api.createInvoice({ amountMsat: msat(2_000) })
    const hash = (await bob.api.invoice(id)).paymentHash
    await bob.api.connectPeer({ nodeId: nodeIdOf('alice'), host: '192.0.2.7', port: 9735 })
    await payment(world)
    world.crash('bob')
    const garbage = Uint8Array.of(0x93, 1)
    for (const key of [`invoice/${hash}`, `peer/${nodeIdOf('alice')}`, 'chain/position', 'onions/0000000000000001'])
      await bob.disk.harm(key, garbage)
    for (const key of ['meta/key-index', 'meta/backups', 'event/0000000000000001', 'sums-position'])
      await bob.disk.harm(key, garbage)
    await world.boot('bob')
    world.connectAll()
    await world.settle()
    expect(await alerts(world)).toEqual(['RECORDS_DAMAGED'])
    expect((await bob.api.invoices({ limit: 10 }, {})).items.map((i) => i.amountMsat)).toEqual([1_000_000n, 2_000n])
    const status = await payment(world)
    await world.mine(1)
    expect([await status(), bob.node!.channels.all().map((c) => c.state.tag)]).toEqual([
      'succeeded',
      ['normal', 'offline'],
    ])
    world.close()
  })
})
