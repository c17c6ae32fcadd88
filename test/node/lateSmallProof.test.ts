import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { PaymentEffect } from '../../src/payment/types.ts'
import { preimageOf } from '../channel/harness.ts'
import { forwardsOfBob } from './forwardsOfBob.ts'
import { entryOf, HASH, htlcsOf, PREIMAGE, reconnect } from './lostOffers.ts'
import { nodeIdOf, World } from './world.ts'

it('a forward that went back while the node before was away is paid with a preimage that comes before it has heard of that', async () => {
  const world = await World.start(undefined, await World.line())
  const [alice, carol] = [world.of('alice'), world.of('carol')]
  const { bolt11, id } = await carol.api.createInvoice({ amountMsat: msat(400_000), paymentHash: HASH })
  await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 1 }))
  await world.settle()
  world.wire.cut(nodeIdOf('bob'), nodeIdOf('carol'))
  world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
  await world.attempt(carol.api.settleInvoice(id, PREIMAGE))
  await world.mine(htlcsOf(world, 'alice').incoming[0]!.add.cltvExpiry - 12 - world.chain.state.height)
  expect(htlcsOf(world, 'alice').incoming).toMatchObject([{ stage: 'removing', removal: { tag: 'failed' } }])
  expect([entryOf(world, 'alice').state.tag, entryOf(world, 'carol').state.tag]).toEqual(['offline', 'offline'])
  const earned = async () => (await world.of('bob').api.analytics.forwards({ limit: 10 })).items
  expect(await earned()).toEqual([])
  world.wire.connect(nodeIdOf('bob'), nodeIdOf('carol'))
  await world.settle()
  await world.restart('bob')
  await reconnect(world)
  expect(await alice.api.payment(HASH)).toMatchObject({ status: 'succeeded' })
  expect([htlcsOf(world, 'alice').incoming, htlcsOf(world, 'carol').outgoing]).toEqual([[], []])
  expect(entryOf(world, 'alice').state.tag).toBe('normal')
  const idOf = (peer: 'alice' | 'carol') => channelOf(entryOf(world, peer).state)!.params.channelId
  const [incomingChannelId, outgoingChannelId] = [idOf('alice'), idOf('carol')]
  const { amountMsat, feeMsat } = await alice.api.payment(HASH)
  const sums = { amountOutMsat: Number(amountMsat), feeMsat: Number(feeMsat) }
  expect(await earned()).toMatchObject([{ incomingChannelId, outgoingChannelId, ...sums }])
  await world.restart('bob')
  expect(await earned()).toHaveLength(1)
  const told = await world.of('bob').api.eventsSince(0, 1_000)
  const ends = told.flatMap(({ type }) => (type.startsWith('forward.') ? [type] : []))
  expect(ends).toEqual(['forward.failed', 'forward.settled'])
  world.close()
})

it('the preimage of a forward that went back is kept until the node before has taken that, and claimed with where it closes', () => {
  const { w, origin, forwards } = forwardsOfBob()
  const carryOut = (effects: readonly PaymentEffect[]): void => {
    for (const effect of effects) if (effect.tag === 'command') w.bob.command(effect.command)
  }
  w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(292) })
  w.bob.outbox = []
  carryOut(forwards.end({ tag: 'fulfilled', id: 7n, origin, preimage: preimageOf(1) }, origin))
  expect(w.bob.channel.commitments.incoming.chunks.flat()).toMatchObject([
    { stage: 'removalSigned', removal: { tag: 'failed' } },
  ])
  w.bob.command({ tag: 'forceClose', requestId: 1 })
  w.mine()
  w.bob.broadcasts = []
  carryOut(forwards.goOn())
  expect(w.bob.broadcasts).toHaveLength(1)
  expect(forwards.review()).toEqual([])
})
