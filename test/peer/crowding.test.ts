import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mostCrowding } from '../../src/peer/crowding.ts'

const at = (...addresses: readonly string[]) => addresses.map((address, age) => ({ address, age }))

describe('of too many connections that have not said who they are', () => {
  it.each([
    ['the oldest, where none has more than another', at('1.1.1.1:1', '2.2.2.2:2', '[2001::1]:3'), 0],
    ['the oldest of whoever has most', at('1.1.1.1:1', '2.2.2.2:2', '3.3.3.3:1', '2.2.2.2:9'), 1],
    ['IPv4 in its two forms', at('1.1.1.1:1', '2.2.2.2:2', '[::ffff:2.2.2.2]:3'), 1],
    ['addresses of one /64', at('[2001:db8::1]:1', '[2001:db8:1:1::1]:1', '[2001:db8:1:1:ffff::2]:1'), 1],
    ['those that cannot be read', at('1.1.1.1:1', 'unknown:0', '[fe80::1%eth0]:2', 'unknown:0'), 1],
  ] as const)('goes %s', (_, waiting, age) => {
    expect(mostCrowding(waiting)).toBe(waiting[age])
  })

  it('one that came alone stays, however many another opens', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('6.6.6.6', '[2001:db8:1:1::6]'), { minLength: 4 }),
        fc.nat(),
        (flood, seed) => {
          const addresses = flood.map((host, n) => `${host}:${n}`)
          addresses.splice(seed % flood.length, 0, '1.1.1.1:1')
          let waiting = at(...addresses)
          while (waiting.length > 3) {
            const gone = mostCrowding(waiting)
            waiting = waiting.filter((w) => w !== gone)
          }
          expect(waiting.map((w) => w.address)).toContain('1.1.1.1:1')
        },
      ),
    )
  })
})
