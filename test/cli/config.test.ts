import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type ConfigInputs, dataDirOf, resolveConfig } from '../../src/node/config.ts'
import { CONFIG_OPTIONS, type OptionName } from '../../src/node/configOptions.ts'

const folder = mkdtempSync(join(tmpdir(), 'fulmen-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const fileWith = (text: string): string => {
  const path = join(folder, `${++files}.toml`)
  writeFileSync(path, text)
  return path
}
const configOf = (inputs: Partial<ConfigInputs>) => resolveConfig({ flags: {}, env: {}, ...inputs })
const sourceOf = (inputs: Partial<ConfigInputs>, name: OptionName) =>
  configOf(inputs).entries.find((e) => e.name === name)

describe('configuration', () => {
  it('has defaults that keep to this machine', () => {
    const { config, warnings } = configOf({ flags: { 'data-dir': folder } })
    expect(config).toEqual({
      dataDir: folder,
      network: 'regtest',
      chain: { kind: 'embedded' },
      mineEverySeconds: 0,
      api: { host: '127.0.0.1', port: 9737 },
      apiHosts: [],
      listen: { host: '127.0.0.1', port: 9735 },
      announce: [],
      alias: 'fulmen',
      maxHtlcValueInFlightPercent: 100,
      anchorReserveSat: 10_000n,
      margins: { cltvExpiryDelta: 40, closeBeforeExpiry: 12, minFinalCltvExpiryDelta: 18, htlcFailDepth: 6 },
      passphraseFile: null,
      logLevel: 'info',
    })
    expect(warnings).toEqual([])
  })

  it('takes a flag over the environment over the file over the default, and says which it was', () => {
    const file = fileWith('alias = "file"\n')
    const env = { FULMEN_ALIAS: 'env' }
    const flags = { alias: 'flag' }
    expect(sourceOf({}, 'alias')).toMatchObject({ value: 'fulmen', source: 'default' })
    expect(sourceOf({ file }, 'alias')).toMatchObject({ value: 'file', source: 'file', from: file })
    expect(sourceOf({ file, env }, 'alias')).toMatchObject({
      value: 'env',
      source: 'environment',
      from: 'FULMEN_ALIAS',
    })
    expect(sourceOf({ file, env, flags }, 'alias')).toMatchObject({ value: 'flag', source: 'flag', from: '--alias' })
    expect(configOf({ file, env, flags }).config.alias).toBe('flag')
  })

  it('every option can be given in each of the three ways', () => {
    const values: Record<OptionName, string> = {
      'data-dir': folder,
      network: 'bitcoin',
      'accept-mainnet-risk': 'true',
      chain: 'http://u:p@127.0.0.1:8332',
      'mine-every': '0',
      api: '127.0.0.1:1',
      'api-without-tls': 'true',
      'api-hosts': 'a,b',
      'api-origins': 'https://shop.example,http://127.0.0.1:8080',
      tls: 'true',
      'tls-cert': '/cert.pem',
      'tls-key': '/key.pem',
      'webhook-targets': 'loopback,10.0.0.0/8',
      'oidc-issuer': 'https://id.example/realm',
      'oidc-audience': 'fulmen',
      'oidc-scope-prefix': 'fulmen/',
      'oidc-budget': '1000/60',
      'oidc-rate': '10/1',
      listen: 'none',
      announce: 'example.org:9735',
      alias: 'x',
      'minimum-depth': '8',
      'max-htlc-value-in-flight-percent': '45',
      'anchor-reserve': '0',
      'cltv-expiry-delta': '80',
      'close-before-expiry': '20',
      'htlc-fail-depth': '9',
      'min-final-cltv-expiry-delta': '30',
      'passphrase-file': '/p',
      'log-level': 'debug',
    }
    const env = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`FULMEN_${name.toUpperCase().replaceAll('-', '_')}`, value]),
    )
    const file = fileWith(
      Object.entries(values)
        .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
        .join('\n'),
    )
    const expected = configOf({ flags: values }).config
    expect(expected).toMatchObject({ network: 'bitcoin', listen: null, apiHosts: ['a', 'b'], logLevel: 'debug' })
    expect(configOf({ env }).config).toEqual(expected)
    expect(configOf({ file }).config).toEqual(expected)
    expect(Object.keys(values).sort()).toEqual(Object.keys(CONFIG_OPTIONS).sort())
  })

  it('says who may call the API: nobody beyond this machine unless TLS or a flag is given', () => {
    const accessOf = (flags: Record<string, string>) => configOf({ flags }).access
    expect(accessOf({})).toEqual({ tls: null, origins: [], issuer: null, webhookTargets: [] })
    const anywhere = { api: '0.0.0.0:9737' }
    expect(() => accessOf(anywhere)).toThrow(/use --tls/)
    expect(configOf({ flags: { ...anywhere, tls: 'true' } }).warnings).toEqual([])
    expect(configOf({ flags: { ...anywhere, 'api-without-tls': 'true' } }).warnings).toHaveLength(1)
    expect(accessOf({ tls: 'true' }).tls).toEqual({ kind: 'own' })
    const files = { kind: 'files', cert: resolve('c'), key: resolve('k') }
    expect(accessOf({ 'tls-cert': 'c', 'tls-key': 'k' }).tls).toEqual(files)
    expect(() => accessOf({ 'tls-cert': 'c' })).toThrow('belong together')
    expect(accessOf({ 'webhook-targets': 'loopback,10.0.0.0/8' }).webhookTargets).toEqual([
      '127.0.0.0/8',
      '::1',
      '10.0.0.0/8',
    ])
    for (const network of ['127.0.0.1:29999', '10.0.0.0/33', 'localhost'])
      expect(() => accessOf({ 'webhook-targets': network })).toThrow(
        /^webhook-targets \(--webhook-targets\): .*"loopback"/,
      )
    for (const host of ['*', 'https://node.example', 'node.example/x', 'fd00::1'])
      expect(() => accessOf({ 'api-hosts': host })).toThrow(/^api-hosts .*expected names/)
    expect(configOf({ flags: { 'api-hosts': 'node.example:443,[fd00::1]' } }).config.apiHosts).toHaveLength(2)
    for (const origin of ['*', 'https://a.example/', 'https://a.example/path', 'a.example', 'null'])
      expect(() => accessOf({ 'api-origins': origin })).toThrow('expected origins')
  })

  it('an issuer of tokens comes with an audience, over TLS or from this machine', () => {
    const issuer = { 'oidc-issuer': 'https://id.example/realm', 'oidc-audience': 'fulmen' }
    const issuerOf = (flags: Record<string, string>) => configOf({ flags }).access.issuer
    expect(issuerOf({ ...issuer, 'oidc-budget': '5000/60', 'oidc-rate': '10/1' })).toEqual({
      issuer: 'https://id.example/realm',
      audience: 'fulmen',
      scopePrefix: '',
      budget: { maxMsat: 5000, periodSeconds: 60 },
      rateLimit: { maxRequests: 10, periodSeconds: 1 },
    })
    expect(issuerOf({ ...issuer, 'oidc-budget': '5000' })?.budget).toEqual({ maxMsat: 5000, periodSeconds: null })
    expect(() => issuerOf({ 'oidc-issuer': 'https://id.example' })).toThrow('needs oidc-audience')
    expect(() => issuerOf({ 'oidc-audience': 'x' })).toThrow('need oidc-issuer')
    for (const url of ['http://id.example', 'https://u@id.example', 'https://id.example?x', 'ftp://id.example', 'id'])
      expect(() => issuerOf({ ...issuer, 'oidc-issuer': url })).toThrow(/oidc-issuer/)
    for (const rate of ['10', '0/1', '1/0', '-1/1', '1.5/1'])
      expect(() => issuerOf({ ...issuer, 'oidc-rate': rate })).toThrow(/oidc-rate/)
  })

  it('the file may hold numbers, switches and lists of its own types', () => {
    const file = fileWith(
      'mine-every = 5\napi-without-tls = true\napi = "0.0.0.0:9737"\napi-hosts = ["alice", "bob"]\n',
    )
    expect(configOf({ file }).config).toMatchObject({
      mineEverySeconds: 5,
      apiHosts: ['alice', 'bob'],
      api: { host: '0.0.0.0' },
    })
  })

  it('finds fulmen.toml in the data directory, wherever that was said', () => {
    writeFileSync(join(folder, 'fulmen.toml'), 'alias = "found"\n')
    expect(configOf({ flags: { 'data-dir': folder } }).config.alias).toBe('found')
    expect(configOf({ env: { FULMEN_DATA_DIR: folder } }).config.alias).toBe('found')
    writeFileSync(join(folder, 'fulmen.toml'), 'data-dir = "/elsewhere"\n')
    expect(() => configOf({ flags: { 'data-dir': folder } })).toThrow(/data-dir is what this file was found by/)
    rmSync(join(folder, 'fulmen.toml'))
    expect(() => configOf({ file: join(folder, 'missing.toml') })).toThrow(/missing.toml: cannot be read/)
    expect(() => configOf({ env: { FULMEN_CONFIG: join(folder, 'missing.toml') } })).toThrow(
      /missing.toml: cannot be read/,
    )
  })

  it('makes paths absolute, and ~ the home directory', () => {
    expect(dataDirOf(undefined, {})).toBe(join(homedir(), '.fulmen'))
    expect(dataDirOf('~', {})).toBe(homedir())
    expect(dataDirOf('x/~y', {})).toBe(resolve('x/~y'))
    expect(dataDirOf(undefined, { FULMEN_DATA_DIR: '/d' })).toBe('/d')
    expect(dataDirOf('/f', { FULMEN_DATA_DIR: '/d' })).toBe('/f')
    expect(configOf({ flags: { 'passphrase-file': 'p' } }).config.passphraseFile).toBe(resolve('p'))
  })

  it('masks the password of the Bitcoin node where it shows the configuration, not where it uses it', () => {
    const url = 'http://user:pa:ss@word@127.0.0.1:18443'
    const { config, entries } = configOf({ env: { FULMEN_CHAIN: url } })
    expect(config.chain).toEqual({ kind: 'bitcoind', url })
    expect(JSON.stringify(entries)).not.toMatch(/pa:ss|word/)
    expect(entries.find((e) => e.name === 'chain')?.value).toBe('http://user:•••@127.0.0.1:18443')
  })

  it('warns of variables that are no option, of test networks and of an API that others can reach', () => {
    expect(configOf({ env: { FULMEN_PASSPHRASE: 'x', FULMEN_KEY: 'y', PATH: 'z' } }).warnings).toEqual([
      'FULMEN_PASSPHRASE in the environment is not an option of fulmen and is ignored',
    ])
    const remote = { network: 'signet', chain: 'http://u:p@h:1', api: '0.0.0.0:1', 'api-without-tls': true }
    expect(configOf({ flags: remote }).warnings).toEqual([
      expect.stringMatching(/^signet/),
      expect.stringMatching(/0\.0\.0\.0 without TLS/),
    ])
  })

  it('the main network is for those who say that they know the risk, and are told of it at each start', () => {
    const flags = { network: 'mainnet', 'accept-mainnet-risk': true, chain: 'http://u:p@h:1' }
    const { config, warnings } = configOf({ flags })
    expect(config.network).toBe('bitcoin')
    expect(warnings).toEqual([expect.stringMatching(/^bitcoin: .* no more than you can lose/)])
  })

  it('an empty variable is as if it were not there', () => {
    expect(configOf({ env: { FULMEN_NETWORK: '', FULMEN_ALIAS: '' } }).config).toMatchObject({
      network: 'regtest',
      alias: 'fulmen',
    })
  })
})

