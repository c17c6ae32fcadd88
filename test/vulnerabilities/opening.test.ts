import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { msat, type Sat, sat } from '../../src/base/units.ts'
import { acceptChannel, openChannel } from '../../src/channel/advance.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { WireError } from '../../src/wire/errors.ts'
import { featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { decodeMessage, encodeMessage } from '../../src/wire/registry.ts'
import { asked } from '../channel/asked.ts'
import { World as Channels, expectNext, openParams, RELAY } from '../channel/harness.ts'
import { nodeIds } from '../channel/side.ts'
import { Stranger } from '../node/stranger.ts'
import { nodeIdOf, type Snapshot, World } from '../node/world.ts'

const bob = nodeIdOf('bob')
let base: Snapshot | null = null
let world: World
beforeEach(async () => {
  base ??= await World.line()
  world = await World.start(undefined, base)
  return () => world.close()
})

/** Bob has nothing to complain of, and still forwards; after a restart, too. */
async function expectBobWell(): Promise<void> {
  for (const restart of [false, true]) {
    if (restart) {
      await world.restart('bob')
      world.connectAll()
      await world.settle()
    }
    const { bolt11 } = await world.of('carol').api.createInvoice({ amountMsat: msat(1_000_000) })
    const { id } = await world.of('alice').api.pay({ bolt11 })
    await world.settle()
    expect((await world.of('alice').api.payment(id)).status).toBe('succeeded')
  }
  expect([world.of('bob').fatal, world.of('bob').complaints]).toEqual([null, []])
}

// BOLT 2 §the-funding_created-message
describe('all-zero funding id (CLN before 26.04, 2026-05): a funding transaction whose id is all zeros', () => {
  it('is one that never confirms, and nothing else', async () => {
    const stranger = new Stranger(world, 1)
    stranger.hesitates = true
    await stranger.connect(bob)
    await stranger.open()
    stranger.claim({ txid: '00'.repeat(32) as Txid, index: 0xffff })
    await world.settle()
    expect(stranger.heard.map((m) => m.type)).toContain('funding_signed')
    await world.mine(3)
    expect(stranger.heard.some((m) => m.type === 'channel_ready')).toBe(false)
    await expectBobWell()
    const { wholeBackup } = world.of('bob')
    expect(wholeBackup!.channels).toHaveLength(3)
  })
})

// BOLT 2 §channel-establishment-v1
describe('opening while connecting anew (CLN 23.02 to 23.05.2, 2024-01): a channel is opened while its peer connects anew', () => {
  it('at whichever message: the opening ends or goes on, once', async () => {
    for (let messages = 0; messages < 5; messages++) {
      const stranger = new Stranger(world, 10 + messages)
      world.wire.connect(stranger.nodeId, bob)
      await stranger.connect(bob)
      const opening = stranger.open()
      for (let n = 0; n < messages; n++) {
        world.wire.deliver()
        await world.turn()
      }
      world.wire.cut(stranger.nodeId, bob)
      world.wire.connect(stranger.nodeId, bob)
      await opening
      await stranger.open()
      const states = world
        .of('bob')
        .node!.channels.all()
        .flatMap((c) => (c.meta.peer === stranger.nodeId ? [c.state] : []))
      // What was cut off before its funding was named is gone; what is there has an id, each another.
      const ids = states.map((state) => channelOf(state)?.params.channelId)
      expect(ids).not.toContain(undefined)
      expect(new Set(ids).size).toBe(ids.length)
      expect([1, 2]).toContain(ids.length)
    }
    await expectBobWell()
  })
})

// BOLT 2 §the-open_channel-message
describe('HTLC fee siphoning (2020-09): SIGHASH_SINGLE | ANYONECANPAY lets the peer have the fee of HTLC transactions with anchors', () => {
  it('are no channel type of ours, alone or beside what is', () => {
    for (const bits of [[20], [12, 20], [12, 20, 22]]) {
      const w = new Channels()
      w.alice.begin(openChannel(openParams('alice'), w.alice.ctx))
      const open = expectNext(w, 'alice', 'open_channel')
      const who = { remoteNodeId: nodeIds.alice, theirFeatures: ourInitFeatures(), relay: RELAY, keyIndex: 0 }
      const { state } = acceptChannel({ ...open, channelType: featuresFromBits(bits) }, who, w.bob.ctx)
      expect(state.tag === 'closed' && state.reason).toContain('channel_type')
      const ours = acceptChannel({ ...open, channelType: featuresFromBits([12, 22]) }, who, w.bob.ctx)
      expect(ours.state.tag).toBe('await-funding-created')
    }
  })
})

// BOLT 1 §fundamental-types
describe('more coins than there are (CLN before 26.06.8, 2026-09): open_channel with more coins than there are', () => {
  it('is no message that can be read', () => {
    const w = new Channels()
    w.alice.begin(openChannel(openParams('alice'), w.alice.ctx))
    const bytes = encodeMessage(expectNext(w, 'alice', 'open_channel'))
    // Behind the type, chain_hash and temporary_channel_id.
    const at = 2 + 32 + 32
    for (const coins of [21_000_000n * 100_000_000n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(at, coins)
      expect(() => decodeMessage(bytes)).toThrow(WireError)
    }
  })
})

// BOLT 2 §the-open_channel-message, §the-accept_channel-message
describe('reserve below the dust limit (Eclair 0.14.1, 2026): an old commitment that leaves its publisher nothing', () => {
  it('no channel comes about in which a reserve is below a dust limit, whoever opens and whatever the peer asks for', () => {
    const some = fc.oneof(
      fc.constantFrom(0n, 353n, 354n, 355n, 545n, 546n, 999n, 1_000n, 1_001n),
      fc.bigInt(0n, 2_000n),
    )
    let opened = 0
    fc.assert(
      fc.property(fc.constantFrom('alice', 'bob'), some, some, (hostile, dust, reserve) => {
        const change = { dustLimitSatoshis: dust as Sat, channelReserveSatoshis: reserve as Sat }
        const { w, open } = asked({ capacitySat: sat(100_000), pushMsat: msat(30_000_000) })
        w.receive('bob', hostile === 'alice' ? { ...open, ...change } : open)
        const answer = w.take('bob')
        if (answer?.type === 'accept_channel' && hostile === 'bob') w.receive('alice', { ...answer, ...change })
        const { state } = hostile === 'alice' ? w.bob : w.alice
        const isTaken = answer?.type === 'accept_channel' && state !== null && state.tag !== 'closed'
        if (!isTaken) return
        opened++
        if (answer.type !== 'accept_channel') return
        const [theirs, ours] = hostile === 'alice' ? [open, answer] : [answer, open]
        const said = { ...theirs, ...change }
        const dusts = [said.dustLimitSatoshis, ours.dustLimitSatoshis]
        for (const kept of [said.channelReserveSatoshis, ours.channelReserveSatoshis])
          for (const limit of dusts) expect(kept).toBeGreaterThanOrEqual(limit)
      }),
      { numRuns: 400 },
    )
    expect(opened).toBeGreaterThan(10)
  })
})
