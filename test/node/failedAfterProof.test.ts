import { beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { channelMsat } from './accounts.ts'
import {
  AMOUNT,
  endOfCarols,
  entryOf,
  FEES,
  HASH,
  htlcsOf,
  invoice,
  PREIMAGE,
  reconnect,
  wealth,
} from './lostOffers.ts'
import { type Name, nodeIdOf, type Snapshot, World } from './world.ts'

/*
 * Carol shows Bob a preimage, loses the connection before she signs for that, and fails the HTLC in the next one
 * (BOLT 2 §message-retransmission).
 */

let line: Snapshot
beforeAll(async () => {
  line = await World.line()
})

const ALICE = nodeIdOf('alice')
const BOB = nodeIdOf('bob')
const CAROL = nodeIdOf('carol')

/** The preimage of an HTLC of Bob's, in a connection that ends with it. */
async function shows(world: World, at = 0): Promise<void> {
  const entry = world
    .of('bob')
    .node!.channels.all()
    .filter((e) => e.meta.peer === CAROL)[at]!
  const { params, commitments } = channelOf(entry.state)!
  const { id } = commitments.outgoing.chunks.flat()[0]!.add
  const message = { type: 'update_fulfill_htlc', channelId: params.channelId, id, paymentPreimage: PREIMAGE } as const
  world.wire.forge(CAROL, BOB, message)
  await world.settle()
  world.wire.cut(BOB, CAROL)
  await world.settle()
}

/** She fails what she has kept, in a new connection. */
async function failsIt(world: World, id: string): Promise<void> {
  world.wire.connect(BOB, CAROL)
  await world.settle()
  await world.attempt(world.of('carol').api.cancelInvoice(id))
}

const tagsOf = (world: World, name: Name) =>
  world
    .of(name)
    .node!.channels.all()
    .map((e) => e.state.tag)
const statusOf = async (world: World, name: Name) => (await world.of(name).api.payment(HASH)).status
const countOf = async (world: World, name: Name, type: string) =>
  (await world.of(name).api.eventsSince(0, 1_000)).filter((e) => e.type === type).length
/** msat that Bob has in his channels, HTLCs left out; both ends say the same. */
const inChannels = (world: World): bigint => channelMsat(world).bob

describe('a forward whose preimage was shown, and that fails then', () => {
  /** Carol keeps what Alice has sent her. */
  async function kept(sats = AMOUNT): Promise<{ world: World; id: string; before: bigint }> {
    const world = await World.start(undefined, line)
    const before = inChannels(world)
    const { bolt11, id } = await invoice(world, sats)
    await world.attempt(world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 }))
    await world.settle()
    return { world, id, before }
  }

  it.each([
    ['with the node before there', false, 'none', AMOUNT],
    ['with the node before away', true, 'none', AMOUNT],
    ['with the node before away, and a start before the failure', true, 'before', AMOUNT],
    ['with the node before away, and a start after it', true, 'after', AMOUNT],
    ['without an output, with the node before away, and a start after it', true, 'after', 200n],
  ] as const)('is paid by the node before, once, and costs nothing: %s', async (_, isAway, start, sats) => {
    const { world, id, before } = await kept(sats)
    if (isAway) world.wire.cut(ALICE, BOB)
    await shows(world)
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'committed', removal: { tag: 'fulfilled' } }])
    if (start === 'before') await world.restart('bob')
    await failsIt(world, id)
    await world.settle()
    expect(htlcsOf(world, 'carol').outgoing).toEqual([])
    if (start === 'after') await world.restart('bob')
    await reconnect(world)
    await world.mine(1)
    expect(htlcsOf(world, 'alice').incoming).toEqual([])
    expect([await statusOf(world, 'alice'), tagsOf(world, 'bob')]).toEqual(['succeeded', ['normal', 'normal']])
    const told = ['forward.settled', 'forward.failed'].map((type) => countOf(world, 'bob', type))
    expect(await Promise.all(told)).toEqual([1, 0])
    const { amountMsat, feeMsat } = await world.of('alice').api.payment(HASH)
    expect([amountMsat, inChannels(world)]).toEqual([sats * 1000n, before + amountMsat + feeMsat])
    expect(world.of('bob').node!.payments.forwardsPending).toBe(0)
    world.close()
  })

  it.each([0, 1, 2, 3, 4])('costs nothing where she claims it on chain %i writes after her failure', async (writes) => {
    const { world, id } = await kept()
    const before = wealth(world)
    await shows(world)
    await failsIt(world, id)
    for (let n = 0; n < writes; n++) {
      world.wire.deliver()
      for (let turns = 0; turns < 4; turns++) await world.turn()
    }
    world.wire.cut(BOB, CAROL)
    const { node, api } = world.of('carol')
    const [entry] = node!.channels.all()
    await world.attempt(api.closeChannel(entry!.meta.localId, { force: true }))
    const hers = channelOf(entry!.state)!.commitments.incoming.chunks.flat()[0]?.add.id
    if (hers !== undefined)
      await node!.reactor.run((scope) => {
        node!.channels.command(entry!, { tag: 'fulfillHtlc', id: hers, preimage: PREIMAGE })
        node!.channels.drain(scope)
      })
    await world.settle()
    await endOfCarols(world)
    expect(entryOf(world, 'alice').state.tag).toBe('normal')
    expect([await statusOf(world, 'alice'), htlcsOf(world, 'alice').incoming]).toEqual(['succeeded', []])
    expect(await countOf(world, 'bob', 'forward.failed')).toBe(0)
    const gained = wealth(world) - before - 500_000n
    expect(gained).toBeGreaterThan(-FEES)
    if (writes === 0) expect(gained).toBeLessThanOrEqual(11n) // she has taken it
    world.close()
  })
})

