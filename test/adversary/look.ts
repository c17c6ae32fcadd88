import { appendFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { problemsOf, scheduleOf, shrink } from './schedule.ts'

/**
 * FULMEN_SCHEDULES=20000 FULMEN_SEED=7 looks longer, and elsewhere; `npm run fuzz -- --suite adversary` does that on all cores.
 * A schedule is known by its number: FULMEN_FIRST=7000123 FULMEN_SCHEDULES=1 plays one again, `--shrink 7000123` tells the part of it
 * that goes wrong.
 */
const SCHEDULES = Number(process.env.FULMEN_SCHEDULES ?? 512)
const SEED = Number((process.env.FULMEN_SEED ?? '1').split(':')[0]) || Date.now() % 2000
const FIRST = Number(process.env.FULMEN_FIRST ?? SEED * 1_000_000)
/** For whoever runs this in the background: a line of JSON for every schedule that fails, and for how many are done after each. */
const report = (line: object): void => {
  if (process.env.FULMEN_REPORT) appendFileSync(process.env.FULMEN_REPORT, `${JSON.stringify(line)}\n`)
}
/** Watching on until everything is 100 blocks deep takes as long as the rest: some do. */
const TO_THE_END = 16

/** For `npm run fuzz -- --suite adversary --shrink`: reports the schedule in as few steps as it takes, with what is wrong. */
export function shrunk(schedule: number): void {
  it(`schedule ${schedule} is as short as it can be`, async () => {
    const whole = scheduleOf(schedule)
    const { problems } = await problemsOf(whole)
    const least = problems.length > 0 ? await shrink(whole) : whole
    report({ ...(await problemsOf(least)), schedule: least })
  }, 86_400_000)
}

/** A part of the schedules: each is in a file of its own, so that every core has some. */
export function look(part: number): void {
  const first = FIRST + part * SCHEDULES
  describe('a peer, a miner and a network that are out to rob us', () => {
    it(`get nothing, whatever they do: ${SCHEDULES} schedules from ${first} on`, async () => {
      const failed: { schedule: number; problems: readonly string[] }[] = []
      for (let i = 0; i < SCHEDULES; i++) {
        const schedule = first + i
        const { problems, lostSat } = await problemsOf(scheduleOf(schedule), schedule % TO_THE_END === 0)
        if (problems.length > 0) {
          failed.push({ schedule, problems })
          report({ schedule, problems, lostSat })
        }
        report({ done: i + 1 })
      }
      expect(failed).toEqual([])
    }, 86_400_000)
  })
}
