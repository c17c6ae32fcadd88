import { describe, expect, it } from 'vitest'
import { look, shrunk } from '../adversary/look.ts'
import regressions from '../adversary/regressions.json' with { type: 'json' }
import { problemsOf, type Schedule } from '../adversary/schedule.ts'

if (process.env.FULMEN_SHRINK) shrunk(Number(process.env.FULMEN_SHRINK))
else look(0)

describe('what an adversary once found', () => {
  for (const { name, schedule } of regressions as unknown as readonly { name: string; schedule: Schedule }[]) {
    it(`it finds never again: ${name}`, async () => {
      expect(await problemsOf(schedule)).toMatchObject({ problems: [], lostSat: 0 })
    })
  }
})
