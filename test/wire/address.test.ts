import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex, toHex, utf8 } from '../../src/base/bytes.ts'
import { address, addresses, formatAddress, type NetworkAddress, networkAddress } from '../../src/wire/address.ts'
import { decodeWith, encodeWith } from '../../src/wire/codec.ts'
import { WireError } from '../../src/wire/errors.ts'
import { formatIpv6, parseIpv4, parseIpv6 } from '../../src/wire/ip.ts'
import { bytesOf } from '../arbitraries.ts'

const port = '2607' // 9735
const ONION = 'pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion'

describe('BOLT 7 §the-node_announcement-message: address descriptors', () => {
  it.each([
    ['ipv4', '127.0.0.1', `017f000001${port}`],
    ['ipv6', '2001:db8::ff00:42:8329', `0220010db8000000000000ff0000428329${port}`],
    ['torV3', ONION, `04${'79bcc625184b05194975c28b66b66b0469f7f6556fb1ac3189a79b40dda32f1f214703'}${port}`],
    ['dns', 'node.example.com', `0510${toHex(utf8('node.example.com'))}${port}`],
  ])('%s %s', (tag, host, hex) => {
    const decoded = decodeWith(address, fromHex(hex))
    expect(decoded).toEqual({ tag, host, port: 9735 })
    expect(toHex(encodeWith(address, networkAddress(host, 9735)))).toBe(hex)
  })

  it('Tor v2 is still read, to get past it', () => {
    const hex = `0300000000000000000000${port}017f000001${port}`
    const list = decodeWith(addresses, concatBytes(fromHex('0014'), fromHex(hex)))
    expect(list.map((a) => a.tag)).toEqual(['torV2', 'ipv4'])
  })

  it('an unknown type hides itself and all that follows it, and comes out again as it was', () => {
    const bytes = fromHex(`000e${`017f000001${port}`}09aabb${'0102030a'}`)
    const list = decodeWith(addresses, bytes)
    expect(list).toEqual([
      { tag: 'ipv4', host: '127.0.0.1', port: 9735 },
      { tag: 'opaque', bytes: fromHex('09aabb0102030a') },
    ])
    expect(toHex(encodeWith(addresses, list))).toBe(toHex(bytes))
    expect(formatAddress(list[1]!)).toBeNull()
  })

  it('a host name that is not plain ASCII is not shown as text', () => {
    const hex = `0503610a62${port}`
    expect(decodeWith(address, fromHex(hex))).toEqual({ tag: 'opaque', bytes: fromHex(hex) })
  })

  it('a known type that is cut short fails', () => {
    for (const hex of [`017f0000`, `0220010db8${port}`, `04${port}`, `05ff61${port}`]) {
      const body = fromHex(hex)
      expect(() => decodeWith(addresses, concatBytes(Uint8Array.of(0, body.length), body))).toThrow(WireError)
    }
  })

  it('what is no address is not encoded', () => {
    const bad: NetworkAddress[] = [
      { tag: 'ipv4', host: '1.2.3', port: 1 },
      { tag: 'ipv4', host: '1.2.3.256', port: 1 },
      { tag: 'ipv6', host: '1::2::3', port: 1 },
      { tag: 'torV3', host: 'tooshort.onion', port: 1 },
      { tag: 'dns', host: 'naïve', port: 1 },
      { tag: 'dns', host: 'a'.repeat(256), port: 1 },
      { tag: 'dns', host: 'ok', port: 65536 },
      { tag: 'dns', host: 'ok', port: -1 },
    ]
    for (const a of bad)
      expect(() => encodeWith(address, a)).toThrow(expect.objectContaining({ reason: 'unencodable' }))
  })

  it('text that a person wrote becomes the right kind, or a TypeError', () => {
    expect(networkAddress('[::1]', 9735)).toEqual({ tag: 'ipv6', host: '::1', port: 9735 })
    expect(formatAddress(networkAddress('::1', 9735))).toBe('[::1]:9735')
    expect(networkAddress('Node.Example', 1)).toEqual({ tag: 'dns', host: 'node.example', port: 1 })
    expect(networkAddress(ONION.toUpperCase(), 1)).toEqual({ tag: 'torV3', host: ONION, port: 1 })
    for (const bad of ['1.2.3.4.5', 'a b', 'x.onion', ':::', '', 'a/b'])
      expect(() => networkAddress(bad, 1)).toThrow(TypeError)
  })
})

describe('IP addresses as text', () => {
  it('IPv6: the shortest form, which is an address to others too and reads back', () => {
    const groups = fc.array(fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(0xffff)), {
      minLength: 8,
      maxLength: 8,
    })
    fc.assert(
      fc.property(groups, (g) => {
        const b = Uint8Array.from(g.flatMap((n) => [n >> 8, n & 0xff]))
        const text = formatIpv6(b)
        // The URL parser knows the same form (WHATWG), but for IPv4 tails, which it writes in hex too.
        expect(new URL(`http://[${g.map((n) => n.toString(16)).join(':')}]`).hostname).toBe(`[${text}]`)
        expect(isIPv6(text)).toBe(true)
        expect(toHex(parseIpv6(text))).toBe(toHex(b))
      }),
    )
  })

  it('IPv4: four numbers up to 255 without leading zeros', () => {
    fc.assert(fc.property(bytesOf(4), (b) => void expect(toHex(parseIpv4(b.join('.')))).toBe(toHex(b))))
    for (const bad of ['1.2.3', '01.2.3.4', '1.2.3.4 ', '256.1.1.1', '1..2.3'])
      expect(() => parseIpv4(bad)).toThrow(TypeError)
  })

  it('what is no IPv6 address is refused', () => {
    for (const bad of [
      '',
      ':',
      ':::',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8:9',
      'g::',
      '12345::',
      '1::2::3',
    ]) {
      expect(() => parseIpv6(bad)).toThrow(TypeError)
      expect(isIPv6(bad)).toBe(false)
    }
  })
})
