import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { pack, unpack } from '../../src/base/pack.ts'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { Booked } from '../../src/node/recordBook.ts'
import type { PaymentRecord } from '../../src/payment/types.ts'
import { putBack } from './lostOffers.ts'
import { type Snapshot, World } from './world.ts'

const PREIMAGE = new Uint8Array(32).fill(5)
const HASH = createHash('sha256').update(PREIMAGE).digest('hex') as PaymentHash

/** Alice and Bob, with one channel. */
let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  base = world.snapshot()
  world.close()
})

/** Alice pays Bob, who keeps it. @returns the invoice’s id, and her disk with the payment under way */
async function paying(world: World, timeoutSeconds = 60) {
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const { bolt11, id } = await bob.api.createInvoice({
    amountMsat: msat(100_000_000n),
    description: '',
    paymentHash: HASH,
  })
  await world.attempt(alice.api.pay({ bolt11, timeoutSeconds }))
  await world.settle()
  return { id, data: alice.disk.snapshot() }
}
const outcome = async (world: World) => {
  const { status, failure, parts } = await world.of('alice').api.payment(HASH)
  return [status, failure?.code ?? null, parts.length]
}
const channelOfAlice = (world: World) => world.of('alice').node!.channels.all()[0]!
async function mineUntilOver(world: World): Promise<void> {
  for (let n = 0; n < 250 && channelOfAlice(world).state.tag !== 'closed'; n++) await world.mine(1)
  expect(channelOfAlice(world).state.tag).toBe('closed')
}

describe('a payment whose HTLC is in none of the commitments that are left of it', () => {
  it.each([
    ['published alone', true],
    ['closed together', false],
  ])(
    'is not told as failed when it may have come through in lost writes, and the channel was %s since',
    async (_, alone) => {
      const world = await World.start(['alice', 'bob'], base)
      const [alice, bob] = [world.of('alice'), world.of('bob')]
      const { id, data } = await paying(world, 3_600)
      await world.attempt(bob.api.settleInvoice(id, PREIMAGE))
      await world.settle()
      expect(await outcome(world)).toEqual(['succeeded', null, 1])
      const { localId } = bob.node!.channels.all()[0]!.meta
      if (alone) world.crash('alice')
      await world.attempt(bob.api.closeChannel(localId, { force: alone }))
      await world.mine(1)
      await putBack(world, data, false, 'alice')
      expect((await outcome(world))[0]).toBe('pending')
      world.connectAll()
      await world.settle()
      await mineUntilOver(world)
      expect(await outcome(world)).toEqual(['failed', 'OUTCOME_UNKNOWN', 1])
      expect((await alice.api.payment(HASH)).failure?.detail).toContain('ask the payee')
      await world.restart('alice')
      expect(await outcome(world)).toEqual(['failed', 'OUTCOME_UNKNOWN', 1])
      world.close()
    },
  )
})

describe('a payment over a channel that cannot be read, and that no backup has', () => {
  it('is not tried another way when its HTLC has expired, and not told as failed', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await world.open('alice', 'bob', 1_000_000)
    const alice = world.of('alice')
    await paying(world, 3_600)
    const used = alice.node!.channels.all().find((e) => (channelOf(e.state)?.commitments.outgoing.size ?? 0) > 0)!
    const { cltvExpiry } = channelOf(used.state)!.commitments.outgoing.chunks.flat()[0]!.add
    world.crash('alice')
    alice.wholeBackup = null
    await alice.disk.harm(`channel/${used.meta.localId}/core`, Uint8Array.of(1, 2, 3))
    await world.boot('alice')
    world.crash('bob')
    await world.mine(cltvExpiry + 144 - world.chain.state.height)
    expect(await outcome(world)).toEqual(['pending', null, 1])
    await world.mine(1)
    expect(await outcome(world)).toEqual(['failed', 'OUTCOME_UNKNOWN', 1])
    world.close()
  })
})

describe('a payment whose end was in a write that is missing among others', () => {
  it.each([
    ['', false],
    [', nor at a start after that', true],
  ])('is not told as never offered, though its channel lacks nothing%s', async (_, again) => {
    const world = await World.start(['alice', 'bob'], base)
    await world.open('alice', 'bob', 1_000_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const { id, data } = await paying(world, 3_600)
    await world.attempt(bob.api.settleInvoice(id, PREIMAGE))
    await world.settle()
    const isPayment = (key: string): boolean => key.startsWith('payment')
    const later = [...alice.disk.snapshot()].filter(([key]) => !isPayment(key))
    await putBack(world, new Map([...later, ...[...data].filter(([key]) => isPayment(key))]), true, 'alice')
    await world.settle()
    if (again) await world.restart('alice')
    expect(await outcome(world)).toEqual(['pending', null, 1])
    world.connectAll()
    await world.settle()
    expect(channelOfAlice(world).state.tag).toBe('normal')
    expect(await outcome(world)).toEqual(['failed', 'OUTCOME_UNKNOWN', 1])
    world.close()
  })
})

describe('a payment whose routes were being looked for in what is left of the database', () => {
  it.each([
    ['misses a write', true],
    ['is older than its backup', false],
  ])('is not told as failed where that %s, which may have had its attempt', async (_, gap) => {
    const world = await World.start(['alice', 'bob'], base)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const before = alice.disk.snapshot()
    const { id, data } = await paying(world, 3_600)
    await world.attempt(bob.api.settleInvoice(id, PREIMAGE))
    await world.settle()
    const key = `payment/${HASH}`
    const { record, ...booked } = unpack<Booked<PaymentRecord>>(data.get(key)!)
    const payment = [...data].filter(([name]) => name.startsWith('payment'))
    const planned = pack({ ...booked, record: { ...record, attempts: [] } })
    if (!gap) alice.restoreFrom = { ...alice.wholeBackup!, journal: 1_000_000 }
    await putBack(world, new Map([...(gap ? alice.disk.snapshot() : before), ...payment, [key, planned]]), gap, 'alice')
    alice.restoreFrom = null
    expect(await outcome(world)).toEqual(['failed', 'OUTCOME_UNKNOWN', 0])
    world.close()
  })
})
