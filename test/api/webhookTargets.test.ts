import { createPrivateKey, createPublicKey } from 'node:crypto'
import { createServer } from 'node:https'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { newKey, selfSigned } from '../../src/api/tls/certificate.ts'
import { Poster } from '../../src/api/webhooks/post.ts'
import { isPublic, Targets } from '../../src/api/webhooks/target.ts'
import { Receiver } from './receiver.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0)) await thing.close()
})

const verdict = (targets: Targets, url: string): Promise<string> =>
  targets.check(url).then(
    () => 'allowed',
    (error: { code: string }) => error.code,
  )

/** What the internet's own registries say is not the public internet, in every spelling that a URL knows. */
const REFUSED = [
  'https://127.0.0.1/',
  'https://127.1/',
  'https://2130706433/',
  'https://0x7f.0.0.1/',
  'https://0177.0.0.1/',
  'https://127.0.0.1.:443/',
  'https://localhost/',
  'https://LOCALHOST:8443/',
  'https://localhost./',
  'https://0.0.0.0/',
  'https://0/',
  'https://10.0.0.1/',
  'https://172.16.0.1/',
  'https://172.31.255.255/',
  'https://192.168.1.1/',
  'https://169.254.169.254/latest/meta-data/',
  'https://[fe80::1]/',
  'https://100.100.100.200/',
  'https://192.0.0.192/',
  'https://198.18.0.1/',
  'https://224.0.0.1/',
  'https://255.255.255.255/',
  'https://[::1]/',
  'https://[::]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[::ffff:a9fe:a9fe]/',
  'https://[::127.0.0.1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[2002:7f00:1::]/',
  'https://[2001:0:7f00:1::]/',
  'https://[fd00:ec2::254]/',
  'https://[fc00::1]/',
  'https://[ff02::1]/',
  'https://[2001:db8::1]/',
  'https://①②⑦.0.0.1/',
  'http://93.184.215.14/',
  'http://example.org/',
  'https://user:pass@93.184.215.14/',
  'https://user@93.184.215.14/',
  'ftp://93.184.215.14/',
  'file:///etc/passwd',
  'gopher://127.0.0.1:9735/',
  'unix:/run/docker.sock',
  'javascript:1',
  'data:text/plain,x',
  '//93.184.215.14/',
  'https://',
  'https:///',
  '',
  `https://93.184.215.14/${'a'.repeat(2_000)}`,
]

describe('targets of webhooks', () => {
  it.each(REFUSED)('by default, never: %s', async (url) => {
    expect(await verdict(new Targets([]), url)).toBe('VALIDATION_FAILED')
  })

  it.each([
    'https://93.184.215.14/',
    'https://93.184.215.14:8443/a?b=c',
    'https://[2606:4700::1111]/x',
    'HTTPS://93.184.215.14',
  ])('public: %s', async (url) => expect(await verdict(new Targets([]), url)).toBe('allowed'))

  it('what the operator names is allowed, over http too, and nothing beside it', async () => {
    const targets = new Targets(['127.0.0.0/8', 'fd00::/8'])
    for (const url of ['http://127.0.0.1:8080/', 'https://127.9.9.9/', 'http://[fd00::5]/', 'https://93.184.215.14/'])
      expect([url, await verdict(targets, url)]).toEqual([url, 'allowed'])
    for (const url of ['http://10.0.0.1/', 'https://[::1]/', 'http://93.184.215.14/', 'https://169.254.169.254/'])
      expect([url, await verdict(targets, url)]).toEqual([url, 'VALIDATION_FAILED'])
  })

  it('networks that are none are refused at the start', () => {
    for (const text of ['localhost', '10.0.0.0/33', '10.0.0', '::/129'])
      expect(() => new Targets([text])).toThrow('is no network')
  })

  it('no address of a private range is ever public, however it is embedded', () => {
    const byte = fc.nat(255)
    const priv = fc.oneof(
      fc.tuple(fc.constant(10), byte, byte, byte),
      fc.tuple(fc.constant(127), byte, byte, byte),
      fc.tuple(fc.constant(192), fc.constant(168), byte, byte),
      fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), byte, byte),
      fc.tuple(fc.constant(169), fc.constant(254), byte, byte),
    )
    fc.assert(
      fc.property(priv, (v4) => {
        const hex = v4.map((b) => b.toString(16).padStart(2, '0')).join('')
        const groups = `${hex.slice(0, 4)}:${hex.slice(4)}`
        const spellings = [
          v4.join('.'),
          `::ffff:${v4.join('.')}`,
          `::ffff:${groups}`,
          `::${groups}`,
          `64:ff9b::${groups}`,
        ]
        for (const address of [...spellings, `2002:${groups}::1`])
          expect([address, isPublic(address)]).toEqual([address, false])
      }),
    )
  })

  it('any text at all is a typed refusal or allowed, never anything else', async () => {
    const targets = new Targets([])
    const text = fc.oneof(
      fc.webUrl({ validSchemes: ['http', 'ftp', 'ws'] }),
      fc.string({ unit: 'binary', maxLength: 60 }),
    )
    await fc.assert(
      fc.asyncProperty(text, async (url) => {
        expect(['allowed', 'VALIDATION_FAILED']).toContain(await verdict(targets, url.replace(/^https:/i, 'http:')))
      }),
      { numRuns: 40 },
    )
  })
})

describe('a post', () => {
  const post = (url: string, allowed: readonly string[]) => {
    const poster = new Poster(new Targets(allowed), 5_000)
    open.push(poster)
    return poster.post({ url, headers: {}, body: '{}' }, new AbortController().signal)
  }

  it('goes nowhere that its name leads to by another way: what was allowed when it was made is looked at again', async () => {
    const receiver = await Receiver.open()
    open.push(receiver)
    const { port } = receiver
    expect(await post(`http://localhost:${port}/`, [])).toMatchObject({ status: null, error: 'TARGET_NOT_ALLOWED' })
    expect(await post(`http://127.0.0.1:${port}/`, ['10.0.0.0/8'])).toMatchObject({ error: 'TARGET_NOT_ALLOWED' })
    expect(await post(`http://[::ffff:127.0.0.1]:${port}/`, ['10.0.0.0/8'])).toMatchObject({
      error: 'TARGET_NOT_ALLOWED',
    })
    expect(receiver.got).toEqual([])
    expect(await post(`http://localhost:${port}/`, ['127.0.0.0/8', '::1'])).toMatchObject({ status: 204 })
    expect(receiver.got).toHaveLength(1)
  })

  it('over https takes no certificate that nobody vouches for', async () => {
    const key = newKey()
    const privateKey = createPrivateKey(key)
    const cert = selfSigned({ privateKey, publicKey: createPublicKey(privateKey) }, ['127.0.0.1'], Date.now())
    let asked = 0
    const server = createServer({ key, cert }, (_request, response) => {
      asked++
      response.end()
    })
    open.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const outcome = await post(`https://127.0.0.1:${port}/`, ['127.0.0.0/8'])
    expect(outcome).toMatchObject({ status: null, error: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    expect(asked).toBe(0)
  })
})
