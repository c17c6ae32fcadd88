import { describe, expect, it } from 'vitest'
import { SCOPES, type Scope } from '../../src/api/auth/scopes.ts'
import { ANY_KEY, CONTRACT, filled } from './contract.ts'
import { testApi } from './harness.ts'

/** Scopes that open a route besides the one of the contract. */
const ALSO: Readonly<Record<string, readonly Scope[]>> = { 'GET /v1/peers': ['node:read'] }
/** Makes all other keys useless, so it comes with keys of its own. */
const EMERGENCY = '/v1/keys/rotate-all'

async function keysOfEachScope() {
  const api = await testApi()
  const bearers = new Map<Scope, string>()
  for (const scope of SCOPES) bearers.set(scope, await api.keys.create(scope, [scope]))
  const code = async (scope: Scope, method: string, path: string): Promise<string> => {
    const answer = await api.app.inject({
      method: method as 'GET',
      url: filled(path),
      headers: { authorization: `Bearer ${bearers.get(scope)}` },
      ...(method === 'GET' || method === 'DELETE' ? {} : { payload: {} }),
    })
    const isJson = String(answer.headers['content-type']).includes('problem+json')
    return isJson ? answer.json().code : String(answer.statusCode)
  }
  return { ...api, code }
}

const isOpen = (method: string, path: string, needed: string, held: Scope): boolean =>
  held === '*' || needed === ANY_KEY || needed === held || (ALSO[`${method} ${path}`] ?? []).includes(held)

describe('every route × every scope', () => {
  it('a key with one scope passes exactly where that scope is asked for, and * everywhere', async () => {
    const { code, failures } = await keysOfEachScope()
    for (const [method, path, needed] of CONTRACT) {
      if (path === EMERGENCY) continue
      for (const held of SCOPES) {
        const open = isOpen(method, path, needed, held)
        const answer = await code(held, method, path)
        expect([method, path, held, answer === 'SCOPE_MISSING'], answer).toEqual([method, path, held, !open])
        expect(answer).not.toMatch(/^(KEY_|INTERNAL)/)
      }
    }
    expect(failures).toEqual([])
  })

  it('the emergency is open to whoever manages keys, and to nobody else', async () => {
    const { code } = await keysOfEachScope()
    for (const held of SCOPES) {
      if (held === '*' || held === 'keys:admin') continue
      expect([held, await code(held, 'POST', EMERGENCY)]).toEqual([held, 'SCOPE_MISSING'])
    }
    expect(await code('keys:admin', 'POST', EMERGENCY)).toBe('201')
    expect(await code('*', 'POST', EMERGENCY)).toBe('KEY_REVOKED')
  })
})
