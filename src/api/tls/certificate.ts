import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import * as der from './der.ts'

const DAY_MS = 24 * 3_600_000
/** What browsers still take of a certificate that a person has trusted by hand. */
const LIFE_MS = 825 * DAY_MS
const RENEW_BEFORE_MS = 60 * DAY_MS
const CLOCK_SKEW_MS = DAY_MS

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  subjectAltName: '2.5.29.17',
} as const
const DIGITAL_SIGNATURE = 0x80

/** A new P-256 key, as PEM. */
export const newKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

/**
 * A certificate that the key signs for itself.
 * @param names DNS names and addresses, IPv6 without brackets
 * @param now Unix ms
 * @returns PEM
 * @source RFC 5280 §4.1, §4.2
 */
export function selfSigned(
  { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject },
  names: readonly string[],
  now: number,
): string {
  const name = der.sequence(der.set(der.sequence(der.oid(OID.commonName), der.utf8String('Fulmen node'))))
  const algorithm = der.sequence(der.oid(OID.ecdsaWithSha256))
  const body = der.sequence(
    der.tagged(0, der.integer(Uint8Array.of(2)), true), // v3
    der.integer(Uint8Array.of(0x40, ...randomBytes(15))),
    algorithm,
    name,
    der.sequence(der.time(now - CLOCK_SKEW_MS), der.time(now + LIFE_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.tagged(3, extensions(names), true),
  )
  const signature = der.bitString(sign('sha256', body, privateKey))
  const base64 = Buffer.from(der.sequence(body, algorithm, signature)).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`
}

function extensions(names: readonly string[]): Uint8Array {
  const critical = (id: string, value: Uint8Array) =>
    der.sequence(der.oid(id), der.boolean(true), der.octetString(value))
  const plain = (id: string, value: Uint8Array) => der.sequence(der.oid(id), der.octetString(value))
  return der.sequence(
    critical(OID.basicConstraints, der.sequence()), // vouches for nobody else
    critical(OID.keyUsage, der.bitString(Uint8Array.of(DIGITAL_SIGNATURE), 7)),
    plain(OID.extendedKeyUsage, der.sequence(der.oid(OID.serverAuth))),
    plain(OID.subjectAltName, der.sequence(...names.map(generalName))),
  )
}

/** dNSName or iPAddress. @source RFC 5280 §4.2.1.6 */
function generalName(name: string): Uint8Array {
  const address = addressBytes(name)
  return address ? der.tagged(7, address, false) : der.tagged(2, new TextEncoder().encode(name), false)
}

function addressBytes(name: string): Uint8Array | null {
  if (isIPv4(name)) return Uint8Array.from(name.split('.').map(Number))
  if (!isIPv6(name) || name.includes('%')) return null
  // A URL writes every form of an address in one: groups in hex, `::` once at most.
  const [head = '', tail] = new URL(`http://[${name}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined) => (text ? text.split(':').map((group) => Number.parseInt(group, 16)) : [])
  const [left, right] = [groups(head), groups(tail)]
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** Whether a certificate is to be made anew: it ends soon, is of another key or lacks a name. @param now Unix ms */
export function isStale(pem: string, privateKey: KeyObject, names: readonly string[], now: number): boolean {
  try {
    const certificate = new X509Certificate(pem)
    const ends = Date.parse(certificate.validTo)
    if (!(now < ends - RENEW_BEFORE_MS) || now < Date.parse(certificate.validFrom)) return true
    const isNamed = (name: string) =>
      isIPv4(name) || isIPv6(name) ? certificate.checkIP(name) : certificate.checkHost(name)
    return !certificate.checkPrivateKey(privateKey) || names.some((name) => isNamed(name) === undefined)
  } catch {
    return true
  }
}

/**
 * What clients pin: SHA-256 of the public key, in the form of curl's --pinnedpubkey. It stays when the certificate is renewed.
 * @param pem a certificate, or a chain that begins with it
 */
export function pinOf(pem: string): string {
  const key = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' })
  return `sha256//${createHash('sha256').update(key).digest('base64')}`
}
