import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { buildLocal, buildRemote, buildRemoteSigned, type HtlcCommitment } from '../../src/channel/commitments.ts'
import { stands } from '../../src/channel/htlc.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import { commitFee } from '../../src/channel/tx/weights.ts'
import { add, faultsOf, reachNormal, type World } from '../channel/harness.ts'
import { name } from '../channel/life.ts'
import type { Name, Side } from '../channel/side.ts'

const LIMIT = 120_000n

type Step =
  | { readonly tag: 'add'; readonly who: Name; readonly amountMsat: number; readonly sign: boolean }
  | { readonly tag: 'fee'; readonly feeratePerKw: number }
  | { readonly tag: 'deliver'; readonly from: Name }
  | { readonly tag: 'fail'; readonly who: Name; readonly pick: number }
  | { readonly tag: 'calm' }

/** Mostly such that HTLCs are added with outputs, which a jump then takes from many of them. */
const feerate = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 300, max: 2_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 8_000, max: 40_000 }) },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      tag: fc.constant('add' as const),
      who: name,
      amountMsat: fc.integer({ min: 300_000, max: 30_000_000 }),
      sign: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ tag: fc.constant('fee' as const), feeratePerKw: feerate }) },
  { weight: 12, arbitrary: fc.record({ tag: fc.constant('deliver' as const), from: name }) },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant('fail' as const), who: name, pick: fc.nat(20) }) },
  { weight: 5, arbitrary: fc.record({ tag: fc.constant('calm' as const) }) },
)

function run(w: World, s: Step, n: number): void {
  switch (s.tag) {
    case 'add':
      w.side(s.who).command(add(n, s.amountMsat), s.sign)
      break
    case 'fee':
      w.side(w.opener).command({ tag: 'updateFee', feeratePerKw: s.feeratePerKw })
      break
    case 'deliver':
      w.deliver(s.from)
      break
    case 'fail': {
      const side = w.side(s.who)
      const open = [...eachHtlc(side.channel.commitments.incoming)].filter((h) => h.stage === 'committed')
      const htlc = open[s.pick % Math.max(1, open.length)]
      if (htlc) side.command({ tag: 'failHtlc', id: htlc.add.id, reason: new Uint8Array(292) })
      break
    }
    case 'calm':
      w.settle()
  }
  if (!w.connected) w.connect()
}

/** sat that the miner of a commitment gets beyond its fee: told by the transaction's outputs alone. */
function given(built: HtlcCommitment, capacitySat: bigint, feeratePerKw: number): bigint {
  const paid = built.tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)
  return capacitySat - paid - commitFee(feeratePerKw, built.tx.outputs.length - 2, 'static_remotekey')
}

/** The most that any commitment which may be published gives away, less what is to be failed without a preimage. */
function lost({ channel, ctx }: Side): bigint {
  const { commitments } = channel
  const commitment = commitments.active[0]!
  const { local, remote, remoteSigned } = commitments
  const views = [
    ['local', buildLocal(channel, commitment, ctx.signer), local],
    ['remote', buildRemote(channel, commitment), remote],
    ['remoteSigned', buildRemoteSigned(channel, commitment), remoteSigned],
  ] as const
  let most = 0n
  for (const [view, built, numbers] of views) {
    if (!built || !numbers) continue
    let sum = given(built, commitment.capacitySat, numbers.feeratePerKw)
    for (const h of eachHtlc(commitments.incoming)) {
      if (h.add.excessDust && stands(h, 'in', view)) sum -= h.add.amountMsat / 1000n + 1n
    }
    if (sum > most) most = sum
  }
  return most
}

describe('BOLT 2 §bounding-exposure-to-trimmed-in-flight-htlcs, §updating-fees: dust HTLC exposure (CVE-2021-41591 to -41593)', () => {
  it('no commitment gives the miner more than the limit, whatever feerate the peer sets and whatever is added meanwhile', () => {
    let dusty = 0
    let refused = 0
    const lives = fc.array(step, { minLength: 30, maxLength: 70, size: 'max' })
    fc.assert(
      fc.property(lives, fc.boolean(), (steps, hostile) => {
        const w = reachNormal({
          channelType: 'static_remotekey',
          capacitySat: sat(10_000_000),
          pushMsat: msat(5_000_000_000),
          policy: {
            maxDustExposureMsat: msat(LIMIT * 1000n),
            feerateTolerancePercent: { low: 1, high: 100_000 },
          },
        })
        // An opener that looks at no limit.
        const careless = { ...w.alice.ctx.policy, maxDustExposureMsat: msat(1_000_000_000_000n) }
        if (hostile) w.alice.ctx = { ...w.alice.ctx, policy: careless }
        steps.forEach((s, n) => {
          run(w, s, n)
          if (n % 3 > 0 && n < steps.length - 1) return
          for (const side of hostile ? [w.bob] : w.sides) {
            const sum = lost(side)
            if (sum > LIMIT / 2n) dusty++
            // Each HTLC and both balances are rounded down to satoshis.
            expect(sum).toBeLessThanOrEqual(LIMIT + 200n)
          }
        })
        const faults = w.sides.flatMap(faultsOf)
        refused += faults.filter((f) => f.code === 'DUST_EXPOSURE').length
        expect(faults.filter((f) => f.code !== 'DUST_EXPOSURE' && f.code !== 'INSUFFICIENT_BALANCE')).toEqual([])
      }),
      { numRuns: 14, endOnFailure: true },
    )
    // The lives come near to the limit, and the peer is stopped at it.
    expect(dusty).toBeGreaterThan(1)
    expect(refused).toBeGreaterThan(0)
  })
})
