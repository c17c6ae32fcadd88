import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { readExposition } from './exposition.ts'
import { Life } from './life.ts'
import { NAMES, type Name, nodeIdOf, type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})
async function begin() {
  const life = await Life.begin(base)
  worlds.push(life.world)
  const scrape = async (name: Name) =>
    readExposition(await life.world.of(name).api.metrics({ eventSubscribers: 7, alertsRaised: 3 }))
  const pay = (kind: 'invoice' | 'hold' | 'keysend', amountMsat: number) =>
    life.step({ tag: 'pay', from: 'alice', to: 'carol', amountMsat, kind })
  return { life, scrape, pay }
}

describe('metrics', () => {
  it('tell of a payment the same at payer, router and payee as their records do', async () => {
    const { life, scrape, pay } = await begin()
    await pay('invoice', 10_000_000)
    await life.world.settle()
    await pay('invoice', 600_000_000) // more than the channel holds
    await life.world.settle()
    const [alice, bob, carol] = await Promise.all(NAMES.map(scrape))
    const paid = (await life.world.of('alice').api.payments({ limit: 10 }, { status: 'succeeded' })).items
    expect(paid).toHaveLength(1)
    const fee = Number(paid[0]!.feeMsat)
    expect(fee).toBeGreaterThan(0)
    expect(alice!.get('fulmen_payments_total{result="succeeded"}')).toBe(1)
    expect(alice!.get('fulmen_payments_msat_total')).toBe(10_000_000)
    expect(alice!.get('fulmen_payment_fees_msat_total')).toBe(fee)
    expect(alice!.get('fulmen_payment_seconds_count{result="succeeded"}')).toBe(1)
    expect(bob!.get('fulmen_forwards_total{result="settled"}')).toBe(1)
    expect(bob!.get('fulmen_forwards_msat_total')).toBe(10_000_000)
    expect(bob!.get('fulmen_forward_fees_msat_total')).toBe(fee)
    expect(carol!.get('fulmen_invoices_settled_total')).toBe(1)
    expect(carol!.get('fulmen_received_msat_total')).toBe(10_000_000)
  })

  it('show at each scrape what the node holds: channels, balances, HTLCs under way, peers, the chain', async () => {
    const { life, scrape, pay } = await begin()
    const { world } = life
    await pay('hold', 25_000_000)
    await world.settle()
    const bob = await scrape('bob')
    const views = (await world.of('bob').api.channels({ limit: 10 }, {})).items
    expect(bob.get('fulmen_channels{state="normal"}')).toBe(2)
    expect(bob.get('fulmen_channels_usable')).toBe(2)
    for (const direction of ['in', 'out'] as const) {
      const htlcs = views.flatMap((v) => v.htlcs.filter((h) => h.direction === direction))
      expect(bob.get(`fulmen_htlcs_in_flight{direction="${direction}"}`)).toBe(1)
      expect(bob.get(`fulmen_htlcs_in_flight_msat{direction="${direction}"}`)).toBe(Number(htlcs[0]!.amountMsat))
    }
    const sum = (of: 'localMsat' | 'remoteMsat') => Number(views.reduce((total, v) => total + v[of], 0n))
    expect(bob.get('fulmen_channel_local_msat')).toBe(sum('localMsat'))
    expect(bob.get('fulmen_channel_remote_msat')).toBe(sum('remoteMsat'))
    expect(bob.get('fulmen_forwards_pending')).toBe(1)
    expect(bob.get('fulmen_peers_connected')).toBe(2)
    expect(bob.get('fulmen_block_height')).toBe(world.chain.state.height)
    expect(bob.get('fulmen_chain_lag_blocks')).toBe(0)
    expect(bob.get('fulmen_event_subscribers')).toBe(7)
    expect(bob.get('fulmen_alerts_raised')).toBe(3)
    expect(bob.get('fulmen_turn_seconds_count')).toBeGreaterThan(4)
    expect(bob.get('fulmen_onchain_confirmed_sat')).toBe(Number((await world.of('bob').api.wallet()).confirmedSat))
    expect(bob.get('fulmen_onchain_reserved_sat')).toBe(20_000)
    expect(bob.get('process_resident_memory_bytes')).toBeGreaterThan(1e6)
    await life.step({ tag: 'close', who: 'alice', peer: 'bob', force: true })
    await world.settle()
    const after = await scrape('alice')
    expect(after.get('fulmen_channels{state="normal"}')).toBeUndefined()
    expect(after.get('fulmen_channels{state="closing"}')).toBe(1)
  })

  it('have as many series after many payments, failures and alerts as before, and none with a name from outside', async () => {
    const { life, scrape, pay } = await begin()
    const mine = (samples: ReadonlyMap<string, number>) => [...samples.keys()].filter((s) => s.startsWith('fulmen_'))
    await pay('invoice', 1_000_000)
    await life.world.settle()
    const before = mine(await scrape('bob'))
    for (let i = 0; i < 6; i++) await pay(i % 2 ? 'keysend' : 'invoice', i % 3 ? 2_000_000 : 900_000_000)
    await life.world.settle()
    const node = life.world.of('bob').node!
    const alert = { code: 'x"}\n1', message: '{', byPeer: true, id: 'peer says' }
    await node.reactor.run((scope) => node.events.emit(scope, 'node.alert', alert))
    const samples = await scrape('bob')
    expect(samples.get('fulmen_alerts_total{cause="peer"}')).toBe(1)
    expect(mine(samples)).toEqual(before)
    const text = [...samples.keys()].join('\n')
    for (const name of NAMES) expect(text).not.toContain(nodeIdOf(name))
    expect(text).not.toMatch(/[0-9a-f]{32}|peer says/)
  })

  it('the journal tells how long each batch took and how much was in it', async () => {
    const told: [number, number][] = []
    const journal = new Journal(new MemoryDriver(), 0, (seconds, operations) => told.push([seconds, operations]))
    await journal.commit([{ key: 'a' }, { key: 'b' }])
    await journal.commit([{ key: 'c' }])
    expect(told.map(([, operations]) => operations)).toEqual([3, 2]) // with the journal's own number
    for (const [seconds] of told) expect(seconds).toBeGreaterThanOrEqual(0)
  })
})
