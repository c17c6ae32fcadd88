import { createHash } from 'node:crypto'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { LOG_LEVELS, LOG_PARTS, logLevelsText, readLogLevels } from '../../src/node/logLevels.ts'
import { Logs } from '../../src/node/logs.ts'
import { nodeSecret } from '../../src/wallet/keys.ts'
import { testApi } from '../api/harness.ts'
import { Life } from './life.ts'
import { NAMES, type Name, World } from './world.ts'

function collected(levels: string) {
  const lines: { part: string; level: number; msg: string }[] = []
  const base = pino({ level: 'info', base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  return { lines, logs: new Logs(base, readLogLevels(levels)) }
}

describe('log levels', () => {
  it('are read as they are written, and refused with what was expected', () => {
    for (const text of ['info', 'silent', 'warn,peer=debug', 'error,node=trace,api=silent'])
      expect(logLevelsText(readLogLevels(text))).toBe(text)
    expect(readLogLevels(' info , peer=debug ')).toEqual({ default: 'info', parts: { peer: 'debug' } })
    for (const text of ['', 'loud', 'info,peer=loud', 'info,peer', 'peer=debug', 'info,peer=debug=trace', 'info,'])
      expect(() => readLogLevels(text), text).toThrow(/expected one of|expected part=level/)
    expect(() => readLogLevels('info,pear=debug')).toThrow(/with one of node, peer, channel.*"pear=debug"/)
    expect(() => readLogLevels('peer=debug')).toThrow(/for all parts first, as in info,peer=debug/)
  })

  it('each part logs at its own level, also below the level of the others, and changes while it runs', () => {
    const { lines, logs } = collected('warn,peer=trace')
    const sayAll = () => {
      lines.length = 0
      for (const part of LOG_PARTS) for (const level of LOG_LEVELS) if (level !== 'silent') logs.of(part)[level](level)
      return (part: string) => lines.filter((l) => l.part === part).map((l) => l.msg)
    }
    const first = sayAll()
    expect(first('peer')).toEqual(['error', 'warn', 'info', 'debug', 'trace'])
    expect(first('chain')).toEqual(['error', 'warn'])
    logs.set({ default: 'silent', parts: { chain: 'debug' } })
    const second = sayAll()
    expect(second('peer')).toEqual([])
    expect(second('chain')).toEqual(['error', 'warn', 'info', 'debug'])
  })
})

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

describe('the log of a life at trace', () => {
  it('tells of channels, payments, peers, chain and wallet, and holds no secret', async () => {
    const world = await World.start()
    worlds.push(world)
    for (const { node } of world.all) node!.logs.set({ default: 'trace', parts: {} })
    await world.fund()
    await world.open('alice', 'bob', 500_000)
    await world.open('bob', 'carol', 500_000)
    const life = new Life(world)
    for (const kind of ['invoice', 'keysend', 'hold'] as const)
      await life.step({ tag: 'pay', from: 'alice', to: 'carol', amountMsat: 10_000_000, kind })
    await world.settle()
    await life.step({ tag: 'cut', link: 0 })
    await life.finish()
    await life.step({ tag: 'close', who: 'alice', peer: 'bob', force: true })
    await world.mine(3)
    const lines = world.all.flatMap((p) => p.complaints as { part?: string }[])
    const parts = new Set(lines.map((l) => l.part))
    for (const part of ['channel', 'payment', 'peer', 'chain', 'wallet']) expect(parts).toContain(part)

    const text = JSON.stringify(lines)
    const secrets: string[] = []
    const payments = await Promise.all(life.payments.map(({ payer, hash }) => world.of(payer).api.payment(hash)))
    for (const { preimage } of payments) if (preimage !== null) secrets.push(preimage)
    expect(secrets.length).toBeGreaterThan(1)
    for (const { preimage } of life.held) secrets.push(toHex(preimage))
    for (const name of NAMES) secrets.push(...secretsOf(world, name))
    for (const secret of secrets) expect(text).not.toContain(secret)
    // Nor is any 32 bytes in it the preimage of a hash in it.
    const hashes = new Set([...text.matchAll(/[0-9a-f]{64}/g)].map(([hex]) => hex!))
    expect(hashes.size).toBeGreaterThan(3)
    for (const hex of hashes)
      expect(hashes).not.toContain(createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex'))
  })
})

function secretsOf(world: World, name: Name): string[] {
  const { master } = world.of(name).node!.resources
  const secrets = [nodeSecret(master)]
  const seen = new Set<unknown>()
  // Whatever bytes hang on the master key, whoever it is made of.
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    if (value instanceof Uint8Array) {
      if (value.length >= 32) secrets.push(value)
      return
    }
    for (const inner of Object.values(value)) visit(inner)
  }
  visit(master)
  return secrets.map(toHex)
}

describe('the log of API calls', () => {
  it('names route and key at debug, and no path, query, body or secret', async () => {
    const { call, node, bearer, keys } = await testApi()
    const before = node.logged.length
    await call('GET', '/v1/node')
    expect(node.logged.length).toBe(before)
    await call('PUT', '/v1/node/log-levels', { default: 'warn', parts: { api: 'debug' } })
    const hash = 'ab'.repeat(32)
    await call('GET', `/v1/payments/${hash}`)
    await call('GET', '/v1/node?oops=topsecret')
    await call('POST', `/v1/invoices/${hash}/settle`, { preimage: 'cd'.repeat(32) })
    await call('POST', '/v1/keys', { name: 'topsecret', scopes: ['node:read'] })
    await call('GET', '/v1/node', undefined, { authorization: `Bearer ${bearer.slice(0, -4)}aaaa` })
    const lines = node.logged.slice(before).map((l) => JSON.parse(l))
    expect(lines.map((l) => [l.part, l.method, l.route, l.status])).toEqual([
      ['api', 'PUT', '/v1/node/log-levels', 200],
      ['api', 'GET', '/v1/payments/:paymentHash', 404],
      ['api', 'GET', '/v1/node', 400],
      ['api', 'POST', '/v1/invoices/:paymentHash/settle', 404],
      ['api', 'POST', '/v1/keys', 201],
      ['api', 'GET', '/v1/node', 401],
    ])
    expect(lines[0].key).toBe(bearer.split('_')[1])
    expect(keys.size).toBe(2)
    const text = node.logged.join('\n')
    for (const secret of [bearer.split('_')[2]!, 'topsecret', hash, 'cdcdcd']) expect(text).not.toContain(secret)
  })

  it('levels are shown, set and refused, and what was set is in the audit log', async () => {
    const { call, node, keys } = await testApi()
    expect((await call('GET', '/v1/node/log-levels')).json()).toMatchObject({
      default: 'warn',
      parts: { peer: 'warn' },
    })
    const set = await call('PUT', '/v1/node/log-levels', { default: 'info', parts: { peer: 'debug' } })
    expect(set.json()).toMatchObject({ default: 'info', parts: { peer: 'debug', chain: 'info' } })
    expect(node.logs.of('peer').level).toBe('debug')
    for (const body of [{}, { default: 'loud' }, { default: 'info', parts: { pear: 'info' } }])
      expect((await call('PUT', '/v1/node/log-levels', body)).statusCode).toBe(400)
    expect(node.logs.levels).toEqual({ default: 'info', parts: { peer: 'debug' } })
    await keys.audit.flush()
    const targets = (await keys.audit.page(10, keys.audit.head.seq + 1)).map((e) => e.target)
    expect(targets.filter((t) => t === 'PUT /v1/node/log-levels')).toHaveLength(1)
  })
})
