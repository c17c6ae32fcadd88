import { afterEach, describe, expect, it } from 'vitest'
import type { Event } from '../../src/api/schemas.ts'
import { FulmenClient } from '../../src/client/index.ts'
import type { KeyOptions } from '../../src/client/keyKeeper.ts'
import { PEER_ID } from './fakeNode.ts'
import { testApi } from './harness.ts'
import { openWebSocket } from './streamClients.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

const HOUR = 3_600_000
const WORKERS = 8

/** A node on a real port; what its answers say of the time comes from the test's clock. */
async function drill() {
  const api = await testApi()
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  open.push(api.app)
  const { port } = api.app.server.address() as { port: number }
  const url = `http://127.0.0.1:${port}`
  const timed: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init)
    const headers = new Headers(answer.headers)
    headers.set('date', new Date(api.clock.nowMs).toUTCString())
    return new Response(answer.status === 204 ? null : answer.body, { status: answer.status, headers })
  }
  const clientOf = (options: KeyOptions) => new FulmenClient({ url, fetch: timed, ...options })
  const admin = clientOf({ key: api.bearer })
  const create = (body: object = {}) => admin.keys.create({ name: 'load', preset: 'spend', ...body })
  return { ...api, port, clientOf, admin, create }
}

/** Several workers pay without pause. `more(n)` resolves after n further payments; `stop` with how many there were and what failed. */
function load(client: FulmenClient) {
  let done = 0
  let running = true
  const failures: unknown[] = []
  const waiting: { at: number; wake: () => void }[] = []
  const work = async () => {
    while (running) {
      await client.payments.send({ nodeId: PEER_ID, amountMsat: 1 }).catch((error) => failures.push(error))
      done++
      for (const one of waiting) if (done >= one.at) one.wake()
    }
  }
  const workers = Array.from({ length: WORKERS }, work)
  return {
    failures,
    more: (n: number) => new Promise<void>((wake) => waiting.push({ at: done + n, wake })),
    async stop() {
      running = false
      await Promise.all(workers)
      return done
    },
  }
}

const used = async (admin: FulmenClient, id: string) =>
  Object.fromEntries((await admin.keys.usage(id)).versions.map((v) => [v.version, v.requests]))

describe('rotation drill: under steady load no call fails', () => {
  it('the client moves to the next version by itself when the node asks, keeps it first, and outlives the old one', async () => {
    const { clientOf, create, admin, clock, node } = await drill()
    const key = await create({ rotateEverySeconds: 3 * 3_600 })
    const kept: string[] = []
    const client = clientOf({ key: key.secret, onKey: (next) => void kept.push(next) })
    const traffic = load(client)
    await traffic.more(20)
    expect(kept).toEqual([])
    clock.nowMs += HOUR
    for (let version = 2; version <= 4; version++) {
      clock.nowMs += HOUR // an hour before the deadline
      await expect.poll(() => kept.length).toBe(version - 1)
      await traffic.more(20)
      clock.nowMs += HOUR // the version before is over
      await traffic.more(20)
    }
    const total = await traffic.stop()
    expect(traffic.failures).toEqual([])
    expect(node.paymentViews.size).toBe(total)
    expect((await admin.keys.get(key.id)).version).toBe(4)
    expect((await used(admin, key.id))[4]).toBeGreaterThan(20)
  })

  it('an operator rotates, rolls back, rotates again and the old versions run out', async () => {
    const { clientOf, create, admin, clock } = await drill()
    const first = await create()
    let distributed = first.secret
    const client = clientOf({ key: () => distributed })
    const traffic = load(client)
    await traffic.more(20)
    const second = await admin.keys.rotate(first.id, { graceSeconds: 60 })
    await traffic.more(20) // on the first version, in its window
    distributed = second.secret
    clock.nowMs += 30_000
    await traffic.more(20)
    await admin.keys.rollback(first.id)
    await traffic.more(20)
    distributed = first.secret
    clock.nowMs += 31_000 // the second version is over
    await traffic.more(20)
    const third = await admin.keys.rotate(first.id, { activatesAt: new Date(clock.nowMs + 10_000).toISOString() })
    await traffic.more(20)
    clock.nowMs += 10_000
    distributed = third.secret
    clock.nowMs += HOUR
    await traffic.more(20)
    await traffic.stop()
    expect(traffic.failures).toEqual([])
    expect((await admin.keys.get(first.id)).versions.map((v) => [v.version, v.state])).toEqual([
      [1, 'expired'],
      [2, 'expired'],
      [3, 'active'],
    ])
  })

  it('emergency: a compromised version stops at once; calls that it was refused wait for the new one', async () => {
    const { clientOf, create, admin, app } = await drill()
    const stolen = await create()
    let hand: (secret: string) => void = () => {}
    const safe = new Promise<string>((resolve) => {
      hand = resolve
    })
    let asked = 0
    const client = clientOf({ key: () => (asked++ === 0 ? stolen.secret : safe) })
    const traffic = load(client)
    await traffic.more(20)
    const { secret } = await admin.keys.rotate(stolen.id, { compromised: true })
    await expect.poll(() => asked).toBe(2)
    const thief = { url: '/v1/node', headers: { authorization: `Bearer ${stolen.secret}` } }
    expect((await app.inject(thief)).json().code).toBe('KEY_REVOKED')
    hand(secret)
    await traffic.more(20)
    await traffic.stop()
    expect(traffic.failures).toEqual([])
    expect(asked).toBe(2)
  })

  it('emergency: rotate-all by a client under load stops all others and takes its own calls along', async () => {
    const { clientOf, create, bearer } = await drill()
    const other = clientOf({ key: (await create()).secret })
    const kept: string[] = []
    const client = clientOf({ key: bearer, onKey: (next) => void kept.push(next) })
    const traffic = load(client)
    await traffic.more(20)
    const { secret, stopped } = await client.keys.rotateAll()
    await traffic.more(20)
    await traffic.stop()
    expect([traffic.failures, kept, stopped.length]).toEqual([[], [secret], 1])
    await expect(other.node()).rejects.toMatchObject({ code: 'KEY_REVOKED', status: 401 })
  })
})

