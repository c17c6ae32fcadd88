import fc from 'fast-check'
import { describe, it } from 'vitest'
import { type Life, life, Run } from '../channel/life.ts'

/**
 * FULMEN_RUNS=5000 npx vitest run test/property/channel.test.ts looks longer; a failure prints its seed and path, which with
 * FULMEN_SHRINK=1 are cut down to the few steps that matter.
 */
const RUNS = Number(process.env.FULMEN_RUNS ?? 45)

function live({ steps, closeAt, opener, pushed, ...options }: Life): void {
  const run = new Run({ ...options, opener, pushMsat: BigInt(pushed) as never })
  steps.forEach((s, i) => {
    if (closeAt?.at === i) run.step({ tag: 'close', who: closeAt.who })
    run.step(s)
  })
  run.finish()
  run.results()
  run.ended()
}

describe('two channel cores, a network that fails and processes that die', () => {
  it('lose no money and no HTLC, agree when quiet, and could enforce every commitment that they hold', () => {
    fc.assert(fc.property(life, live), { numRuns: RUNS, endOnFailure: process.env.FULMEN_SHRINK !== '1' })
  }, 3_600_000)
})