describe('a payment whose preimage was shown, and whose HTLC fails then', () => {
  it.each([false, true])('has succeeded, and is not made again, after a start: %s', async (again) => {
    const world = await World.start(undefined, line)
    const before = inChannels(world)
    const { bolt11, id } = await invoice(world)
    await world.attempt(world.of('bob').api.pay({ bolt11, timeoutSeconds: 3_600 }))
    await world.settle()
    await shows(world)
    expect(await statusOf(world, 'bob')).toBe('succeeded')
    if (again) await world.restart('bob')
    await failsIt(world, id)
    await reconnect(world)
    if (again) await world.restart('bob')
    await reconnect(world)
    await world.mine(1)
    const payment = await world.of('bob').api.payment(HASH)
    expect(payment).toMatchObject({ status: 'succeeded', preimage: toHex(PREIMAGE), parts: [{ status: 'succeeded' }] })
    const types = ['payment.succeeded', 'payment.failed'].map((type) => countOf(world, 'bob', type))
    expect(await Promise.all(types)).toEqual([1, 0])
    expect([htlcsOf(world, 'carol').outgoing, inChannels(world)]).toEqual([[], before])
    world.close()
  })

  it('in parts: none is sent again, and those that are out come to their own ends', async () => {
    const world = await World.start(undefined, line)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const before = inChannels(world)
    const { bolt11, id } = await invoice(world, 600_000n)
    await world.attempt(world.of('bob').api.pay({ bolt11, timeoutSeconds: 3_600, maxParts: 2 }))
    await world.settle()
    const offered = () =>
      world.channelsOf('bob').map((c) => [c!.commitments.outgoing.size, c!.commitments.nextOutgoingId])
    expect(offered()).toEqual([
      [0, 0n],
      [1, 1n],
      [1, 1n],
    ])
    await shows(world, 1)
    expect(await statusOf(world, 'bob')).toBe('succeeded')
    await failsIt(world, id)
    await world.settle()
    await world.mine(1)
    expect(offered()).toEqual([
      [0, 0n],
      [0, 1n],
      [0, 1n],
    ])
    const { status, parts } = await world.of('bob').api.payment(HASH)
    expect([status, parts.map((p) => p.status).sort()]).toEqual(['succeeded', ['failed', 'succeeded']])
    expect([inChannels(world), tagsOf(world, 'bob')]).toEqual([before, ['normal', 'normal', 'normal']])
    world.close()
  })
})

it('a peer that shows a preimage and fails the HTLC in the same connection has it ended', async () => {
  const world = await World.start(undefined, line)
  const { bolt11 } = await invoice(world)
  await world.attempt(world.of('bob').api.pay({ bolt11, timeoutSeconds: 3_600 }))
  await world.settle()
  const { params, commitments } = channelOf(entryOf(world, 'carol').state)!
  const about = { channelId: params.channelId, id: commitments.outgoing.chunks.flat()[0]!.add.id }
  world.wire.forge(CAROL, BOB, { type: 'update_fulfill_htlc', ...about, paymentPreimage: PREIMAGE })
  world.wire.forge(CAROL, BOB, { type: 'update_fail_htlc', ...about, reason: new Uint8Array(292) })
  await world.settle()
  expect(world.of('bob').complaints).toMatchObject([{ code: 'UNKNOWN_HTLC' }, { code: 'UNKNOWN_HTLC' }])
  expect([await statusOf(world, 'bob'), world.wire.connected(BOB, CAROL)]).toEqual(['succeeded', false])
  expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'committed', removal: { tag: 'fulfilled' } }])
  world.close()
})
