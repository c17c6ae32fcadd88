import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { openBackup, type StaticBackup, sealBackup, sealForPeer } from '../../src/node/backup.ts'
import type { ChannelEntry } from '../../src/node/channels.ts'
import { backupKey } from '../../src/wallet/keys.ts'
import { onchainSat } from './accounts.ts'
import { masterOf, type Name, nodeIdOf, type Snapshot, World } from './world.ts'

/** More than all fees of the closes. */
const FEES = 40_000n
const AMOUNT = 100_000n
const PREIMAGE = new Uint8Array(32).fill(7)
const HASH = createHash('sha256').update(PREIMAGE).digest('hex') as PaymentHash

/** Alice – Bob – Carol, 500,000 sat at each end of both channels. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

/** One pays a hold invoice of another's, which keeps the HTLC. @returns the invoice's id */
async function hold(world: World, from: Name, to: Name): Promise<string> {
  const { api } = world.of(to)
  const { bolt11, id } = await api.createInvoice({
    amountMsat: msat(AMOUNT * 1000n),
    description: '',
    paymentHash: HASH,
  })
  await world.attempt(world.of(from).api.pay({ bolt11, timeoutSeconds: 1 }))
  await world.settle()
  return id
}
/** A minute, or several, as the backup sees them. */
async function minutes(world: World, name: Name, n: number): Promise<void> {
  for (let i = 0; i < n; i++) await world.attempt(world.of(name).node!.backup.look())
  await world.settle()
}
const inFlight = (backup: StaticBackup | null) => backup!.channels.flatMap((c) => c.htlcs ?? [])
const entries = (world: World, name: Name) => world.of(name).node!.channels.all()

/** The disk is gone; the node starts again on its seed and a backup that went through its file. */
async function lose(world: World, name: Name, backup = world.of(name).wholeBackup!): Promise<void> {
  const key = backupKey(masterOf(name))
  world.wipe(name)
  const process = world.of(name)
  process.restoreFrom = openBackup(sealBackup(backup, key), key)
  await world.boot(name)
  process.restoreFrom = null
}
async function reconnect(world: World): Promise<void> {
  world.connectAll()
  await world.settle()
}
async function end(world: World, name: Name): Promise<void> {
  for (let n = 0; n < 250 && entries(world, name).some((e) => e.state.tag !== 'closed'); n++) await world.mine(1)
  expect(entries(world, name).map((e) => e.state.tag)).toEqual(entries(world, name).map(() => 'closed'))
}
/** What the node has on chain, less what it would have had if channels paid out for nothing. */
const owed = (world: World, name: Name): bigint =>
  onchainSat(world)[name] + BigInt(entries(world, name).length) * 500_000n
const expectWithin = (gained: bigint, expected: bigint): void => {
  expect(gained).toBeLessThanOrEqual(expected)
  expect(gained).toBeGreaterThan(expected - FEES)
}
const statusOf = async (world: World, name: Name) => (await world.of(name).api.payment(HASH)).status