describe('the end of a key', () => {
  it('closes its open streams at once, WebSocket and SSE, and those of no other key', async () => {
    const { create, admin, clientOf, port, node, clock, keys } = await drill()
    const watch = (secret: string) => openWebSocket(port, '/v1/events', { authorization: `Bearer ${secret}` })
    const one = await create({ preset: 'readonly' })
    const seen: Event[] = []
    const reading = (async () => {
      for await (const event of clientOf({ key: one.secret }).events()) seen.push(event)
    })().catch((error) => error)
    const ws = await watch(one.secret)
    const others = await watch((await create({ preset: 'readonly' })).secret)
    await expect.poll(() => node.emit('chain.block') && seen.length).toBeGreaterThan(0)
    await admin.keys.revoke(one.id)
    expect(await ws.closed).toBe('1008 the key of this stream has ended: revoked, replaced or expired')
    expect(await reading).toMatchObject({ code: 'KEY_REVOKED' })
    const before = others.events.length
    node.emit('chain.block')
    await expect.poll(() => others.events.length).toBe(before + 1)

    const short = await create({ preset: 'readonly', expiresAt: new Date(clock.nowMs + 1_000).toISOString() })
    const expiring = await watch(short.secret)
    clock.nowMs += 1_000
    await keys.tick()
    await expiring.closed
    others.close()
  })
})

describe('the key of a client', () => {
  it('is asked for once however many calls wait, and a refusal without another key is an error', async () => {
    const { clientOf, create } = await drill()
    const { secret } = await create()
    let asked = 0
    const lazy = clientOf({
      key: async () => {
        asked++
        return secret
      },
    })
    await Promise.all(Array.from({ length: 5 }, () => lazy.node()))
    expect(asked).toBe(1)
    const wrong = clientOf({ key: 'fulmen_aa_0123456789abcdef' })
    await expect(wrong.node()).rejects.toMatchObject({ code: 'KEY_INVALID' })
  })

  it('is not changed while it cannot be kept: the version before goes on, and the next try replaces the lost one', async () => {
    const { clientOf, create, clock } = await drill()
    const key = await create({ rotateEverySeconds: 9_000 })
    let full = true
    const kept: string[] = []
    const onKey = async (next: string) => {
      if (full) throw new Error('the disk is full')
      kept.push(next)
    }
    const client = clientOf({ key: key.secret, onKey })
    clock.nowMs += 7_000_000
    await client.node()
    await expect.poll(async () => (await client.keys.self()).version).toBe(2)
    full = false
    clock.nowMs += 60_000
    await client.node()
    await expect.poll(() => kept.length).toBe(1)
    const self = await client.keys.self()
    expect(self.versions.map((v) => v.state)).toEqual(['grace', 'stopped', 'active'])
  })

  it('is left alone when told so', async () => {
    const { clientOf, create, clock } = await drill()
    const client = clientOf({ key: (await create({ rotateEverySeconds: 90 })).secret, rotate: false })
    clock.nowMs += 80_000
    await client.node()
    expect((await client.keys.self()).version).toBe(1)
  })
})
