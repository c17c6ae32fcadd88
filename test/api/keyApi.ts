import { expect } from 'vitest'
import { testApi } from './harness.ts'

export const DAY = 24 * 3_600_000

/** An API with an admin, and ways to make and use keys. */
export async function keyApi(options: Parameters<typeof testApi>[0] = {}) {
  const api = await testApi(options)
  const as = (bearer: string, method = 'GET', url = '/v1/node', body?: unknown, remoteAddress = '127.0.0.1') =>
    api.app.inject({
      method: method as 'GET',
      url,
      remoteAddress,
      headers: { authorization: `Bearer ${bearer}` },
      ...(body !== undefined && { payload: body as object }),
    })
  // A key that may read, unless the test says more.
  const create = async (body: object) => {
    const answer = await api.call('POST', '/v1/keys', {
      name: 'k',
      ...('scopes' in body ? {} : { preset: 'readonly' }),
      ...body,
    })
    expect([answer.statusCode, answer.json().code]).toEqual([201, undefined])
    return answer.json()
  }
  const rotate = async (id: string, body: object = {}) => {
    const answer = await api.call('POST', `/v1/keys/${id}/rotate`, body)
    expect([answer.statusCode, answer.json().code]).toEqual([201, undefined])
    return answer.json()
  }
  /** `200`, or the code of the refusal. */
  const outcome = async (bearer: string) => {
    const answer = await as(bearer)
    return answer.statusCode === 200 ? 200 : answer.json().code
  }
  const iso = (ms: number) => new Date(api.clock.nowMs + ms).toISOString()
  return { ...api, as, create, rotate, outcome, iso }
}
