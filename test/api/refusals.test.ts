import { describe, expect, it } from 'vitest'
import { ServiceError } from '../../src/node/errors.ts'
import { testApi } from './harness.ts'

type Field = { readonly in: string; readonly pointer: string }
const fieldsOf = (answer: { json(): { errors?: readonly Field[] } }): string[] =>
  (answer.json().errors ?? []).map((e) => `${e.in} ${e.pointer}`)

describe('what a route does not take', () => {
  it('is refused on every route that needs a key, in the query', async () => {
    const { app, call } = await testApi()
    const document = app.inject({ url: '/v1/openapi.json' }).then((answer) => answer.json())
    const { paths } = (await document) as {
      paths: Record<string, Record<string, { 'x-scope': string; parameters?: { name: string; in: string }[] }>>
    }
    const asked: string[] = []
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { 'x-scope': scope, parameters = [] }] of Object.entries(methods)) {
        if (scope === 'public') continue
        // What stands in the path is right, so that nothing else is wrong.
        const url = path.replace(/\{(\w+)\}/g, (_, name: string) =>
          /Id$|txid/.test(name) && name !== 'channelId' ? (name === 'nodeId' ? NODE : HASH) : '1',
        )
        const answer = await call(method.toUpperCase(), `${url}?colour=red`, method === 'get' ? undefined : {})
        // An empty body may be wrong as well.
        const fields = fieldsOf(answer).filter((field) => !field.startsWith('body '))
        expect([path, method, answer.statusCode, fields]).toEqual([path, method, 400, ['query /colour']])
        expect(parameters.some((p) => p.in === 'query' && p.name === 'colour')).toBe(false)
        asked.push(`${method} ${path}`)
      }
    }
    expect(asked.length).toBeGreaterThan(40)
    expect(asked).toContain('get /v1/channels/{channelId}')
    expect(asked).toContain('delete /v1/keys/{id}')
  })

  it('is refused in the body of a DELETE', async () => {
    const { call, node } = await testApi()
    const answer = await call('DELETE', `/v1/peers/${NODE}`, { force: true })
    expect([answer.statusCode, fieldsOf(answer)]).toEqual([400, ['body /force']])
    expect(node.calls).toEqual([])
    expect((await call('DELETE', `/v1/peers/${NODE}`, {})).statusCode).toBe(204)
  })

  it('public paths take any query: checks of health add some', async () => {
    const { app } = await testApi()
    for (const url of ['/health/live', '/health/ready', '/docs', '/v1/openapi.json'])
      expect([url, (await app.inject({ url: `${url}?t=1` })).statusCode]).toEqual([url, 200])
  })
})

describe('values that no one means', () => {
  it('a state that channels do not have lists none silently: it is refused, with those that there are', async () => {
    const { call } = await testApi()
    const answer = await call('GET', '/v1/channels?state=open')
    expect([answer.statusCode, fieldsOf(answer)]).toEqual([400, ['query /state']])
    expect(answer.json().detail).toContain('waiting-confirmations')
    expect((await call('GET', '/v1/channels?state=normal')).statusCode).toBe(200)
  })

  it('a force close pays to the wallet: an address with it is refused', async () => {
    const { call, node } = await testApi()
    const address = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'
    const answer = await call('POST', '/v1/channels/x/close', { force: true, address })
    expect([answer.statusCode, fieldsOf(answer)]).toEqual([400, ['body /address']])
    expect(node.calls).toEqual([])
  })

  it('the risk of losing a channel is taken in its own words, and for a force close alone', async () => {
    const { call, node } = await testApi()
    for (const body of [
      { acceptRisk: 'losing-the-whole-channel' },
      { acceptRisk: true, force: true },
      { acceptRisk: 'none', force: true },
    ]) {
      const answer = await call('POST', '/v1/channels/x/close', body)
      expect([answer.statusCode, fieldsOf(answer)]).toEqual([400, ['body /acceptRisk']])
    }
    expect(node.calls).toEqual([])
  })

  it('a key that would never work', async () => {
    const { call, clock, keys } = await testApi()
    const time = (seconds: number) => new Date(clock.nowMs + seconds * 1_000).toISOString()
    const create = (body: object) => call('POST', '/v1/keys', { name: 'k', preset: 'readonly', ...body })
    for (const [body, field] of [
      [{ expiresAt: time(-1) }, '/expiresAt'],
      [{ expiresAt: time(0) }, '/expiresAt'],
      [{ expiresAt: time(60), activatesAt: time(60) }, '/activatesAt'],
    ] as const) {
      const answer = await create(body)
      expect([answer.statusCode, fieldsOf(answer)]).toEqual([400, [`body ${field}`]])
    }
    expect(keys.size).toBe(1)
    // One that was to work long ago works now, and its first rotation is due after a whole period.
    const late = (await create({ activatesAt: time(-86_400), rotateEverySeconds: 3_600 })).json()
    expect(late).toMatchObject({ state: 'active', activatesAt: time(0), rotateBy: time(3_600) })
  })
})

