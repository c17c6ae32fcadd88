import fc from 'fast-check'
import { beforeAll, describe, it } from 'vitest'
import { play, prepare } from './lostWrites/judge.ts'
import { schedule } from './lostWrites/schedule.ts'

/** FULMEN_RUNS=500 npx vitest run test/property/lostWrites.test.ts looks longer. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 40)
/** FULMEN_SEED=seed:path, as a failure prints them, runs that schedule alone. */
const [seed, ...path] = (process.env.FULMEN_SEED ?? '').split(':')
const REPLAY = { endOnFailure: true, ...(seed && { seed: Number(seed), path: path.join(':') }) }

beforeAll(prepare)

describe('a node whose disk loses what was written', () => {
  it('loses no money over what it passes on and pays, whatever else happens', async () => {
    await fc.assert(fc.asyncProperty(schedule, play), { numRuns: RUNS, ...REPLAY })
  })
})
