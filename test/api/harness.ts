import { KeyRing } from '../../src/api/auth/keys.ts'
import type { Scope } from '../../src/api/auth/scopes.ts'
import { createApi } from '../../src/api/server.ts'
import { FakeNode } from './fakeNode.ts'
import type { FakeStore } from './fakeStore.ts'

export interface TestClock {
  nowMs: number
  /** What the API asked to wait for, in ms. */
  readonly delays: number[]
}

/** An API over a fake node, with a key of the given scopes. `store` is what an earlier one left behind. */
export async function testApi(
  options: {
    scopes?: readonly Scope[]
    store?: FakeStore
    hosts?: readonly string[]
    origins?: readonly string[]
  } = {},
) {
  const node = new FakeNode(options.store)
  const clock: TestClock = { nowMs: Date.UTC(2026, 0, 1), delays: [] }
  const keys = await KeyRing.open(node.apiStore, () => clock.nowMs)
  const bearer = await keys.create('test', options.scopes ?? ['*'])
  const failures: unknown[] = []
  const app = createApi(node, {
    keys,
    hosts: options.hosts ?? [],
    origins: options.origins ?? [],
    onInternalError: (error) => failures.push(error),
    clock: {
      now: () => clock.nowMs,
      delay: async (ms) => {
        clock.delays.push(ms)
      },
    },
  })
  await app.ready()
  const headers = { authorization: `Bearer ${bearer}` }
  const call = (method: string, url: string, body?: unknown, more: Record<string, string> = {}) =>
    app.inject({
      method: method as 'GET',
      url,
      headers: { ...headers, ...more },
      ...(body !== undefined && { payload: body as object }),
    })
  return { app, node, keys, bearer, headers, clock, failures, call }
}

export type TestApi = Awaited<ReturnType<typeof testApi>>
