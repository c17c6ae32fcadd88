import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { adminKeyPath } from '../api/auth/adminKey.ts'
import { type HttpOptions, wrongAddress } from '../client/http.ts'
import { FulmenClient } from '../client/index.ts'
import { trustingFetch } from '../client/tls.ts'
import { dataDirOf, resolveConfig } from '../node/config.ts'
import { isLoopback } from '../node/configOptions.ts'
import { writeFileAtomic } from '../store/files.ts'
import { CliError, EXIT } from './errors.ts'
import { show } from './output.ts'

export interface GlobalOptions {
  readonly url?: string
  readonly key?: string
  readonly dataDir?: string
  readonly tlsPin?: string
  readonly tlsCa?: string
  readonly json?: boolean
}

/** Where a running node wrote the address of its API, in its data directory. */
export const apiUrlFile = (dataDir: string): string => join(dataDir, 'api.url')

/** What to pin when calling that address: the certificate may be for another name. */
export const apiPinFile = (dataDir: string): string => join(dataDir, 'api.pin')

/** What a command that talks to a node gets: the client, and a way to print. */
export interface Remote {
  readonly client: FulmenClient
  readonly json: boolean
  show(value: unknown, text: () => string): void
}

/** Where the node is that the global options, the environment and the data directory point to, and how to trust it. */
export interface Target {
  readonly dataDir: string
  readonly url: string
  /** It is the node of the data directory: nobody named another address. */
  readonly isLocal: boolean
  readonly fetch?: typeof fetch
}

export function targetOf(options: GlobalOptions): Target {
  const dataDir = dataDirOf(options.dataDir, process.env)
  const isLocal = options.url === undefined && process.env.FULMEN_URL === undefined
  const url = urlOf(options, dataDir)
  return { dataDir, url, isLocal, ...trust(options, { dataDir, url, isLocal }) }
}

/** A client for that node. */
export function remote(command: Command): Remote {
  const options = command.optsWithGlobals<GlobalOptions>()
  const target = targetOf(options)
  const { url, fetch } = target
  const json = options.json === true
  return {
    client: new FulmenClient({ url, ...keyFor(options, target), ...(fetch && { fetch }) }),
    json,
    show: (value, text) => show(json, value, text),
  }
}

/**
 * A key that came from a file goes back there when it is rotated; one that was given cannot, and so is left alone. The key of the node
 * here goes to no other machine, unless its directory was named with the address: who answers there could use it, and put another in
 * its place.
 * @throws CliError when there is none
 */
export function keyFor(
  options: GlobalOptions,
  { dataDir, url, isLocal }: Pick<Target, 'dataDir' | 'url' | 'isLocal'>,
): Pick<HttpOptions, 'key' | 'onKey' | 'rotate'> {
  const given = options.key ?? process.env.FULMEN_KEY
  if (given !== undefined) return { key: given, rotate: false }
  if (!isLocal && options.dataDir === undefined && !isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ''))) {
    throw new CliError(
      `${url} is not on this machine: say its key in FULMEN_KEY, or the directory that holds it with --data-dir`,
      EXIT.usage,
    )
  }
  const path = adminKeyPath(dataDir)
  return { key: adminKey(path), onKey: (rotated: string) => writeFileAtomic(path, `${rotated}\n`) }
}

function urlOf(options: GlobalOptions, dataDir: string): string {
  const url = options.url ?? process.env.FULMEN_URL ?? readLine(apiUrlFile(dataDir))
  if (url !== undefined) {
    const wrong = wrongAddress(url)
    if (wrong === null) return url
    throw new CliError(`the address of the API: ${wrong}`, EXIT.usage)
  }
  const flags = options.dataDir === undefined ? {} : { 'data-dir': options.dataDir }
  const { config, access } = resolveConfig({ flags, env: process.env })
  const { host, port } = config.api
  // It does not run, or does not say where. Whoever says how to trust it knows that it speaks TLS.
  const isTls = access.tls !== null || pinOf(options) !== undefined || caOf(options) !== undefined
  return `http${isTls ? 's' : ''}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

const pinOf = ({ tlsPin }: GlobalOptions): string | undefined => tlsPin ?? process.env.FULMEN_TLS_PIN
const caOf = ({ tlsCa }: GlobalOptions): string | undefined => tlsCa ?? process.env.FULMEN_TLS_CA

/** The node of the data directory is known by its pin; of any other, what is said here or what Node.js trusts. */
function trust(options: GlobalOptions, { dataDir, url, isLocal }: Omit<Target, 'fetch'>): { fetch?: typeof fetch } {
  const ca = caOf(options)
  const local = isLocal && ca === undefined ? readLine(apiPinFile(dataDir)) : undefined
  const given = pinOf(options)
  if (given !== undefined) checkPin(given, url)
  const pin = given ?? local
  if (pin !== undefined) return { fetch: trustingFetch({ pin }) }
  if (ca === undefined) return {}
  checkHttps('a certificate', url)
  const text = readLine(ca)
  if (text === undefined) throw new CliError(`${ca} cannot be read: --tls-ca takes a PEM file`, EXIT.usage)
  return { fetch: trustingFetch({ ca: text }) }
}

/** Said before anything is called: what comes of such a pin looks as if the node did not answer. */
function checkPin(pin: string, url: string): void {
  if (!/^sha256\/\/[A-Za-z0-9+/]{43}=$/.test(pin)) {
    throw new CliError(`a pin is sha256//… as "fulmen start" prints it, got "${pin}"`, EXIT.usage)
  }
  checkHttps('a pin', url)
}

function checkHttps(what: string, url: string): void {
  if (!/^https:/i.test(url)) throw new CliError(`${what} is for https://, and the node is at ${url}`, EXIT.usage)
}

function adminKey(path: string): string {
  try {
    const key = readFileSync(path, 'utf8').trim()
    if (key !== '') return key
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT'
        ? `there is no key at ${path}: start a node there`
        : `the key cannot be read (${message}): let this user read it`
    throw new CliError(`${why}, or say where with --data-dir, --key or FULMEN_KEY`, EXIT.usage)
  }
  throw new CliError(`${path} is empty: "fulmen key reset", with the node stopped, makes another key`)
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
