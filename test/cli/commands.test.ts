import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { FulmenClient } from '../../src/client/index.ts'
import { NODE_ID, PEER_ID } from '../api/fakeNode.ts'
import { api, dataDir, fulmen, node, setNode } from './fakeNode.ts'
import { run } from './run.ts'

const ADDRESS = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'
setNode()

const json = async (...args: string[]) => JSON.parse((await fulmen(...args, '--json')).out)

describe('fulmen', () => {
  it('finds address and key in the data directory', async () => {
    expect((await fulmen('info')).out).toContain(`nodeId         ${NODE_ID}`)
    expect(await json('info')).toMatchObject({ nodeId: NODE_ID, blockHeight: 100 })
  })

  it('shows sums for the books as tables, JSON and CSV', async () => {
    const sums = { period: '2026-11-27', channelId: null, settled: 3n, failed: 1n, amountInMsat: 9n, amountOutMsat: 8n }
    node.analyticsItems.forwardSums = [{ ...sums, feeMsat: 1n, successRate: 0.75 }]
    expect((await fulmen('analytics', 'forwards', '--from', '2026-11-01')).out).toMatch(
      /2026-11-27 +3 +1 +75.0 % +8 +1/,
    )
    expect((await json('analytics', 'forwards')).items).toMatchObject([{ settled: 3, successRate: 0.75 }])
    expect((await fulmen('analytics', 'forwards', '--csv')).out).toContain('\r\n2026-11-27,,3,1,0.75,9,8,1\r\n')
    expect(await json('analytics', 'summary')).toMatchObject({ forwards: { settled: 0, successRate: null } })
    for (const of of ['payments', 'channels', 'balances']) expect((await fulmen('analytics', of)).out).toBe('none\n')
    expect((await fulmen('forward', 'list', '--csv')).out).toMatch(/^id,at,/)
    expect((await fulmen('analytics', 'forwards', '--period', 'week')).code).toBe(1)
  })

  it('shows what the node logs, and changes it', async () => {
    expect((await fulmen('log-level')).out).toMatch(/peer +warn/)
    expect(await json('log-level', 'info,peer=debug')).toMatchObject({ default: 'info', parts: { peer: 'debug' } })
    expect(node.logs.levels).toEqual({ default: 'info', parts: { peer: 'debug' } })
    expect(await fulmen('log-level', 'info,pear=debug')).toMatchObject({
      code: 2,
      err: expect.stringContaining('pear'),
    })
    node.logs.set({ default: 'warn', parts: {} })
  })

  it('lists alerts with their cures, and acknowledges them', async () => {
    node.emit('node.alert', { code: 'DATABASE_IS_OLDER', message: 'an old copy' })
    expect((await fulmen('alert', 'list')).out).toMatch(/problem +DATABASE_IS_OLDER +- +20.*an old copy +if the newer/)
    const [{ id }] = (await json('alert', 'list', '--state', 'raised')).items
    expect(await json('alert', 'acknowledge', id)).toMatchObject({ clearedAt: expect.any(String) })
    expect((await fulmen('alert', 'list', '--state', 'raised')).out).toBe('none\n')
    expect((await fulmen('alert', 'acknowledge', '99')).err).toContain('no alert 99')
  })

  it('shows the log, the oldest line first and none of the control characters of others', async () => {
    node.logs.of('peer').warn({ text: 'a\u001b[31mb' }, 'bad words')
    node.logs.of('store').error('the disk is slow')
    const { out } = await fulmen('logs', '--limit', '2')
    expect(out).toMatch(
      /^\S+Z {2}warn {3}peer {5}bad words {2}\{"text":"a.*b"\}\n\S+Z {2}error {2}store {4}the disk is slow\n$/,
    )
    expect(out).not.toContain('\u001b')
    expect((await json('logs', '--level', 'error', '--limit', '1')).items).toMatchObject([{ part: 'store' }])
    const of = async (...args: string[]) => (await json('logs', ...args)).items.map((l: { part: string }) => l.part)
    expect(await of('--part', 'peer')).toEqual(['peer'])
    expect((await of('--since', '1h')).length).toBeGreaterThan(1)
    expect(await of('--since', new Date(Date.now() + 60_000).toISOString())).toEqual([])
    expect((await fulmen('logs', '--since', 'noon')).code).toBe(2)
    expect((await fulmen('logs', '--level', 'loud')).err).toContain('fatal, error, warn')
  })

  it('takes address and key from flags and environment instead', async () => {
    const key = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
    expect(await run('--url', api.url, '--key', key, '--data-dir', '/nowhere', 'balance', '--json')).toMatchObject({
      code: 0,
    })
    vi.stubEnv('FULMEN_URL', api.url)
    vi.stubEnv('FULMEN_KEY', key)
    vi.stubEnv('FULMEN_DATA_DIR', '/nowhere')
    expect(await run('balance', '--json')).toMatchObject({ code: 0 })
  })

  it('sends the key of the data directory to no other machine, unless that directory is named with the address', async () => {
    const asked: (string | null)[] = []
    vi.stubGlobal('fetch', async (_url: string, { headers }: RequestInit) => {
      asked.push(new Headers(headers).get('authorization'))
      throw new TypeError('fetch failed')
    })
    try {
      vi.stubEnv('FULMEN_DATA_DIR', dataDir)
      const url = 'https://node.example:9737'
      for (const command of [['info'], ['key', 'rotate', 'x']]) {
        expect(await run('--url', url, ...command)).toMatchObject({
          code: 2,
          err: expect.stringContaining('FULMEN_KEY'),
        })
      }
      await run('--url', url, 'doctor')
      vi.stubEnv('FULMEN_URL', url)
      expect((await run('info')).code).toBe(2)
      expect(asked.filter((authorization) => authorization !== null)).toEqual([])
      const key = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
      expect((await run('--key', 'fulmen_a_b', 'info')).code).toBe(3)
      expect((await run('--data-dir', dataDir, 'info')).code).toBe(3)
      expect((await run('--url', 'http://[::1]:1', 'info')).code).toBe(3)
      const sent = new Set(asked.filter((authorization) => authorization !== null))
      expect(sent).toEqual(new Set(['Bearer fulmen_a_b', `Bearer ${key}`]))
    } finally {
      vi.unstubAllGlobals()
    }
  })

  it('lists by time and by key', async () => {
    const [from, to] = [Date.UTC(2026, 10, 1), Date.UTC(2026, 11, 1)]
    const times = ['--from', '2026-11-01', '--to', '2026-11-30']
    const filters = [
      [
        'payments',
        ['payment', 'list', '--status', 'failed', '--key-id', 'aa'],
        { from, to, keyId: 'aa', status: 'failed' },
      ],
      ['invoices', ['invoice', 'list', '--key-id', 'oidc:a%40b'], { from, to, keyId: 'oidc:a%40b' }],
      ['walletTransactions', ['wallet', 'transactions'], { from, to }],
    ] as const
    for (const [method, command, filter] of filters) {
      const spy = vi.spyOn(node, method)
      expect(await fulmen(...command, ...times)).toMatchObject({ code: 0 })
      expect(spy.mock.calls).toEqual([[{ limit: 100 }, filter]])
      spy.mockRestore()
    }
    const forwards = vi.spyOn(node.analytics, 'forwards')
    for (const csv of [[], ['--csv']]) expect((await fulmen('forward', 'list', ...times, ...csv)).code).toBe(0)
    expect(forwards.mock.calls.map(([, range]) => range)).toEqual([
      { from, to },
      { from, to },
    ])
    forwards.mockRestore()
    const own = (await json('key', 'show')).id
    const { items } = await json('audit', 'list', '--key-id', own)
    expect(new Set(items.map(({ keyId }: { keyId: string }) => keyId))).toEqual(
      items.length > 0 ? new Set([own]) : new Set(),
    )
    expect((await fulmen('payment', 'list', '--from', 'noon')).err).toContain('query /from')
    expect((await fulmen('events', '--to', '2000-01-01')).out).toBe('')
  })

  it('opens, lists, changes and closes a channel', async () => {
    const channel = await json(
      'channel',
      'open',
      PEER_ID,
      '1_000_000',
      '--push-msat',
      '5',
      '--feerate',
      '1.5',
      '--announce',
    )
    expect(channel).toMatchObject({ peer: PEER_ID, capacitySat: 1_000_000, remoteMsat: 5, announced: true })
    expect((await fulmen('channel', 'list')).out).toMatch(new RegExp(`${channel.id}.*normal.*yes.*1,000,000`))
    expect((await fulmen('channel', 'show', channel.id)).out).toContain('capacitySat')
    expect((await fulmen('channel', 'policy', channel.id, '--fee-base-msat', '0')).out).toMatch(/feeBaseMsat +0/)
    const guess = await fulmen('channel', 'close', channel.id, '--force', '--accept-risk', 'yes')
    expect(guess.err).toContain('losing-the-whole-channel')
    expect((await fulmen('channel', 'close', channel.id)).out).toContain('shutdown')
  })

  it('creates an invoice, whose text alone is printed', async () => {
    expect((await fulmen('invoice', 'create', '5000', '--description', 'tea')).out).toBe('lnbcrt1fake\n')
    const [newest] = (await json('invoice', 'list')).items
    expect(newest).toMatchObject({ amountMsat: 5_000, description: 'tea' })
    expect((await fulmen('invoice', 'show', newest.paymentHash)).out).toContain('tea')
    expect((await fulmen('invoice', 'cancel', newest.paymentHash)).out).toContain('cancelled')
  })

  it('pays: 0 and the preimage when it succeeded, 1 and the reason when it failed', async () => {
    const paid = await fulmen('pay', 'lnbcrt1fake')
    expect(paid).toMatchObject({ code: 0, out: expect.stringMatching(/^paid 1000 msat to .*\npreimage 77/) })
    node.paymentStatus = 'failed'
    const failed = await fulmen('pay', PEER_ID, '--amount-msat', '7')
    expect(failed).toMatchObject({ code: 1, out: expect.stringMatching(/^failed: /) })
    node.paymentStatus = 'succeeded'
    expect((await fulmen('payment', 'list')).out).toContain('succeeded')
  })

  it('pays: 4 when the payment is still pending, with how to follow it', async () => {
    node.paymentStatus = 'pending'
    const said = { code: 4, err: expect.stringMatching(/goes on.*"fulmen payment show [0-9a-f]{64}"/) }
    expect(await fulmen('pay', PEER_ID, '--amount-msat', '8', '--wait', '0')).toMatchObject(said)
    const asJson = await fulmen('pay', PEER_ID, '--amount-msat', '8', '--wait', '0', '--json')
    expect(asJson).toMatchObject(said)
    expect(JSON.parse(asJson.out)).toMatchObject({ status: 'pending' })
    node.paymentStatus = 'succeeded'
    expect((await fulmen('--help')).out).toMatch(/Exit codes:\n {2}0 /)
  })

  it('acts once for one --idempotency-key', async () => {
    const before = node.paymentViews.size
    const args = ['pay', PEER_ID, '--amount-msat', '9', '--idempotency-key', 'same']
    expect(await json(...args)).toEqual(await json(...args))
    expect(node.paymentViews.size).toBe(before + 1)
  })

  it('makes, signs and sends PSBTs; a PSBT is all that standard output has', async () => {
    const asked: unknown[] = []
    const { create } = node.psbt
    const spy = vi.spyOn(node.psbt, 'create').mockImplementation(async (request) => {
      asked.push(request)
      return create(request)
    })
    const coin = `${'ab'.repeat(32)}:1`
    const made = await fulmen('wallet', 'psbt', 'create', ADDRESS, '5000', '--feerate', '2', '--utxo', coin)
    expect(made).toMatchObject({ code: 0, out: 'cHNidP8=\n', err: expect.stringContaining('fee is not known') })
    expect(asked).toEqual([
      {
        outputs: [{ address: ADDRESS, amountSat: 5000n }],
        feerateSatPerVbyte: 2,
        utxos: [{ txid: 'ab'.repeat(32), index: 1 }],
      },
    ])
    spy.mockRestore()
    for (const step of ['sign', 'finalise'])
      expect(await json('wallet', 'psbt', step, 'cHNidP8=')).toHaveProperty('txid')
    expect((await fulmen('wallet', 'psbt', 'sign', 'no psbt')).err).toContain('body /psbt')
  })

  it('says how the address of an API is written, when it is not', async () => {
    for (const url of ['127.0.0.1:9737', 'localhost:9737', 'ftp://a', 'http://'])
      expect(await run('--data-dir', dataDir, '--url', url, 'info')).toMatchObject({
        code: 2,
        err: expect.stringContaining('http://host:port'),
      })
  })

  it('takes no address with a password in it, which fetch refuses, and repeats none', async () => {
    for (const url of [
      'http://user:se/cret@127.0.0.1:9737',
      'https://secret@node.example',
      'user:secret@127.0.0.1:1',
    ]) {
      const refused = await run('--data-dir', dataDir, '--url', url, 'info')
      expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('http://host:port') })
      const error = (() => {
        try {
          return new FulmenClient({ url, key: 'x' })
        } catch (e) {
          return e
        }
      })()
      expect(error).toBeInstanceOf(TypeError)
      for (const text of [refused.err, String(error)]) expect(text).not.toMatch(/cret/)
    }
  })

  it('shows wallet, chain, graph and peers, and sends and mines', async () => {
    const { address } = await json('wallet', 'address')
    expect((await fulmen('wallet', 'send', address, '1000')).out).toContain('-1,000')
    const requests: object[] = []
    const send = node.sendOnChain.bind(node)
    node.sendOnChain = (request) => {
      requests.push(request.outputs)
      return send(request)
    }
    expect(await json('wallet', 'send', address, 'all')).toHaveProperty('txid')
    expect(requests).toEqual([[{ address, amountSat: 'all' }]])
    node.sendOnChain = send
    expect(await fulmen('wallet', 'send', address, 'everything')).toMatchObject({
      code: 2,
      err: expect.stringContaining('whole number from 0 upwards'),
    })
    expect((await fulmen('wallet', 'transactions')).out).toContain('-1,000')
    expect((await fulmen('wallet', 'utxos')).out).toContain('1111')
    expect((await fulmen('wallet', 'show')).out).toContain('confirmedSat')
    expect((await fulmen('chain', 'info')).out).toContain('height   100')
    expect((await fulmen('chain', 'block', '100')).out).toContain('txids')
    expect((await fulmen('chain', 'fees')).out).toContain('1.5')
    expect((await fulmen('chain', 'mine', '3')).out).toBe(`3 blocks, the last ${'55'.repeat(32)}\n`)
    expect((await fulmen('chain', 'mine')).out).toBe(`1 block, the last ${'55'.repeat(32)}\n`)
    expect(await json('chain', 'mine', '2')).toEqual({ blockHashes: ['55'.repeat(32), '55'.repeat(32)] })
    expect((await fulmen('graph', 'channels')).out).toContain('100x1x0')
    expect((await fulmen('graph', 'route', PEER_ID, '5')).out).toContain('fee 0 msat')
    expect((await fulmen('peer', 'connect', `${PEER_ID}@127.0.0.1:1`)).out).toContain(PEER_ID)
    expect((await fulmen('peer', 'disconnect', PEER_ID)).code).toBe(0)
  })

  it('writes the backup, readable by its owner alone', async () => {
    const out = join(dataDir, 'channels.backup')
    expect((await fulmen('backup', '--out', out)).code).toBe(0)
    expect([...(await readFile(out))]).toEqual([1, 2, 3])
    expect((await stat(out)).mode & 0o777).toBe(0o600)
  })

  it('looks whether a copy of the backup is good', async () => {
    const copy = join(dataDir, 'copy')
    await writeFile(copy, Uint8Array.of(1, 2, 3))
    expect(await fulmen('backup', '--verify', copy)).toMatchObject({ code: 0, out: expect.stringContaining('good') })
    await writeFile(copy, Uint8Array.of(1, 2))
    expect(await fulmen('backup', '--verify', copy)).toMatchObject({ code: 1, out: 'not valid: it is damaged\n' })
    expect((await fulmen('backup')).code).toBe(2)
  })

  it('masks secrets in the configuration that it prints', async () => {
    const { out } = await fulmen('config', '--chain', 'http://u:secret@127.0.0.1:1')
    expect(out).toMatch(/chain +http:\/\/u:•••@127.0.0.1:1 +--chain/)
    expect(await json('config')).toContainEqual({
      name: 'network',
      value: 'regtest',
      source: 'default',
      from: 'default',
    })
  })
})
