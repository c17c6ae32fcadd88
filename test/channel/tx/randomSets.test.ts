import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildSweep } from '../../../src/channel/onchain/claims.ts'
import { htlcSighashes } from '../../../src/channel/tx/htlc.ts'
import {
  alice,
  bob,
  CAPACITY,
  fundingOutput,
  htlc,
  outpoint,
  type Scene,
  SWEEP_SCRIPT,
  scene,
  signStage,
  verdict,
} from './fixture.ts'
import { penalty, prevout, types } from './sweeps.ts'

describe('BOLT 3, with random HTLC sets', () => {
  const some = fc.array(
    fc.record({
      n: fc.integer({ min: 1, max: 250 }),
      amount: fc.integer({ min: 1, max: 6000 }),
      expiry: fc.integer({ min: 100, max: 103 }),
    }),
    { maxLength: 12 },
  )
  const arbitrary = fc.record({
    type: fc.constantFrom(...types),
    holder: fc.constantFrom(alice, bob),
    offered: some,
    received: some,
    feeratePerKw: fc.integer({ min: 253, max: 3000 }),
  })
  const make = (r: typeof arbitrary extends fc.Arbitrary<infer T> ? T : never): Scene => {
    const list = (hs: typeof r.offered) => hs.map((h) => htlc(h.n, h.amount, h.expiry))
    return scene(r.type, r.holder, {
      offered: list(r.offered),
      received: list(r.received),
      feeratePerKw: r.feeratePerKw,
    })
  }

  it('loses no satoshi and no HTLC, and orders its outputs', () => {
    fc.assert(
      fc.property(arbitrary, (r) => {
        const { commitment: c } = make(r)
        const paid = c.tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)
        expect(paid + c.feeSat).toBe(CAPACITY)
        expect(c.htlcs.length + c.trimmed.length).toBe(r.offered.length + r.received.length)
        for (let i = 1; i < c.tx.outputs.length; i++) {
          expect(c.tx.outputs[i]!.amountSat >= c.tx.outputs[i - 1]!.amountSat).toBe(true)
        }
        c.htlcs.forEach((o, i) => {
          if (i > 0) expect(o.index).toBeGreaterThan(c.htlcs[i - 1]!.index)
          expect(o.amountSat).toBe(o.htlc.amountMsat / 1000n)
        })
      }),
      { numRuns: 60 },
    )
  })

  it('validates with both signatures, every second stage with the peer’s signature in the order of htlc_signature', () => {
    fc.assert(
      fc.property(arbitrary, (r) => {
        const s = make(r)
        expect(verdict(s.signed, fundingOutput)).toBe('ok')
        expect(htlcSighashes(s.commitment).length).toBe(s.commitment.htlcs.length)
        for (const o of s.commitment.htlcs) {
          const tx = signStage(s, o)
          expect(verdict(tx, prevout(s, o.index))).toBe('ok')
          expect(tx.outputs[0]!.amountSat).toBeGreaterThanOrEqual(546n)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('swept as a whole by the counterparty once revoked, in one transaction', () => {
    fc.assert(
      fc.property(arbitrary, (r) => {
        const s = make(r)
        const { commitment: c } = s
        const inputs = [
          ...(c.toHolder === null ? [] : [{ index: c.toHolder, spend: penalty(s, c.delayedScript!, false) }]),
          ...c.htlcs.map((o) => ({ index: o.index, spend: penalty(s, o.witnessScript, true) })),
        ].map(({ index, spend }) => ({
          outpoint: outpoint(c.txid, index),
          amountSat: c.tx.outputs[index]!.amountSat,
          spend,
          preimage: null,
        }))
        const built = buildSweep(inputs, { scriptPubKey: SWEEP_SCRIPT, feeratePerKw: 253 }, s.counterparty)!
        for (const [i, { outpoint: o }] of inputs.entries())
          expect(verdict(built.tx, prevout(s, o.index), i)).toBe('ok')
      }),
      { numRuns: 15 },
    )
  })
})
