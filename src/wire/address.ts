import { base32nopad } from '@scure/base'
import type { WireReader, WireWriter } from './buffer.ts'
import { type Codec, decodeWith, encodeWith, listRest, prefixedU16 } from './codec.ts'
import { WireError } from './errors.ts'
import { formatIpv6, parseIpv4, parseIpv6 } from './ip.ts'

type HostTag = 'ipv4' | 'ipv6' | 'torV2' | 'torV3' | 'dns'
/** Where a node can be reached. `opaque`: a descriptor that we do not know and all that follows it, kept for re-encoding. */
export type NetworkAddress =
  | { readonly tag: HostTag; readonly host: string; readonly port: number }
  | { readonly tag: 'opaque'; readonly bytes: Uint8Array }

interface Descriptor {
  readonly type: number
  /** Bytes of the host; null where a length byte says it. */
  readonly size: number | null
  readonly format: (host: Uint8Array) => string
  /** @throws TypeError or Error when the text is not such a host */
  readonly parse: (host: string) => Uint8Array
}
const onion = {
  format: (b: Uint8Array): string => `${base32nopad.encode(b).toLowerCase()}.onion`,
  parse: (host: string): Uint8Array => base32nopad.decode(host.replace(/\.onion$/, '').toUpperCase()),
}
/** BOLT 7 §the-node_announcement-message. */
const DESCRIPTORS: Readonly<Record<HostTag, Descriptor>> = {
  ipv4: { type: 1, size: 4, format: (b) => b.join('.'), parse: parseIpv4 },
  ipv6: { type: 2, size: 16, format: formatIpv6, parse: parseIpv6 },
  /** Gone from the network; to be ignored. */
  torV2: { type: 3, size: 10, ...onion },
  torV3: { type: 4, size: 35, ...onion },
  dns: {
    type: 5,
    size: null,
    format: (b) => String.fromCharCode(...b),
    parse: (host) => Uint8Array.from(host, (c) => c.charCodeAt(0)),
  },
}
const tagOf = new Map(Object.entries(DESCRIPTORS).map(([tag, d]) => [d.type, tag as HostTag]))
const isPrintableAscii = (b: Uint8Array): boolean => b.every((c) => c > 0x20 && c < 0x7f)

function encodeAddress(w: WireWriter, address: NetworkAddress): void {
  if (address.tag === 'opaque') {
    w.bytes(address.bytes)
    return
  }
  const { type, size, parse } = DESCRIPTORS[address.tag]
  let host: Uint8Array
  try {
    host = parse(address.host)
  } catch (e) {
    throw new WireError('unencodable', `not an address of kind ${address.tag}: ${(e as Error).message}`)
  }
  const fits = size === null ? host.length <= 255 && isPrintableAscii(host) : host.length === size
  if (!fits || !(Number.isInteger(address.port) && address.port >= 0 && address.port <= 0xffff)) {
    throw new WireError('unencodable', `not an address of kind ${address.tag}: ${address.host} port ${address.port}`)
  }
  w.u8(type)
  if (size === null) w.u8(host.length)
  w.bytes(host)
  w.u16(address.port)
}

/** One descriptor. One of an unknown type, or a host name that is not plain ASCII, takes all that is left. */
export const address: Codec<NetworkAddress> = {
  shape: { kind: 'address' },
  least: 1,
  encode: encodeAddress,
  decode: (r) => {
    const type = r.u8()
    const tag = tagOf.get(type)
    if (tag === undefined) return { tag: 'opaque', bytes: opaque(r, type) }
    const { size, format } = DESCRIPTORS[tag]
    const length = size ?? r.u8()
    const host = r.bytes(length)
    if (tag === 'dns' && !isPrintableAscii(host)) return { tag: 'opaque', bytes: opaque(r, type, length, ...host) }
    return { tag, host: format(host), port: r.u16() }
  },
}

const opaque = (r: WireReader, ...start: readonly number[]): Uint8Array =>
  Uint8Array.of(...start, ...r.bytes(r.remaining))

/** A u16 byte count, then descriptors; one of a known type that is cut short is a WireError. */
export const addresses: Codec<readonly NetworkAddress[]> = prefixedU16(listRest(address))

/** In ascending order of their types, as announced addresses are. @source BOLT 7 §the-node_announcement-message */
export const inOrder = (list: readonly NetworkAddress[]): readonly NetworkAddress[] => {
  const typeOf = (a: NetworkAddress): number => (a.tag === 'opaque' ? 0xff : DESCRIPTORS[a.tag].type)
  return list.toSorted((a, b) => typeOf(a) - typeOf(b))
}

/** As a person writes it, `[v6]:port` for IPv6; null for one that we do not know. */
export function formatAddress(a: NetworkAddress): string | null {
  if (a.tag === 'opaque') return null
  return a.tag === 'ipv6' ? `[${a.host}]:${a.port}` : `${a.host}:${a.port}`
}

/** Of the right kind for a host and port that a person wrote: an IP address, an onion or a name. @throws TypeError */
export function networkAddress(host: string, port: number): NetworkAddress {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  const tag = /^[\d.]+$/.test(bare) ? 'ipv4' : bare.includes(':') ? 'ipv6' : bare.endsWith('.onion') ? 'torV3' : 'dns'
  const fail = (cause?: unknown): never => {
    throw new TypeError(`not a network address: "${host.slice(0, 80)}" port ${port}`, { cause })
  }
  if (tag === 'dns' && !/^[a-z0-9._-]+$/.test(bare)) fail()
  try {
    return decodeWith(address, encodeWith(address, { tag, host: bare, port }))
  } catch (e) {
    return fail(e)
  }
}
