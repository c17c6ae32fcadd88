import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import {
  AMOUNT,
  endOfCarols,
  entryOf,
  expectNothingLost,
  HASH,
  htlcsOf,
  invoice,
  isOffer,
  kindOf,
  PREIMAGE,
  putBack,
  reconnect,
  stateOf,
  statusOf,
  wealth,
} from './lostOffers.ts'
import { NOBODY, nodeIdOf, type Snapshot, World } from './world.ts'

/** Alice – Bob – Carol, 500,000 sat at each end of both channels. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

describe('a forward that was never offered', () => {
  /** The power goes when Bob writes that he offers it: of that batch, his channel with Alice alone is on disk. */
  async function torn(world: World): Promise<void> {
    const { bolt11 } = await invoice(world)
    const { localId } = entryOf(world, 'carol').meta
    world.of('bob').disk.judge = (ops) =>
      ops.some(({ key }) => isOffer(localId)(key))
        ? { tag: 'die', kept: ops.filter(({ key }) => !key.startsWith(`channel/${localId}/`)) }
        : null
    await world.attempt(world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 }))
    await world.settle()
    expect(world.of('bob').node).toBe(null)
  }

  it('goes on, once both channels have shown that nothing is lost', async () => {
    for (const order of [
      ['alice', 'carol'],
      ['carol', 'alice'],
    ] as const) {
      const world = await World.start(undefined, base)
      await torn(world)
      await world.boot('bob')
      await world.settle()
      expect([htlcsOf(world, 'alice').incoming, htlcsOf(world, 'carol').outgoing]).toMatchObject([
        [{ stage: 'committed', removal: null }],
        [],
      ])
      world.wire.connect(nodeIdOf(order[0]), nodeIdOf('bob'))
      await world.settle()
      expect([await statusOf(world), htlcsOf(world, 'carol').outgoing]).toEqual(['pending', []])
      world.wire.connect(nodeIdOf(order[1]), nodeIdOf('bob'))
      await world.settle()
      expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'committed' }])
      world.close()
    }
  })

  it('is offered once, over another channel with the next node, when the first has ended without it', async () => {
    const world = await World.start(undefined, base)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const carols = () => world.of('bob').node!.channels.ofPeer(nodeIdOf('carol'))
    const about = { amountMsat: msat(AMOUNT * 1000n), description: '', paymentHash: HASH, minFinalCltvExpiryDelta: 100 }
    const { bolt11 } = await world.of('carol').api.createInvoice(about)
    const chosen: string[] = []
    world.of('bob').disk.judge = (ops) => {
      const offer = ops.map(({ key }) => /^channel\/([^/]+)\/add\/out\//.exec(key)?.[1]).find((l) => l !== undefined)
      if (offer === undefined) return null
      chosen.push(offer)
      return { tag: 'die', kept: ops.filter(({ key }) => !key.startsWith(`channel/${offer}/`)) }
    }
    await world.attempt(world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 }))
    await world.settle()
    expect(world.of('bob').node).toBe(null)
    world.of('bob').disk.judge = () => null
    // Carol closes the channel that was chosen, and no other.
    await world.boot('bob')
    const funding = channelOf(world.of('bob').node!.channels.get(chosen[0]!)!.state)!.params.channelId
    world.crash('bob')
    const carol = world.of('carol')
    await world.attempt(
      carol.api.closeChannel(carol.node!.channels.byChannelId(funding)!.meta.localId, { force: true }),
    )
    await world.mine(1)
    await world.boot('bob')
    await reconnect(world)
    const offered = () =>
      carols().flatMap(({ state }) => (state.tag === 'closed' ? [] : [channelOf(state)!.commitments.nextOutgoingId]))
    await world.mine(5)
    // Carol does not answer before Bob starts again, and is told of the same end by the first channel.
    world.chain.mine(1, NOBODY)
    for (let n = 0; n < 60; n++) {
      for (const name of ['alice', 'bob'] as const) world.wire.deliver(nodeIdOf(name))
      await world.turn()
    }
    expect(offered()).toEqual([1n])
    await world.restart('bob')
    await reconnect(world)
    expect(offered()).toEqual([1n])
    world.close()
  })

  it('is offered once also where nothing was lost: the next node let it wait for a signature, and closed that channel', async () => {
    const world = await World.start(undefined, base)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const [alice, carol] = [world.of('alice'), world.of('carol')]
    const carols = () => world.of('bob').node!.channels.ofPeer(nodeIdOf('carol'))
    const stages = () =>
      carols().map(({ state }) =>
        channelOf(state)!
          .commitments.outgoing.chunks.flat()
          .map((h) => h.stage)
          .join(),
      )
    const two = [1, 2].map((n) => new Uint8Array(32).fill(n))
    for (const preimage of two) {
      const paymentHash = createHash('sha256').update(preimage).digest('hex') as PaymentHash
      const about = { amountMsat: msat(AMOUNT * 1000n), description: '', paymentHash, minFinalCltvExpiryDelta: 100 }
      const { bolt11 } = await carol.api.createInvoice(about)
      await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 1 }))
      for (let n = 0; n < 60; n++) {
        for (const name of ['alice', 'bob'] as const) world.wire.deliver(nodeIdOf(name))
        await world.turn()
      }
    }
    expect(stages().toSorted()).toEqual(['', 'signed,proposed'])
    const channelId = channelOf(carols()[stages().indexOf('signed,proposed')]!.state)!.params.channelId
    world.crash('bob')
    await world.attempt(
      carol.api.closeChannel(carol.node!.channels.byChannelId(channelId)!.meta.localId, { force: true }),
    )
    await world.mine(1)
    await world.boot('bob')
    await reconnect(world)
    await world.mine(8)
    const offered = carols()
      .filter(({ state }) => state.tag === 'normal')
      .map(({ state }) => channelOf(state)!.commitments.nextOutgoingId)
    expect(offered).toEqual([1n])
    world.close()
  })

  it('goes back in time where the next node’s channel has lost other writes, and its own stays open', async () => {
    const world = await World.start(undefined, base)
    const older = world.of('bob').disk.snapshot()
    const { bolt11 } = await world.of('carol').api.createInvoice({ amountMsat: msat(1_000_000), description: '' })
    await world.attempt(world.of('bob').api.pay({ bolt11 }))
    await world.settle()
    const wealthBefore = wealth(world)
    const { localId } = entryOf(world, 'carol').meta
    await torn(world)
    const isCarols = (key: string): boolean => key.startsWith(`channel/${localId}/`)
    const { disk } = world.of('bob')
    const rest = [...disk.snapshot()].filter(([key]) => !isCarols(key))
    await putBack(world, new Map([...rest, ...[...older].filter(([key]) => isCarols(key))]))
    await reconnect(world)
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'presumed' }])
    const { cltvExpiry } = htlcsOf(world, 'alice').incoming[0]!.add
    await world.mine(1)
    expect([kindOf(world), await statusOf(world)]).toEqual(['future', 'pending'])
    for (let n = 0; n < 150 && (await statusOf(world)) === 'pending'; n++) await world.mine(1)
    expect([await statusOf(world), stateOf(world, 'alice').tag]).toEqual(['failed', 'normal'])
    expect(cltvExpiry - world.chain.state.height).toBeGreaterThan(12)
    await endOfCarols(world)
    await world.mine(30)
    expect(stateOf(world, 'alice').tag).toBe('normal')
    expectNothingLost(world, wealthBefore)
    world.close()
  })

  it.each([
    ['', false],
    [', also when another start comes', true],
  ])('is offered once where a channel with the next node was at its end already%s', async (_, again) => {
    const world = await World.start(undefined, base)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    const carols = () => bob.node!.channels.ofPeer(nodeIdOf('carol'))
    const [first, second] = carols()
    await world.attempt(bob.api.closeChannel(first!.meta.localId, { force: true }))
    await world.mine(5)
    expect(carols().map((e) => e.state.tag)).toEqual(['closing', 'normal'])
    const { bolt11, id } = await carol.api.createInvoice({
      amountMsat: msat(100_000_000n),
      description: '',
      paymentHash: HASH,
    })
    // The power goes when Bob writes the offer: of that batch, all but his channel with Carol is on disk.
    const { localId } = second!.meta
    bob.disk.judge = (ops) =>
      ops.some(({ key }) => key.startsWith(`channel/${localId}/add/out/`))
        ? { tag: 'die', kept: ops.filter(({ key }) => !key.startsWith(`channel/${localId}/`)) }
        : null
    await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 1 }))
    await world.settle()
    expect(bob.node).toBe(null)
    await world.boot('bob')
    world.connectAll()
    await world.settle()
    await world.mine(2)
    const offered = () => channelOf(carols()[1]!.state)!.commitments
    expect(offered().outgoing.chunks.flat()).toMatchObject([{ stage: 'committed' }])
    if (again) {
      await world.restart('bob')
      world.connectAll()
      await world.settle()
    }
    expect([offered().nextOutgoingId, (await alice.api.payment(HASH)).status]).toEqual([1n, 'pending'])
    await world.attempt(carol.api.settleInvoice(id, PREIMAGE))
    await world.settle()
    expect((await alice.api.payment(HASH)).status).toBe('succeeded')
    world.close()
  })

  it('is offered once where a start finds it half committed, though another channel with the next node closes', async () => {
    const world = await World.start(undefined, base)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    const carols = () => bob.node!.channels.ofPeer(nodeIdOf('carol'))
    await world.attempt(bob.api.closeChannel(carols()[0]!.meta.localId, { force: true }))
    await world.mine(5)
    const { bolt11, id } = await carol.api.createInvoice({
      amountMsat: msat(100_000_000n),
      description: '',
      paymentHash: HASH,
    })
    await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 1 }))
    const incoming = () =>
      channelOf(bob.node!.channels.ofPeer(nodeIdOf('alice'))[0]!.state)!.commitments.incoming.chunks.flat()[0]
    for (let n = 0; n < 60 && incoming()?.stage !== 'signed'; n++) {
      world.wire.deliver(nodeIdOf('alice'))
      await world.turn()
    }
    expect(incoming()?.stage).toBe('signed')
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    await world.mine(2)
    const offered = () => channelOf(carols()[1]!.state)!.commitments
    expect([offered().nextOutgoingId, (await alice.api.payment(HASH)).status]).toEqual([1n, 'pending'])
    await world.attempt(carol.api.settleInvoice(id, PREIMAGE))
    await world.settle()
    expect((await alice.api.payment(HASH)).status).toBe('succeeded')
    world.close()
  })

  it('is not told from one of a channel that cannot be read, and that no backup has, at the start', async () => {
    const world = await World.start(undefined, base)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    const carols = () => bob.node!.channels.ofPeer(nodeIdOf('carol'))
    const { bolt11 } = await carol.api.createInvoice({
      amountMsat: msat(100_000_000n),
      description: '',
      paymentHash: HASH,
    })
    await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 1 }))
    await world.settle()
    const used = carols().find((e) => (channelOf(e.state)?.commitments.outgoing.size ?? 0) > 0)!.meta.localId
    const { disk } = bob
    world.crash('bob')
    bob.wholeBackup = null
    const core = [...disk.snapshot().keys()].find((k) => k === `channel/${used}/core`)!
    await disk.harm(core, Uint8Array.of(1, 2, 3))
    await world.boot('bob')
    world.connectAll()
    await world.settle()
    expect(carols()).toHaveLength(1)
    expect((await alice.api.payment(HASH)).status).toBe('pending')
    world.close()
  })
})
