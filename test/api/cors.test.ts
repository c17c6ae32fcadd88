import { describe, expect, it } from 'vitest'
import { testApi } from './harness.ts'

const SHOP = 'https://shop.example'
const preflight = (origin: string) => ({ origin, 'access-control-request-method': 'POST' })
const corsOf = (headers: Record<string, unknown>) =>
  Object.keys(headers).filter((name) => name.startsWith('access-control'))

describe('calls from web pages of other origins', () => {
  it('are off: no answer says that a page may read it', async () => {
    const { call } = await testApi()
    for (const [method, headers] of [
      ['GET', { origin: SHOP }],
      ['OPTIONS', preflight(SHOP)],
    ] as const) {
      const answer = await call(method, '/v1/node', undefined, headers)
      expect(corsOf(answer.headers)).toEqual([])
    }
  })

  it('are open to the origins that are named, exactly, and a key is asked for as ever', async () => {
    const { app, call } = await testApi({ origins: [SHOP] })
    const asked = await app.inject({ method: 'OPTIONS', url: '/v1/payments', headers: preflight(SHOP) })
    expect(asked.statusCode).toBe(204)
    expect(asked.headers).toMatchObject({
      'access-control-allow-origin': SHOP,
      'access-control-allow-headers': expect.stringContaining('authorization'),
      'access-control-allow-methods': expect.stringContaining('POST'),
      vary: 'origin',
    })
    expect(asked.headers).not.toHaveProperty('access-control-allow-credentials')
    const answer = await call('GET', '/v1/node', undefined, { origin: SHOP })
    expect(answer.headers['access-control-allow-origin']).toBe(SHOP)
    const refused = await app.inject({ url: '/v1/node', headers: { origin: SHOP } })
    expect([refused.statusCode, refused.headers['access-control-allow-origin']]).toEqual([401, SHOP])
    const others = ['http://shop.example', 'https://shop.example:444', 'https://shop.example.evil', 'null', '*', '']
    for (const origin of others) {
      for (const [method, headers] of [
        ['GET', { origin }],
        ['OPTIONS', preflight(origin)],
      ] as const) {
        const other = await call(method, '/v1/node', undefined, headers)
        expect([origin, corsOf(other.headers), other.headers.vary]).toEqual([origin, [], 'origin'])
      }
    }
  })

  it('a preflight is no way past the Host check', async () => {
    const { app } = await testApi({ origins: [SHOP] })
    const headers = { ...preflight(SHOP), host: 'rebound.example' }
    expect((await app.inject({ method: 'OPTIONS', url: '/v1/node', headers })).statusCode).toBe(403)
  })
})
