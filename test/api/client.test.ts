import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Event } from '../../src/api/schemas.ts'
import { ApiError, ConnectionError } from '../../src/client/errors.ts'
import { allOf, FulmenClient } from '../../src/client/index.ts'
import { PEER_ID } from './fakeNode.ts'
import { testApi } from './harness.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const thing of open.splice(0).reverse()) await thing.close()
})

async function clientOf(options: { fetch?: typeof fetch; port?: number } = {}) {
  const api = await testApi()
  await api.app.listen({ host: '127.0.0.1', port: options.port ?? 0 })
  open.push(api.app)
  const { port } = api.app.server.address() as { port: number }
  const url = `http://127.0.0.1:${port}`
  const client = new FulmenClient({ url: `${url}/`, key: api.bearer, ...(options.fetch && { fetch: options.fetch }) })
  return { ...api, client, url, port }
}

/** A server that answers with the given responses, one after another, and notes what it was asked. */
async function scripted(answers: readonly { status: number; headers?: Record<string, string>; body?: string }[]) {
  const asked: { method: string; url: string; key: string | undefined }[] = []
  const server: Server = createServer((request, response) => {
    asked.push({
      method: request.method ?? '',
      url: request.url ?? '',
      key: request.headers['idempotency-key'] as string,
    })
    const { status, headers, body = '{}' } = answers[Math.min(asked.length, answers.length) - 1] ?? { status: 500 }
    request.resume().on('end', () => {
      if (status === 0) return request.socket.destroy()
      response
        .writeHead(status, {
          'content-type': status < 400 ? 'application/json' : 'application/problem+json',
          ...headers,
        })
        .end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push({ close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()) })
  const { port } = server.address() as { port: number }
  return { asked, client: new FulmenClient({ url: `http://127.0.0.1:${port}`, key: 'fulmen_a_b' }) }
}

const BUSY = {
  status: 503,
  headers: { 'retry-after': '0' },
  body: '{"code":"SHUTTING_DOWN","detail":"later","status":503}',
}

describe('the client', () => {
  it('calls every resource by its method, with the types of the schemas', async () => {
    const { client, node } = await clientOf()
    expect((await client.node()).alias).toBe('fake')
    expect((await client.balance()).channelSendableMsat).toBe(1000)
    expect((await client.ready()).status).toBe('ok')
    expect((await client.peers.connect(`${PEER_ID}@127.0.0.1:9735`)).nodeId).toBe(PEER_ID)
    expect((await client.peers.list()).items).toHaveLength(1)
    expect(await client.peers.disconnect(PEER_ID)).toBeUndefined()
    const channel = await client.channels.open({ peer: PEER_ID, capacitySat: 100_000 }, { wait: 1 })
    expect((await client.channels.get(channel.id)).capacitySat).toBe(100_000)
    expect((await client.channels.setPolicy(channel.id, { feeBaseMsat: 5 })).policy.feeBaseMsat).toBe(5)
    expect((await client.channels.list({ limit: 5 })).items).toHaveLength(1)
    expect((await client.channels.close(channel.id)).state).toBe('shutdown')
    const invoice = await client.invoices.create({ amountMsat: 5 })
    expect((await client.invoices.get(invoice.paymentHash)).id).toBe(invoice.id)
    expect((await client.invoices.settle(invoice.id, 'ab'.repeat(32))).status).toBe('settled')
    expect((await client.invoices.cancel(invoice.id)).status).toBe('cancelled')
    const payment = await client.payments.send({ nodeId: PEER_ID, amountMsat: 5 }, { wait: 1 })
    expect((await client.payments.get(payment.paymentHash, { wait: 1 })).status).toBe('succeeded')
    expect((await client.payments.cancel(payment.id)).id).toBe(payment.id)
    const outputs = [{ address: (await client.wallet.newAddress()).address, amountSat: 1 }]
    const sent = await client.wallet.send({ outputs })
    expect((await client.wallet.transaction(sent.id)).netSat).toBe(-1)
    expect(await client.wallet.utxos()).toHaveLength(1)
    expect((await client.wallet.get()).confirmedSat).toBe(1)
    expect((await client.chain.get()).height).toBe(100)
    expect((await client.chain.block(100)).height).toBe(100)
    expect((await client.chain.transaction('ab'.repeat(32))).vsize).toBe(100)
    expect((await client.chain.fees())[0]?.targetBlocks).toBe(6)
    expect((await client.chain.mine(2)).blockHashes).toHaveLength(2)
    expect((await client.graph.nodes()).items).toHaveLength(1)
    expect((await client.graph.channels()).items).toHaveLength(1)
    expect((await client.graph.route({ nodeId: PEER_ID, amountMsat: 5 })).hops).toHaveLength(1)
    expect((await client.backup()).data).toBe('AQID')
    expect(node.calls).toEqual([
      'connectPeer',
      'disconnectPeer',
      'openChannel',
      'setChannelPolicy',
      'closeChannel',
      'createInvoice',
      'pay',
      'sendOnChain',
      'mine',
    ])
  })

  it('a problem becomes an ApiError with code, status and all fields', async () => {
    const { client } = await clientOf()
    const failure = await client.channels.open({ peer: 'zz', capacitySat: -1 }).catch((e: unknown) => e)
    expect(failure).toBeInstanceOf(ApiError)
    expect(failure).toMatchObject({ code: 'VALIDATION_FAILED', status: 400, message: expect.stringContaining('/peer') })
    expect((failure as ApiError).problem.errors?.map((e) => e.pointer)).toEqual(['/peer', '/capacitySat'])
    await expect(client.payments.get('x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses what cannot be sent before it sends anything, and takes an address as a URL', async () => {
    const { client, url, bearer, node } = await clientOf()
    const before = node.paymentViews.size
    const pay = client.payments.send({ nodeId: PEER_ID, amountMsat: 5n as never })
    await expect(pay).rejects.toMatchObject({
      name: 'ArgumentError',
      message: expect.stringMatching(/BigInt.*nothing was sent/),
    })
    expect(node.paymentViews.size).toBe(before)
    expect((await new FulmenClient({ url: new URL(url), key: bearer }).node()).alias).toBe('fake')
    expect(() => new FulmenClient({ key: bearer } as never)).toThrow(/expected http:\/\/host:port.*"undefined"/)
  })

  it('readiness is an answer, not an error, while the node is not ready', async () => {
    const { client, node } = await clientOf()
    node.readiness = { ready: false, reasons: ['syncing'] }
    expect(await client.ready()).toEqual({ status: 'unready', reasons: ['syncing'] })
  })

  it('pages through a list', async () => {
    const pages = [[5, 4], [3, 2], [1]]
    const seen: (string | undefined)[] = []
    const list = async ({ cursor }: { cursor?: string }) => {
      seen.push(cursor)
      const at = Number(cursor ?? 0)
      return { items: pages[at] ?? [], nextCursor: at + 1 < pages.length ? String(at + 1) : null }
    }
    const items: number[] = []
    for await (const item of allOf(list)) items.push(item)
    expect(items).toEqual([5, 4, 3, 2, 1])
    expect(seen).toEqual([undefined, '1', '2'])
  })
})

describe('repetition', () => {
  it('reads, and acts with one idempotency key, are repeated when the connection breaks or the node is busy', async () => {
    const { client, asked } = await scripted([{ status: 0 }, BUSY, { status: 200, body: '{"id":"p"}' }])
    expect(await client.payments.send({ bolt11: 'lnbcrt1fake' })).toEqual({ id: 'p' })
    expect(asked).toHaveLength(3)
    expect(asked[0]?.key).toMatch(/^[0-9a-f-]{36}$/)
    expect(new Set(asked.map((a) => a.key)).size).toBe(1)
  })

  it('two acts have two keys, unless the caller gives one', async () => {
    const { client, asked } = await scripted([{ status: 200 }])
    await client.payments.send({ bolt11: 'a' })
    await client.payments.send({ bolt11: 'a' })
    await client.payments.send({ bolt11: 'a' }, { idempotencyKey: 'mine' })
    expect(new Set(asked.map((a) => a.key)).size).toBe(3)
    expect(asked[2]?.key).toBe('mine')
  })

  it('calls that would act twice are not repeated, nor are refusals', async () => {
    const broken = await scripted([{ status: 0 }])
    await expect(broken.client.chain.mine(1)).rejects.toBeInstanceOf(ConnectionError)
    expect(broken.asked).toHaveLength(1)
    const refused = await scripted([{ status: 422, body: '{"code":"NO_ROUTE","detail":"none","status":422}' }])
    await expect(refused.client.payments.send({ bolt11: 'a' })).rejects.toMatchObject({ code: 'NO_ROUTE' })
    expect(refused.asked).toHaveLength(1)
  })

  it('give up with what the last try brought', async () => {
    const { client, asked } = await scripted([BUSY])
    await expect(client.node()).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
    expect(asked).toHaveLength(4)
  })

  it('an act that may have been carried out tells its key when no answer comes at all', async () => {
    for (const answers of [[{ status: 0 }], [{ status: 0 }, BUSY]]) {
      const { client, asked } = await scripted(answers)
      const error = await client.payments.send({ bolt11: 'a' }).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(ConnectionError)
      expect(error).toMatchObject({ idempotencyKey: asked[0]?.key, message: expect.stringContaining(asked[0]!.key!) })
    }
    const { client: refused } = await scripted([BUSY])
    await expect(refused.payments.send({ bolt11: 'a' })).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
    const { client: nobody, app } = await clientOf()
    await app.close()
    const notSent = { name: 'ConnectionError', idempotencyKey: undefined }
    await expect(nobody.payments.send({ bolt11: 'a' })).rejects.toMatchObject(notSent)
  })

  it('an answer lost on the way back moves money once', async () => {
    let losses = 2
    const { client, node } = await clientOf({
      fetch: async (...args) => {
        const response = await fetch(...args)
        if (losses-- > 0) throw new TypeError('fetch failed')
        return response
      },
    })
    const payment = await client.payments.send({ nodeId: PEER_ID, amountMsat: 5 })
    expect([payment.status, node.calls]).toEqual(['succeeded', ['pay']])
  })

  it('a page that is no problem is not a Fulmen node', async () => {
    const { client } = await scripted([{ status: 404, headers: { 'content-type': 'text/html' }, body: '<html>' }])
    await expect(client.node()).rejects.toThrow(/is it a Fulmen node/)
    const { client: notJson } = await scripted([{ status: 200, body: 'hello' }])
    await expect(notJson.node()).rejects.toBeInstanceOf(ConnectionError)
  })
})

describe('the event stream of the client', () => {
  it('goes on after the last event when the server restarts, and ends when told', async () => {
    const before = await clientOf()
    const stop = new AbortController()
    const seen: Event[] = []
    const reading = (async () => {
      for await (const event of before.client.events({ since: 0, signal: stop.signal })) seen.push(event)
    })()
    for (let i = 0; i < 3; i++) before.node.emit('chain.block')
    await expect.poll(() => seen.length).toBe(3)
    await before.app.close()

    const after = await testApi({ store: before.node.apiStore })
    after.node.events.push(...before.node.events)
    after.node.emit('chain.block')
    await after.app.listen({ host: '127.0.0.1', port: before.port })
    open.push(after.app)
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(4)
    after.node.emit('chain.block')
    await expect.poll(() => seen.map((e) => e.id)).toEqual([1, 2, 3, 4, 5])
    stop.abort()
    await reading
  })

  it('goes on over another connection when one falls silent, as when the machine it led to is gone', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const asked: string[] = []
    const cancelled: number[] = []
    // Two events and a sign of life, of which none ends: no connection of one machine to itself breaks like that.
    const silent = async (url: string | URL | Request): Promise<Response> => {
      const id = asked.push(new URL(String(url)).search)
      const text = `:\n\nid: ${id}\nevent: chain.block\ndata: {"id":${id}}\n\n:\n\n`
      const start = (c: ReadableStreamDefaultController) => c.enqueue(new TextEncoder().encode(text))
      return new Response(new ReadableStream({ start, cancel: () => void cancelled.push(id) }))
    }
    const events = new FulmenClient({ url: 'http://127.0.0.1:1', key: 'fulmen_a_b', fetch: silent }).events()
    expect((await events.next()).value).toEqual({ id: 1 })
    let next: Event | undefined
    void events.next().then(({ value }) => {
      next = value as Event
    })
    await vi.advanceTimersByTimeAsync(50_000)
    expect([next, asked]).toEqual([undefined, ['']])
    await vi.advanceTimersByTimeAsync(20_000)
    expect([next, asked, cancelled]).toEqual([{ id: 2 }, ['', '?since=1'], [1]])
    await events.return(undefined)
    expect([vi.getTimerCount(), cancelled]).toEqual([0, [1, 2]])
  })

  it('a refusal ends it with an ApiError', async () => {
    const { url } = await clientOf()
    const stranger = new FulmenClient({ url, key: 'fulmen_aa_0123456789abcdef' })
    await expect(stranger.events().next()).rejects.toMatchObject({ code: 'KEY_INVALID' })
  })
})
