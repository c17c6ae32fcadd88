import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { ServiceError } from '../../src/node/errors.ts'
import { PEER_ID } from './fakeNode.ts'
import { type TestApi, testApi } from './harness.ts'

describe('validation of requests', () => {
  it('lists every bad field of a body as a JSON pointer, the unknown ones too', async () => {
    const { call } = await testApi()
    const answer = await call('POST', '/v1/channels', {
      peer: 'zz',
      capacitySat: 1.5,
      pushMsat: -1,
      'a/b~c': 1,
      type: 'taproot',
    })
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toMatchObject({ code: 'VALIDATION_FAILED', status: 400, type: '/docs#VALIDATION_FAILED' })
    expect(
      answer
        .json()
        .errors.map((e: { pointer: string }) => e.pointer)
        .sort(),
    ).toEqual(['/a~1b~0c', '/capacitySat', '/peer', '/pushMsat', '/type'].sort())
    for (const error of answer.json().errors)
      expect(error).toEqual({ in: 'body', pointer: expect.any(String), detail: expect.any(String) })
  })

  it('points into arrays, queries and paths', async () => {
    const { call } = await testApi()
    const outputs = [
      { address: 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080', amountSat: 1 },
      { address: '!', amountSat: '5' },
    ]
    const pointers = async (method: string, url: string, body?: unknown) =>
      (await call(method, url, body)).json().errors.map((e: { in: string; pointer: string }) => `${e.in} ${e.pointer}`)
    expect(await pointers('POST', '/v1/wallet/transactions', { outputs })).toEqual([
      'body /outputs/1/address',
      'body /outputs/1/amountSat',
    ])
    expect(await pointers('GET', '/v1/channels?limit=0&colour=red&peer=1')).toEqual([
      'query /colour',
      'query /limit',
      'query /peer',
    ])
    expect(await pointers('GET', '/v1/chain/transactions/zz')).toEqual(['path /txid'])
    expect(await pointers('GET', '/v1/payments?status=lost')).toEqual(['query /status'])
  })

  it('names what is wrong in path, body and query together, and a header beside them', async () => {
    const { call, node } = await testApi()
    const faults = async (method: string, url: string, body?: unknown, headers = {}) => {
      const { code, errors, detail } = (await call(method, url, body, headers)).json()
      const places = errors.map((e: { in: string; pointer: string }) => `${e.in} ${e.pointer}`)
      for (const { in: part, pointer } of errors) expect(detail).toContain(`${part} ${pointer}`)
      return [code, ...places]
    }
    expect(await faults('POST', '/v1/payments?wait=-1&colour=red', { bolt11: '', amountMsat: 0 })).toEqual([
      'VALIDATION_FAILED',
      'body /bolt11',
      'body /amountMsat',
      'query /colour',
      'query /wait',
    ])
    expect(await faults('POST', '/v1/channels/%20/close?wait=x', { force: 1 })).toEqual([
      'VALIDATION_FAILED',
      'path /channelId',
      'body /force',
      'query /wait',
    ])
    expect(await faults('GET', '/v1/payments/%20?wait=x')).toEqual([
      'VALIDATION_FAILED',
      'path /paymentHash',
      'query /wait',
    ])
    expect(await faults('POST', '/v1/invoices', { amountMsat: 0 }, { 'idempotency-key': 'a b' })).toEqual([
      'VALIDATION_FAILED',
      'body /amountMsat',
      'header /idempotency-key',
    ])
    expect(node.calls).toEqual([])
  })

  it('coerces nothing in a body: "1000" is not 1000, nor are 1e400 and numbers that a double cannot hold', async () => {
    const { call, node } = await testApi()
    for (const amount of ['"1000"', '1e400', '9007199254740993000', '1000.5', 'null', 'true', '[1000]', '-1', '0']) {
      const answer = await call('POST', '/v1/invoices', `{"amountMsat":${amount}}`, {
        'content-type': 'application/json',
      })
      expect([amount, answer.statusCode]).toEqual([amount, 400])
    }
    expect(node.calls).toEqual([])
  })

  it('coerces query text to the numbers that it stands for, and nothing else', async () => {
    const { call } = await testApi()
    for (const ok of ['limit=1', 'limit=500']) expect((await call('GET', `/v1/peers?${ok}`)).statusCode).toBe(200)
    for (const bad of [
      'limit=',
      'limit=1.0',
      'limit=1e2',
      'limit=0x10',
      'limit=5&limit=6',
      'limit=%201',
      'limit[]=1',
    ]) {
      expect([bad, (await call('GET', `/v1/peers?${bad}`)).statusCode]).toEqual([bad, 400])
    }
  })

  it('asks for one destination of a payment, and for an amount where no invoice gives one', async () => {
    const { call } = await testApi()
    const pointersOf = async (body: object) =>
      (await call('POST', '/v1/payments', body)).json().errors.map((e: { pointer: string }) => e.pointer)
    expect(await pointersOf({})).toEqual(['/bolt11'])
    expect(await pointersOf({ bolt11: 'lnbcrt1fake', nodeId: PEER_ID, amountMsat: 1 })).toEqual(['/nodeId'])
    expect(await pointersOf({ nodeId: PEER_ID })).toEqual(['/amountMsat'])
    expect(await pointersOf({ bolt11: 'lnbcrt1fake', nodeId: PEER_ID })).toEqual(['/nodeId', '/amountMsat'])
  })

  it('refuses a push of more than the capacity, both descriptions at once, a port past 65535 and an empty policy', async () => {
    const { call, node } = await testApi()
    const open = { peer: PEER_ID, capacitySat: 10, pushMsat: 10_001 }
    expect((await call('POST', '/v1/channels', open)).json().errors[0].pointer).toBe('/pushMsat')
    const both = { description: 'a', descriptionHash: 'ab'.repeat(32) }
    expect((await call('POST', '/v1/invoices', both)).json().errors[0].pointer).toBe('/descriptionHash')
    expect((await call('POST', '/v1/peers', { uri: `${PEER_ID}@h:65536` })).json().errors[0].pointer).toBe('/uri')
    expect((await call('PATCH', '/v1/channels/x/policy', {})).json().errors[0].pointer).toBe('')
    expect(node.calls).toEqual([])
  })

  it('tells at once what the schema finds and what it cannot: fields that do not go together, times, cursors, addresses', async () => {
    const { call, node, clock } = await testApi()
    const hash = 'ab'.repeat(32)
    const outputs = [{ address: 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081', amountSat: 'all' }, { amountSat: 1 }]
    const ended = new Date(clock.nowMs - 1).toISOString()
    const late = new Date(clock.nowMs + 86_400_000).toISOString()
    const key = { name: '', scopes: ['*'], preset: 'spend', allowedCidrs: [7, 'home'], expiresAt: ended }
    const asked: readonly (readonly [string, string, object | undefined, readonly string[]])[] = [
      [
        'POST',
        '/v1/channels',
        { peer: `${PEER_ID}@h:0`, capacitySat: 10, pushMsat: 10_001, type: 'x' },
        ['type', 'pushMsat', 'peer'],
      ],
      [
        'POST',
        '/v1/channels/x/close?wait=x',
        { force: true, address: outputs[0]?.address, acceptRisk: 'no' },
        ['acceptRisk', 'address', 'wait'],
      ],
      ['POST', '/v1/payments', { bolt11: 'x', nodeId: PEER_ID, maxParts: 0 }, ['maxParts', 'nodeId', 'amountMsat']],
      [
        'POST',
        '/v1/invoices',
        { description: 'a', descriptionHash: hash, amountMsat: 0 },
        ['amountMsat', 'descriptionHash'],
      ],
      [
        'POST',
        '/v1/wallet/transactions',
        { outputs, utxos: [`${hash}:4294967296`], feerateSatPerVbyte: 0 },
        ['outputs/1/address', 'feerateSatPerVbyte', 'outputs/0/address', 'utxos/0'],
      ],
      ['POST', '/v1/keys', key, ['name', 'allowedCidrs/0', 'preset', 'expiresAt', 'allowedCidrs/1']],
      ['POST', '/v1/keys', { name: 'k', preset: 'x', expiresAt: late, activatesAt: late }, ['preset', 'activatesAt']],
      [
        'POST',
        '/v1/keys/k/rotate',
        { compromised: true, graceSeconds: 1, activatesAt: '2030-02-30T00:00:00Z', x: 1 },
        ['x', 'graceSeconds', 'activatesAt'],
      ],
      ['POST', '/v1/webhooks', { url: 'ftp://h/', types: ['payment.*', 'no'], name: 7 }, ['name', 'url', 'types']],
      ['GET', '/v1/payments?limit=0&cursor=x&from=2026-02-31&to=2026-01-01', undefined, ['limit', 'cursor', 'from']],
      ['GET', '/v1/audit?cursor=0&from=2026-01-02&to=2026-01-01&x=1', undefined, ['x', 'cursor', 'to']],
      ['GET', '/v1/analytics/forwards?cursor=x&period=week', undefined, ['cursor', 'period']],
      ['GET', '/v1/logs?cursor=x&level=loud', undefined, ['cursor', 'level']],
      [
        'GET',
        `/v1/events?since=1&from=2026-01-01&to=${late.slice(0, 10)}&types=no`,
        undefined,
        ['from', 'to', 'types'],
      ],
    ]
    for (const [method, url, body, expected] of asked) {
      const { code, errors } = (await call(method, url, body)).json()
      const pointers = errors.map(({ pointer }: { pointer: string }) => pointer.slice(1))
      expect([url, code, ...pointers.sort()]).toEqual([url, 'VALIDATION_FAILED', ...[...expected].sort()])
    }
    const stream = await call('GET', '/v1/events?types=no', undefined, { 'last-event-id': 'x' })
    expect(stream.json().errors).toEqual([
      {
        in: 'query',
        pointer: '/types',
        detail: expect.stringMatching(/^no such event type: "no"; there are channel.pending/),
      },
      { in: 'header', pointer: '/last-event-id', detail: expect.stringMatching(/^expected the id of an event/) },
    ])
    expect(node.calls).toEqual([])
  })

  it('says in words what is wrong with each field, also beside one of which there is much to say', async () => {
    const { call } = await testApi()
    const wrong = { types: ['no'], url: 'nowhere', name: 7 }
    const { detail, errors } = (await call('POST', '/v1/webhooks', wrong)).json()
    expect(errors).toHaveLength(3)
    expect(detail.length).toBeLessThan(510)
    for (const text of [
      'body /types: no such event type: "no"',
      'body /url: expected a URL',
      'body /name: expected string',
    ])
      expect(detail).toContain(text)
  })

  it('takes an absent body as an empty one', async () => {
    const { call } = await testApi()
    expect((await call('POST', '/v1/wallet/addresses')).statusCode).toBe(201)
    expect((await call('POST', '/v1/wallet/addresses', '', { 'content-type': 'application/json' })).statusCode).toBe(
      201,
    )
    expect((await call('POST', '/v1/peers')).json().errors).toEqual([
      { in: 'body', pointer: '/uri', detail: 'is required' },
    ])
  })
})

describe('requests that are no requests', () => {
  const json = { 'content-type': 'application/json' }

  it.each([
    ['broken JSON', '{"amountMsat":', json, 400, 'MALFORMED_BODY'],
    ['JSON with a __proto__ field', '{"__proto__":{"a":1}}', json, 400, 'MALFORMED_BODY'],
    ['JSON with a constructor.prototype field', '{"constructor":{"prototype":{}}}', json, 400, 'MALFORMED_BODY'],
    ['ten thousand nested arrays', '['.repeat(10_000) + ']'.repeat(10_000), json, 400, 'VALIDATION_FAILED'],
    [
      'ten thousand unknown fields',
      JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [i, 1]))),
      json,
      400,
      'VALIDATION_FAILED',
    ],
    [
      'a body of another type',
      'amountMsat=1',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['a body of plain text', '{}', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['a body of 200 kB', `"${'x'.repeat(200_000)}"`, json, 413, 'BODY_TOO_LARGE'],
  ])('%s end as a problem', async (_what, payload, headers, status, code) => {
    const { call, failures } = await testApi()
    const answer = await call('POST', '/v1/invoices', payload, headers)
    expect([answer.statusCode, answer.json().code]).toEqual([status, code])
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(answer.body.length).toBeLessThan(20_000)
    expect(failures).toEqual([])
  })

  it('an unknown path is 404, a method that a path does not take 405 with those that it takes', async () => {
    const { call } = await testApi()
    expect((await call('GET', '/v1/nowhere')).json()).toMatchObject({ status: 404, code: 'ROUTE_NOT_FOUND' })
    const answer = await call('DELETE', '/v1/channels/abc')
    expect(answer.json()).toMatchObject({ status: 405, code: 'METHOD_NOT_ALLOWED' })
    expect(answer.headers.allow).toBe('GET, HEAD')
    expect((await call('GET', '/v1/%zz')).json()).toMatchObject({ status: 400, code: 'BAD_REQUEST' })
    expect((await call('GET', `/v1/channels/${'a'.repeat(500)}`)).json()).toMatchObject({ status: 400 })
  })

  it('a body that is not an object, on every kind of route', async () => {
    const { call, failures } = await testApi()
    for (const payload of ['[]', '5', '"text"', 'true']) {
      for (const [method, url] of [
        ['POST', '/v1/payments'],
        ['PATCH', '/v1/channels/x/policy'],
        ['POST', '/v1/invoices/x/cancel'],
      ] as const) {
        expect((await call(method, url, payload, json)).statusCode).toBe(400)
      }
    }
    expect(failures).toEqual([])
  })
})

describe('failures of the node', () => {
  it('a ServiceError becomes the problem of its code, with its message as detail', async () => {
    const { call, node, failures } = await testApi()
    node.beforeAct = async () => {
      throw new ServiceError('INSUFFICIENT_BALANCE', 'Add 5 sat.')
    }
    const answer = await call('POST', '/v1/payments', { bolt11: 'lnbcrt1fake' })
    expect(answer.json()).toEqual({
      type: '/docs#INSUFFICIENT_BALANCE',
      title: 'The balance does not suffice',
      status: 422,
      detail: 'Add 5 sat.',
      code: 'INSUFFICIENT_BALANCE',
    })
    expect(failures).toEqual([])
  })

  it('any other exception becomes INTERNAL, shows nothing of itself and is told to the operator', async () => {
    const { call, node, failures } = await testApi()
    const secret = new TypeError('cannot read /home/alice/.fulmen/seed: abandon abandon')
    node.beforeAct = async () => {
      throw secret
    }
    const answer = await call('POST', '/v1/payments', { bolt11: 'lnbcrt1fake' })
    expect([answer.statusCode, answer.json().code]).toEqual([500, 'INTERNAL'])
    expect(answer.body).not.toMatch(/abandon|home|TypeError|stack|\.ts/)
    expect(failures).toEqual([secret])
  })

  it('an error that pretends to be the client’s fault still shows nothing of itself', async () => {
    const { call, node } = await testApi()
    node.beforeAct = async () => {
      throw Object.assign(new Error('internal path /etc/x'), { statusCode: 418 })
    }
    const answer = await call('POST', '/v1/payments', { bolt11: 'lnbcrt1fake' })
    expect(answer.body).not.toContain('/etc/x')
  })

  it('an amount that JSON cannot carry is INTERNAL, never a rounded number', async () => {
    const { call, node } = await testApi()
    const invoice = await node.createInvoice({ amountMsat: (2n ** 53n + 1n) as never })
    expect((await call('GET', `/v1/invoices/${invoice.id}`)).json().code).toBe('INTERNAL')
  })

  it('readiness answers 503 with its reasons', async () => {
    const { app, node } = await testApi()
    node.readiness = { ready: false, reasons: ['the chain is 5 blocks behind'] }
    const answer = await app.inject('/health/ready')
    expect([answer.statusCode, answer.json()]).toEqual([
      503,
      { status: 'unready', reasons: ['the chain is 5 blocks behind'] },
    ])
    expect((await app.inject('/health/live')).statusCode).toBe(200)
  })
})

describe('bytes that are not HTTP', () => {
  let api: TestApi
  afterEach(() => api.app.close())

  it.each([
    ['garbage', '\x00\x01\x02 hello\r\n\r\n', 400],
    ['headers of 100 kB', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, 431],
    [
      'two lengths',
      'POST /v1/invoices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['HTTP/1.0 without a Host', 'GET /v1/node HTTP/1.0\r\n\r\n', 403],
  ])('%s are answered with a problem and do not stop the server', async (_what, bytes, status) => {
    api = await testApi()
    await api.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = api.app.server.address() as { port: number }
    const answer = await new Promise<string>((resolve, reject) => {
      let text = ''
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
      socket.on('data', (data) => {
        text += data
      })
      socket.on('close', () => resolve(text))
      socket.on('error', reject)
    })
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(answer.toLowerCase()).toContain('content-type: application/problem+json')
    expect((await api.app.inject('/health/live')).statusCode).toBe(200)
  })
})
