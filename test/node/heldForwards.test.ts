import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { BackedUpHtlc } from '../../src/channel/backedUpHtlcs.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { onchainSat } from './accounts.ts'
import {
  AMOUNT,
  closeAlone,
  type Disk,
  endOfCarols,
  entryOf,
  expectNothingLost,
  FEES,
  forwarded,
  HASH,
  htlcsOf,
  invoice,
  kindOf,
  PREIMAGE,
  putBack,
  reconnect,
  stateOf,
  statusOf,
  wealth,
} from './lostOffers.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

/** Alice – Bob – Carol, 500,000 sat at each end of both channels. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

/** Carol closes her channels so many commitments later that Bob, on what his disk had before, does not know their points. */
async function loseWithPoints(world: World, before: Disk): Promise<void> {
  for (const _ of [1, 2]) {
    const { bolt11 } = await world.of('carol').api.createInvoice({ amountMsat: msat(1_000_000), description: '' })
    await world.attempt(world.of('bob').api.pay({ bolt11 }))
    await world.settle()
  }
  await closeAlone(world)
  await putBack(world, before)
  await world.settle()
  world.wire.connect(nodeIdOf('alice'), nodeIdOf('bob'))
  await world.settle()
}

describe('a forward whose offer was in the writes that the disk has lost', () => {
  it.each([
    ['unnoticed', false],
    ['which shows', true],
  ])('is settled upstream with what the next node shows on chain: %s', async (_, gap) => {
    const world = await World.start(undefined, base)
    const wealthBefore = wealth(world)
    const { id, before } = await forwarded(world)
    await putBack(world, before, gap)
    expect(htlcsOf(world, 'carol').outgoing).toEqual([])
    await reconnect(world)
    // Alice's channel is as it was, and the next node has proved that its own is not.
    expect([stateOf(world, 'alice').tag, stateOf(world, 'carol').tag]).toEqual(['normal', 'waiting-for-peer'])
    expect([await statusOf(world), htlcsOf(world, 'carol').outgoing]).toMatchObject([
      'pending',
      [{ stage: 'presumed' }],
    ])
    await world.restart('bob')
    await world.mine(1)
    await reconnect(world)
    expect([kindOf(world), htlcsOf(world, 'carol').outgoing.length]).toEqual(['future', 1])
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    await world.mine(1)
    expect([await statusOf(world), htlcsOf(world, 'alice').incoming]).toEqual(['succeeded', []])
    await endOfCarols(world)
    expectNothingLost(world, wealthBefore)
    world.close()
  })

  it('is not taken back with an offer that was not signed yet by what is left of them', async () => {
    const world = await World.start(undefined, base)
    const [alice, carol] = [world.of('alice'), world.of('carol')]
    const preimage = new Uint8Array(32).fill(8)
    const paymentHash = createHash('sha256').update(preimage).digest('hex') as PaymentHash
    const later = await carol.api.createInvoice({ amountMsat: msat(AMOUNT * 1000n), description: '', paymentHash })
    // Carol is not heard: what is offered second waits for her revocation.
    for (const { bolt11 } of [await invoice(world), later]) {
      await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 1 }))
      for (let n = 0; n < 60; n++) {
        for (const name of ['alice', 'bob'] as const) world.wire.deliver(nodeIdOf(name))
        await world.turn()
      }
    }
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'signed' }, { stage: 'proposed' }])
    const data = world.of('bob').disk.snapshot()
    await world.settle()
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'committed' }, { stage: 'committed' }])
    await putBack(world, data)
    await reconnect(world)
    expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'signed' }, { stage: 'presumed' }])
    await world.mine(1)
    await world.attempt(carol.api.settleInvoice(later.id, preimage))
    await world.settle()
    await world.mine(1)
    const statuses = [HASH, paymentHash].map(async (hash) => (await alice.api.payment(hash)).status)
    expect(await Promise.all(statuses)).toEqual(['pending', 'succeeded'])
    world.close()
  })

  it('is known where the offer itself was not lost', async () => {
    const world = await World.start(undefined, base)
    const wealthBefore = wealth(world)
    const { id, after } = await forwarded(world)
    await putBack(world, after)
    await reconnect(world)
    await world.mine(1)
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    await world.mine(1)
    expect([kindOf(world), await statusOf(world)]).toEqual(['remote-next', 'succeeded'])
    await endOfCarols(world)
    expectNothingLost(world, wealthBefore)
    world.close()
  })

  it.each([
    ['when it is asked to', false],
    ['before', true],
  ])(
    'comes back when the next node lets it expire in what it publishes %s, and goes back upstream',
    async (_, first) => {
      const world = await World.start(undefined, base)
      const wealthBefore = wealth(world)
      const { before } = await forwarded(world)
      if (first) await closeAlone(world)
      await putBack(world, before)
      await reconnect(world)
      await endOfCarols(world)
      await world.settle()
      expect([await statusOf(world), stateOf(world, 'alice').tag]).toEqual(['failed', 'normal'])
      expectNothingLost(world, wealthBefore)
      world.close()
    },
  )

  it('is found in what the next node published and took while nobody was there, before it ever connects', async () => {
    const world = await World.start(undefined, base)
    const wealthBefore = wealth(world)
    const { id, before } = await forwarded(world)
    await closeAlone(world)
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.mine(3)
    await putBack(world, before)
    await world.settle()
    world.wire.connect(nodeIdOf('alice'), nodeIdOf('bob'))
    await world.settle()
    expect([kindOf(world), await statusOf(world)]).toEqual(['future', 'succeeded'])
    await endOfCarols(world)
    expectNothingLost(world, wealthBefore)
    world.close()
  })

  it('is settled by a claim in the mempool alone, of a commitment in which no HTLC can be recognised', async () => {
    const world = await World.start(undefined, base)
    const { id, before } = await forwarded(world)
    await loseWithPoints(world, before)
    const { state } = entryOf(world, 'carol')
    expect(state).toMatchObject({ tag: 'closing', onchain: { closing: { kind: 'future' }, outputs: [{ htlc: null }] } })
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    expect(await statusOf(world)).toBe('pending')
    world.of('bob').node!.mempoolWatch.tick(true)
    await world.settle()
    expect(await statusOf(world)).toBe('succeeded')
    world.close()
  })

  it('waits for the end of all channels with the next node: the one of which it is not in comes to its end first', async () => {
    const world = await World.start(undefined, base)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const { id, before } = await forwarded(world)
    await closeAlone(world)
    await putBack(world, before)
    await reconnect(world)
    const carols = () => world.of('bob').node!.channels.ofPeer(nodeIdOf('carol'))
    const noted = () => carols().map(({ state }) => channelOf(state)!.commitments.outgoing.chunks.flat())
    expect(noted()).toMatchObject([[{ stage: 'presumed' }], [{ stage: 'presumed' }]])
    await world.mine(10)
    const failed = carols().map(({ state }) => ('onchain' in state ? (state.onchain?.failed.length ?? 0) : 0))
    expect(failed.toSorted()).toEqual([0, 1])
    await world.restart('bob')
    await reconnect(world)
    expect(await statusOf(world)).toBe('pending')
    await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.mine(2)
    expect(await statusOf(world)).toBe('succeeded')
    world.close()
  })

  it('goes back before its own channel would be closed over it, when the next node is never heard of again', async () => {
    const world = await World.start(undefined, base)
    const { before } = await forwarded(world)
    world.crash('carol')
    await putBack(world, before)
    await reconnect(world)
    const { cltvExpiry } = htlcsOf(world, 'alice').incoming[0]!.add
    await world.mine(cltvExpiry - 13 - world.chain.state.height)
    expect(await statusOf(world)).toBe('pending')
    await world.mine(1)
    expect([await statusOf(world), stateOf(world, 'alice').tag]).toEqual(['failed', 'normal'])
    await world.mine(20)
    expect(stateOf(world, 'alice').tag).toBe('normal')
    world.close()
  })

  it('is claimed from what that publishes when it is back, though it went back upstream before', async () => {
    const world = await World.start(undefined, base)
    const wealthBefore = wealth(world)
    const { before } = await forwarded(world)
    world.crash('carol')
    await putBack(world, before)
    await reconnect(world)
    const { cltvExpiry } = htlcsOf(world, 'alice').incoming[0]!.add
    await world.mine(cltvExpiry - 12 - world.chain.state.height)
    expect([await statusOf(world), stateOf(world, 'alice').tag]).toEqual(['failed', 'normal'])
    await world.boot('carol')
    await reconnect(world)
    await world.mine(2)
    await endOfCarols(world)
    expectNothingLost(world, wealthBefore)
    world.close()
  })

  it('is settled upstream with what the next node takes of a commitment in which nothing is recognised, though that ends its channel', async () => {
    const world = await World.start(undefined, base)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    const carols = () => bob.node!.channels.ofPeer(nodeIdOf('carol'))[0]!
    const { id, before } = await forwarded(world)
    await loseWithPoints(world, before)
    await world.mine(10)
    expect([carols().state.tag, (await alice.api.payment(HASH)).status]).toEqual(['closing', 'pending'])
    // The claim comes in a block, as to a node that catches up.
    bob.node!.mempoolWatch.tick = () => {}
    await world.attempt(carol.api.settleInvoice(id, PREIMAGE))
    await world.mine(1)
    await world.settle()
    expect((await alice.api.payment(HASH)).status).toBe('succeeded')
    world.close()
  })
})

