import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse as parseToml } from 'smol-toml'
import type { Sat } from '../base/units.ts'
import type { Network } from '../bitcoin/networks.ts'
import { type ApiAccess, readAccess } from './access.ts'
import {
  type ChainConfig,
  CONFIG_OPTIONS,
  type Endpoint,
  isLoopback,
  type OptionName,
  type OptionValue,
} from './configOptions.ts'
import { ConfigError } from './errors.ts'
import { type ExpiryMargins, unsafeMargins } from './margins.ts'

/** Everything that a node is started with. */
export interface NodeConfig {
  /** Absolute. */
  readonly dataDir: string
  readonly network: Network
  readonly chain: ChainConfig
  /** Of the embedded chain; 0: blocks are mined only when asked for. */
  readonly mineEverySeconds: number
  readonly api: Endpoint
  /** Names besides the loopback ones by which the API may be called. */
  readonly apiHosts: readonly string[]
  /** null: no peer can connect to us. */
  readonly listen: Endpoint | null
  readonly announce: readonly Endpoint[]
  readonly alias: string
  /** Confirmations of a channel that a peer opens; what suits the network when left out. */
  readonly minimumDepth?: number
  /** Of a new channel's capacity, DEFAULT_IN_FLIGHT_PERCENT when left out. */
  readonly maxHtlcValueInFlightPercent?: number
  /** Kept in the wallet for each channel with anchors, ANCHOR_RESERVE_SAT when left out. */
  readonly anchorReserveSat?: Sat
  /** DEFAULT_MARGINS when left out. */
  readonly margins?: ExpiryMargins
  /** Absolute. */
  readonly passphraseFile: string | null
  /** What `readLogLevels` takes: `info,peer=debug`. */
  readonly logLevel: string
}

export type ConfigSource = 'flag' | 'environment' | 'file' | 'default'

/** An option in force: what `fulmen config` prints. */
export interface ConfigEntry {
  readonly name: OptionName
  /** Secrets masked; null: not set. */
  readonly value: string | null
  readonly source: ConfigSource
  /** The flag, variable or file that it came from. */
  readonly from: string
}

export interface ResolvedConfig {
  readonly config: NodeConfig
  readonly access: ApiAccess
  readonly entries: readonly ConfigEntry[]
  /** What the operator should know, in plain words. */
  readonly warnings: readonly string[]
}

export interface ConfigInputs {
  /** By option name; a switch is true. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** `--config FILE`. Without it, `fulmen.toml` in the data directory where there is one. */
  readonly file?: string
}

interface Setting {
  readonly text: string
  readonly source: ConfigSource
  readonly from: string
}

/** FULMEN_… variables that are no option of a node. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'FULMEN_CONFIG',
  'FULMEN_URL',
  'FULMEN_KEY',
  'FULMEN_MAIN',
  'FULMEN_BITCOIND',
  'FULMEN_LND',
  'FULMEN_TLS_CA',
  'FULMEN_TLS_PIN',
])
const NAMES = Object.keys(CONFIG_OPTIONS) as OptionName[]

const variableOf = (name: string): string => `FULMEN_${name.toUpperCase().replaceAll('-', '_')}`

/**
 * Flag over environment over file over default.
 * @throws ConfigError that names the option, where it came from and what is wrong
 */
export function resolveConfig(inputs: ConfigInputs): ResolvedConfig {
  const { settings, warnings } = collect(inputs)
  const value = <N extends OptionName>(name: N): OptionValue<N> | null => read(name, settings.get(name))
  const required = <N extends OptionName>(name: N): OptionValue<N> => value(name) ?? fail(`${name}: expected a value`)
  const minimumDepth = value('minimum-depth')
  const config: NodeConfig = {
    dataDir: absolute(required('data-dir')),
    network: required('network'),
    chain: required('chain'),
    mineEverySeconds: required('mine-every'),
    api: required('api'),
    apiHosts: required('api-hosts'),
    listen: value('listen'),
    announce: required('announce'),
    alias: required('alias'),
    ...(minimumDepth !== null && { minimumDepth }),
    maxHtlcValueInFlightPercent: required('max-htlc-value-in-flight-percent'),
    anchorReserveSat: required('anchor-reserve'),
    margins: {
      cltvExpiryDelta: required('cltv-expiry-delta'),
      closeBeforeExpiry: required('close-before-expiry'),
      minFinalCltvExpiryDelta: required('min-final-cltv-expiry-delta'),
      htlcFailDepth: required('htlc-fail-depth'),
    },
    passphraseFile: optionalPath(value('passphrase-file')),
    logLevel: required('log-level'),
  }
  const access = readAccess(value, absolute)
  if (config.network === 'bitcoin' && !required('accept-mainnet-risk'))
    fail(`network (${settings.get('network')!.from}): ${MAINNET_REFUSED}`)
  check(config, required('api-without-tls') || access.tls !== null)
  return {
    config,
    access,
    entries: NAMES.map((name) => entryOf(name, settings.get(name))),
    warnings: [...warnings, ...cautions(config, access)],
  }
}

/** The data directory that a client command looks for a key in: the same precedence, nothing else read. */
export function dataDirOf(flag: string | undefined, env: ConfigInputs['env']): string {
  return absolute(flag ?? env[variableOf('data-dir')] ?? CONFIG_OPTIONS['data-dir'].fallback ?? '')
}

