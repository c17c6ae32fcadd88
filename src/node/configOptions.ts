import { utf8 } from '../base/bytes.ts'
import { type Sat, sat } from '../base/units.ts'
import { isNetwork, type Network } from '../bitcoin/networks.ts'
import { MOST_DEPTH } from '../channel/parameters.ts'
import { ANCHOR_RESERVE_SAT } from '../wallet/build.ts'
import { networkAddress } from '../wire/address.ts'
import { parseCidr } from './cidr.ts'
import { ConfigError } from './errors.ts'
import { LOG_LEVELS, LOG_PARTS, logLevelsText, readLogLevels } from './logLevels.ts'
import { DEFAULT_MARGINS } from './margins.ts'
import { DEFAULT_DEPTH, DEFAULT_IN_FLIGHT_PERCENT } from './policy.ts'

export interface Endpoint {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

export type ChainConfig =
  | { readonly kind: 'embedded' }
  /** Bitcoin Core or what speaks its JSON-RPC; the URL holds user and password. */
  | { readonly kind: 'bitcoind'; readonly url: string }

/** An option of `fulmen start`: also FULMEN_… in the environment and a key of fulmen.toml. */
export interface ConfigOption<T> {
  /** How `--help` writes its value; null for a switch. */
  readonly placeholder: string | null
  readonly describe: string
  /** As text, as a user would write it; null: none. */
  readonly fallback: string | null
  /** @throws ConfigError saying what is wrong with the text */
  readonly read: (text: string) => T
  /** What may be shown of the value. */
  readonly mask?: (text: string) => string
}

const wrong = (why: string): never => {
  throw new ConfigError(why)
}

/** Loopback addresses and the name that stands for them. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)

/** `host:port` or `[v6]:port`; port 0 takes a free one. */
export function readEndpoint(text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535) return wrong(`expected host:port (IPv6 in brackets), got "${text}"`)
  return { host: match[1] ?? match[2] ?? '', port }
}

/** What other nodes take of an announcement. @source BOLT 7 §the-node_announcement-message */
function readAnnounced(text: string): readonly Endpoint[] {
  const endpoints = text.split(',').flatMap((part) => (part.trim() ? [readEndpoint(part.trim())] : []))
  const kinds = endpoints.map(({ host, port }) => {
    if (port === 0) return wrong(`nobody can connect to port 0 of ${host}`)
    try {
      return networkAddress(host, port).tag
    } catch {
      return wrong(`"${host}" is no address that can be announced: IP addresses, onions and plain ASCII names are`)
    }
  })
  if (kinds.filter((kind) => kind === 'dns').length > 1)
    return wrong('one host name at most: nodes do not pass on an announcement with several')
  return endpoints
}

const MAIN: readonly string[] = ['bitcoin', 'mainnet', 'main']

const readNetwork = (text: string): Network => {
  if (MAIN.includes(text)) return 'bitcoin'
  return isNetwork(text) ? text : wrong(`there is no network "${text}": use regtest, signet, testnet or bitcoin`)
}

function readChain(text: string): ChainConfig {
  if (text === 'embedded') return { kind: 'embedded' }
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol)) return wrong('expected "embedded" or http://user:password@host:port')
  if (!url.username || !url.password) {
    return wrong("the Bitcoin node's address needs its RPC user and password: http://user:password@host:port")
  }
  return { kind: 'bitcoind', url: text }
}

function readAlias(text: string): string {
  if (utf8(text).length > 32) return wrong(`an alias has at most 32 bytes of UTF-8, this one has ${utf8(text).length}`)
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(text) ? wrong('an alias has no control characters') : text
}

function readBoolean(text: string): boolean {
  if (text === 'true' || text === '1') return true
  return text === 'false' || text === '0' ? false : wrong(`expected true or false, got "${text}"`)
}

function readSeconds(text: string): number {
  const seconds = Number(text)
  return Number.isInteger(seconds) && seconds >= 0 && seconds <= 86_400 && text.trim() !== ''
    ? seconds
    : wrong(`expected whole seconds from 0 to 86400, got "${text}"`)
}

function readBlocks(text: string): number {
  const blocks = Number(text)
  return /^\d{1,4}$/.test(text.trim()) && blocks <= 2016
    ? blocks
    : wrong(`expected a number of blocks from 0 to 2016, got "${text}"`)
}

function readDepth(text: string): number {
  const blocks = readBlocks(text)
  return blocks >= 1 && blocks <= MOST_DEPTH ? blocks : wrong(`expected 1 to ${MOST_DEPTH} blocks, got "${text}"`)
}

function readPercent(text: string): number {
  const percent = Number(text)
  return /^\d{1,3}$/.test(text.trim()) && percent >= 1 && percent <= 100
    ? percent
    : wrong(`expected whole percent from 1 to 100, got "${text}"`)
}

