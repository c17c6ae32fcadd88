import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { FulmenClient } from '../../src/client/index.ts'
import { ServiceError } from '../../src/node/errors.ts'
import { NODE_ID, PEER_ID } from '../api/fakeNode.ts'
import { api, dataDir, fulmen, node, setNode } from './fakeNode.ts'
import { run } from './run.ts'

const ADDRESS = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'
setNode()

describe('exit codes', () => {
  it('1 when the node refuses, with its words and the code', async () => {
    node.beforeAct = async () => {
      throw new ServiceError('NO_ROUTE', 'Open a channel first.')
    }
    expect(await fulmen('pay', 'lnbcrt1fake')).toMatchObject({
      code: 1,
      err: 'fulmen: Open a channel first. [NO_ROUTE]\n',
      out: '',
    })
  })

  it('1 for a key that works no more, with the way to another one', async () => {
    const key = `fulmen_000000000000_${'00'.repeat(32)}`
    const err = expect.stringMatching(/\[KEY_INVALID\] .*"fulmen key reset"/)
    expect(await fulmen('info', '--key', key)).toMatchObject({ code: 1, err })
  })

  it.each([
    [['nonsense'], /unknown command/],
    [['help', 'chanel'], /unknown command.*\n.*channel/],
    [['channel', 'open', PEER_ID], /missing required argument/],
    [['channel', 'open', PEER_ID, 'many'], /whole number/],
    // Half a bitcoin, a thousand, or who knows what: never 5, 1 or 15.
    ...['0,5', '0,500', '1.000', '1,5', '1,00,000', '1,0000', '1.0', '1e3', '0x10', '_1', '1_', '+5', ''].map(
      (amount): [string[], RegExp] => [['wallet', 'send', ADDRESS, amount], /whole number/],
    ),
    [['pay', 'x', '--max-fee-msat', '-1'], /whole number/],
    [['channel', 'list', '--colour', 'red'], /unknown option/],
    [['config', '--network', 'bitcoin'], /bitcoin is refused/],
    [['start', '--network', 'bitcoin'], /bitcoin is refused/],
  ])('2 when the command line or the configuration is wrong: %j', async (args, message) => {
    expect(await fulmen(...args)).toMatchObject({ code: 2, err: expect.stringMatching(message) })
  })

  it('1 for an empty key file, with the way to another key', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'fulmen-key-'))
    await writeFile(join(dir, 'admin.key'), '\n')
    const said = { code: 1, err: expect.stringMatching(/admin\.key is empty: "fulmen key reset"/) }
    expect(await run('--data-dir', dir, 'info')).toMatchObject(said)
    await rm(dir, { recursive: true })
  })

  it('with what the system says, and no stack, where a file or an address cannot be used', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'fulmen-system-'))
    const start = [
      '--data-dir',
      dir,
      'start',
      '--listen',
      '127.0.0.1:0',
      '--api',
      '192.0.2.1:1',
      '--api-without-tls',
      '--log-level',
      'silent',
    ]
    for (const [code, message, args] of [
      [1, `${dataDir} cannot be written`, ['--data-dir', dataDir, 'backup', '--out', dataDir]],
      [
        2,
        'passphrase-file: /nowhere cannot be read',
        ['--data-dir', dir, 'seed', 'show', '--passphrase-file', '/nowhere'],
      ],
      [1, 'api: 192.0.2.1:1 cannot be listened on', start],
    ] as const) {
      const ran = await run(...args)
      expect(ran).toMatchObject({ code, err: expect.stringContaining(message) })
      expect(ran.err).not.toMatch(/\n +at /)
    }
    await rm(dir, { recursive: true })
  })

  it('1 with nothing left listening, when a node cannot write where its API is', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'fulmen-url-'))
    await mkdir(join(dir, 'api.url'))
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const at = `127.0.0.1:${(probe.address() as AddressInfo).port}`
    probe.close()
    await once(probe, 'close')
    const args = ['--data-dir', dir, 'start', '--listen', '127.0.0.1:0', '--api', at, '--log-level', 'silent']
    expect(await run(...args)).toMatchObject({ code: 1, err: expect.stringContaining('api.url') })
    await expect(fetch(`http://${at}/health/live`)).rejects.toThrow('fetch failed')
    await rm(dir, { recursive: true })
  })

  it('2 without a key, 3 when nothing answers', async () => {
    vi.stubEnv('FULMEN_KEY', undefined)
    expect(await run('--data-dir', '/nowhere', 'info')).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no key at /nowhere/admin.key'),
    })
    expect(await run('--url', 'http://127.0.0.1:1', '--key', 'x', 'chain', 'mine')).toMatchObject({
      code: 3,
      err: expect.stringContaining('http://127.0.0.1:1 does not answer'),
    })
  })

  it('2 where the key is there and cannot be read, which is not told as none', async () => {
    vi.stubEnv('FULMEN_KEY', undefined)
    const dir = await mkdtemp(join(tmpdir(), 'fulmen-no-key-'))
    await mkdir(join(dir, 'admin.key'))
    const { code, err } = await run('--data-dir', dir, 'info')
    expect([code, err]).toEqual([2, expect.stringMatching(/key cannot be read \(EISDIR.*FULMEN_KEY/)])
    await rm(dir, { recursive: true })
  })

  it('3 with the key to repeat it by, when the connection broke over a call that may have moved money', async () => {
    const server = createServer((socket) => void socket.on('error', () => {}).once('data', () => socket.destroy()))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const args = ['--url', url, '--key', 'x', 'pay', PEER_ID, '--amount-msat', '7']
    expect(await run(...args, '--idempotency-key', 'order-7')).toMatchObject({
      code: 3,
      err: expect.stringMatching(/may have been carried out.*order-7.*--idempotency-key/),
    })
    server.close()
  })

  it('2 for a key that no header can have: nothing was sent, and nothing may have been carried out', async () => {
    const before = node.paymentViews.size
    const pay = ['pay', PEER_ID, '--amount-msat', '7']
    for (const args of [
      ['--key', 'secrét⚡', ...pay],
      ['--key', 'fulmen_secr\net', ...pay],
      [...pay, '--idempotency-key', '⚡'],
    ]) {
      const ran = await fulmen(...args)
      expect(ran).toMatchObject({
        code: 2,
        err: expect.stringMatching(/[kK]ey: expected visible ASCII.*nothing was sent/),
      })
      expect(ran.err).not.toMatch(/secr|may have/)
    }
    expect(node.paymentViews.size).toBe(before)
    const key = await readFile(join(dataDir, 'admin.key'), 'utf8')
    for (const url of [api.url, `${api.url} `])
      expect(await new FulmenClient({ url, key }).node()).toMatchObject({ nodeId: NODE_ID })
  })

  it('as one object on standard error with --json: what the node said, or a code and what to do', async () => {
    node.beforeAct = async () => {
      throw new ServiceError('NO_ROUTE', 'Open a channel first.')
    }
    const told = async (...args: readonly string[]) => {
      const { code, out, err } = await run('--data-dir', dataDir, ...args)
      return [code, out, JSON.parse(err)]
    }
    const refused = { code: 'NO_ROUTE', status: 422, detail: 'Open a channel first.', title: expect.any(String) }
    expect(await told('pay', 'lnbcrt1fake', '--json')).toEqual([1, '', expect.objectContaining(refused)])
    node.beforeAct = async () => {}
    const unsound = { code: 'VALIDATION_FAILED', errors: [expect.objectContaining({ pointer: '/amountMsat' })] }
    expect(await told('--json', 'pay', PEER_ID)).toEqual([1, '', expect.objectContaining(unsound)])
    const detail = expect.any(String)
    const away = ['--json', '--url', 'http://127.0.0.1:1', '--key', 'x', 'info']
    expect(await told(...away)).toEqual([3, '', { code: 'NODE_UNREACHABLE', detail }])
    for (const args of [
      ['nonsense'],
      ['info', '--colour'],
      ['channel', 'open', PEER_ID],
      ['pay', 'x', '--max-parts', '-1'],
      ['channel'],
      [],
    ])
      expect(await told(...args, '--json')).toEqual([2, '', { code: 'USAGE', detail }])
    expect(await told('config', '--network', 'bitcoin', '--json')).toEqual([2, '', { code: 'CONFIG_INVALID', detail }])
    expect(await told('backup', '--out', dataDir, '--json')).toEqual([1, '', { code: 'FAILED', detail }])
    expect((await run('--json', '--help')).code).toBe(0)
  })

  it('0 for help and version', async () => {
    expect(await fulmen('--help')).toMatchObject({ code: 0, out: expect.stringContaining('channel') })
    expect(await fulmen('help', 'pay')).toMatchObject({ code: 0, out: expect.stringContaining('--max-fee-msat') })
    expect(await fulmen('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
    expect(await fulmen('start', '--help')).toMatchObject({
      code: 0,
      out: expect.stringContaining('--api-without-tls'),
    })
  })
})
