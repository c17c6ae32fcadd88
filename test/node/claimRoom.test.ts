import { createHash } from 'node:crypto'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import { payKeysend } from '../../src/payment/request.ts'
import { estimate } from './claims.ts'
import { type Name, nodeIdOf, type Snapshot, World, type WorldOptions } from './world.ts'

/* Claims of HTLCs with anchors are paid for by the wallet. @source BOLT 3 §htlc-timeout-and-htlc-success-transactions */

const PART_SAT = 30_000
const MANY = 20
/** As much as may have no output (node/policy.ts). */
const EXPOSURE_SAT = 200_000
/** As much as may not be worth its claim. */
const SMALL_SAT = 500_000

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

/** Alice has a channel of 1,000,000 sat with Bob, whose wallet is empty. */
let poor: Snapshot
/** And one of Bob's leads to Carol. */
let line: Snapshot
beforeAll(async () => {
  poor = await poorOf(1_000_000)
  line = await lineOf(1_000_000)
})
async function poorOf(capacitySat: number): Promise<Snapshot> {
  const world = await World.start(['alice', 'bob'])
  world.crash('bob')
  await world.fund()
  await world.boot('bob')
  world.connectAll()
  await world.mine(1)
  await world.open('alice', 'bob', capacitySat)
  const snapshot = world.snapshot()
  world.close()
  return snapshot
}
async function lineOf(capacitySat: number): Promise<Snapshot> {
  const world = await World.start(['alice', 'bob', 'carol'])
  await world.fund()
  await world.open('alice', 'bob', capacitySat)
  await world.open('bob', 'carol', capacitySat)
  const snapshot = world.snapshot()
  world.close()
  return snapshot
}
const start = async (names: readonly Name[], snapshot: Snapshot, options: WorldOptions = {}): Promise<World> => {
  const world = await World.start(names, snapshot, options)
  worlds.push(world)
  await world.settle()
  return world
}

const gives = async (world: World, name: Name, amountSat: number): Promise<void> => {
  const { address } = (await world.attempt(world.of(name).api.newAddress()))!
  const outputs = [{ address, amountSat: sat(amountSat) }]
  await world.attempt(world.of('alice').api.sendOnChain({ outputs, feerateSatPerVbyte: 1 }))
  await world.mine(1)
}
const spendsAll = async (world: World, name: Name): Promise<void> => {
  const { address } = (await world.attempt(world.of('alice').api.newAddress()))!
  const outputs = [{ address, amountSat: 'all' }] as const
  await world.attempt(world.of(name).api.sendOnChain({ outputs, feerateSatPerVbyte: 1 }))
  await world.mine(1)
}
const pays = async (world: World, to: Name, amountSat: number, paymentHash?: PaymentHash): Promise<PaymentHash> => {
  const amountMsat = msat(amountSat * 1000)
  const request = { amountMsat, description: '', ...(paymentHash && { paymentHash }) }
  const invoice = (await world.attempt(world.of(to).api.createInvoice(request)))!
  await world.attempt(world.of('alice').api.pay({ bolt11: invoice.bolt11, timeoutSeconds: 600 }))
  return invoice.paymentHash
}
/** What is under way counts after a start of Bob's, too. */
const restarted = async (world: World): Promise<void> => {
  await world.settle()
  await world.restart('bob')
  world.connectAll()
  await world.settle()
}
const incomingOf = (world: World, name: Name) =>
  world
    .of(name)
    .node!.channels.all()
    .flatMap(({ state }) => [...eachHtlc(channelOf(state)!.commitments.incoming)])
const letGoSat = (world: World): number =>
  incomingOf(world, 'bob').reduce(
    (sum, h) => sum + (h.removal?.tag === 'fulfilled' ? Number(h.add.amountMsat) : 0),
    0,
  ) / 1000
const holdHash = (n: number): PaymentHash =>
  createHash('sha256').update(new Uint8Array(32).fill(n)).digest('hex') as PaymentHash

/** Many payments arrive at once, and Alice is gone as soon as the first preimages are. */
async function paidBySilentAlice(world: World): Promise<void> {
  for (let n = 0; n < MANY; n++) await pays(world, 'bob', PART_SAT)
  // The first goes alone, and the others together once it is signed.
  for (let n = 0; n < 200 && letGoSat(world) <= PART_SAT; n++) {
    world.wire.deliver()
    for (let k = 0; k < 5; k++) await world.turn()
  }
  world.crash('alice')
  await world.settle()
}

