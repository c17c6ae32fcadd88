import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crowdedOut, mostCrowding } from '../../src/peer/crowding.ts'

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

describe('of connected strangers, when one more comes', () => {
  const newcomer = { address: '9.9.9.9:1' }
  it.each([
    ['none where none has more than the newcomer', at('1.1.1.1:1', '2.2.2.2:2', '3.3.3.3:1'), null],
    ['none where nobody is connected', at(), null],
    ['none where those that have most are its own', at('1.1.1.1:1', '9.9.9.9:2', '9.9.9.9:3'), null],
    ['none where another has as many as it would have', at('1.1.1.1:1', '1.1.1.1:2', '9.9.9.9:2'), null],
    ['the oldest of whoever has more', at('2.2.2.2:1', '1.1.1.1:1', '1.1.1.1:2', '1.1.1.1:3', '9.9.9.9:2'), 1],
  ] as const)('%s goes', (_, connected, age) => {
    expect(crowdedOut(connected, newcomer)).toBe(age === null ? null : connected[age])
  })
})
