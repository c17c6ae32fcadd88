import { describe, expect, it } from 'vitest'
import { fromHex } from '../../../src/base/bytes.ts'
import { msat, type Sat, sat } from '../../../src/base/units.ts'
import { weightOf } from '../../../src/bitcoin/transaction.ts'
import { type BuiltClosing, buildClosing, buildSimpleClosing, closingWeight } from '../../../src/channel/tx/closing.ts'
import { withFundingWitness } from '../../../src/channel/tx/funding.ts'
import { fundingScript } from '../../../src/channel/tx/scripts.ts'
import type { ChannelSigner } from '../../../src/channel/types.ts'
import { alice, bob, CAPACITY, FUNDING, fundingOutput, verdict } from './fixture.ts'

const p2wpkh = fromHex(`0014${'11'.repeat(20)}`)
const p2wsh = fromHex(`0020${'22'.repeat(32)}`)
const opReturn = fromHex('6a0401020304')
const base = {
  funding: FUNDING,
  capacitySat: CAPACITY,
  fundingScript: fundingScript(alice.basepoints.fundingPubkey, bob.basepoints.fundingPubkey),
}
const close = (localSat: number, feeSat: number, localIsOpener = true, dustLimitSat = 546) =>
  buildClosing({
    ...base,
    feeSat: sat(feeSat),
    local: { amountMsat: msat(localSat * 1000 + 999), scriptPubKey: p2wpkh },
    remote: { amountMsat: msat(Number(CAPACITY) * 1000 - localSat * 1000 - 999), scriptPubKey: p2wsh },
    localIsOpener,
    dustLimitSat: sat(dustLimitSat),
  })
const signed = (c: BuiltClosing) => {
  const by = (s: ChannelSigner) => ({ publicKey: s.basepoints.fundingPubkey, signature: s.signFunding(c.sighash) })
  return withFundingWitness(c.tx, by(bob), by(alice))
}
const amounts = (c: BuiltClosing | null): readonly Sat[] | undefined => c?.tx.outputs.map((o) => o.amountSat)

describe('BOLT 3 §legacy-closing-transaction', () => {
  it('pays each side, rounded down, the fee taken from the opener', () => {
    expect(amounts(close(4_000_000, 1_000))).toEqual([3_999_000n, 5_999_999n])
    expect(amounts(close(4_000_000, 1_000, false))).toEqual([4_000_000n, 5_998_999n])
  })

  it('is valid with both signatures', () => {
    expect(verdict(signed(close(4_000_000, 1_000)!), fundingOutput)).toBe('ok')
  })

  it('leaves out what is below the dust limit, after the fee, and no more', () => {
    expect(amounts(close(1_545, 1_000))).toEqual([9_998_454n])
    expect(amounts(close(1_546, 1_000))).toEqual([546n, 9_998_453n])
    expect(amounts(close(545, 1_000, false))).toEqual([9_998_454n])
  })

  it('is not to be had when the opener cannot pay the fee or nothing is left', () => {
    expect(close(999, 1_000)).toBeNull()
    expect(close(5_000_000, 0, true, 20_000_000)).toBeNull()
  })

  it('weighs what its fee is estimated for, by 10 units at most', () => {
    const real = weightOf(signed(close(4_000_000, 1_000)!))
    expect(real).toBeLessThanOrEqual(closingWeight(p2wpkh, p2wsh))
    expect(real).toBeGreaterThan(closingWeight(p2wpkh, p2wsh) - 10)
  })
})

describe('BOLT 3 §closing-transaction', () => {
  const simple = (outputs: 'closer' | 'closee' | 'both', closeeScript = p2wsh, feeSat = 1_000) =>
    buildSimpleClosing({
      ...base,
      feeSat: sat(feeSat),
      closer: { amountMsat: msat(4_000_000_000), scriptPubKey: p2wpkh },
      closee: { amountMsat: msat(6_000_000_000), scriptPubKey: closeeScript },
      lockTime: 600,
      outputs,
    })

  it('takes the fee from the closer and may be replaced', () => {
    const c = simple('both')!
    expect(amounts(c)).toEqual([3_999_000n, 6_000_000n])
    expect(c.tx.inputs[0]!.sequence).toBe(0xfffffffd)
    expect(c.tx.lockTime).toBe(600)
    expect(verdict(signed(c), fundingOutput)).toBe('ok')
  })

  it('can leave either output out', () => {
    expect(amounts(simple('closer'))).toEqual([3_999_000n])
    expect(amounts(simple('closee'))).toEqual([6_000_000n])
  })

  it('puts nothing into an OP_RETURN output', () => {
    expect(amounts(simple('both', opReturn))).toEqual([0n, 3_999_000n])
  })

  it('is not to be had when the closer cannot pay', () => {
    expect(simple('both', p2wsh, 4_000_001)).toBeNull()
  })
})
