import { afterEach, expect } from 'vitest'
import { KeyRing } from '../../src/api/auth/keys.ts'
import type { Scope } from '../../src/api/auth/scopes.ts'
import { createApi } from '../../src/api/server.ts'
import { FakeNode } from './fakeNode.ts'
import { Receiver } from './receiver.ts'

/* What the tests of webhooks share: an API with a clock of its own, and receivers on this machine. */

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

export const receiving = async (port?: number): Promise<Receiver> => {
  const receiver = await Receiver.open(port)
  open.push(receiver)
  return receiver
}

/** An API whose webhooks may go to loopback; `node` with its store is what an earlier one left. */
export async function apiOver(
  node = new FakeNode(),
  { timeoutMs = 10_000, targets = ['127.0.0.0/8'], start = Date.UTC(2026, 0, 1) } = {},
) {
  const clock = { nowMs: start }
  const keys = await KeyRing.open(node.apiStore, () => clock.nowMs)
  const failures: unknown[] = []
  const app = createApi(node, {
    keys,
    webhooks: { targets, timeoutMs, tickMs: 5 },
    onInternalError: (error) => failures.push(error),
    clock: { now: () => clock.nowMs, delay: async () => {} },
  })
  await app.ready()
  open.push(app)
  const as = (bearer: string) => async (method: string, url: string, payload?: object) => {
    const headers = { authorization: `Bearer ${bearer}` }
    const answer = await app.inject({ method: method as 'GET', url, headers, ...(payload && { payload }) })
    return { status: answer.statusCode, json: answer.body === '' ? null : answer.json() }
  }
  const keyWith = async (...scopes: Scope[]) => {
    const bearer = await keys.create('k', scopes)
    return { bearer, id: bearer.split('_')[1]!, call: as(bearer) }
  }
  return { app, node, keys, clock, failures, as, keyWith }
}
export type Api = Awaited<ReturnType<typeof apiOver>>

export async function hookOf(api: Api, receiver: Receiver, wishes: object = {}, ...scopes: Scope[]) {
  const key = await api.keyWith(...(scopes.length > 0 ? scopes : (['*'] as const)))
  const made = await key.call('POST', '/v1/webhooks', { url: receiver.url, ...wishes })
  expect(made.status, JSON.stringify(made.json)).toBe(201)
  const path = `/v1/webhooks/${made.json.id}`
  const view = async () => (await key.call('GET', path)).json
  const deliveries = async () => (await key.call('GET', `${path}/deliveries?limit=500`)).json.items
  return { ...key, path, id: made.json.id as string, secret: made.json.secret as string, view, deliveries }
}

export const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
export const until = (what: () => unknown, value: unknown) =>
  expect.poll(what, { timeout: 20_000, interval: 2 }).toEqual(value)