/** More than a tenth of a bitcoin for each channel is a slip. */
const MOST_RESERVE_SAT = 10_000_000
function readReserve(text: string): Sat {
  return /^\d{1,8}$/.test(text.trim()) && Number(text) <= MOST_RESERVE_SAT
    ? sat(BigInt(text.trim()))
    : wrong(`expected satoshis from 0 to ${MOST_RESERVE_SAT}, got "${text}"`)
}

const readNames = (text: string): readonly string[] => text.split(',').flatMap((name) => name.trim() || [])

/** Exactly what a browser sends as Origin. */
function readOrigins(text: string): readonly string[] {
  const origins = readNames(text)
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      wrong(`expected origins like https://shop.example:8443 (no path, no *), got "${origin}"`)
    }
  }
  return origins
}

function readIssuer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : wrong(`expected a URL, got "${text}"`)
  const isSafe =
    url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
  if (!isSafe || url.search !== '' || url.hash !== '' || url.username !== '') {
    wrong(`expected https:// (http:// on this machine), without query, fragment and user, got "${text}"`)
  }
  return text
}

/** `N/SECONDS`; the seconds may be left out where there is no period. */
function readPer(text: string, isPeriodNeeded: boolean): { readonly count: number; readonly seconds: number | null } {
  const match = /^(\d{1,16})(?:\/(\d{1,9}))?$/.exec(text)
  const [count, seconds] = [Number(match?.[1]), match?.[2] === undefined ? null : Number(match[2])]
  if (!match || !Number.isSafeInteger(count) || count < 1 || seconds === 0 || (isPeriodNeeded && seconds === null)) {
    return wrong(`expected a number and a period in seconds, like 100/60, got "${text}"`)
  }
  return { count, seconds }
}

const readPath = (text: string): string => (text === '' ? wrong('expected a path') : text)

const LOOPBACK = ['127.0.0.0/8', '::1']
const readTargets = (text: string): readonly string[] =>
  readNames(text).flatMap((name) => {
    if (name === 'loopback') return LOOPBACK
    return parseCidr(name) ? name : wrong(`expected "loopback", addresses or networks like 10.0.0.0/8, got "${name}"`)
  })

/** As they stand in a Host header, whose port does not matter. */
const readHosts = (text: string): readonly string[] =>
  readNames(text).map((name) =>
    /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?$/.test(name)
      ? name
      : wrong(`expected names like node.example or addresses (IPv6 in brackets), got "${name}"`),
  )

type OptionalPer = { readonly count: number; readonly seconds: number | null } | null

const option = <T>(o: ConfigOption<T>): ConfigOption<T> => o

