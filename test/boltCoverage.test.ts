import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'

it('docs/bolt-coverage.md is what the code and the tests cite (else: node scripts/boltCoverage.mjs)', () => {
  const check = spawnSync(process.execPath, ['scripts/boltCoverage.mjs', '--check'], { encoding: 'utf8' })
  expect([check.status, check.stderr]).toEqual([0, ''])
})
