import { isDeepStrictEqual } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { reportUnreadable } from '../../src/node/recovery.ts'
import { CheckedDriver } from '../../src/store/checked.ts'
import { keys } from '../../src/store/schema.ts'
import type { Driver } from '../../src/store/types.ts'
import { type Snapshot, World } from './world.ts'

const checked = { driverOf: (disk: Driver) => new CheckedDriver(disk) }

/** All that is bob's. */
async function worthOf(world: World): Promise<bigint> {
  const b = await world.of('bob').api.balance()
  return b.onchainConfirmedSat + b.onchainUnconfirmedSat + b.onchainClosingSat + b.channelLocalMsat / 1000n
}
/** What bob's lists show. */
async function historyOf(world: World): Promise<readonly unknown[]> {
  const { api } = world.of('bob')
  const all = { limit: 100 }
  const lists = [
    api.payments(all, {}),
    api.invoices(all, {}),
    api.analytics.forwards(all, {}),
    api.walletTransactions(all),
  ]
  return (await Promise.all<{ readonly items: readonly unknown[] }>(lists)).flatMap(({ items }) => items)
}
const invoiceOf = async (world: World, name: 'bob' | 'carol', amountSat: number): Promise<string> =>
  (await world.attempt(world.of(name).api.createInvoice({ amountMsat: msat(BigInt(amountSat) * 1000n) })))!.bolt11

async function pay(world: World, name: 'alice' | 'bob', bolt11: string): Promise<void> {
  const { api } = world.of(name)
  const { paymentHash } = (await world.attempt(api.pay({ bolt11 })))!
  await world.settle()
  expect((await api.payment(paymentHash)).status).toBe('succeeded')
}

/** Bob has forwarded, been paid and paid, on chain too; an invoice of his is open. */
let base: Snapshot
let worth: bigint
let history: readonly unknown[]
let open: string
beforeAll(async () => {
  const world = await World.start(undefined, null, checked)
  await world.fund()
  await world.open('alice', 'bob', 1_000_000, 500_000)
  await world.open('bob', 'carol', 1_000_000, 500_000)
  await pay(world, 'alice', await invoiceOf(world, 'carol', 20_000))
  await pay(world, 'alice', await invoiceOf(world, 'bob', 30_000))
  await pay(world, 'bob', await invoiceOf(world, 'carol', 10_000))
  open = await invoiceOf(world, 'bob', 1_000)
  const { address } = (await world.attempt(world.of('bob').api.newAddress()))!
  await world.attempt(world.of('alice').api.sendOnChain({ outputs: [{ address, amountSat: sat(50_000) }] }))
  await world.mine(1)
  worth = await worthOf(world)
  history = await historyOf(world)
  base = world.snapshot()
  world.close()
})

/** One record of each kind that bob has: `#` is a number, an id or an outpoint. */
function kinds(): ReadonlyMap<string, string> {
  const kindOf = (key: string): string => key.replace(/\/(?=[^/]*\d)[^/]{2,}/g, '/#')
  const found = new Map([...base.disks.bob!.keys()].map((key) => [kindOf(key), key]))
  found.delete(keys.schema)
  return found
}

/** Bob's disk with one bit of a record changed: another one for each. */
function rotten(key: string, seed: number): Snapshot {
  const bob = new Map(base.disks.bob!)
  const bytes = bob.get(key)!.slice()
  const bit = (7919 * (seed + 1)) % (8 * bytes.length)
  bytes[bit >> 3]! ^= 1 << (bit & 7)
  bob.set(key, bytes)
  return { ...base, disks: { ...base.disks, bob } }
}

/** What bob's node has told of: at its start, and once all of its disk has been read. */
async function told(world: World): Promise<readonly { readonly code: string; readonly message: string }[]> {
  const { node, api } = world.of('bob')
  for await (const [key] of node!.driver.entries({})) expect(key).not.toBe('')
  await world.attempt(reportUnreadable(node!, {}))
  const alerts = (await api.eventsSince(0, 5_000)).filter((e) => e.type === 'node.alert')
  return alerts.map((e) => e.data as never)
}

