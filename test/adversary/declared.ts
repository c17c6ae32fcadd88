import { sat } from '../../src/base/units.ts'
import type { ChannelPolicy } from '../../src/channel/types.ts'
import { POLICY } from './keys.ts'
import { CAPACITY } from './opening.ts'
import type { Rng } from './rng.ts'

/** What a side declares when a channel is opened, as far as schedules differ in it. All but the dust limit bind the other side. */
export interface Declared {
  readonly dustLimitSat: number
  /** Blocks. */
  readonly toSelfDelay: number
  /** On their way at a time. */
  readonly inFlightSat: number
  /** Of the capacity. */
  readonly reserveMillionths: number
}

const DUST = [354, 546, 1_000]
const RESERVES = [10_000, 1_000, 60_000, 200_000]
const IN_FLIGHT = [500_000_000, 1_000_000, 400_000]

export const declaredBy = (rng: Rng, delays: readonly number[]): Declared => ({
  dustLimitSat: DUST[rng.below(DUST.length)]!,
  toSelfDelay: delays[rng.below(delays.length)]!,
  inFlightSat: IN_FLIGHT[rng.pick([4, 1, 1])]!,
  reserveMillionths: RESERVES[rng.pick([3, 1, 1, 1])]!,
})
/** The time that the honest have to punish: never below what the attacker may take of it. */
export const OUR_DELAYS = [24, 30, 40]
/** What they wait themselves. */
export const THEIR_DELAYS = [24, 1, 6, 45]

/** Without: as both sides had it when the first schedules were kept. */
export const policyOf = (d: Declared | undefined): ChannelPolicy =>
  d === undefined
    ? POLICY
    : {
        ...POLICY,
        dustLimitSat: sat(d.dustLimitSat),
        toSelfDelay: d.toSelfDelay,
        maxHtlcValueInFlightMillionths: Math.min(1_000_000, Math.ceil((d.inFlightSat * 1_000_000) / Number(CAPACITY))),
        reserveMillionths: d.reserveMillionths,
      }