describe('a forward that was not even committed by what is left of it', () => {
  it.each([
    ['before anything is in the chain', false],
    ['once the commitments are found', true],
  ])('comes back from what the next node published while we were away, though we stopped again %s', async (_, late) => {
    const world = await World.start(undefined, base)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const wealthBefore = onchainSat(world).bob
    const { heard } = await forwarded(world)
    const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(1_000_000), description: '' })
    await world.attempt(alice.api.pay({ bolt11 }))
    await world.settle()
    await putBack(world, heard)
    world.wire.connect(nodeIdOf('alice'), nodeIdOf('bob'))
    await world.settle()
    expect([stateOf(world, 'alice').tag, stateOf(world, 'carol').tag]).toEqual(['waiting-for-peer', 'offline'])
    expect(htlcsOf(world, 'alice').incoming).toMatchObject([{ stage: 'signed', removal: null }])
    await closeAlone(world)
    await world.boot('bob')
    await world.settle()
    if (late) await world.restart('bob')
    expect([stateOf(world, 'alice').tag, kindOf(world)]).toEqual(['closing', 'future'])
    await reconnect(world)
    await endOfCarols(world)
    for (let n = 0; n < 100 && stateOf(world, 'alice').tag !== 'closed'; n++) await world.mine(1)
    expect(stateOf(world, 'alice').tag).toBe('closed')
    const gained = onchainSat(world).bob - wealthBefore - 1_000_000n
    expect(gained).toBeGreaterThan(-FEES)
    world.close()
  })
})

