import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { ldkStage } from './ldkStage.ts'
import { Life, type Step } from './life.ts'
import type { OurNode } from './ourNode.ts'
import type { Name, Stage } from './stage.ts'
import { World } from './world.ts'

/** FULMEN_RUNS=500 npx vitest run test/interop/life.test.ts looks longer. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 6)

const name = fc.constantFrom<Name>('carol', 'us', 'them')
const pay: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('pay' as const),
  from: name,
  to: name,
  amountMsat: fc.oneof(fc.integer({ min: 1_000, max: 400_000 }), fc.integer({ min: 300_000, max: 80_000_000 })),
  kind: fc.constantFrom('at once' as const, 'at once' as const, 'held' as const, 'keysend' as const),
})
const run: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('run' as const),
  bytes: fc.integer({ min: 1, max: 3_000 }),
})
const cut: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('cut' as const),
  direction: fc.constantFrom('in' as const, 'out' as const),
  bytes: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 6_000 })),
})
const other: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ tag: fc.constantFrom('connect' as const, 'connect' as const, 'restart' as const, 'mine' as const) }),
  fc.record({ tag: fc.constant('decide' as const), pick: fc.nat(8), settle: fc.boolean() }),
  fc.record({ tag: fc.constant('decide' as const), pick: fc.nat(8), settle: fc.boolean() }),
  // LDK has one estimate for everything: what it asks of us at least is what it would pay itself.
  fc.record({
    tag: fc.constant('fee' as const),
    who: fc.constant('us' as const),
    feeratePerKw: fc.integer({ min: 2_500, max: 4_000 }),
  }),
  fc.record({
    tag: fc.constant('fee' as const),
    who: fc.constant('them' as const),
    feeratePerKw: fc.integer({ min: 1_200, max: 2_500 }),
  }),
)
const life = fc.array(fc.oneof(pay, pay, pay, run, run, cut, other), { minLength: 5, maxLength: 40, size: 'max' })

describe('a life with LDK, of payments, lost connections, restarts, fees and blocks', () => {
  let w: World
  let stage: Stage
  let carol: OurNode
  let channels: readonly string[]
  beforeAll(async () => {
    w = await World.start({ autoclaim: false })
    stage = ldkStage(w)
    carol = await w.another()
    const ours = await w.openToLdk('anchors', 4_000_000, 2_000_000)
    const theirs = await w.openFromLdk('static_remotekey', 4_000_000, 2_000_000)
    channels = [ours.id, theirs.id]
    await w.openBetween(carol, w.us)
    const hinted = async () => {
      const { bolt11 } = await carol.service.createInvoice({ amountMsat: msat(1) })
      return decodeInvoice(bolt11).routeHints.length > 0
    }
    await w.until('a way to carol', hinted)
  })
  afterAll(() => w.stop())

  const balances = async () => {
    const of = async (node: OurNode) => (await node.channels()).reduce((sum, c) => sum + c.localMsat, 0n)
    return { us: await of(w.us), carol: await of(carol) }
  }
  const forwardFees = () =>
    w.us.events.filter((e) => e.type === 'forward.settled').reduce((sum, e) => sum + BigInt(Number(e.data.feeMsat)), 0n)

  it('loses no payment and no millisatoshi, and keeps every channel', async () => {
    const isKept = async (steps: readonly Step[]): Promise<void> => {
      const [had, fees] = [await balances(), forwardFees()]
      const life = new Life(stage, carol)
      for (const s of steps) await life.step(s)
      await life.finish()
      for (const id of channels) await w.quiet(id)
      await w.until('carol to be quiet', async () => (await carol.channels()).every((c) => c.htlcs.length === 0))
      await life.expectOneWord()
      const earned = forwardFees() - fees
      expect(await balances()).toEqual({
        us: had.us + (await life.gainedMsat('us')) + earned,
        carol: had.carol + (await life.gainedMsat('carol')),
      })
      const states = [...(await w.us.channels()), ...(await carol.channels())].map((c) => c.state)
      expect(states).toEqual(states.map(() => 'normal'))
      for (const { events } of [w.us, carol]) expect(events.filter((e) => e.type === 'node.alert')).toEqual([])
    }
    await fc.assert(fc.asyncProperty(life, isKept), { numRuns: RUNS, endOnFailure: true })
  })
})
