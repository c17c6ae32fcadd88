import { get, type IncomingMessage } from 'node:http'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Cell, csvField } from '../../src/api/csv.ts'
import type { ChannelEarnings, ForwardsIn, ForwardView } from '../../src/node/analytics/views.ts'
import type { FakeNode } from './fakeNode.ts'
import { testApi } from './harness.ts'

/** A reader of RFC 4180 that knows nothing of the writer. */
function readCsv(text: string): string[][] {
  const rows: string[][] = []
  let [row, field, quoted]: [string[], string, boolean] = [[], '', false]
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (quoted) {
      if (c !== '"') field += c
      else if (text[i + 1] === '"') field += text[++i]
      else quoted = false
    } else if (c === '"') quoted = true
    else if (c === ',' || c === '\n') {
      row.push(field)
      field = ''
      if (c === '\n') {
        rows.push(row)
        row = []
      }
    } else if (c !== '\r') field += c
  }
  expect([row, field, quoted]).toEqual([[], '', false])
  return rows
}

const CHANNEL = 'ab'.repeat(32)
const forward = (n: number): ForwardView =>
  ({
    id: String(n),
    at: '2026-11-27T01:02:03.000Z',
    paymentHash: 'cd'.repeat(32),
    incomingChannelId: CHANNEL,
    outgoingChannelId: n % 2 ? CHANNEL : null,
    amountInMsat: 1_000 + n,
    amountOutMsat: 1_000,
    feeMsat: n,
  }) as ForwardView
const give = (node: FakeNode, items: FakeNode['analyticsItems']) => Object.assign(node.analyticsItems, items)

