import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { ShortChannelId } from '../../src/base/ids.ts'
import { ScidIndex } from '../../src/gossip/scidIndex.ts'

it('short channel ids are in order however they come and go, few at a time or many', () => {
  const step = fc.oneof(
    fc.record({ add: fc.uniqueArray(fc.nat(1_000), { maxLength: 300, size: 'max' }) }),
    fc.record({ remove: fc.nat(1_000) }),
    fc.record({ from: fc.nat(1_000), before: fc.nat(1_100), most: fc.nat(50) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const index = new ScidIndex()
      const all = new Set<number>()
      const inOrder = (): number[] => [...all].sort((a, b) => a - b)
      for (const s of steps) {
        if ('add' in s) {
          for (const n of s.add) if (!all.has(n)) index.add(BigInt(n) as ShortChannelId)
          for (const n of s.add) all.add(n)
        } else if ('remove' in s) {
          index.remove(BigInt(s.remove) as ShortChannelId)
          all.delete(s.remove)
        } else {
          const wanted = inOrder().filter((n) => n >= s.from && n < s.before)
          expect(index.range(BigInt(s.from), BigInt(s.before), s.most).map(Number)).toEqual(wanted.slice(0, s.most))
        }
      }
      expect(index.range(0n, 2_000n, 2_000).map(Number)).toEqual(inOrder())
    }),
  )
})
