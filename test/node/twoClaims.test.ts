import { beforeEach, describe, expect, it } from 'vitest'
import { printable } from '../../src/base/bytes.ts'
import { channelIdOf, type Outpoint } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { Stranger } from './stranger.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

const bob = nodeIdOf('bob')
let base: Snapshot | null = null
let world: World
beforeEach(async () => {
  base ??= await World.line()
  world = await World.start(undefined, base)
  return () => world.close()
})

const heardBy = (s: Stranger): readonly string[] =>
  s.heard.flatMap((m) => (m.type === 'error' ? [printable(m.data)] : []))
const idsOf = (): readonly (string | undefined)[] => world.channelsOf('bob').map((c) => c?.params.channelId)

/** Asked bob for a channel, with something in it for him, and about to say what funds it. */
async function hesitant(n: number): Promise<Stranger> {
  const stranger = new Stranger(world, n)
  stranger.hesitates = true
  await stranger.connect(bob)
  await stranger.open({ pushMsat: msat(1_000) })
  return stranger
}

/** Alice opens a channel to bob: up to her funding_created, which has not reached him. */
async function aliceAboutToFund(): Promise<{ readonly opening: Promise<unknown>; readonly funding: Outpoint }> {
  const opening = world.of('alice').api.openChannel({
    ...{ peer: bob, capacitySat: sat(400_000), pushMsat: msat(0), announce: true },
  })
  opening.catch(() => {})
  for (let n = 0; n < 100; n++) {
    world.wire.deliver()
    await world.turn()
    for (const { state } of world.of('alice').node!.channels.all()) {
      if (state.tag === 'await-funding-signed')
        return { opening, funding: state.channel.commitments.active[0]!.funding }
    }
  }
  throw new Error('alice funds no channel')
}

// Payments find their channel by its id. Two peers who are one could have had what bob fulfils go to a channel that never was.
describe('BOLT 2 §definition-of-channel_id: a funding output of two channels, which two peers name', () => {
  it('is of the first, and the other is refused: what bob forwards is always paid to him', async () => {
    const stranger = await hesitant(1)
    const { opening, funding } = await aliceAboutToFund()
    const channelId = stranger.claim(funding)
    const error = { type: 'error', channelId, data: new Uint8Array(0) } as const
    stranger.say(error)
    for (let n = 0; n < 20; n++) {
      world.wire.deliver(stranger.nodeId)
      await world.turn()
    }
    expect(idsOf().filter((id) => id === channelId)).toHaveLength(1)
    await world.settle()
    await expect(opening).rejects.toThrow(/a funding output is of one channel/)
    await world.mine(6)
    expect(idsOf().filter((id) => id === channelId)).toHaveLength(1)
    expect(world.channelsOf('alice')).toHaveLength(1)
  })

  it.each(['before', 'after'])(
    'is not that of an opening with a temporary id like it, which was asked for %s',
    async (when) => {
      const stranger = new Stranger(world, 4)
      stranger.hesitates = true
      await stranger.connect(bob)
      const { opening, funding } = await aliceAboutToFund()
      if (when === 'after') await world.settle()
      const asked = stranger.open({ temporaryChannelId: channelIdOf(funding) })
      world.wire.deliver(stranger.nodeId)
      await asked
      await opening
      await world.mine(6)
      for (const [payee, amount] of [
        ['bob', 480_000_000],
        ['carol', 300_000_000],
      ] as const) {
        const { bolt11 } = await world.of(payee).api.createInvoice({ amountMsat: msat(amount) })
        const { id } = await world.of('alice').api.pay({ bolt11 })
        await world.settle()
        expect((await world.of('alice').api.payment(id)).status).toBe('succeeded')
      }
    },
  )

  it('of a channel that is in use is refused, and the channel goes on', async () => {
    const [known] = world.channelsOf('alice')
    const stranger = await hesitant(2)
    const channelId = stranger.claim(known!.commitments.active[0]!.funding)
    await world.settle()
    expect(heardBy(stranger)).toEqual([expect.stringMatching(/a funding output is of one channel/)])
    expect(idsOf().filter((id) => id === channelId)).toHaveLength(1)
    const { bolt11 } = await world.of('carol').api.createInvoice({ amountMsat: msat(1_000_000) })
    const { id } = await world.of('alice').api.pay({ bolt11 })
    await world.settle()
    expect((await world.of('alice').api.payment(id)).status).toBe('succeeded')
  })

  it('keeps no backup from bringing back a channel that was lost', async () => {
    const process = world.of('bob')
    const [known] = world.channelsOf('alice')
    const backup = process.wholeBackup!
    world.wipe('bob')
    await world.boot('bob')
    const stranger = await hesitant(3)
    const channelId = stranger.claim(known!.commitments.active[0]!.funding)
    await world.settle()
    expect(idsOf()).toEqual([channelId])
    process.restoreFrom = backup
    await world.restart('bob')
    await world.settle()
    const channels = process.node!.channels
    expect(channels.all()).toHaveLength(3)
    expect(channelOf(channels.byChannelId(channelId)!.state)).toMatchObject({ restored: true })
  })
})
