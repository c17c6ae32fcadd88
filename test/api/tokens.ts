import { afterEach } from 'vitest'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { createApi } from '../../src/api/server.ts'
import type { IssuerConfig } from '../../src/node/access.ts'
import { FakeNode } from './fakeNode.ts'
import { Issuer } from './issuer.ts'

/** Closed after each test, the last first. */
export const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

/** Also wrong ones, and ones that are left out. */
export type Claims = Readonly<Record<string, unknown>>

export const START = Date.UTC(2026, 0, 1)

/** An issuer that signs with these algorithms; ES256 when none is named. */
export async function issuing(...algs: string[]): Promise<Issuer> {
  const issuer = await Issuer.open(...algs)
  open.push(issuer)
  return issuer
}

/** The API with that issuer configured, and ways to call it with its tokens. */
export async function apiWith(issuer: Issuer, more: Partial<IssuerConfig> = {}, node = new FakeNode(), nowMs = START) {
  const clock = { nowMs }
  const keys = await KeyRing.open(node.apiStore, () => clock.nowMs)
  const failures: unknown[] = []
  const config = { issuer: issuer.url, audience: 'fulmen', scopePrefix: '', budget: null, rateLimit: null, ...more }
  const app = createApi(node, {
    keys,
    issuer: config,
    onInternalError: (error) => failures.push(error),
    clock: { now: () => clock.nowMs, delay: async () => {} },
  })
  await app.ready()
  open.push(app)
  const call = async (token: string, method = 'GET', url = '/v1/node', payload?: object, headers = {}) => {
    const authorization = `Bearer ${token}`
    const request = {
      method: method as 'GET',
      url,
      headers: { authorization, ...headers },
      ...(payload && { payload }),
    }
    const answer = await app.inject(request)
    const json = String(answer.headers['content-type']).includes('json') ? answer.json() : null
    return { status: answer.statusCode, json, headers: answer.headers, code: json?.code as string | undefined }
  }
  /** The code of the problem that a token with these claims meets, or the status. */
  const verdict = async (claims: Claims = {}, options: Parameters<Issuer['token']>[2] = {}) => {
    const { code, status } = await call(await issuer.token(clock.nowMs, claims, options))
    return code ?? status
  }
  return { app, node, keys, clock, failures, call, verdict }
}