describe('a refusal', () => {
  it('names every bad field, also those that no schema describes', async () => {
    const { call } = await testApi()
    const key = { name: 'k', preset: 'spend', scopes: ['*'], allowedCidrs: ['10.0.0.0/8', '10.0.0.0/33', 'home'] }
    expect(fieldsOf(await call('POST', '/v1/keys', { ...key, expiresAt: '2030-02-30T25:00:00Z' }))).toEqual([
      'body /preset',
      'body /allowedCidrs/1',
      'body /allowedCidrs/2',
      'body /expiresAt',
    ])
    const outputs = [{ address: 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080', amountSat: 1_000 }]
    const utxos = [`${HASH}:4294967296`, `${HASH}:0`, `${HASH}:9999999999`]
    expect(fieldsOf(await call('POST', '/v1/wallet/transactions', { outputs, utxos }))).toEqual([
      'body /utxos/0',
      'body /utxos/2',
    ])
  })

  it('is the same when the call is repeated with its idempotency key, the fields included', async () => {
    const { call, node } = await testApi()
    const fields = [{ in: 'body' as const, pointer: '/amountMsat' }]
    node.beforeAct = async () => {
      throw new ServiceError('VALIDATION_FAILED', 'too much', { fields })
    }
    const pay = () => call('POST', '/v1/payments', { nodeId: NODE, amountMsat: 1 }, { 'idempotency-key': 'k' })
    const first = await pay()
    expect(first.json().errors).toEqual([{ ...fields[0], detail: 'too much' }])
    node.beforeAct = async () => {}
    const again = await pay()
    expect([again.statusCode, again.json()]).toEqual([first.statusCode, first.json()])
  })
})

describe('events after one that has not happened', () => {
  it('are refused: those up to it would be passed over without a word', async () => {
    const { app, node, headers } = await testApi()
    node.emit('chain.block', { height: 1, hash: '00' })
    const newest = node.lastEventId()
    const ask = (url: string, more = {}) =>
      app.inject({ url, headers: { ...headers, accept: 'text/event-stream', ...more } })
    for (const [url, more, field] of [
      [`/v1/events?since=${newest + 1}`, {}, 'query /since'],
      ['/v1/events', { 'last-event-id': String(newest + 1) }, 'header /last-event-id'],
      ['/v1/events?since=0', { 'last-event-id': String(newest + 1) }, 'header /last-event-id'],
      ['/v1/events', { 'last-event-id': 'the last' }, 'header /last-event-id'],
    ] as const) {
      const answer = await ask(url, more)
      expect([url, answer.statusCode, fieldsOf(answer)]).toEqual([url, 400, [field]])
    }
    expect((await ask(`/v1/events?since=${newest + 1}`)).json().detail).toContain(`the newest event is ${newest}`)
  })
})

describe('GET /v1/invoices/{paymentHash}?wait=', () => {
  it('holds the answer until the status is another; what is final is answered at once', async () => {
    const { call } = await testApi()
    const { id, paymentHash } = (await call('POST', '/v1/invoices', { amountMsat: 1 })).json()
    let isAnswered = false
    const held = call('GET', `/v1/invoices/${paymentHash}?wait=300`).then((answer) => {
      isAnswered = true
      return answer.json()
    })
    expect((await call('GET', `/v1/invoices/${id}`)).json().status).toBe('open')
    expect(isAnswered).toBe(false)
    await call('POST', `/v1/invoices/${id}/cancel`)
    expect(await held).toMatchObject({ id, status: 'cancelled' })
    expect((await call('GET', `/v1/invoices/${id}?wait=300`)).json().status).toBe('cancelled')
  })
})

const HASH = '11'.repeat(32)
const NODE = `02${'11'.repeat(32)}`
