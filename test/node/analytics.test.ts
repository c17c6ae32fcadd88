import { afterEach, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { onchainSat } from './accounts.ts'
import { estimate, hold } from './claims.ts'
import { Life } from './life.ts'
import { World } from './world.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

async function aliceAndBob() {
  const world = await World.start(['alice', 'bob'])
  worlds.push(world)
  await world.fund()
  const before = onchainSat(world).alice
  const { id } = await world.open('alice', 'bob', 500_000)
  const earnings = async (name: 'alice' | 'bob') => {
    const { items } = await world.of(name).api.analytics.channelEarnings({ limit: 5 })
    expect(items).toHaveLength(1)
    return items[0]!
  }
  return { world, life: new Life(world), before, id, earnings }
}

/** In anchors of a commitment, which nobody claims here. */
const ANCHORS = 330n

describe('what a channel has cost', () => {
  it('is what the wallet has less after an agreed close', async () => {
    const { world, life, before, id, earnings } = await aliceAndBob()
    expect(await earnings('alice')).toMatchObject({ id, state: 'normal', closeFeeSat: 0n })
    await life.step({ tag: 'close', who: 'alice', peer: 'bob', force: false })
    await world.settle()
    await life.mineToTheEnd()
    const { openFeeSat, closeFeeSat, profitMsat, state } = await earnings('alice')
    expect(state).toBe('closed')
    expect(openFeeSat).toBeGreaterThan(0n)
    expect(closeFeeSat).toBeGreaterThan(0n)
    expect(openFeeSat + closeFeeSat).toBe(before - onchainSat(world).alice)
    expect(profitMsat).toBe(-1000n * (openFeeSat + closeFeeSat))
    expect(await earnings('bob')).toMatchObject({ openFeeSat: 0n, closeFeeSat: 0n, profitMsat: 0n })
  })

  it('and after one by force, but for what is left in anchors', async () => {
    const { world, life, before, earnings } = await aliceAndBob()
    await life.step({ tag: 'close', who: 'alice', peer: 'bob', force: true })
    await life.mineToTheEnd()
    const { openFeeSat, closeFeeSat } = await earnings('alice')
    const lost = before - onchainSat(world).alice - openFeeSat - closeFeeSat
    expect([ANCHORS, 2n * ANCHORS, 0n]).toContain(lost)
    expect(await earnings('bob')).toMatchObject({ openFeeSat: 0n, closeFeeSat: 0n })
  })

  it('and what the wallet pays for the child of its commitment', async () => {
    const { world, life, before, earnings } = await aliceAndBob()
    estimate(world.of('alice').node!, 5_000)
    await life.step({ tag: 'close', who: 'alice', peer: 'bob', force: true })
    await life.mineToTheEnd()
    const { items } = await world.of('alice').api.walletTransactions({ limit: 20 })
    const child = items.find((t) => t.label?.startsWith('fee of the close'))
    expect(child!.feeSat).toBeGreaterThan(5_000n)
    for (const restart of [false, true]) {
      if (restart) await world.restart('alice')
      const { openFeeSat, closeFeeSat } = await earnings('alice')
      // Its only anchor is spent.
      expect(before - onchainSat(world).alice).toBe(openFeeSat + closeFeeSat)
    }
    expect((await earnings('bob')).closeFeeSat).toBe(0n)
  })

  it('and what the wallet pays for its HTLC transactions', async () => {
    const { world, earnings } = await aliceAndBob()
    await hold(world, 7, 50_000n)
    world.crash('bob')
    const { node, api } = world.of('alice')
    void api.closeChannel(node!.channels.all()[0]!.meta.localId, { force: true }).catch(() => {})
    await world.settle()
    const fees = async () => {
      const { items } = await api.walletTransactions({ limit: 20 })
      return items.flatMap((t) => (t.label?.startsWith('htlc') ? [t.feeSat!] : []))
    }
    for (let block = 0; block < 300 && (await fees()).length === 0; block++) await world.mine(1)
    const before = (await earnings('alice')).closeFeeSat
    await world.mine(1)
    const [fee, ...others] = await fees()
    expect(others).toEqual([])
    expect(fee).toBeGreaterThan(0n)
    expect((await earnings('alice')).closeFeeSat - before).toBe(fee)
  })
})

describe('sums for the books', () => {
  it('read as much after a thousand forwards as after ten', async () => {
    const { world } = await aliceAndBob()
    const { api, node, disk } = world.of('alice')
    let read = 0
    const [get, entries] = [disk.get.bind(disk), disk.entries.bind(disk)]
    disk.get = (key) => {
      read++
      return get(key)
    }
    disk.entries = async function* (range) {
      for await (const entry of entries(range)) {
        read++
        yield entry
      }
    }
    const forwards = (count: number) =>
      node!.reactor.run((scope) => {
        const about = { incomingChannelId: 'ab'.repeat(32), outgoingChannelId: 'cd'.repeat(32) }
        const data = { ...about, amountInMsat: 11, amountOutMsat: 10, feeMsat: 1 }
        for (let i = 0; i < count; i++) node!.events.emit(scope, 'forward.settled', data)
      })
    const cost = async (): Promise<[bigint, number]> => {
      await node!.ledger.fold()
      read = 0
      const { analytics } = api
      const { forwards: sums } = await analytics.summary({ from: '2000-01-01' })
      await analytics.forwardSums({ limit: 10 }, { period: 'day' })
      await analytics.channelEarnings({ limit: 10 })
      return [sums.feeMsat, read]
    }
    await forwards(10)
    const [few, before] = await cost()
    await forwards(1_000)
    expect([few, ...(await cost())]).toEqual([10n, 1_010n, before])
  })
})

describe('the balance history', () => {
  it('has what the node held last in each hour and each day, and nothing twice', async () => {
    const { world } = await aliceAndBob()
    const { api, node } = world.of('alice')
    let now = Date.UTC(2026, 10, 27, 22, 10)
    for (const process of world.all) process.node!.now = () => now
    const history = async (period: 'hour' | 'day', range = {}) =>
      (await api.analytics.balanceHistory({ limit: 10 }, { period, ...range })).items
    const [first] = await history('hour')
    expect(first).toMatchObject({ period: '2026-11-27T22', at: '2026-11-27T22:10:00.000Z', usableChannels: 1 })
    expect(first!.onchainConfirmedSat).toBe((await api.wallet()).confirmedSat)
    const writes = () => world.of('alice').disk.writes
    const before = writes()
    now += 60_000
    await node!.balances.note()
    expect(writes()).toBe(before) // nothing has changed
    const bolt11 = (await world.attempt(world.of('bob').api.createInvoice({ amountMsat: msat(50_000_000) })))!.bolt11
    await world.attempt(api.pay({ bolt11 }))
    await world.settle()
    now += 3_600_000
    const hours = await history('hour')
    expect(hours.map((h) => h.period)).toEqual(['2026-11-27T23', '2026-11-27T22'])
    expect(hours[0]!.channelLocalMsat).toBe(first!.channelLocalMsat - 50_000_000n)
    now += 3_600_000
    await node!.balances.note()
    expect((await history('day')).map((d) => d.period)).toEqual(['2026-11-28', '2026-11-27'])
    expect((await history('day', { to: '2026-11-27' })).map((d) => d.at)).toEqual([hours[0]!.at])
    expect((await history('hour', { from: '2026-11-28' })).map((h) => h.period)).toEqual(['2026-11-28T00'])
    const page = await api.analytics.balanceHistory({ limit: 1 }, { period: 'hour' })
    expect(page.nextCursor).toBe('2026-11-28T00')
    const next = await api.analytics.balanceHistory({ limit: 5, cursor: page.nextCursor! }, { period: 'hour' })
    expect(next.items.map((h) => h.period)).toEqual(['2026-11-27T23', '2026-11-27T22'])
    const unknown = api.analytics.balanceHistory({ limit: 1, cursor: 'x' }, { period: 'hour' })
    await expect(unknown).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })
})