describe('a record of which one bit has changed on disk', () => {
  it('keeps no node from starting, is named, and changes no amount that it shows', async () => {
    const seen: string[] = []
    for (const [kind, key] of kinds()) {
      if (key.startsWith('channel/') && !key.includes('/revoked/')) continue
      if (key.startsWith('channel-meta/')) continue
      const world = await World.start(['bob'], rotten(key, seen.length), checked)
      expect(await worthOf(world), kind).toBe(worth)
      for (const item of await historyOf(world))
        expect(
          history.some((one) => isDeepStrictEqual(one, item)),
          kind,
        ).toBe(true)
      const alerts = await told(world)
      expect(alerts, kind).toEqual([expect.objectContaining({ code: 'RECORDS_DAMAGED' })])
      expect(alerts[0]!.message).toContain(key)
      seen.push(kind)
      world.close()
    }
    expect(seen).toEqual(expect.arrayContaining(['chain/position', 'wallet/coin/#', 'invoice/#', 'meta/key-index']))
  })

  it('of a channel costs its peer a commitment, and nobody money: all others go on', async () => {
    const seen: string[] = []
    for (const [kind, key] of kinds()) {
      if (!/^channel(-meta)?\//.test(key) || key.includes('/revoked/')) continue
      const world = await World.start(undefined, base, checked)
      const bob = world.of('bob')
      world.crash('bob')
      bob.disk.harm(key, rotten(key, seen.length).disks.bob!.get(key)!)
      await world.boot('bob')
      world.connectAll()
      const alerts = await told(world)
      expect(alerts, kind).toEqual([expect.objectContaining({ code: 'CHANNEL_DAMAGED' })])
      await world.settle()
      await world.mine(1)
      const states = world
        .of('bob')
        .node!.channels.all()
        .map((c) => c.state.tag)
      // Whose it is the backup and the rest of its records say.
      const isNamed = key.startsWith('channel-meta/')
      expect(states.toSorted(), kind).toEqual([isNamed ? 'normal' : 'closing', 'normal'])
      await world.mine(12)
      const now = await worthOf(world)
      expect([now <= worth, now > worth - 5_000n], `${kind}: ${now} of ${worth}`).toEqual([true, true])
      seen.push(kind)
      world.close()
    }
    expect(seen).toEqual(
      expect.arrayContaining([
        'channel-meta/#',
        ...['core', 'fixed', 'stages', 'secret/#'].map((k) => `channel/#/${k}`),
      ]),
    )
  })

  it('in its key, and not needed by its channel, leaves the channel open', async () => {
    const key = kinds().get('channel/#/revoked/out/#') ?? kinds().get('channel/#/revoked/in/#')!
    const bob = new Map(base.disks.bob!)
    bob.set(key.replace('/revoked/', '/rewoked/'), bob.get(key)!)
    bob.delete(key)
    const world = await World.start(['bob'], { ...base, disks: { bob } }, checked)
    expect((await told(world)).map(({ code }) => code)).toEqual(['RECORDS_DAMAGED'])
    expect(
      world
        .of('bob')
        .node!.channels.all()
        .map(({ state }) => channelOf(state)?.restored),
    ).toEqual([undefined, undefined])
    world.close()
  })

  it('of the only channel there is keeps no node from starting either, since it is no fault of the program', async () => {
    const bob = new Map(rotten(kinds().get('channel/#/core')!, 1).disks.bob!)
    const [, localId] = kinds().get('channel/#/core')!.split('/')
    for (const key of bob.keys()) if (/^channel(-meta)?\//.test(key) && !key.includes(localId!)) bob.delete(key)
    const world = await World.start(['bob'], { ...base, disks: { bob } }, checked)
    expect((await told(world)).map(({ code }) => code)).toEqual(['CHANNEL_DAMAGED'])
    world.close()
  })

  it('in the list of open invoices leaves the invoice as it is: it can be paid', async () => {
    const world = await World.start(undefined, rotten(kinds().get('invoice-index/open/#')!, 1), checked)
    await pay(world, 'alice', open)
    world.close()
  })
})
