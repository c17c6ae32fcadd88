import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ChainError } from '../../src/chain/errors.ts'
import { httpTransport, localTransport, type RpcTransport } from '../../src/chain/rpc.ts'

type Answer = { status?: number; body: unknown } | 'hang up' | 'silence'

let server: Server
let port: number
let sockets: number
let answer: (call: { method: string; params: unknown[]; authorization: string | undefined }) => Answer
const open: RpcTransport[] = []

beforeEach(async () => {
  sockets = 0
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('data', (c: Buffer) => chunks.push(c))
    request.on('end', () => {
      const { method, params } = JSON.parse(Buffer.concat(chunks).toString()) as { method: string; params: unknown[] }
      const what = answer({ method, params, authorization: request.headers.authorization })
      if (what === 'silence') return
      if (what === 'hang up') return void request.socket.destroy()
      response.writeHead(what.status ?? 200, { 'content-type': 'application/json' })
      response.end(typeof what.body === 'string' ? what.body : JSON.stringify(what.body))
    })
  })
  server.on('connection', () => sockets++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterEach(async () => {
  for (const t of open.splice(0)) t.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const transport = (credentials = 'alice:s%40cret@', cookieFile?: string): RpcTransport => {
  const t = httpTransport({ url: `http://${credentials}127.0.0.1:${port}`, ...(cookieFile ? { cookieFile } : {}) })
  open.push(t)
  return t
}
const call = (t: RpcTransport, timeoutMs = 5_000, signal?: AbortSignal): Promise<unknown> =>
  t.call('getblockcount', [1, 'two'], { timeoutMs, ...(signal ? { signal } : {}) })
const failure = (p: Promise<unknown>): Promise<ChainError> =>
  p.then(
    () => {
      throw new Error('it succeeded')
    },
    (e) => e as ChainError,
  )

describe('JSON-RPC over HTTP', () => {
  it('sends method, parameters and credentials, and gives back the result over one kept connection', async () => {
    const basic = `Basic ${Buffer.from('alice:s@cret').toString('base64')}`
    answer = (c) => ({ body: { result: [c.method, c.params, c.authorization], error: null, id: 0 } })
    const t = transport()
    for (let i = 0; i < 5; i++) expect(await call(t)).toEqual(['getblockcount', [1, 'two'], basic])
    expect(sockets).toBe(1)
  })

  it("the node's own errors keep their number, whatever the HTTP status", async () => {
    answer = () => ({ status: 500, body: { result: null, error: { code: -8, message: 'Block height out of range' } } })
    expect(await failure(call(transport()))).toMatchObject({ code: 'RPC_ERROR', rpcCode: -8 })
    answer = () => ({ status: 404, body: { result: null, error: { code: -32601, message: 'Method not found' } } })
    expect(await failure(call(transport()))).toMatchObject({ code: 'RPC_ERROR', rpcCode: -32601 })
    answer = () => ({ status: 500, body: { result: null, error: { code: -28, message: 'Loading block index…' } } })
    expect(await failure(call(transport()))).toMatchObject({ code: 'WARMUP' })
  })

  it.each([
    ['refused credentials', { status: 401, body: '' }, 'UNAUTHORIZED'],
    ['a refused address', { status: 403, body: '' }, 'UNAUTHORIZED'],
    ['overload', { status: 503, body: 'Work queue depth exceeded' }, 'UNAVAILABLE'],
    ['something else than JSON', { body: '<html>' }, 'BAD_RESPONSE'],
    ['JSON of another kind', { body: '7' }, 'BAD_RESPONSE'],
    ['a connection that breaks', 'hang up', 'UNAVAILABLE'],
  ] as const)('%s', async (_, what, code) => {
    answer = () => what as Answer
    const error = await failure(call(transport()))
    expect(error).toBeInstanceOf(ChainError)
    expect(error.code).toBe(code)
    expect(error.message).not.toMatch(/cret/)
  })

  it('silence ends at the time limit, and at once when stopped', async () => {
    answer = () => 'silence'
    expect(await failure(call(transport(), 30))).toMatchObject({ code: 'TIMEOUT' })
    const stop = new AbortController()
    const pending = failure(call(transport(), 60_000, stop.signal))
    stop.abort()
    expect(await pending).toMatchObject({ code: 'ABORTED' })
    expect(await failure(call(transport(), 60_000, stop.signal))).toMatchObject({ code: 'ABORTED' })
  })

  it('nobody there, and an address that is none', async () => {
    const t = httpTransport({ url: 'http://127.0.0.1:1' })
    open.push(t)
    expect(await failure(call(t))).toMatchObject({ code: 'UNAVAILABLE' })
    for (const url of ['', 'localhost:8332', 'ftp://x', 'http://']) {
      expect(() => httpTransport({ url })).toThrow('http://user:password@host:port')
    }
  })

  it('reads the cookie file, and again after the node was restarted', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'fulmen-rpc-'))
    try {
      const cookie = join(dir, '.cookie')
      expect(await failure(call(transport('', cookie)))).toMatchObject({ code: 'UNAVAILABLE' })
      let current = '__cookie__:one'
      answer = (c) => {
        const right = c.authorization === `Basic ${Buffer.from(current).toString('base64')}`
        return right ? { body: { result: current, error: null } } : { status: 401, body: '' }
      }
      await writeFile(cookie, `${current}\n`)
      const t = transport('', cookie)
      expect(await call(t)).toBe('__cookie__:one')
      current = '__cookie__:two'
      await writeFile(cookie, current)
      expect(await call(t)).toBe('__cookie__:two')
      current = '__cookie__:three'
      expect(await failure(call(t))).toMatchObject({ code: 'UNAUTHORIZED' })
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})

describe('JSON-RPC within the process', () => {
  it('has the same results and failures', async () => {
    let closed = false
    const t = localTransport(
      (method, params) => {
        if (method === 'fail') throw Object.assign(new Error('no such block'), { code: -5 })
        if (method === 'hang') return new Promise(() => {})
        return [method, params]
      },
      () => {
        closed = true
      },
    )
    expect(await call(t)).toEqual(['getblockcount', [1, 'two']])
    expect(await failure(t.call('fail', [], { timeoutMs: 1_000 }))).toMatchObject({ code: 'RPC_ERROR', rpcCode: -5 })
    expect(await failure(t.call('hang', [], { timeoutMs: 10 }))).toMatchObject({ code: 'TIMEOUT' })
    t.close()
    expect(closed).toBe(true)
  })
})
