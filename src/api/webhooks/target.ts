import { type LookupAddress, lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { parseCidr } from '../../node/cidr.ts'
import { ConfigError } from '../../node/errors.ts'
import { AllowList } from '../auth/cidr.ts'
import { badField } from '../problems.ts'

/** Not on the public internet. @source IANA IPv4 special-purpose address registry, multicast and reserved space */
const SPECIAL_V4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // link-local, where clouds keep their metadata
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const
/** Inside 2000::/3, which is all of IPv6 that is public: protocol blocks (Teredo), documentation, 6to4. */
const SPECIAL_V6 = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const

const special = new BlockList()
for (const [address, prefix] of SPECIAL_V4) special.addSubnet(address, prefix, 'ipv4')
for (const [address, prefix] of SPECIAL_V6) special.addSubnet(address, prefix, 'ipv6')
const unicastV6 = new BlockList()
unicastV6.addSubnet('2000::', 3, 'ipv6')

/** Whether an address is one that anybody on the internet could reach. */
export function isPublic(address: string): boolean {
  const version = isIP(address)
  if (version === 4) return !special.check(address, 'ipv4')
  return version === 6 && unicastV6.check(address, 'ipv6') && !special.check(address, 'ipv6')
}

const LOOKUP_LIMIT_MS = 2_000

const MAX_URL = 2_000
const NOT_ALLOWED = 'expected https:// to a public address; others are allowed by the operator, with --webhook-targets'

/** What is wrong with the address of a webhook, whatever the operator allows. */
export function urlFault(text: string): string | null {
  if (text.length > MAX_URL) return `expected at most ${MAX_URL} characters`
  if (!URL.canParse(text)) return 'expected a URL'
  const { protocol, username, password } = new URL(text)
  if (protocol !== 'https:' && protocol !== 'http:') return 'expected https://'
  return username === '' && password === '' ? null : 'expected no user and password in it'
}

/** The address of a webhook is none that this node may call. */
class TargetRefused extends Error {
  readonly code = 'TARGET_NOT_ALLOWED'
}

/**
 * Where webhooks may go. A client chooses the address, and the node stands where that client may not reach: so only public addresses
 * over https, and besides those what the operator named, over http too. Names are looked up for every connection, and the address that
 * was checked is the one that is called.
 */
export class Targets {
  readonly #allowed: AllowList | null

  /** @param allowed networks besides the public ones, like `127.0.0.0/8` @throws ConfigError */
  constructor(allowed: readonly string[]) {
    const wrong = allowed.find((text) => parseCidr(text) === null)
    if (wrong !== undefined) throw new ConfigError(`webhook-targets: "${wrong}" is no network like 10.0.0.0/8`)
    this.#allowed = allowed.length === 0 ? null : new AllowList(allowed)
  }

  /** @param isPlain without TLS */
  allows(address: string, isPlain: boolean): boolean {
    if (this.#allowed?.allows(address)) return true
    return !isPlain && isPublic(address)
  }

  /** @throws ApiProblem VALIDATION_FAILED that says what may be given */
  async check(text: string): Promise<void> {
    const fault = urlFault(text)
    if (fault !== null) throw badField('body', '/url', fault)
    const url = new URL(text)
    const isPlain = url.protocol === 'http:'
    // A name that is not known now is looked at again with every call.
    const addresses = isPlain && this.#allowed === null ? null : await addressesOf(hostOf(url))
    if (addresses?.every((address) => this.allows(address, isPlain))) return
    throw badField('body', '/url', NOT_ALLOWED)
  }

  /** For node:http: looks a name up, and gives addresses that may be called or fails. */
  lookup(isPlain: boolean): LookupFunction {
    return (hostname, options, done) => {
      lookup(hostname, { ...options, all: true }, (error, addresses) => {
        if (error) return done(error, [])
        // One that is not allowed spoils them all: a name that mixes them is made to be tried until it fits.
        const refused = addresses.some(({ address }) => !this.allows(address, isPlain))
        const [first] = addresses
        if (refused || first === undefined) return done(new TargetRefused('this address may not be called'), [])
        if (options.all) done(null, addresses)
        else done(null, first.address, first.family)
      })
    }
  }

  /** An address in a URL is looked up by nobody. @throws TargetRefused */
  checkLiteral(url: URL): void {
    const host = hostOf(url)
    if (isIP(host) !== 0 && !this.allows(host, url.protocol === 'http:')) {
      throw new TargetRefused('this address may not be called')
    }
  }
}

/** Without the brackets of IPv6. */
const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')

/** None when the name is not known, or not in time. */
async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host]
  if (/(^|\.)localhost\.?$/.test(host)) return ['127.0.0.1'] // also where no resolver says so
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve([]), LOOKUP_LIMIT_MS).unref()
    lookup(host, { all: true }, (_error, found: LookupAddress[] | undefined) => {
      clearTimeout(late)
      resolve((found ?? []).map(({ address }) => address))
    })
  })
}
