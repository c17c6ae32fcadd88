import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startApi } from '../../src/api/start.ts'
import { newKey, pinOf, selfSigned } from '../../src/api/tls/certificate.ts'
import { certificateSource, LiveCertificate } from '../../src/api/tls/serverCertificate.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { type TlsTrust, trustingFetch } from '../../src/client/tls.ts'
import type { ApiAccess, TlsConfig } from '../../src/node/access.ts'
import { FakeNode, NODE_ID } from './fakeNode.ts'

let dataDir: string
const open: (() => unknown)[] = []
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fulmen-tls-'))
})
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
  await rm(dataDir, { recursive: true })
})

const access = (tls: TlsConfig | null): ApiAccess => ({ tls, origins: [], issuer: null, webhookTargets: [] })

async function serving(tls: TlsConfig, hosts: readonly string[] = []) {
  const node = new FakeNode()
  const [pins, failures]: [string[], unknown[]] = [[], []]
  const api = await startApi(node, {
    host: '127.0.0.1',
    port: 0,
    dataDir,
    hosts,
    access: access(tls),
    onPin: async (pin) => void pins.push(pin),
    onInternalError: (error) => failures.push(error),
  })
  open.push(() => api.stop())
  const key = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
  const client = (trust: TlsTrust | null, url = api.url) =>
    new FulmenClient({ url, key, retries: 0, ...(trust && { fetch: trustingFetch(trust) }) })
  return { api, node, key, client, pins, failures }
}

const pair = () => {
  const key = newKey()
  const privateKey = createPrivateKey(key)
  return { key, keys: { privateKey, publicKey: createPublicKey(privateKey) } }
}
const DAY_MS = 86_400_000

describe('a certificate of our own', () => {
  it('is what OpenSSL reads, for whatever names and time it is made', () => {
    const label = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}[a-z0-9]$/)
    const name = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.array(label, { minLength: 1, maxLength: 4 }).map((l) => l.join('.')),
    )
    const at = fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2080, 0, 1) })
    const { keys } = pair()
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 30 }), at, (names, now) => {
        const certificate = new X509Certificate(selfSigned(keys, names, now))
        expect(certificate.verify(keys.publicKey)).toBe(true)
        expect(certificate.checkPrivateKey(keys.privateKey)).toBe(true)
        expect(certificate.ca).toBe(false)
        for (const one of names) {
          const isAddress = /^[\d.]+$/.test(one) || one.includes(':')
          expect([one, isAddress ? certificate.checkIP(one) : certificate.checkHost(one)]).not.toContain(undefined)
        }
        expect(certificate.checkHost('another.example.org')).toBeUndefined()
        const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
        expect([from, to]).toEqual([now - DAY_MS, now + 825 * DAY_MS].map((ms) => ms - (((ms % 1000) + 1000) % 1000)))
      }),
      { numRuns: 60 },
    )
  })

  it('serves those who pin its key or trust its certificate, and nobody else takes it', async () => {
    const { api, node, client, pins } = await serving({ kind: 'own' })
    expect(api.url).toMatch(/^https:/)
    const ca = await readFile(join(dataDir, 'tls/cert.pem'), 'utf8')
    expect((await client({ pin: api.pin! }).node()).nodeId).toBe(NODE_ID)
    expect((await client({ ca }).node()).nodeId).toBe(NODE_ID)
    expect((await client({ ca }, api.url.replace('127.0.0.1', 'localhost')).node()).nodeId).toBe(NODE_ID)
    await expect(client(null).node()).rejects.toThrow('does not answer')
    expect(pins).toEqual([pinOf(ca)])
    const stop = new AbortController()
    const events = client({ pin: api.pin! }).events({ since: 0, signal: stop.signal })
    node.emit('chain.block', { height: 1 })
    expect((await events.next()).value).toMatchObject({ id: 1, data: { height: 1 } })
    stop.abort()
    expect((await events.next()).done).toBe(true)
    expect((await stat(join(dataDir, 'tls/key.pem'))).mode & 0o777).toBe(0o600)
  })

  it('has its connections tried while nothing comes, so that a call ends when the machine it waits for is gone', async () => {
    const { api, client } = await serving({ kind: 'own' })
    const probes = vi.spyOn(Socket.prototype, 'setKeepAlive')
    await client({ pin: api.pin! }).node()
    expect(probes.mock.calls[0]).toEqual([true, 15_000])
    probes.mockRestore()
  })

  it('a client that pins another key sends nothing, its API key least of all', async () => {
    const { api, node, client } = await serving({ kind: 'own' })
    let asked = 0
    const balance = node.balance.bind(node)
    node.balance = async () => {
      asked++
      return balance()
    }
    const wrong = client({ pin: `sha256//${Buffer.alloc(32).toString('base64')}` })
    const error = await wrong.balance().catch((e) => e)
    expect(error.cause.cause.code).toBe('PIN_MISMATCH')
    expect(error.cause.cause.message).toContain(api.pin)
    expect(asked).toBe(0)
    await client({ pin: api.pin! }).balance()
    expect(asked).toBe(1)
  })

  it('stays across restarts; renewed in time, or for another name, it keeps the key that clients pin', async () => {
    const start = Date.UTC(2026, 0, 1)
    const load = (now: number, names: readonly string[] = []) =>
      certificateSource({ kind: 'own' }, { dataDir, names, now: () => now }).load()
    const first = await load(start)
    expect(await load(start + 700 * DAY_MS)).toEqual(first)
    const later = await load(start + 770 * DAY_MS)
    expect(later.cert).not.toBe(first.cert)
    const named = await load(start + 770 * DAY_MS, ['node.example:9737', '[fd00::1]', '0.0.0.0'])
    const certificate = new X509Certificate(named.cert)
    expect([certificate.checkHost('node.example'), certificate.checkIP('fd00::1')]).toEqual(['node.example', 'fd00::1'])
    expect(certificate.checkIP('0.0.0.0')).toBeUndefined()
    expect(new Set([first, later, named].map(({ cert }) => pinOf(cert))).size).toBe(1)
    await writeFile(join(dataDir, 'tls/cert.pem'), 'not a certificate')
    expect(pinOf((await load(start)).cert)).toBe(pinOf(first.cert))
    await writeFile(join(dataDir, 'tls/key.pem'), 'not a key')
    await expect(load(start)).rejects.toThrow(/key.pem cannot be read .* new pin/)
  })
})