function collect({ flags, env, file }: ConfigInputs): { settings: Map<OptionName, Setting>; warnings: string[] } {
  const settings = new Map<OptionName, Setting>()
  for (const name of NAMES) {
    const { fallback } = CONFIG_OPTIONS[name]
    if (fallback !== null) settings.set(name, { text: fallback, source: 'default', from: 'default' })
  }
  const flagDir = flags['data-dir']
  const directory = dataDirOf(typeof flagDir === 'string' ? flagDir : undefined, env)
  const path = file ?? env.FULMEN_CONFIG ?? join(directory, 'fulmen.toml')
  const isNamed = file !== undefined || env.FULMEN_CONFIG !== undefined
  for (const [name, text] of readFile(path, isNamed)) settings.set(name, { text, source: 'file', from: path })
  for (const name of NAMES) {
    const variable = variableOf(name)
    const text = env[variable]
    if (text) settings.set(name, { text, source: 'environment', from: variable }) // empty: as if it were not there
  }
  for (const name of NAMES) {
    const flag = flags[name]
    if (flag !== undefined) settings.set(name, { text: String(flag), source: 'flag', from: `--${name}` })
  }
  return { settings, warnings: unknownVariables(env) }
}

/** A misspelt variable would be ignored without a word. */
function unknownVariables(env: ConfigInputs['env']): string[] {
  const known = new Set(NAMES.map(variableOf))
  return Object.keys(env)
    .filter((name) => name.startsWith('FULMEN_') && !known.has(name) && !OTHER_VARIABLES.has(name))
    .map((name) => `${name} in the environment is not an option of fulmen and is ignored`)
}

function readFile(path: string, isNamed: boolean): [OptionName, string][] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (!isNamed && (error as NodeJS.ErrnoException).code === 'ENOENT') return []
    return fail(`${path}: cannot be read (${(error as Error).message})`)
  }
  let table: Record<string, unknown>
  try {
    table = parseToml(text)
  } catch (error) {
    // Further lines show those of the file around the mistake, which may hold a password.
    const [what] = (error as Error).message.split('\n')
    const { line } = error as { line?: number }
    return fail(`${path}: ${what}${line === undefined ? '' : ` (line ${line})`}`)
  }
  return Object.entries(table).map(([key, value]) => {
    const name = NAMES.find((n) => n === key)
    if (!name) return fail(`${path}: there is no option "${key}"; there are ${NAMES.join(', ')}`)
    if (name === 'data-dir' && !isNamed)
      return fail(`${path}: data-dir is what this file was found by; name the file with --config`)
    return [name, tomlText(path, key, value)]
  })
}

function tomlText(path: string, key: string, value: unknown): string {
  if (Array.isArray(value)) return value.map((item) => tomlText(path, key, item)).join(',')
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value)
  return fail(`${path}: ${key}: expected text, a number or true/false`)
}

function read<N extends OptionName>(name: N, setting: Setting | undefined): OptionValue<N> | null {
  if (!setting) return null
  try {
    return CONFIG_OPTIONS[name].read(setting.text) as OptionValue<N>
  } catch (error) {
    if (error instanceof ConfigError) return fail(`${name} (${setting.from}): ${error.message}`)
    throw error
  }
}

function entryOf(name: OptionName, setting: Setting | undefined): ConfigEntry {
  if (!setting) return { name, value: null, source: 'default', from: 'default' }
  const { mask } = CONFIG_OPTIONS[name] as { mask?: (text: string) => string }
  return { name, value: mask ? mask(setting.text) : setting.text, source: setting.source, from: setting.from }
}

const MAINNET_REFUSED =
  'bitcoin is refused: no release of this software has been in the field yet; use regtest, signet or testnet, or say --accept-mainnet-risk and put in no more than you can lose'

/** What no option shows alone. */
function check(config: NodeConfig, mayListenAnywhere: boolean): void {
  if (config.chain.kind === 'embedded' && config.network !== 'regtest') {
    fail(`chain: the embedded chain is regtest; for ${config.network} give the address of a Bitcoin node`)
  }
  const unsafe = config.margins ? unsafeMargins(config.margins) : null
  if (unsafe !== null) fail(unsafe)
  if (config.mineEverySeconds > 0 && config.chain.kind !== 'embedded') {
    fail('mine-every: only the embedded chain is mined by this node')
  }
  if (!isLoopback(config.api.host) && !mayListenAnywhere) {
    fail(
      `api: ${config.api.host} can be reached from other machines, and keys would travel unencrypted; use --tls, listen on 127.0.0.1 behind a TLS proxy, or accept it with --api-without-tls`,
    )
  }
}

function cautions(config: NodeConfig, { tls }: ApiAccess): string[] {
  const warnings: string[] = []
  if (config.network === 'bitcoin') {
    warnings.push('bitcoin: this version is young; put in no more than you can lose, and keep its backup')
  } else if (config.network !== 'regtest') {
    warnings.push(
      `${config.network}: this version is young; expect to lose the coins of channels, which are worth nothing here`,
    )
  }
  if (!isLoopback(config.api.host) && tls === null) {
    warnings.push(`the API listens on ${config.api.host} without TLS: whoever sees the traffic has the keys`)
  }
  return warnings
}

const fail = (why: string): never => {
  throw new ConfigError(why)
}

const optionalPath = (path: string | null): string | null => (path === null ? null : absolute(path))

/** `~` is the home directory. */
const absolute = (path: string): string => resolve(path.replace(/^~(?=$|\/)/, homedir()))
