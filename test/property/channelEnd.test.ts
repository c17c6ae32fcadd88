import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { committedIncoming } from '../../src/channel/describe.ts'
import { Ending } from '../channel/ending.ts'
import { hashOf, other } from '../channel/harness.ts'
import { name, Run, step } from '../channel/life.ts'
import type { Name, Side } from '../channel/side.ts'

/** FULMEN_RUNS=1000 npx vitest run test/property/channelEnd.test.ts looks longer. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 12)
const NAMES = ['alice', 'bob'] as const
/** Below this an HTLC may go to the miner, whole or for the fee of its second stage. */
const POOR_SAT = 10_000n

const life = fc.record({
  steps: fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }),
  channelType: fc.constantFrom('anchors' as const, 'static_remotekey' as const),
  opener: name,
  closers: fc.constantFrom<readonly Name[]>(['alice'], ['bob'], NAMES),
  /** Which of the HTLCs that are open then get their preimage. */
  settles: fc.nat(0xff),
})
type Life = typeof life extends fc.Arbitrary<infer T> ? T : never

function begin({ steps, channelType, opener }: Life, watch: (run: Run) => void = () => undefined): Run {
  const expiry = (n: number): number => 160 + (n % 20)
  const options = {
    channelType,
    opener,
    pushMsat: msat(400_000_000),
    realSignatures: true,
    enforce: false,
    policy: { toSelfDelay: 10 },
  }
  const run = new Run(options, expiry)
  watch(run)
  for (const s of steps) run.step(s)
  for (const side of run.w.sides) side.flush()
  run.w.disconnect()
  return run
}

/** The payment machine learns some preimages after the close. */
function settleSome(run: Run, side: Side, settles: number): void {
  committedIncoming(side.state!).forEach((htlc, i) => {
    if (((settles >> (i % 8)) & 1) === 0) return
    side.command({ tag: 'fulfillHtlc', id: htlc.id, preimage: run.preimages.get(htlc.paymentHash)! })
  })
}

/** What a side must have in the end, by the results that were reported: less where money may have gone to the miner. */
function least(run: Run, end: Ending, who: Name): bigint {
  const { closing } = end.onchain(who)
  const { params, commitments } = run.w.side(who).channel
  let sat = commitments.active[0]!.baseLocalMsat / 1000n
  if (params.isOpener) sat -= closing.feeSat + closing.anchorsSat
  for (const [n, { who: from, amountMsat }] of run.offered) {
    const amount = BigInt(amountMsat) / 1000n
    const result = run.resultOf(n)
    const poor = amount < POOR_SAT
    const relented = run.relented.has(hashOf(n))
    if (from === who && (result === 'fulfilled' || (result === 'failed' && poor))) sat -= amount + 1n
    if (from !== who && result === 'fulfilled' && !poor && !relented) sat += amount
  }
  return sat - 1_000n
}

describe("a force close at any moment of a channel's life", () => {
  it('gives every HTLC one result and everybody the money that goes with it', () => {
    const play = (l: Life): void => {
      const run = begin(l)
      const end = new Ending(run.w)
      for (const who of l.closers) run.w.side(who).command({ tag: 'forceClose', requestId: 3 })
      for (const side of run.w.sides) settleSome(run, side, l.settles)
      end.mine()
      for (const side of run.w.sides) settleSome(run, side, l.settles >> 4)
      end.finish()
      expect(end.refused).toEqual([])
      expect(end.onchain('alice').closing.txid).toBe(end.onchain('bob').closing.txid)
      for (const n of run.offered.keys()) expect([n, run.resultOf(n)]).not.toEqual([n, null])
      for (const who of NAMES) expect(end.won(who)).toBeGreaterThanOrEqual(least(run, end, who))
    }
    fc.assert(fc.property(life, play), { numRuns: RUNS, endOnFailure: process.env.FULMEN_SHRINK !== '1' })
  }, 3_600_000)
})

describe("a revoked commitment from any moment of a channel's life", () => {
  it('loses the cheat everything that has an output', () => {
    const play = ({ pick, ...l }: Life & { readonly pick: number }): void => {
      const held: Transaction[] = []
      const cheat = l.closers[0]!
      const run = begin(l, (r) => {
        const side = r.w.side(cheat)
        side.onFlush = () => {
          const { number } = side.channel.commitments.local
          held[number] ??= signedLocal(side.channel, side.channel.commitments.active[0]!, side.ctx)
        }
        side.onFlush()
      })
      const { remote } = run.w.side(other(cheat)).channel.commitments
      const revoked = held.slice(0, remote.number)
      if (revoked.length === 0) return
      const end = new Ending(run.w)
      end.broadcast(cheat, revoked[pick % revoked.length]!)
      end.mine()
      const victim = other(cheat)
      expect(end.onchain(victim).how).toBe('revoked')
      for (let i = 0; i < 200 && run.w.side(victim).state!.tag !== 'closed'; i++) end.mine()
      expect(end.refused).toEqual([])
      const { closing, outputs, spenders } = end.onchain(victim)
      const fees = spenders.filter((s) => s.kind === 'theirs').reduce((sum, s) => sum + (s.feeSat ?? 0n), 0n)
      const poor = outputs.filter((o) => !o.spent).reduce((sum, o) => sum + o.amountSat, 0n)
      const { capacitySat } = run.w.alice.channel.commitments.active[0]!
      expect(end.won(victim)).toBe(capacitySat - closing.feeSat - closing.anchorsSat - fees - poor)
    }
    const cheating = life.chain((l) => fc.nat(100).map((pick) => ({ ...l, pick })))
    fc.assert(fc.property(cheating, play), { numRuns: RUNS, endOnFailure: process.env.FULMEN_SHRINK !== '1' })
  }, 3_600_000)
})
