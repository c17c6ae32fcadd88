import { describe, expect, it } from 'vitest'
import { observedAddress } from '../../src/peer/observedAddress.ts'

describe('BOLT 1 §the-init-message: remote_addr', () => {
  it('tells a public address', () => {
    expect(observedAddress('8.8.4.4', 1)).toEqual({ tag: 'ipv4', host: '8.8.4.4', port: 1 })
    expect(observedAddress('::ffff:172.32.0.1', 2)).toEqual({ tag: 'ipv4', host: '172.32.0.1', port: 2 })
    expect(observedAddress('2a00:1450::8', 3)).toEqual({ tag: 'ipv6', host: '2a00:1450::8', port: 3 })
  })

  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.1.1',
    '100.127.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '0.0.0.0',
  ])('keeps %s to itself', (ip) =>
    expect([observedAddress(ip, 1), observedAddress(`::ffff:${ip}`, 1)]).toEqual([undefined, undefined]),
  )

  it.each(['::1', 'fe80::1', 'fc00::1', '2001:db8::1', 'fe80::1%eth0', '', 'unknown', '1.2.3'])(
    'keeps "%s" to itself',
    (ip) => {
      expect(observedAddress(ip, 1)).toBeUndefined()
    },
  )
})
