import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { BackedUpHtlc } from '../../src/channel/backedUpHtlcs.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { localBalance } from '../../src/channel/limits.ts'
import { onchainSat } from './accounts.ts'
import { type Name, NOBODY, nodeIdOf, type Snapshot, World } from './world.ts'

/** More than all fees of the close. */
const FEES = 40_000n
const AMOUNT = 100_000n
const PREIMAGE = new Uint8Array(32).fill(7)
const HASH = createHash('sha256').update(PREIMAGE).digest('hex') as PaymentHash

/** Alice – Bob – Carol, 500,000 sat at each end of both channels. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

const entryOf = (world: World, peer: Name) =>
  world
    .of('bob')
    .node!.channels.all()
    .find((e) => e.meta.peer === nodeIdOf(peer))!
const stateOf = (world: World, peer: Name) => entryOf(world, peer).state
const htlcsOf = (world: World, peer: Name) => {
  const { incoming, outgoing } = channelOf(stateOf(world, peer))!.commitments
  return { incoming: incoming.chunks.flat(), outgoing: outgoing.chunks.flat() }
}
const statusOf = async (world: World) => (await world.of('alice').api.payment(HASH)).status

/** What was on Bob's disk. */
type Disk = ReadonlyMap<string, Uint8Array>
const isOffer = (localId: string) => (key: string) => key.startsWith(`channel/${localId}/add/out/`)

/** @returns the invoice that Carol keeps the payment of */
async function invoice(world: World, sats = AMOUNT): Promise<{ readonly bolt11: string; readonly id: string }> {
  const amountMsat = msat(sats * 1000n)
  return world.of('carol').api.createInvoice({ amountMsat, description: '', paymentHash: HASH })
}

/**
 * Alice has paid Carol, who keeps it.
 * @returns what was on Bob's disk when he had not offered it yet, and had already
 */
async function forwarded(world: World) {
  const { bolt11, id } = await invoice(world)
  const { disk } = world.of('bob')
  const disks: Disk[] = []
  disk.judge = () => {
    disks.push(disk.snapshot())
    return null
  }
  await world.attempt(world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 }))
  await world.settle()
  disk.judge = () => null
  expect([await statusOf(world), htlcsOf(world, 'carol').outgoing]).toMatchObject(['pending', [{ stage: 'committed' }]])
  const has = (data: Disk): boolean => [...data.keys()].some(isOffer(entryOf(world, 'carol').meta.localId))
  return { id, before: disks.findLast((d) => !has(d))!, after: disks.find(has)! }
}

/** Bob's process dies, and starts again on another content of his disk. @param gap the loss shows: a number of the journal is missing */
async function putBack(world: World, data: Disk, gap = false): Promise<void> {
  const { disk } = world.of('bob')
  world.crash('bob')
  await disk.wipe([...disk.snapshot().keys()])
  for (const [key, value] of data) await disk.harm(key, value)
  if (gap)
    await disk.wipe([
      [...data.keys()]
        .filter((key) => key.startsWith('journal/'))
        .sort()
        .at(-3)!,
    ])
  await world.boot('bob')
}
async function reconnect(world: World): Promise<void> {
  world.connectAll()
  await world.settle()
}
/** Bob's money: on chain, and in his channel with Alice. */
function wealth(world: World): bigint {
  const channel = channelOf(stateOf(world, 'alice'))!
  return onchainSat(world).bob + localBalance(channel, channel.commitments.next.local) / 1000n
}
/** What of the channel with Carol pays out is there, less fees; what Alice paid for the forward, too. */
function expectNothingLost(world: World, before: bigint): void {
  const gained = wealth(world) - before - 500_000n
  expect(gained).toBeGreaterThan(-FEES)
  expect(gained).toBeLessThanOrEqual(11n)
}
/** Carol closes her channels while Bob is away. */
async function closeAlone(world: World): Promise<void> {
  const { api, node } = world.of('carol')
  world.crash('bob')
  for (const { meta } of node!.channels.all()) await world.attempt(api.closeChannel(meta.localId, { force: true }))
  await world.mine(1)
}
async function endOfCarols(world: World): Promise<void> {
  for (let n = 0; n < 150 && stateOf(world, 'carol').tag !== 'closed'; n++) await world.mine(1)
  expect(stateOf(world, 'carol').tag).toBe('closed')
}
const kindOf = (world: World) => {
  const state = stateOf(world, 'carol')
  return state.tag === 'closing' || state.tag === 'closed' ? state.onchain?.closing.kind : null
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
    // So many commitments later that their points are not known either.
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
})
