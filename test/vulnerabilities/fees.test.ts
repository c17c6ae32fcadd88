import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { wantedFeerate } from '../../src/channel/feerate.ts'
import { commitFee } from '../../src/channel/tx/weights.ts'
import { add, faultsOf, reachNormal } from '../channel/harness.ts'

const HTLCS = 60

// BOLT 3 §fee-calculation
describe('fee ransom (2020): a peer leaves HTLCs in a channel whose opener pays for them', () => {
  it.each([253, 5_000, 90_000])(
    'costs no more than 20 sat per vbyte with anchors, at estimates of %i sat per kw',
    (estimate) => {
      const feeratePerKw = wantedFeerate('anchors', estimate)
      expect(commitFee(feeratePerKw, 483, 'anchors')).toBeLessThanOrEqual(421_000n)
      const w = reachNormal({ capacitySat: sat(10_000_000), pushMsat: msat(5_000_000_000), feeratePerKw })
      for (const side of w.sides) side.ctx = { ...side.ctx, feerates: { ...side.ctx.feerates, commitment: estimate } }
      for (let n = 0; n < HTLCS; n++) w.bob.command(add(n, 1_000_000), n === HTLCS - 1)
      w.settle()
      expect(w.sides.flatMap(faultsOf)).toEqual([])
      w.alice.broadcasts = []
      w.alice.command({ tag: 'forceClose', requestId: 9 })
      const [commitment] = w.alice.broadcasts
      // Beside the HTLCs both balances and both anchors.
      expect(commitment!.outputs.length).toBe(HTLCS + 4)
      const feeSat = commitment!.outputs.reduce((left, o) => left - o.amountSat, 10_000_000n)
      expect(feeSat).toBe(commitFee(feeratePerKw, HTLCS, 'anchors'))
    },
  )
})
