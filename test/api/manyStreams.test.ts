import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { createApi } from '../../src/api/server.ts'
import { msat } from '../../src/base/units.ts'
import { type Snapshot, World } from '../node/world.ts'
import { openWebSocket, type StreamClient } from './streamClients.ts'

const CLIENTS = 100
const ROUNDS = 10
const AT_ONCE = 10
/** Together far more than the buffers of sockets on both sides hold. */
const ALERT = { code: 'TEST', message: 'x'.repeat(8_000) }
const ALERTS = 1_500

let base: Snapshot
beforeAll(async () => {
  base = await World.pair(900_000, 100_000)
})
const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

/** Alice as she pays Bob a hundred times; `between` runs after each round. @returns batches on her disk */
async function pay(world: World, between: (round: number) => Promise<void> = async () => {}) {
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const before = alice.disk.writes
  for (let round = 0; round < ROUNDS; round++) {
    const invoices = []
    for (let n = 0; n < AT_ONCE; n++) {
      invoices.push((await world.attempt(bob.api.createInvoice({ amountMsat: msat(1_000_000n) })))!)
    }
    await Promise.all(invoices.map(({ bolt11 }) => world.attempt(alice.api.pay({ bolt11 }))))
    await world.settle()
    for (const { paymentHash } of invoices) {
      expect((await alice.api.payment(paymentHash)).status).toBe('succeeded')
    }
    await between(round)
  }
  return alice.disk.writes - before
}

const start = async () => {
  const world = await World.start(['alice', 'bob'], base)
  open.push(world)
  return world
}
const ids = (clients: readonly StreamClient[]) => clients.flatMap((c) => c.events.flatMap((event) => event.id ?? []))

describe('a hundred WebSocket clients, one of which has stopped reading', () => {
  it('cost payments nothing, and every one of them has every event once, also those that come back', async () => {
    const alone = await pay(await start())

    const world = await start()
    const { api } = world.of('alice')
    const keys = (await world.attempt(KeyRing.open(api.apiStore)))!
    const key = (await world.attempt(keys.create('many', ['*'])))!
    const app = createApi(api, { keys })
    open.push(app)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    const connect = async (query: string) => {
      const client = await openWebSocket(port, `/v1/events?${query}`, { authorization: `Bearer ${key}` })
      open.push(client)
      return client
    }
    const since = api.lastEventId()
    const stalled = await connect(`since=${since}`)
    stalled.pause()
    const mine = `types=payment.*&since=`
    /** The connections of each client, one after the other. */
    const others = await Promise.all(
      Array.from({ length: CLIENTS - 1 }, async () => [await connect(`${mine}${since}`)]),
    )
    const wanted = async () =>
      (await api.eventsSince(since, 10_000)).filter((e) => e.type.startsWith('payment.')).map((e) => e.id)
    /** A few of them lose their connection after each round, and come back with the last id that they saw. */
    const reconnectSome = async (round: number) => {
      for (const connections of others.filter((_, i) => i % ROUNDS === round)) {
        connections.at(-1)!.close()
        connections.push(await connect(`${mine}${ids(connections).at(-1) ?? since}`))
      }
    }
    const alerts = Array.from({ length: ALERTS }, () => ({ type: 'node.alert', data: ALERT }) as const)
    await world.attempt(api.apiStore.commit([], alerts))
    const crowded = await pay(world, reconnectSome)
    // Counted, not timed: about as many batches as without them (what shares one differs), and a hundred payments went through while
    // one client took nothing.
    expect(crowded).toBeLessThan(alone * 1.25)
    expect(stalled.events.length).toBe(0)

    const payments = await wanted()
    expect(payments.length).toBe(2 * ROUNDS * AT_ONCE)
    for (const connections of others) {
      await expect.poll(() => ids(connections).at(-1), { timeout: 30_000, interval: 5 }).toBe(payments.at(-1))
      expect(ids(connections)).toEqual(payments)
    }
    stalled.resume()
    const all = (await api.eventsSince(since, 10_000)).map((e) => e.id)
    await expect.poll(() => ids([stalled]).at(-1), { timeout: 30_000, interval: 5 }).toBe(all.at(-1))
    expect(ids([stalled])).toEqual(all)
  })
})