describe('a configuration that cannot be used is refused with a ConfigError that names option and source', () => {
  it.each([
    [
      { network: 'bitcoin', chain: 'http://u:p@h:1' },
      /^network \(--network\): bitcoin is refused: .* or say --accept-mainnet-risk/,
    ],
    [{ network: 'mainnet' }, /bitcoin is refused/],
    [{ network: 'litecoin' }, /there is no network "litecoin"/],
    [{ chain: 'ftp://u:p@h:1' }, /expected "embedded" or http/],
    [{ chain: 'http://127.0.0.1:18443' }, /needs its RPC user and password/],
    [{ network: 'signet' }, /the embedded chain is regtest/],
    [{ chain: 'http://u:p@h:1', 'mine-every': '5' }, /only the embedded chain is mined/],
    [{ 'mine-every': '1.5' }, /expected whole seconds/],
    [{ 'mine-every': '' }, /expected whole seconds/],
    [{ api: '127.0.0.1' }, /expected host:port/],
    [{ api: '127.0.0.1:65536' }, /expected host:port/],
    [{ api: '::1:80' }, /IPv6 in brackets/],
    [{ api: '0.0.0.0:9737' }, /--api-without-tls/],
    [{ api: '[::]:9737' }, /--api-without-tls/],
    [{ api: 'example.org:9737' }, /--api-without-tls/],
    [{ listen: 'nowhere' }, /expected host:port/],
    [{ announce: 'a:1,b' }, /expected host:port/],
    [{ announce: '1.2.3.4:0' }, /^announce .*nobody can connect to port 0 of 1.2.3.4$/],
    [{ announce: 'é.example:9735' }, /no address that can be announced/],
    [{ announce: 'a.example:1,1.2.3.4:1,b.example:1' }, /one host name at most/],
    [{ alias: 'é'.repeat(17) }, /at most 32 bytes of UTF-8, this one has 34/],
    [{ alias: 'a\u0007' }, /no control characters/],
    [{ 'log-level': 'loud' }, /expected one of silent/],
    [{ 'log-level': 'info,pear=debug' }, /log-level.*expected part=level with one of node, peer/],
    [{ 'passphrase-file': '' }, /expected a path/],
    [{ 'anchor-reserve': '-1' }, /expected satoshis from 0 to 10000000/],
    [{ 'anchor-reserve': '0.5' }, /expected satoshis from 0/],
    [{ 'anchor-reserve': '10000001' }, /expected satoshis from 0/],
    [{ 'max-htlc-value-in-flight-percent': '0' }, /expected whole percent from 1 to 100/],
    [{ 'max-htlc-value-in-flight-percent': '101' }, /expected whole percent from 1 to 100/],
    [{ 'max-htlc-value-in-flight-percent': '2.5' }, /expected whole percent from 1 to 100/],
    [{ 'cltv-expiry-delta': 'many' }, /expected a number of blocks/],
    [{ 'close-before-expiry': '6' }, /^close-before-expiry: 6 blocks are too few .* at least 7$/],
    [{ 'htlc-fail-depth': '0' }, /^htlc-fail-depth: 0 is not from 1 to 144 blocks$/],
    [{ 'htlc-fail-depth': '30' }, /^cltv-expiry-delta: .* htlc-fail-depth 30 at least 50$/],
    [
      { 'cltv-expiry-delta': '25' },
      /^cltv-expiry-delta: .* with close-before-expiry 12 and htlc-fail-depth 6 at least 26$/,
    ],
    [{ 'close-before-expiry': '13' }, /^min-final-cltv-expiry-delta: .* with close-before-expiry 13 at least 19$/],
  ])('%o', (flags, message) => {
    expect(() => configOf({ flags: { ...flags } as Record<string, string> })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    )
    expect(() => configOf({ flags: { ...flags } as Record<string, string> })).toThrow(message)
  })

  it('file: a mistake beside a password is told of without the password', () => {
    const file = fileWith('chain = "http://user:hunter2@127.0.0.1:8332"\nalias = oh no\n')
    let message = ''
    try {
      configOf({ file })
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toMatch(/\.toml: .* \(line 2\)$/)
    expect(message).not.toContain('hunter2')
  })

  it.each([
    ['not toml =', /\.toml: /],
    ['aliass = "x"', /there is no option "aliass"; there are data-dir, /],
    ['alias = { a = 1 }', /alias: expected text/],
    ['network = "bitcoin"', /^network \(.*\.toml\): bitcoin is refused/],
  ])('file: %s', (text, message) => {
    expect(() => configOf({ file: fileWith(text) })).toThrow(message)
  })

  it('environment', () => {
    expect(() => configOf({ env: { FULMEN_API_WITHOUT_TLS: 'yes' } })).toThrow(
      'api-without-tls (FULMEN_API_WITHOUT_TLS): expected true or false, got "yes"',
    )
  })

  it('loopback in any spelling needs no permission', () => {
    for (const api of ['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1'])
      expect(configOf({ flags: { api } }).warnings).toEqual([])
  })
})