/** Every option, in the order that `fulmen config` shows them. */
export const CONFIG_OPTIONS = {
  'data-dir': option({
    placeholder: 'DIR',
    describe: 'where the node keeps its seed, channels and keys',
    fallback: '~/.fulmen',
    read: readPath,
  }),
  network: option({
    placeholder: 'NAME',
    describe: 'regtest, signet, testnet, or bitcoin with --accept-mainnet-risk',
    fallback: 'regtest',
    read: readNetwork,
  }),
  'accept-mainnet-risk': option({
    placeholder: null,
    describe: 'run on the main network though this software is young: with no more than you can lose',
    fallback: 'false',
    read: readBoolean,
  }),
  chain: option({
    placeholder: 'SOURCE',
    describe: '"embedded" (regtest), or http://user:password@host:port of a Bitcoin node',
    fallback: 'embedded',
    read: readChain,
    mask: (text) => text.replace(/^(\w+:\/\/[^:@/]*):.*@/, '$1:•••@'),
  }),
  'mine-every': option({
    placeholder: 'SECONDS',
    describe: 'mine a block of the embedded chain regularly; 0: only when asked',
    fallback: '0',
    read: readSeconds,
  }),
  api: option({
    placeholder: 'HOST:PORT',
    describe: 'where the REST API listens',
    fallback: '127.0.0.1:9737',
    read: readEndpoint,
  }),
  'api-without-tls': option({
    placeholder: null,
    describe: 'allow an API address that others can reach, although keys and answers travel unencrypted',
    fallback: 'false',
    read: readBoolean,
  }),
  'api-hosts': option({
    placeholder: 'NAMES',
    describe: 'further names by which clients may call the API, separated by commas',
    fallback: '',
    read: readHosts,
  }),
  'api-origins': option({
    placeholder: 'ORIGINS',
    describe: 'web pages of other origins that may call the API (CORS), like https://shop.example, separated by commas',
    fallback: '',
    read: readOrigins,
  }),
  tls: option({
    placeholder: null,
    describe: 'serve the API over TLS with a certificate that the node makes and renews itself',
    fallback: 'false',
    read: readBoolean,
  }),
  'tls-cert': option<string | null>({
    placeholder: 'FILE',
    describe: 'serve the API over TLS with this certificate chain (PEM); read again when it changes',
    fallback: null,
    read: readPath,
  }),
  'tls-key': option<string | null>({
    placeholder: 'FILE',
    describe: 'the key of --tls-cert (PEM)',
    fallback: null,
    read: readPath,
  }),
  'webhook-targets': option({
    placeholder: 'NETWORKS',
    describe:
      'where webhooks may go besides public https addresses: "loopback" or networks like 10.0.0.0/8, separated by commas',
    fallback: '',
    read: readTargets,
  }),
  'oidc-issuer': option<string | null>({
    placeholder: 'URL',
    describe: 'take access tokens of this OpenID Connect issuer beside API keys',
    fallback: null,
    read: readIssuer,
  }),
  'oidc-audience': option<string | null>({
    placeholder: 'NAME',
    describe: 'what the tokens must be meant for (aud)',
    fallback: null,
    read: readPath,
  }),
  'oidc-scope-prefix': option({
    placeholder: 'TEXT',
    describe: 'what stands before our scopes in the scope claim, like "fulmen/"',
    fallback: '',
    read: (text: string) => text,
  }),
  'oidc-budget': option<OptionalPer>({
    placeholder: 'MSAT/SECONDS',
    describe: 'what each subject of the issuer may spend in a period, fees included; without it, no limit',
    fallback: null,
    read: (text: string) => readPer(text, false),
  }),
  'oidc-rate': option<OptionalPer>({
    placeholder: 'REQUESTS/SECONDS',
    describe: 'how many requests each subject of the issuer may make in a period; without it, no limit',
    fallback: null,
    read: (text: string) => readPer(text, true),
  }),
  listen: option({
    placeholder: 'HOST:PORT',
    describe: 'where Lightning peers connect, or "none"',
    fallback: '127.0.0.1:9735',
    read: (text: string) => (text === 'none' ? null : readEndpoint(text)),
  }),
  announce: option({
    placeholder: 'HOST:PORT,…',
    describe: 'addresses to announce to the network, separated by commas',
    fallback: '',
    read: readAnnounced,
  }),
  alias: option({
    placeholder: 'NAME',
    describe: 'name of the node in the network graph',
    fallback: 'fulmen',
    read: readAlias,
  }),
  'minimum-depth': option<number | null>({
    placeholder: 'BLOCKS',
    describe: `confirmations that we ask of a channel which a peer opens: ${DEFAULT_DEPTH.small} by default, larger channels ${DEFAULT_DEPTH.large} or more`,
    fallback: null,
    read: readDepth,
  }),
  'max-htlc-value-in-flight-percent': option({
    placeholder: 'PERCENT',
    describe:
      'how much of a channel its peer may have on the way to us at a time, in percent of the capacity, on new channels',
    fallback: String(DEFAULT_IN_FLIGHT_PERCENT),
    read: readPercent,
  }),
  'anchor-reserve': option({
    placeholder: 'SAT',
    describe:
      'what the wallet keeps for each channel with anchors to pay for its close: no send and no opening takes it; 0: nothing',
    fallback: String(ANCHOR_RESERVE_SAT),
    read: readReserve,
  }),
  'cltv-expiry-delta': option({
    placeholder: 'BLOCKS',
    describe:
      'blocks between the expiries of an HTLC that comes in and of the one that we forward for it, on new channels',
    fallback: String(DEFAULT_MARGINS.cltvExpiryDelta),
    read: readBlocks,
  }),
  'close-before-expiry': option({
    placeholder: 'BLOCKS',
    describe: 'blocks before its expiry at which an HTLC that we can claim is claimed on chain',
    fallback: String(DEFAULT_MARGINS.closeBeforeExpiry),
    read: readBlocks,
  }),
  'htlc-fail-depth': option({
    placeholder: 'BLOCKS',
    describe: 'blocks on top of the end of an HTLC on chain, after which the payment is failed back',
    fallback: String(DEFAULT_MARGINS.htlcFailDepth),
    read: readBlocks,
  }),
  'min-final-cltv-expiry-delta': option({
    placeholder: 'BLOCKS',
    describe: 'blocks that a payment to us must have left before it expires',
    fallback: String(DEFAULT_MARGINS.minFinalCltvExpiryDelta),
    read: readBlocks,
  }),
  'passphrase-file': option<string | null>({
    placeholder: 'FILE',
    describe: 'file with the passphrase that encrypts the seed',
    fallback: null,
    read: readPath,
  }),
  'log-level': option({
    placeholder: 'LEVELS',
    describe: `${LOG_LEVELS.join(', ')}; then what is different by part, like info,peer=debug (${LOG_PARTS.join(', ')})`,
    fallback: 'info',
    read: (text: string) => logLevelsText(readLogLevels(text)),
  }),
} as const

export type OptionName = keyof typeof CONFIG_OPTIONS
export type OptionValue<N extends OptionName> = ReturnType<(typeof CONFIG_OPTIONS)[N]['read']>
