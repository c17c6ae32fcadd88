import { expect } from 'vitest'
import type { PaymentHash } from '../../../src/base/ids.ts'
import { type Balances, channelMsat, onchainSat } from '../../node/accounts.ts'
import { NAMES, type Name, type Snapshot, World } from '../../node/world.ts'
import { Play } from './play.ts'
import type { Schedule } from './schedule.ts'

interface Base {
  readonly snapshot: Snapshot
  /** Msat, in channels and on chain. */
  readonly wealth: Balances
}
/** Msat: fractions of a satoshi, which closing transactions cannot pay. */
const EPSILON = 8_000n

/** By the numbers of channels. */
const bases = new Map<string, Base>()
export async function prepare(): Promise<void> {
  for (const first of [1, 2])
    for (const second of [1, 2]) {
      const world = await World.start()
      await world.fund(4)
      for (let n = 0; n < first; n++) await world.open('alice', 'bob', 1_000_000, 500_000)
      for (let n = 0; n < second; n++) await world.open('bob', 'carol', 1_000_000, 500_000)
      bases.set(`${[first, second]}`, { snapshot: world.snapshot(), wealth: wealthMsat(world) })
      world.close()
    }
}

function wealthMsat(world: World): Balances {
  const [inChannels, onchain] = [channelMsat(world), onchainSat(world)]
  const of = (name: Name): bigint => inChannels[name] + onchain[name] * 1000n
  return { alice: of('alice'), bob: of('bob'), carol: of('carol') }
}

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)

/** Payments of which the two ends may not say the same: it cannot be helped (docs/security.md). */
const excusedOf = (play: Play): ReadonlySet<PaymentHash> =>
  new Set([...play.nameless().map((h) => h.hash), ...play.taken])

/** What each gains by the payments that came through, in msat; each payer knows of his. */
async function expectPaymentsOver(play: Play): Promise<Balances> {
  const { life, world } = play
  const excused = excusedOf(play)
  const gained = { alice: 0n, bob: 0n, carol: 0n }
  for (const p of life.payments) {
    const [outcome, received] = [await life.outcome(p), await life.received(p)]
    expect([p, outcome]).not.toEqual([p, 'pending'])
    if (received === null) {
      expect([p, outcome]).not.toEqual([p, 'succeeded'])
      continue
    }
    expect([p, received]).toEqual([p, p.amountMsat])
    // A copy of before it was begun has no record of Bob's own.
    const isKnown = !excused.has(p.hash) && (p.payer === 'alice' || outcome !== 'none')
    if (isKnown) expect([p, outcome]).toEqual([p, 'succeeded'])
    gained.carol += received
    gained.bob -= received
    if (p.payer === 'bob') continue
    const { record } = (await world.of('alice').node!.payments.outgoing.find(p.hash))!
    const paid = record.attempts.filter((a) => a.status === 'succeeded')
    if (isKnown) expect([p, sum(paid.map((a) => a.amountMsat))]).toEqual([p, p.amountMsat])
    const withFees = sum(paid.map((a) => a.amountMsat + a.feeMsat))
    gained.alice -= withFees
    gained.bob += withFees
  }
  return gained
}

/** Nobody has more than he is owed, and together they have what there was, less what went to miners: so nobody has less than that. */
function expectNothingLost(play: Play, before: Balances, gained: Balances): void {
  const { world, life, forgotten, taken } = play
  const amountOf = (hashes: ReadonlySet<PaymentHash>): bigint =>
    sum(life.payments.map((p) => (hashes.has(p.hash) ? p.amountMsat : 0n)))
  const after = wealthMsat(world)
  const differences = NAMES.map((name) => [name, after[name] - before[name] - gained[name]] as const)
  for (const [name, more] of differences) {
    // Its preimage lost, Bob may have nothing to claim with what Alice has paid already: with fees, for some of his commitments.
    const most = name === 'alice' ? EPSILON + (amountOf(taken) * 101n) / 100n : EPSILON
    expect([name, more < most, differences]).toEqual([name, true, differences])
  }
  const missing = -sum(differences.map(([, more]) => more))
  const cost = life.costSat() * 1000n
  // What nothing is left of, and nobody shows anything of, cannot be claimed (docs/security.md).
  const unclaimed = amountOf(forgotten) + sum(play.nameless().map((h) => h.amountMsat))
  const isRight = missing >= cost && missing < cost + unclaimed + 3n * EPSILON
  expect([isRight, missing, cost, differences]).toEqual([true, missing, cost, differences])
}

export async function play(s: Schedule): Promise<void> {
  const { snapshot, wealth } = bases.get(`${s.channels}`)!
  const played = await Play.begin(snapshot, s)
  try {
    for (const step of s.steps) await played.step(step)
    await played.finish()
    expect(played.life.openHtlcs()).toBe(0)
    expectNothingLost(played, wealth, await expectPaymentsOver(played))
    expect(played.endedForNothing()).toEqual([])
    expect(played.complaints()).toEqual([])
  } finally {
    played.world.close()
  }
}