describe('a payment that hung when the disk was lost', () => {
  it('comes back after its expiry, when the peer does not claim it', async () => {
    const world = await World.start(undefined, base)
    const before = owed(world, 'alice')
    await hold(world, 'alice', 'bob')
    await minutes(world, 'alice', 2)
    await lose(world, 'alice')
    await reconnect(world)
    expect(await statusOf(world, 'alice')).toBe('pending')
    await end(world, 'alice')
    expectWithin(onchainSat(world).alice - before, 0n)
    expect(await statusOf(world, 'alice')).toBe('failed')
    world.close()
  })

  it('ends as succeeded, with its proof, when the peer claims it on chain, also across restarts', async () => {
    const world = await World.start(undefined, base)
    const before = owed(world, 'alice')
    const id = await hold(world, 'alice', 'bob')
    await minutes(world, 'alice', 2)
    await lose(world, 'alice')
    await reconnect(world)
    await world.restart('alice')
    await world.mine(1)
    await world.attempt(world.of('bob').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    await world.mine(2)
    await world.restart('alice')
    await end(world, 'alice')
    expectWithin(onchainSat(world).alice - before, -AMOUNT)
    const payment = await world.of('alice').api.payment(HASH)
    expect([payment.status, payment.preimage]).toEqual(['succeeded', toHex(PREIMAGE)])
    world.close()
  })

  it('comes back from a commitment of its own, published before the loss, by the signatures in the backup', async () => {
    const world = await World.start(undefined, base)
    const before = owed(world, 'alice')
    await hold(world, 'alice', 'bob')
    const [{ meta }] = entries(world, 'alice') as [ChannelEntry]
    await world.attempt(world.of('alice').api.closeChannel(meta.localId, { force: true }))
    await world.mine(1)
    await minutes(world, 'alice', 2)
    await lose(world, 'alice')
    await world.restart('alice')
    await end(world, 'alice')
    expect(entries(world, 'alice')[0]!.state).toMatchObject({ onchain: { closing: { kind: 'local-old' } } })
    expectWithin(onchainSat(world).alice - before, 0n)
    expect(await statusOf(world, 'alice')).toBe('failed')
    world.close()
  })

  it('is received by its preimage, when that had been given out and the peer had not answered', async () => {
    const world = await World.start(undefined, base)
    const before = owed(world, 'alice')
    const id = await hold(world, 'bob', 'alice')
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    await world.attempt(world.of('alice').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    await minutes(world, 'alice', 2)
    expect(inFlight(world.of('alice').wholeBackup)).toMatchObject([{ direction: 'in', preimage: PREIMAGE }])
    await lose(world, 'alice')
    await reconnect(world)
    await end(world, 'alice')
    expectWithin(onchainSat(world).alice - before, AMOUNT)
    world.close()
  })
})

describe('a forward that hung when the disk was lost', () => {
  const forwarded = async (): Promise<{ world: World; id: string; before: bigint }> => {
    const world = await World.start(undefined, base)
    const before = owed(world, 'bob')
    const id = await hold(world, 'alice', 'carol')
    await minutes(world, 'bob', 2)
    await lose(world, 'bob')
    return { world, id, before }
  }

  it.each(['block', 'mempool'] as const)(
    'is claimed upstream with the preimage that the next node shows in the %s',
    async (where) => {
      const { world, id, before } = await forwarded()
      await reconnect(world)
      await world.mine(1)
      await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
      await world.settle()
      if (where === 'mempool') {
        world.of('bob').node!.mempoolWatch.tick(true)
        await world.settle()
        const { state } = entries(world, 'bob').find((e) => e.meta.peer === nodeIdOf('alice'))!
        const [incoming] = [...channelOf(state)!.commitments.incoming.chunks.flat()]
        expect(incoming!.removal).toEqual({ tag: 'fulfilled', preimage: PREIMAGE })
      }
      await world.mine(1)
      await world.restart('bob')
      await reconnect(world)
      await end(world, 'bob')
      expectWithin(onchainSat(world).bob - before, 1_000n)
      expect(await statusOf(world, 'alice')).toBe('succeeded')
      world.close()
    },
  )

  it('goes back to where it came from when the next node lets it expire', async () => {
    const { world, before } = await forwarded()
    await reconnect(world)
    await end(world, 'bob')
    expectWithin(onchainSat(world).bob - before, 0n)
    await end(world, 'alice')
    expect(await statusOf(world, 'alice')).toBe('failed')
    world.close()
  })
})

describe('an HTLC over a channel of which a lost write took a record', () => {
  /** The node starts again without a record of the channel, and takes that from its backup. */
  async function damage(world: World, name: Name, peer: Name): Promise<void> {
    const process = world.of(name)
    const { localId } = entries(world, name).find((e) => e.meta.peer === nodeIdOf(peer))!.meta
    const backup = process.wholeBackup!
    world.crash(name)
    await process.disk.wipe([`channel/${localId}/fixed`])
    process.restoreFrom = backup
    await world.boot(name)
    process.restoreFrom = null
  }

  it('keeps its payment from being begun again, before and after its channel is brought back', async () => {
    const world = await World.start(undefined, base)
    await hold(world, 'alice', 'bob')
    const { bolt11 } = (await world.of('alice').api.payment(HASH)) as { bolt11: string }
    await minutes(world, 'alice', 2)
    await damage(world, 'alice', 'bob')
    for (const _ of [1, 2]) {
      expect(await statusOf(world, 'alice')).toBe('pending')
      await expect(world.attempt(world.of('alice').api.pay({ bolt11 }))).rejects.toMatchObject({
        code: 'PAYMENT_PENDING',
      })
      await world.restart('alice')
    }
    world.close()
  })

  it('is passed back with what the next node shows: the one before has not had it back meanwhile', async () => {
    const world = await World.start(undefined, base)
    const before = owed(world, 'bob')
    const id = await hold(world, 'alice', 'carol')
    await minutes(world, 'bob', 2)
    await damage(world, 'bob', 'carol')
    await reconnect(world)
    expect(await statusOf(world, 'alice')).toBe('pending')
    await world.mine(1)
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    await world.mine(1)
    await reconnect(world)
    expect(await statusOf(world, 'alice')).toBe('succeeded')
    const [alices] = entries(world, 'bob').filter((e) => e.meta.peer === nodeIdOf('alice'))
    await world.attempt(world.of('bob').api.closeChannel(alices!.meta.localId, { force: true }))
    await end(world, 'bob')
    expectWithin(onchainSat(world).bob - before, 1_000n)
    world.close()
  })
})

describe('HTLCs in the channel backup', () => {
  it('are written a minute or two after they came, not by any payment, and go with a backup that is restored', async () => {
    const world = await World.start(undefined, base)
    const bob = world.of('bob')
    await minutes(world, 'bob', 6)
    let writes = 0
    const { writeBackup } = bob
    bob.writeBackup = (channels, whole) => {
      writes++
      return writeBackup(channels, whole)
    }
    const id = await hold(world, 'alice', 'carol')
    await minutes(world, 'bob', 1)
    expect(writes).toBe(0)
    await minutes(world, 'bob', 1)
    expect([writes, inFlight(bob.wholeBackup)]).toMatchObject([
      1,
      [
        { direction: 'in', paymentHash: HASH },
        { direction: 'out', paymentHash: HASH, origin: { tag: 'forward', htlcId: 0n } },
      ],
    ])
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    await minutes(world, 'bob', 4)
    expect(writes).toBe(1)
    await minutes(world, 'bob', 1)
    expect([writes, inFlight(bob.wholeBackup)]).toEqual([2, []])
    await minutes(world, 'bob', 20)
    expect(writes).toBe(2)
    world.close()
  })

  it('are still there after a restart, and after a restoring', async () => {
    const world = await World.start(undefined, base)
    await hold(world, 'alice', 'carol')
    await minutes(world, 'bob', 2)
    const before = world.of('bob').wholeBackup!
    await world.restart('bob')
    expect(world.of('bob').wholeBackup!.channels).toEqual(before.channels)
    await lose(world, 'bob')
    expect(inFlight(world.of('bob').wholeBackup)).toEqual(inFlight(before))
    await world.restart('bob')
    expect(inFlight(world.of('bob').wholeBackup)).toEqual(inFlight(before))
    world.close()
  })

  it('leave room in a peer’s copy: all channels, and the HTLCs of the most money that fit', async () => {
    const world = await World.start(undefined, base)
    const { channels, ...about } = world.of('bob').wholeBackup!
    world.close()
    const htlcs = Array.from({ length: 3_000 }, (_, n) => ({
      ...{ direction: 'out' as const, id: BigInt(n), cltvExpiry: 700, amountMsat: msat(1_000_000 + n) },
      paymentHash: createHash('sha256').update(`${n}`).digest('hex') as PaymentHash,
    }))
    const key = backupKey(masterOf('bob'))
    const many = { ...about, channels: [{ ...channels[0]!, htlcs }, ...channels.slice(1)] }
    const { blob, left } = sealForPeer(many, key)
    expect([blob.length, left]).toEqual([65_531, 0])
    const copy = openBackup(blob, key)
    expect(copy.channels.map((c) => c.channelId).sort()).toEqual(channels.map((c) => c.channelId).sort())
    const kept = inFlight(copy)
    expect(kept.length).toBeGreaterThan(700)
    expect(kept).toEqual(htlcs.slice(-kept.length))
  })
})