describe('payments that come to a node', () => {
  it('whose wallet is empty are taken one after the other, and none fails', async () => {
    const world = await start(['alice', 'bob'], poor)
    const hashes: PaymentHash[] = []
    for (let n = 0; n < MANY; n++) hashes.push(await pays(world, 'bob', PART_SAT))
    await world.settle()
    for (const hash of hashes) expect((await world.of('alice').api.payment(hash)).status).toBe('succeeded')
    expect(world.of('bob').complaints).toEqual([])
  })

  it('whose wallet is empty: a peer that goes silent has the preimages of one and of as much as may have no output', async () => {
    const world = await start(['alice', 'bob'], poor)
    await paidBySilentAlice(world)
    expect(letGoSat(world)).toBe(PART_SAT + Math.floor(EXPOSURE_SAT / PART_SAT) * PART_SAT)
  })

  it('that are not worth their claims: such a peer has the preimages of one and 500,000 sat, whatever the wallet has', async () => {
    const world = await start(['alice', 'bob'], poor)
    await gives(world, 'bob', 5_000_000)
    // 1,102 weight units of 44,080 sat.
    estimate(world.of('bob').node!, 40_000)
    await paidBySilentAlice(world)
    expect(letGoSat(world)).toBe(PART_SAT + Math.floor(SMALL_SAT / PART_SAT) * PART_SAT)
    expect(world.of('bob').complaints).toEqual([])
  })

  it('whose wallet can claim them are taken at once, and those that the peer does not give are claimed', async () => {
    const world = await start(['alice', 'bob'], poor)
    await gives(world, 'bob', 500_000)
    await paidBySilentAlice(world)
    expect(letGoSat(world)).toBe((MANY - 1) * PART_SAT)
    const { reservedSat } = await world.of('bob').api.wallet()
    expect(reservedSat).toBeGreaterThan(20_000n)
    await world.restart('bob')
    await world.settle()
    expect((await world.of('bob').api.wallet()).reservedSat).toBe(reservedSat)
    const before = (await world.of('bob').api.wallet()).confirmedSat
    for (let n = 0; n < 30; n++) await world.mine(1)
    await world.mine(150)
    await world.mine(1)
    const { confirmedSat } = await world.of('bob').api.wallet()
    expect(Number(confirmedSat - before)).toBeGreaterThan((MANY - 1) * (PART_SAT - 10_000))
  })

  it('come to an empty wallet however large they are, one at a time', async () => {
    const world = await start(['alice', 'bob'], poor)
    const hash = await pays(world, 'bob', 900_000)
    await world.settle()
    expect((await world.of('alice').api.payment(hash)).status).toBe('succeeded')
  })

  it('and find no room wait for it: what is held longer than a payment keeps no other out', async () => {
    const world = await start(['alice', 'bob'], poor)
    const statusOf = async (hash: PaymentHash) =>
      (await world.of('bob').api.invoices({ limit: 10 }, {})).items.find((i) => i.paymentHash === hash)!
    await pays(world, 'bob', 300_000, holdHash(1))
    await pays(world, 'bob', 150_000, holdHash(2))
    await restarted(world)
    await pays(world, 'bob', 150_000, holdHash(3))
    await world.settle()
    expect(await statusOf(holdHash(2))).toMatchObject({ status: 'accepted' })
    expect(await statusOf(holdHash(3))).toMatchObject({ status: 'open' })
    const { id } = await statusOf(holdHash(1))
    await world.attempt(world.of('bob').api.settleInvoice(id, new Uint8Array(32).fill(1)))
    await world.settle()
    expect(await statusOf(holdHash(3))).toMatchObject({ status: 'accepted' })
  })
})

describe('a payment without invoice', () => {
  it('does not wait: it goes back at once, with a word to the operator', async () => {
    const world = await start(['alice', 'bob'], poor)
    await pays(world, 'bob', 300_000, holdHash(1))
    await world.settle()
    await pays(world, 'bob', 150_000, holdHash(2))
    await world.settle()
    const { node, api } = world.of('alice')
    const amountMsat = msat(150_000_000)
    const request = payKeysend(nodeIdOf('bob'), new Uint8Array(32).fill(7), { amountMsat }, node!.now())
    if (!request.ok) throw new Error(request.error.detail)
    await node!.reactor.run((scope) => node!.payments.start(request.value, scope))
    await world.settle()
    expect((await api.payment(request.value.paymentHash)).status).toBe('failed')
    expect(world.of('bob').complaints).toMatchObject([{ code: 'NO_COINS_FOR_CLAIMS' }])
  })
})

