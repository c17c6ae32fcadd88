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

/** Bob has failed the HTLC, and its preimage comes; what is done and told of that. */
function proved({ isTaken }: { readonly isTaken: boolean }) {
  const { w, origin, forwards, about } = forwardsOfBob()
  w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(292) })
  if (isTaken) {
    w.deliver('bob') // update_fail_htlc
    w.deliver('bob') // commitment_signed
    w.alice.outbox = []
  } else w.bob.outbox = []
  const told: string[] = []
  const carryOut = (effects: readonly PaymentEffect[]): void => {
    for (const effect of effects)
      if (effect.tag === 'command') w.bob.command(effect.command)
      else if (effect.tag === 'notify') told.push(effect.event.type)
  }
  const proof = { tag: 'fulfilled', id: 7n, origin, preimage: preimageOf(1) } as const
  const prove = () => carryOut(forwards.end(proof, origin))
  prove()
  return { w, forwards, about, told, carryOut, prove }
}

it('a preimage that comes late for its forward is a loss where the chain shows later that the node before has the HTLC back', () => {
  const { w, forwards, told, carryOut } = proved({ isTaken: true })
  w.alice.command({ tag: 'forceClose', requestId: 1 })
  w.mine()
  expect(w.bob.state).toMatchObject({ tag: 'closing', onchain: { closing: { kind: 'remote-next' } } })
  for (let n = 0; n < 3; n++) {
    carryOut(forwards.goOn())
    carryOut(forwards.review())
  }
  expect(told).toEqual([])
})

it.each([0, 3])(
  'a forward that went back is told as settled once the close is in a block, %i blocks later',
  (blocks) => {
    const { w, forwards, told, carryOut } = proved({ isTaken: false })
    w.bob.command({ tag: 'forceClose', requestId: 1 })
    for (let n = 0; n <= blocks; n++) {
      carryOut(forwards.goOn())
      carryOut(forwards.review())
    }
    expect([w.bob.state, told]).toMatchObject([{ tag: 'closing', onchain: { closing: { height: null } } }, []])
    expect(w.bob.channel.commitments.incoming.chunks.flat()).toMatchObject([{ removal: { tag: 'fulfilled' } }])
    w.mine()
    for (let n = 0; n < 3; n++) carryOut(forwards.review())
    expect(told).toEqual(['forward.settled'])
  },
)

it('a forward that went back is told as settled where the claim, too, is in a block by then', () => {
  const { w, forwards, told, carryOut } = proved({ isTaken: false })
  w.bob.command({ tag: 'forceClose', requestId: 1 })
  carryOut(forwards.goOn())
  for (let n = 0; n < 3; n++) w.mine()
  expect(w.bob.state).toMatchObject({ onchain: { spenders: [{ kind: 'htlc' }] } })
  carryOut(forwards.goOn())
  expect(told).toEqual(['forward.settled'])
})

it('a preimage that is kept already, or of no use, has nothing looked for', () => {
  const { w, about, prove } = proved({ isTaken: false })
  expect(about.looks).toBe(1)
  prove()
  expect(about.looks).toBe(1)
  const over = forwardsOfBob()
  over.w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
  over.w.settle()
  const { origin, forwards } = over
  forwards.end({ tag: 'fulfilled', id: 7n, origin, preimage: preimageOf(1) }, origin)
  expect([w.bob.state!.tag, over.about.looks]).toEqual(['normal', 0])
})
