import { beforeAll, describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import type { ChannelInput } from '../../src/channel/types.ts'
import type { ChannelEntry } from '../../src/node/channels.ts'
import type { Node } from '../../src/node/node.ts'
import { Unanswered } from '../../src/node/unanswered.ts'
import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { type Name, nodeIdOf, type Snapshot, World } from './world.ts'

const BOTH: readonly Name[] = ['alice', 'bob']
let base: Snapshot
beforeAll(async () => {
  base = await World.pair(1_000_000, 400_000, 1)
})

const nodeOf = (world: World, name: Name): Node => world.of(name).node!
const connected = (world: World): boolean => world.wire.connected(nodeIdOf('alice'), nodeIdOf('bob'))
async function connect(world: World): Promise<void> {
  world.connectAll()
  await world.settle()
}
/** A look of alice's at what is due, as of once a minute. @returns whether the connection stands after so many */
function looker(world: World): (looks: number) => Promise<boolean> {
  const unanswered = new Unanswered(() => nodeOf(world, 'alice'))
  return async (looks) => {
    for (let i = 0; i < looks; i++) {
      await nodeOf(world, 'alice').reactor.run((scope) => unanswered.look(scope))
      await world.settle()
    }
    return connected(world)
  }
}
/** What bob's channels do not hear, until the returned function is called. */
function deafen(world: World, isLost: (input: ChannelInput, entry: ChannelEntry) => boolean): () => void {
  const { channels } = nodeOf(world, 'bob')
  const deliver = channels.deliver.bind(channels)
  channels.deliver = (entry, input) => {
    if (!isLost(input, entry)) deliver(entry, input)
  }
  return () => {
    channels.deliver = deliver
  }
}
const isMessage = ({ tag }: ChannelInput): boolean => tag === 'message'
/** What alice pays bob. @returns its payment hash */
async function pay(world: World): Promise<string> {
  const [alice, bob] = [world.of('alice').api, world.of('bob').api]
  const { bolt11, paymentHash } = (await world.attempt(bob.createInvoice({ amountMsat: msat(50_000n) })))!
  await world.attempt(alice.pay({ bolt11 }))
  await world.settle()
  return paymentHash
}
const why = async (world: World): Promise<unknown> =>
  (await world.of('alice').api.eventsSince(0, 1000)).findLast((e) => e.type === 'peer.disconnected')?.data.reason

describe('a peer that is connected and does not say what is due', () => {
  it('gets a new connection, in which the HTLC goes on over which the channel would be closed', async () => {
    await goesOn('revoke_and_ack', ['revoke_and_ack', 'commitment_signed'])
    await goesOn('commitment_signed', ['commitment_signed'])
  }, 30_000)
  async function goesOn(due: string, unsaid: readonly string[]): Promise<void> {
    const world = await World.start(BOTH, base)
    const look = looker(world)
    const { outbox } = nodeOf(world, 'bob')
    const push = outbox.push.bind(outbox)
    outbox.push = (link, message) => {
      if (!unsaid.includes(message.type)) push(link, message)
    }
    const hash = await pay(world)
    outbox.push = push
    expect(await look(1)).toBe(true)
    expect(await look(1)).toBe(false)
    expect(await why(world)).toContain(`no ${due}`)
    await connect(world)
    expect(await world.of('alice').api.payment(hash)).toMatchObject({ status: 'succeeded' })
    expect(await look(5)).toBe(true)
    world.close()
  }

  it('keeps each further connection for twice as long, until it has answered', async () => {
    const world = await World.start(BOTH, base)
    const look = looker(world)
    const hear = deafen(world, isMessage)
    await pay(world)
    for (const looks of [2, 3, 5]) {
      expect(await look(looks - 1)).toBe(true)
      expect(await look(1)).toBe(false)
      if (looks === 5) hear()
      await connect(world)
    }
    expect(await look(1)).toBe(true)
    deafen(world, isMessage)
    await pay(world)
    expect(await look(2)).toBe(false)
    world.close()
  }, 30_000)

  it('goes on with a close by closing_signed that came to a stop', async () => {
    const world = await World.start(BOTH, base)
    const older = featureBits(ourInitFeatures()).filter((bit) => bit !== FEATURES.option_simple_close.bit + 1)
    for (const name of BOTH) world.wire.offers.set(nodeIdOf(name), featuresFromBits(older))
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    await connect(world)
    const look = looker(world)
    const hear = deafen(world, (i) => i.tag === 'message' && i.message.type === 'closing_signed')
    const [entry] = nodeOf(world, 'alice').channels.all()
    await world.attempt(world.of('alice').api.closeChannel(entry!.meta.localId, {}))
    await world.settle()
    hear()
    expect(world.chain.mempool.size).toBe(0)
    expect(await look(2)).toBe(false)
    expect(await why(world)).toContain('no closing_signed')
    await connect(world)
    expect(world.chain.mempool.size).toBe(1)
    expect(await look(5)).toBe(true)
    world.close()
  }, 30_000)

  it('may say nothing of a channel that waits for its funding, and not of one that is in use', async () => {
    const world = await World.start(BOTH, base)
    const request = { peer: nodeIdOf('bob'), capacitySat: sat(300_000n), announce: true }
    const opening = world.of('alice').api.openChannel(request)
    await world.settle()
    await opening
    const [used, young] = nodeOf(world, 'bob').channels.all()
    const states = () =>
      nodeOf(world, 'alice')
        .channels.all()
        .map(({ state }) => state.tag)
    const look = looker(world)
    for (const [silent, goesOn] of [
      [young, true],
      [used, false],
    ] as const) {
      world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
      const hear = deafen(world, ({ tag }, entry) => tag === 'connected' && entry === silent)
      await connect(world)
      expect(states()).toEqual(goesOn ? ['normal', 'syncing'] : ['syncing', 'await-ready'])
      expect(await look(4)).toBe(goesOn)
      hear()
    }
    expect(await why(world)).toContain('no channel_reestablish')
    world.close()
  }, 30_000)
})