describe('fields of a CSV', () => {
  it('read back as they were, and no text begins as a formula does', () => {
    const cell: fc.Arbitrary<Cell> = fc.oneof(
      fc.string({ unit: fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', ' ', '"', ',', 'a', "'", '1') }),
      fc.string(),
      fc.integer(),
      fc.constant(null),
      fc.boolean(),
    )
    fc.assert(
      fc.property(cell, (value) => {
        const written = csvField(value)
        const [[read]] = readCsv(`${written},\n`) as [[string]]
        if (typeof value === 'string') {
          expect(read.trimStart()).not.toMatch(/^[=+\-@\t\r]/)
          expect([value, `'${value}`]).toContain(read)
        } else expect(read).toBe(value === null ? '' : String(value))
      }),
    )
    expect(csvField(-5)).toBe('-5')
    expect(csvField('=HYPERLINK("x")')).toBe(`"'=HYPERLINK(""x"")"`)
  })
})

describe('exports', () => {
  it('have columns in an order that does not change', async () => {
    const { call, node } = await testApi()
    const heading = async (url: string) => (await call('GET', `${url}?format=csv`)).body.split('\r\n')[0]
    expect(await heading('/v1/forwards')).toBe(
      'id,at,paymentHash,incomingChannelId,outgoingChannelId,amountInMsat,amountOutMsat,feeMsat',
    )
    expect(await heading('/v1/analytics/forwards')).toBe(
      'period,channelId,settled,failed,successRate,amountInMsat,amountOutMsat,feeMsat',
    )
    expect(await heading('/v1/analytics/payments')).toBe(
      'period,succeeded,failed,successRate,amountMsat,feeMsat,received,receivedMsat',
    )
    expect(await heading('/v1/analytics/channels')).toBe(
      'id,channelId,peer,state,capacitySat,createdAt,forwardsIn,forwardsOut,amountInMsat,amountOutMsat,feeInMsat,feeOutMsat,successRate,openFeeSat,closeFeeSat,profitMsat,shortChannelId',
    )
    expect(await heading('/v1/analytics/balance-history')).toBe(
      'period,at,onchainConfirmedSat,onchainUnconfirmedSat,onchainClosingSat,channelLocalMsat,channelRemoteMsat,channelSendableMsat,channelReceivableMsat,usableChannels',
    )
    give(node, { forwards: [forward(2)] })
    expect((await call('GET', '/v1/forwards?format=csv')).body.split('\r\n')[1]).toBe(
      `2,2026-11-27T01:02:03.000Z,${'cd'.repeat(32)},${CHANNEL},,1002,1000,2`,
    )
  })

  it('say the same as the pages of JSON, whole or from a cursor on', async () => {
    const { call, node } = await testApi()
    give(node, { forwards: Array.from({ length: 1_234 }, (_, i) => forward(i)) })
    const csv = await call('GET', '/v1/forwards', undefined, { accept: 'text/csv' })
    expect(csv.headers['content-type']).toBe('text/csv; charset=utf-8; header=present')
    expect(csv.headers['content-disposition']).toBe('attachment; filename="forwards.csv"')
    const [, ...rows] = readCsv(csv.body)
    const pages: { items: Record<string, unknown>[]; nextCursor: string | null }[] = []
    for (let cursor: string | null = ''; cursor !== null; cursor = pages.at(-1)!.nextCursor)
      pages.push((await call('GET', `/v1/forwards?limit=200${cursor && `&cursor=${cursor}`}`)).json())
    const items = pages.flatMap((p) => p.items)
    expect(items).toHaveLength(1_234)
    expect(rows).toEqual(items.map((item) => Object.values(item).map((v) => (v === null ? '' : String(v)))))
    const some = await call('GET', '/v1/forwards?format=csv&limit=3&cursor=1000')
    expect(
      readCsv(some.body)
        .slice(1)
        .map((r) => r[0]),
    ).toEqual(['1000', '1001', '1002'])
    expect(
      (await call('GET', '/v1/forwards?format=json', undefined, { accept: 'text/csv' })).json().items,
    ).toHaveLength(50)
  })

  it('write as they read: what a client does not take is not made', async () => {
    const { app, bearer, node } = await testApi()
    let asked = 0
    const endless = { id: '1', nextCursor: '1' }
    node.analytics.forwards = async ({ limit }) => {
      asked++
      return { items: Array.from({ length: limit }, () => forward(1)), nextCursor: endless.nextCursor }
    }
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const abort = new AbortController()
    const headers = { authorization: `Bearer ${bearer}`, accept: 'text/csv' }
    const response = await fetch(`${url}/v1/forwards`, { headers, signal: abort.signal })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    for (let i = 0; i < 3; i++) expect((await reader.read()).value!.length).toBeGreaterThan(0)
    // It comes to rest, for nobody reads on.
    let before = -1
    while (asked !== before) {
      before = asked
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(asked).toBeGreaterThan(0)
    abort.abort()
    await app.close()
  })

  it('refuse days, periods and cursors that are none before anything is sent', async () => {
    const { call } = await testApi()
    for (const query of ['from=2026-13-01', 'to=yesterday', 'period=week', 'format=xml', 'direction=up', 'limit=0'])
      expect((await call('GET', `/v1/analytics/forwards?${query}`)).json(), query).toMatchObject({
        code: 'VALIDATION_FAILED',
      })
  })

  it('pass on what was asked for, and show losses as they are', async () => {
    const { call, node } = await testApi()
    const asked: unknown[] = []
    const row = {
      period: '2026-11',
      channelId: CHANNEL,
      settled: 3n,
      failed: 1n,
      amountInMsat: 9n,
      amountOutMsat: 8n,
      feeMsat: 1n,
      successRate: 0.75,
    } as ForwardsIn
    node.analytics.forwardSums = async (...args) => {
      asked.push(args)
      return { items: [row], nextCursor: null }
    }
    const query = `period=month&channel=${CHANNEL}&direction=in&from=2026-01-01&to=2026-12-31&limit=5`
    const answer = (await call('GET', `/v1/analytics/forwards?${query}`)).json()
    const { limit, ...rest } = {
      limit: 5,
      period: 'month',
      channel: CHANNEL,
      direction: 'in',
      from: '2026-01-01',
      to: '2026-12-31',
    }
    expect(asked).toEqual([[{ limit }, rest]])
    expect(answer.items).toEqual([{ ...row, settled: 3, failed: 1, amountInMsat: 9, amountOutMsat: 8, feeMsat: 1 }])
    const channel = {
      id: 'x',
      openFeeSat: 200n,
      closeFeeSat: 0n,
      feeOutMsat: 1n,
      profitMsat: -199_999n,
      shortChannelId: '100x1x0',
    } as ChannelEarnings
    give(node, { channelEarnings: [channel] })
    const csv = (await call('GET', '/v1/analytics/channels?format=csv')).body
    expect(csv.split('\r\n')[1]).toMatch(/,-199999,100x1x0$/)
  })
})

describe('an export that is under way', () => {
  it('ends when its key is revoked', async () => {
    const { app, node, call } = await testApi()
    const read: number[] = []
    node.analytics.forwards = async ({ limit, cursor = '0' }) => {
      read.push(Number(cursor))
      const items = Array.from({ length: limit }, (_, i) => forward(Number(cursor) + i))
      return { items, nextCursor: String(Number(cursor) + limit) } // without end
    }
    const { id, secret } = (await call('POST', '/v1/keys', { name: 'books', preset: 'readonly' })).json()
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    const headers = { authorization: `Bearer ${secret}` }
    const response = await new Promise<IncomingMessage>((resolve) =>
      get({ port, path: '/v1/forwards?format=csv', headers }, resolve),
    )
    expect(response.statusCode).toBe(200)
    const ended = new Promise((resolve) => response.on('error', resolve))
    response.once('readable', () => response.read())
    await expect.poll(() => read.length).toBeGreaterThan(1)
    expect((await call('DELETE', `/v1/keys/${id}`)).statusCode).toBe(204)
    response.resume()
    expect(await ended).toMatchObject({ code: 'ECONNRESET' })
    await app.close()
  })
})
