import { beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { ChannelEntry } from '../../src/node/channels.ts'
import { AMOUNT, forwarded, HASH, htlcsOf, PREIMAGE, putBack, reconnect, statusOf } from './lostOffers.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

/** Alice – Bob – Carol, 500,000 sat at each end of both channels. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

describe('an HTLC that a channel may have, of which its records are lost as well', () => {
  it('comes back from a backup as what it was: the first channel that ends without it has not decided on it', async () => {
    const world = await World.start(undefined, base)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const [bob, carol] = [world.of('bob'), world.of('carol')]
    const carols = () => bob.node!.channels.ofPeer(nodeIdOf('carol'))
    const noted = () =>
      carols().map(({ state }) =>
        channelOf(state)!
          .commitments.outgoing.chunks.flat()
          .map((h) => h.stage),
      )
    const { id, before } = await forwarded(world)
    world.crash('bob')
    const incoming = (e: ChannelEntry) => channelOf(e.state)!.commitments.incoming.chunks.flat()
    const [used, unused] = carol.node!.channels.all().toSorted((a, b) => incoming(b).length - incoming(a).length)
    const { cltvExpiry } = incoming(used!)[0]!.add
    await world.attempt(carol.api.closeChannel(unused!.meta.localId, { force: true }))
    await world.mine(1)
    await world.attempt(carol.api.settleInvoice(id, PREIMAGE))
    world.crash('carol')
    await putBack(world, before)
    await reconnect(world)
    expect(noted().toSorted()).toEqual([[], ['presumed']])
    for (let n = 0; n < 6; n++) await world.attempt(bob.node!.backup.look())
    await world.settle()

    // Then all that is known of both channels with Carol is lost.
    const ids = carols().map((e) => e.meta.localId)
    const isLost = (key: string): boolean =>
      ids.some((l) => key.startsWith(`channel/${l}/`) || key === `channel-meta/${l}`)
    bob.restoreFrom = bob.wholeBackup
    await putBack(world, new Map([...bob.disk.snapshot()].filter(([key]) => !isLost(key))), true)
    bob.restoreFrom = null
    await reconnect(world)
    expect(carols().map(({ state }) => channelOf(state)?.restored)).toEqual([true, true])
    await world.mine(cltvExpiry + 7 - world.chain.state.height)
    expect([await statusOf(world), htlcsOf(world, 'alice').incoming]).toMatchObject(['pending', [{ removal: null }]])
    expect(noted()).toEqual([['presumed'], ['presumed']])
    await world.boot('carol')
    await world.attempt(world.of('carol').api.closeChannel(used!.meta.localId, { force: true }))
    for (let n = 0; n < 3; n++) await world.mine(1)
    expect(await statusOf(world)).toBe('succeeded')
    world.close()
  })

  it('keeps the hash of its payment from being paid again after the loss of all else, and proves it', async () => {
    const world = await World.start(undefined, base)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const channel = () => alice.node!.channels.all()[0]!
    const isChannels = (key: string): boolean => key.startsWith(`channel/${channel().meta.localId}/`)
    const older = [...alice.disk.snapshot()].filter(([key]) => isChannels(key))
    const about = { amountMsat: msat(AMOUNT * 1000n), description: '', paymentHash: HASH }
    const { bolt11, id } = await bob.api.createInvoice(about)
    await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 60 }))
    await world.settle()
    const rest = [...alice.disk.snapshot()].filter(([key]) => !isChannels(key))
    await putBack(world, new Map([...rest, ...older]), false, 'alice')
    await reconnect(world)
    for (let n = 0; n < 6; n++) await world.attempt(alice.node!.backup.look())
    await world.settle()
    world.wipe('alice')
    alice.restoreFrom = alice.wholeBackup
    await world.boot('alice')
    alice.restoreFrom = null
    expect(channelOf(channel().state)!.commitments.outgoing.chunks.flat()).toMatchObject([{ stage: 'presumed' }])
    await expect(world.attempt(alice.api.pay({ bolt11 }))).rejects.toMatchObject({ code: 'PAYMENT_PENDING' })
    await reconnect(world)
    await world.mine(1)
    await world.attempt(bob.api.settleInvoice(id, PREIMAGE))
    await world.settle()
    for (let n = 0; n < 3; n++) await world.mine(1)
    expect(await statusOf(world)).toBe('succeeded')
    world.close()
  })
})
