import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { PEER_ID } from './fakeNode.ts'
import { keyApi } from './keyApi.ts'

const BODY = JSON.stringify({ nodeId: PEER_ID, amountMsat: 5_000 })
let stop = async (): Promise<void> => {}
afterEach(() => stop())

/** An API on a socket, and a payment by a key of its own whose body is on its way. */
async function halfSent() {
  const api = await keyApi()
  stop = () => api.app.close()
  const url = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const { id, secret } = await api.create({ scopes: ['payments:send'] })
  const headers = {
    authorization: `Bearer ${secret}`,
    'content-type': 'application/json',
    'content-length': BODY.length,
  }
  const call = request(`${url}/v1/payments`, { method: 'POST', headers })
  call.write(BODY.slice(0, 10))
  await expect.poll(() => api.keys.entry(id).usageOf(1).requests).toBe(1)
  const finish = async () => {
    call.end(BODY.slice(10))
    const [answer] = (await once(call, 'response')) as [IncomingMessage]
    return [answer.statusCode, JSON.parse(await text(answer)).code]
  }
  return { ...api, id, finish }
}

describe('a key that changes while the body of a call is on its way', () => {
  it('works no more once it is revoked', async () => {
    const { call, id, finish, node } = await halfSent()
    expect((await call('DELETE', `/v1/keys/${id}`)).statusCode).toBe(204)
    expect(await finish()).toEqual([401, 'KEY_REVOKED'])
    expect(node.calls).toEqual([])
  })

  it('may do no more than what is left to it', async () => {
    const { call, id, finish, node } = await halfSent()
    expect((await call('PATCH', `/v1/keys/${id}`, { scopes: ['payments:read'] })).statusCode).toBe(200)
    expect(await finish()).toEqual([403, 'SCOPE_MISSING'])
    expect(node.calls).toEqual([])
  })

  it('pays where nothing has changed', async () => {
    const { finish, node } = await halfSent()
    expect((await finish())[0]).toBe(200)
    expect(node.calls).toEqual(['pay'])
  })
})
