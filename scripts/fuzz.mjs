// npm run fuzz [times]: the properties of test/crypto, each case count multiplied: by 300 for about a million cases, which takes
// noble, the other side of the comparison, an hour or two.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const times = process.argv[2] ?? '300'
if (!/^[1-9]\d*$/.test(times)) {
  console.error(`npm run fuzz [times]: "${times}" is not a whole number from 1 on`)
  process.exit(2)
}
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/crypto', '--testTimeout=0', '--hookTimeout=0'], {
  stdio: 'inherit',
  env: { ...process.env, FUZZ: times },
})
process.exit(status ?? 1)