describe('a payment that waits for room', () => {
  /** One of 150,000 sat waits for what is held. @returns its hash, and the id of what makes room when it goes */
  const waiting = async (world: World): Promise<{ hash: PaymentHash; held: string }> => {
    await pays(world, 'bob', 300_000, holdHash(1))
    await pays(world, 'bob', 150_000, holdHash(2))
    const hash = await pays(world, 'bob', 150_000)
    await world.settle()
    const held = (await world.of('bob').api.invoice(holdHash(1))).id
    expect((await world.of('bob').api.invoice(hash)).status).toBe('open')
    return { hash, held }
  }

  it('is taken when there is some', async () => {
    const world = await start(['alice', 'bob'], poor)
    const { hash, held } = await waiting(world)
    await world.attempt(world.of('bob').api.cancelInvoice(held))
    await world.settle()
    expect((await world.of('bob').api.invoice(hash)).status).toBe('settled')
    expect((await world.of('alice').api.payment(hash)).status).toBe('succeeded')
  })

  it('is taken when there is room for it, however many wait before it for more', async () => {
    const world = await start(['alice', 'bob'], await poorOf(3_000_000))
    const { api } = world.of('bob')
    await pays(world, 'bob', EXPOSURE_SAT + 1000, holdHash(1))
    await pays(world, 'bob', EXPOSURE_SAT - 1000, holdHash(2))
    for (let n = 3; n < 11; n++) await pays(world, 'bob', EXPOSURE_SAT + 1000, holdHash(n))
    const small = await pays(world, 'bob', 2000)
    await world.settle()
    expect((await api.invoice(small)).status).toBe('open')
    await world.attempt(api.cancelInvoice((await api.invoice(holdHash(2))).id))
    await world.settle()
    expect((await api.invoice(small)).status).toBe('settled')
    expect((await api.invoice(holdHash(10))).status).toBe('open')
  })

  it('is not taken by the height of before a start: the peer may have it back', async () => {
    const world = await start(['alice', 'bob'], poor, { peersFirstMs: 600_000 })
    const { hash, held } = await waiting(world)
    world.crash('bob')
    await world.mine(200)
    for (let n = 0; n < 10; n++) await world.mine(1)
    expect((await world.of('alice').api.payment(hash)).status).toBe('failed')
    await world.boot('bob')
    expect(world.of('bob').node!.chain.isCurrent).toBe(false)
    await world.attempt(world.of('bob').api.cancelInvoice(held))
    for (let n = 0; n < 20; n++) await world.turn()
    expect((await world.of('bob').api.invoice(hash)).status).toBe('open')
  })

  it('is not taken from a channel that goes on chain: there is nothing to claim it with', async () => {
    const world = await start(['alice', 'bob'], poor)
    const { hash, held } = await waiting(world)
    const { bob, alice } = { bob: world.of('bob'), alice: world.of('alice') }
    const { id } = (await alice.api.channels({ limit: 1 }, {})).items[0]!
    await world.attempt(alice.api.closeChannel(id, { force: true }))
    await world.mine(1)
    await world.attempt(bob.api.cancelInvoice(held))
    await world.mine(1)
    expect((await bob.api.invoice(hash)).status).toBe('open')
  })
})

describe('what the wallet keeps for HTLCs under way', () => {
  it('is in its reserve, which nothing that people send takes, and is free again when they are settled', async () => {
    const world = await start(['alice', 'bob'], poor)
    await gives(world, 'bob', 500_000)
    expect((await world.of('bob').api.wallet()).reservedSat).toBe(10_000n)
    for (let n = 1; n <= MANY; n++) await pays(world, 'bob', PART_SAT, holdHash(n))
    await world.settle()
    const { reservedSat } = await world.of('bob').api.wallet()
    expect(reservedSat).toBeGreaterThan(20_000n)
    await spendsAll(world, 'bob')
    expect(await world.of('bob').api.wallet()).toMatchObject({ reservedSat, confirmedSat: reservedSat })
    for (let n = 1; n <= MANY; n++) {
      const { api } = world.of('bob')
      const [invoice] = (await api.invoices({ limit: 100 }, {})).items.filter((i) => i.paymentHash === holdHash(n))
      await world.attempt(api.settleInvoice(invoice!.id, new Uint8Array(32).fill(n)))
    }
    await world.settle()
    expect((await world.of('bob').api.wallet()).reservedSat).toBe(10_000n)
  })

  it('is no more than the wallet has: what is taken beyond that is no lack of coins to close channels with', async () => {
    const world = await start(['alice', 'bob'], poor)
    await gives(world, 'bob', 500_000)
    await spendsAll(world, 'bob')
    for (let n = 1; n <= 5; n++) await pays(world, 'bob', PART_SAT, holdHash(n))
    await world.settle()
    expect(incomingOf(world, 'bob')).toHaveLength(5)
    expect(await world.of('bob').api.wallet()).toMatchObject({ confirmedSat: 10_000n, reservedSat: 10_000n })
  })
})

describe('forwards of a node', () => {
  it('whose wallet is empty go on up to what may have no output, and one more; then none, until there are coins', async () => {
    const world = await start(['alice', 'bob', 'carol'], line)
    await spendsAll(world, 'bob')
    const bob = world.of('bob')
    const { reservedSat } = await bob.api.wallet()
    expect(reservedSat).toBe(20_000n)
    const under = async (): Promise<number> => {
      await world.settle()
      return incomingOf(world, 'carol').length
    }
    for (let n = 1; n <= MANY; n++) await pays(world, 'carol', PART_SAT, holdHash(n))
    const taken = await under()
    expect(taken).toBeGreaterThan(Math.floor(EXPOSURE_SAT / PART_SAT))
    expect(taken).toBeLessThan(MANY)
    expect(bob.complaints).toMatchObject([{ code: 'NO_COINS_FOR_CLAIMS' }])
    await restarted(world)
    await pays(world, 'carol', PART_SAT, holdHash(MANY + 1))
    expect(await under()).toBe(taken)
    await gives(world, 'bob', 500_000)
    await pays(world, 'carol', PART_SAT, holdHash(MANY + 2))
    expect(await under()).toBe(taken + 1)
  })
})
