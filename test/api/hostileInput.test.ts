import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../src/api/problems.ts'
import { CONTRACT } from './contract.ts'
import { PEER_ID } from './fakeNode.ts'
import { type TestApi, testApi } from './harness.ts'

const HASH = 'ab'.repeat(32)
const ADDRESS = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'

/** Field names of every request, so that arbitrary bodies come near to what the schemas take. */
const FIELDS = [
  'uri',
  'peer',
  'capacitySat',
  'pushMsat',
  'feerateSatPerVbyte',
  'announce',
  'type',
  'force',
  'address',
  'feeBaseMsat',
  'htlcMaximumMsat',
  'cltvExpiryDelta',
  'amountMsat',
  'description',
  'descriptionHash',
  'expirySeconds',
  'paymentHash',
  'preimage',
  'text',
  'bolt11',
  'nodeId',
  'maxFeeMsat',
  'maxParts',
  'timeoutSeconds',
  'outputs',
  'amountSat',
  'utxos',
  'blocks',
  'url',
  'types',
  'name',
  'enabled',
  'graceSeconds',
  '__proto__',
  'constructor',
  'toString',
  '',
] as const

const hostileText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(
    '',
    HASH,
    PEER_ID,
    `${PEER_ID}@127.0.0.1:9735`,
    `${PEER_ID}@[::1]`,
    ADDRESS,
    `${HASH}:4294967296`,
    `${HASH}:0`,
  ),
  fc.constantFrom(
    'lnbcrt1',
    'lnbc1qqqq',
    '\u0000',
    '\ud800',
    '1e9',
    '-1',
    'anchors',
    '../../etc/passwd',
    "'; DROP TABLE",
    '%00',
  ),
)
const hostileValue = fc.oneof(
  { depthSize: 'small' },
  hostileText,
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, 1, -0, 1e308, 2 ** 53, Number.MAX_SAFE_INTEGER, 2.1e15, 1.5, null, true, false),
  fc.jsonValue({ maxDepth: 3 }),
  fc.array(fc.record({ address: hostileText, amountSat: fc.integer() }, { requiredKeys: [] }), { maxLength: 3 }),
  fc.array(hostileText, { maxLength: 3 }),
)
const hostileBody = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.dictionary(fc.constantFrom(...FIELDS), hostileValue, { maxKeys: 6 }).map((b) => JSON.stringify(b)),
  },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((b) => JSON.stringify(b)) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
)
const segment = fc.oneof(hostileText, fc.string({ maxLength: 150 })).map(encodeURIComponentLax)
const query = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'limit',
        'cursor',
        'status',
        'state',
        'peer',
        'wait',
        'since',
        'types',
        'ticket',
        'x',
        '__proto__',
      ),
      hostileText,
    ),
    {
      maxLength: 4,
    },
  )
  .map((pairs) => pairs.map(([name, value]) => `${name}=${encodeURIComponentLax(value)}`).join('&'))
const headerValue = fc.string({ unit: fc.constantFrom(...'abc019_-/;=,. "\t'), maxLength: 40 })
const hostileHeaders = fc.record(
  {
    'content-type': fc.oneof(
      fc.constantFrom('application/json', 'application/json; charset=utf-16', 'text/plain', 'multipart/form-data'),
      headerValue,
    ),
    'idempotency-key': headerValue,
    accept: fc.oneof(fc.constantFrom('*/*', 'application/octet-stream'), headerValue),
    'last-event-id': headerValue,
    expect: headerValue,
    origin: headerValue,
  },
  { requiredKeys: [] },
)

/** encodeURIComponent throws on a lone surrogate. */
function encodeURIComponentLax(text: string): string {
  return encodeURIComponent(text.replace(/[\ud800-\udfff]/g, '?'))
}

async function expectTyped(api: TestApi, answer: Awaited<ReturnType<TestApi['call']>>): Promise<void> {
  expect(api.failures).toEqual([])
  expect(answer.statusCode).toBeLessThan(500)
  if (answer.statusCode < 400) return
  const { code, status, detail } = answer.json()
  expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
  expect(PROBLEMS[code as keyof typeof PROBLEMS].status).toBe(status)
  expect(status).toBe(answer.statusCode)
  expect(detail.length).toBeGreaterThan(0)
}

describe('hostile input', () => {
  it('every route survives arbitrary paths, queries, headers and bodies: an answer or a typed problem, never a 500', async () => {
    const api = await testApi()
    // Streams answer without end; what comes before them is the same code as elsewhere.
    const routes = CONTRACT.filter(([, path]) => path !== '/v1/events')
    const scenario = fc.record({
      route: fc.constantFrom(...routes),
      segments: fc.array(segment, { minLength: 2, maxLength: 2 }),
      query,
      headers: hostileHeaders,
      body: hostileBody,
    })
    await fc.assert(
      fc.asyncProperty(scenario, async ({ route: [method, path], segments, query, headers, body }) => {
        let i = 0
        const url = path.replace(/\{\w+\}/g, () => segments[i++ % segments.length] || 'x')
        const payload = method === 'GET' ? undefined : body
        const type = { 'content-type': 'application/json' }
        const answer = await api.call(method, query ? `${url}?${query}` : url, payload, {
          ...type,
          ...headers,
        } as Record<string, string>)
        await expectTyped(api, answer)
      }),
      { numRuns: 2_000 },
    )
  })

  it('the event stream refuses arbitrary filters with a typed problem', async () => {
    const api = await testApi()
    await fc.assert(
      fc.asyncProperty(query, async (text) => expectTyped(api, await api.call('GET', `/v1/events?${text}`))),
      { numRuns: 300 },
    )
  })

  it('arbitrary Authorization and Host headers end as 401 or 403', async () => {
    const api = await testApi()
    const text = fc.oneof(
      headerValue,
      headerValue.map((t) => `Bearer ${t}`),
      headerValue.map((t) => `Bearer fulmen_${t}`),
    )
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.constantFrom('localhost', 'evil.example', '[', ']:', '[::1', '::', '@', '127.0.0.1:x'),
        async (authorization, host) => {
          const answer = await api.app.inject({ url: '/v1/node', headers: { authorization, host } })
          expect([401, 403]).toContain(answer.statusCode)
          await expectTyped(api, answer)
        },
      ),
      { numRuns: 500 },
    )
  })
})