/** The pin of what a new connection is shown. */
const shownTo = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket: TLSSocket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      const { raw } = socket.getPeerCertificate()
      resolve(pinOf(`-----BEGIN CERTIFICATE-----\n${raw.toString('base64')}\n-----END CERTIFICATE-----`))
      socket.destroy()
    })
    socket.on('error', reject)
  })

describe('a given certificate', () => {
  it('is read again when it changes, while a stream that is open goes on; what is wrong changes nothing', async () => {
    const tls = { kind: 'files', cert: join(dataDir, 'c.pem'), key: join(dataDir, 'k.pem') } as const
    const [old, next] = [pair(), pair()]
    const certs = [old, next].map(({ keys }) => selfSigned(keys, ['node.example'], Date.now())) as [string, string]
    await Promise.all([writeFile(tls.cert, certs[0]), writeFile(tls.key, old.key)])
    const { api, node, key, client, failures, pins } = await serving(tls)
    expect(await shownTo(api.url)).toBe(pinOf(certs[0]))
    const events: string[] = []
    const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream', host: '127.0.0.1' }
    await new Promise<void>((resolve) => {
      const stream = request(`${api.url}/v1/events`, { headers, rejectUnauthorized: false }, (answer) => {
        answer.setEncoding('utf8').on('data', (text: string) => events.push(text))
        resolve()
      })
      stream.end()
      open.push(() => stream.destroy())
    })
    await writeFile(tls.cert, certs[1]) // half of a change: the key is still the old one
    await api.reload()
    await api.reload()
    expect(failures.map(String)).toEqual([expect.stringContaining('is not the one of the certificate')])
    expect(await shownTo(api.url)).toBe(pinOf(certs[0]))
    await writeFile(tls.key, next.key)
    await api.reload()
    expect(await shownTo(api.url)).toBe(pinOf(certs[1]))
    expect(pins).toEqual(certs.map(pinOf))
    node.emit('chain.block', { height: 7 })
    await expect.poll(() => events.join('')).toContain('"height":7')
    expect((await client({ pin: pinOf(certs[1]) }).node()).nodeId).toBe(NODE_ID)
  })

  it('that does not exist or does not fit keeps the API from starting', async () => {
    const tls = { kind: 'files', cert: join(dataDir, 'c.pem'), key: join(dataDir, 'k.pem') } as const
    await expect(serving(tls)).rejects.toThrow(/tls-cert, tls-key: .*c.pem cannot be read/)
    await writeFile(tls.cert, selfSigned(pair().keys, ['a'], Date.now()))
    await writeFile(tls.key, pair().key)
    await expect(serving(tls)).rejects.toThrow('is not the one of the certificate')
    await writeFile(tls.key, 'x')
    await expect(serving(tls)).rejects.toThrow('is no PEM that can be read')
  })
})

const make = () => {
  const { key, keys } = pair()
  return { key, cert: selfSigned(keys, ['localhost'], Date.now()) }
}

describe('the certificate in force', () => {
  it('is the one that was there last, though an earlier look is slower to read', async () => {
    const tick = () => new Promise((resolve) => setImmediate(resolve))
    const [first, second, third] = [make(), make(), make()]
    let there = first
    let gate: Promise<void> | null = null
    let go = (): void => {}
    const load = async () => {
      const found = there
      await gate
      return found
    }
    const live = await LiveCertificate.open({ load, everyMs: DAY_MS })
    open.push(() => live.close())
    const fail = (error: unknown): never => {
      throw error
    }
    const look = live.watch(async () => {}, fail)
    there = second
    gate = new Promise((resolve) => {
      go = resolve
    })
    const slow = look()
    await tick()
    there = third
    gate = null
    const quick = look()
    await tick()
    go()
    await Promise.all([slow, quick])
    expect(live.current).toEqual(third)
  })

  it('is the one before while the next cannot be applied, which is tried again and told of once', async () => {
    const [first, second] = [make(), make()]
    let next = first
    const live = await LiveCertificate.open({ load: async () => next, everyMs: DAY_MS })
    open.push(() => live.close())
    let isFull = true
    const [applied, told]: [string[], unknown[]] = [[], []]
    const look = live.watch(
      async ({ cert }, pin) => {
        if (isFull) throw new Error('no space left')
        expect(pin).toBe(pinOf(cert))
        applied.push(cert)
      },
      (error) => told.push(error),
    )
    next = second
    for (let i = 0; i < 3; i++) await look()
    expect([live.current, live.pin, applied, told.length]).toEqual([first, pinOf(first.cert), [], 1])
    isFull = false
    for (let i = 0; i < 2; i++) await look()
    expect([live.current, live.pin, applied]).toEqual([second, pinOf(second.cert), [second.cert]])
  })
})