it('a forward that was not even committed is noted after one more start, though its own channel shows nothing new', async () => {
  const world = await World.start(undefined, base)
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const { heard } = await forwarded(world)
  const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(1_000_000), description: '' })
  await world.attempt(alice.api.pay({ bolt11 }))
  await world.settle()
  await putBack(world, heard)
  world.wire.connect(nodeIdOf('alice'), nodeIdOf('bob'))
  await world.settle()
  await world.restart('bob')
  world.wire.connect(nodeIdOf('bob'), nodeIdOf('carol'))
  await world.settle()
  expect([stateOf(world, 'alice').tag, stateOf(world, 'carol').tag]).toEqual(['waiting-for-peer', 'waiting-for-peer'])
  expect(htlcsOf(world, 'carol').outgoing).toMatchObject([{ stage: 'presumed', add: { paymentHash: HASH } }])
  world.close()
})

describe('a forward of which all is lost, how it came and how it went on', () => {
  it.each([
    ['an older copy of the database is there', 'copy'],
    ['a backup is there', 'backup'],
    ['a backup is there that has it without its forward', 'half'],
    ['that is shown before the one before is heard of', 'early'],
  ])('is claimed with what the next node shows, from the commitment by which it came: %s', async (_, how) => {
    const world = await World.start(undefined, base)
    const wealthBefore = onchainSat(world).bob + 1_000_000n
    const bob = world.of('bob')
    const older = bob.disk.snapshot()
    const { id } = await forwarded(world)
    const isEarly = how === 'early'
    if (isEarly) {
      await closeAlone(world)
      await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
      await world.mine(2)
    }
    if (how === 'half') for (const _ of [1, 2]) await world.attempt(bob.node!.backup.look())
    if (how === 'half' || how === 'backup') {
      world.wipe('bob')
      const { channels, ...about } = bob.wholeBackup!
      const incoming = (htlcs: readonly BackedUpHtlc[] = []) => htlcs.filter((h) => h.direction === 'in')
      bob.restoreFrom = { ...about, channels: channels.map((c) => ({ ...c, htlcs: incoming(c.htlcs) })) }
      await world.boot('bob')
      bob.restoreFrom = null
    } else await putBack(world, older)
    const known = how === 'half' ? [{ stage: 'committed', removal: null }] : []
    for (const peer of ['alice', 'carol'] as const)
      expect(htlcsOf(world, peer)).toMatchObject({ incoming: peer === 'alice' ? known : [], outgoing: [] })
    await world.settle()
    if (isEarly) {
      expect(stateOf(world, 'carol')).toMatchObject({ tag: 'closing', onchain: { outputs: [{ htlc: null }] } })
      await world.restart('bob')
    }
    await reconnect(world)
    await world.mine(1)
    if (!isEarly) await world.attempt(world.of('carol').api.settleInvoice(id, PREIMAGE))
    await world.settle()
    await world.mine(1)
    const stage = how === 'half' ? 'committed' : 'presumed'
    expect(htlcsOf(world, 'alice').incoming).toMatchObject([{ stage, removal: { preimage: PREIMAGE } }])
    await world.restart('bob')
    await world.mine(3)
    expect(await statusOf(world)).toBe('succeeded')
    for (let n = 0; n < 20; n++) await world.mine(1)
    const gained = onchainSat(world).bob - wealthBefore
    expect(gained).toBeLessThanOrEqual(11n)
    expect(gained).toBeGreaterThan(-FEES)
    world.close()
  })
})
