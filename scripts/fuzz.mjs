// npm run fuzz [times], or npm run fuzz -- --suite crypto [--times N]: the properties of test/crypto, each case count multiplied: by
// 300 for about a million cases, which takes noble, the other side of the comparison, an hour or two.
//
// npm run fuzz -- --suite adversary [--schedules N] [--seed S] [--json]: a hostile peer that owns miner and network, over N schedules,
// on all cores. With --json, exactly one object on stdout: { schedules, failures, lostSat, seed }. Progress, and what failed with the
// number that plays it again, go to stderr.
//
// npm run fuzz -- --suite adversary --shrink NUMBER: a schedule that failed, in as few steps as it takes: its JSON on stdout, as
// test/adversary/regressions.json keeps them.
//
// npm run fuzz -- --suite ldk [--schedules N] [--seed S]: N lives of two channels with a real LDK node, from opening to close; a second or two each.
// With --suite ldk-force they end by force, with payments in flight; ten seconds or more each.
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildCore } from './core.mjs'

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')

function usage(message) {
  console.error(`npm run fuzz: ${message}`)
  process.exit(2)
}

function whole(text, name, least) {
  if (!/^\d+$/.test(text) || Number(text) < least) usage(`${name} "${text}" is not a whole number from ${least} on`)
  return Number(text)
}

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        suite: { type: 'string', default: 'crypto' },
        times: { type: 'string' },
        schedules: { type: 'string' },
        seed: { type: 'string', default: '1' },
        shrink: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (e) {
    return usage(e.message)
  }
}

/** vitest in a process of its own. @returns its exit code */
function run(args, env, stdio) {
  const child = spawn(process.execPath, [vitest, 'run', ...args, '--testTimeout=0', '--hookTimeout=0'], {
    stdio,
    env: { ...process.env, ...env },
  })
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)))
}

// ---------------------------------------------------------------- the adversary

/** Schedules that follow each other share what happened before them: each process has whole such families. */
const FAMILY = 16
const EVERY_MS = 30_000

function readLines(file) {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line))
  } catch {
    return []
  }
}

/** @returns what all processes have reported so far */
function soFar(files) {
  const lines = files.map(readLines)
  const failed = lines.flat().filter((l) => 'schedule' in l)
  const done = lines.reduce((sum, own) => sum + (own.findLast((l) => 'done' in l)?.done ?? 0), 0)
  return { done, failed }
}

async function adversary({ schedules, seed, json }) {
  await buildCore()
  const dir = mkdtempSync(join(tmpdir(), 'fulmen-fuzz-'))
  const workers = Math.max(1, Math.min(availableParallelism(), Math.ceil(schedules / FAMILY)))
  const share = Math.ceil(schedules / workers / FAMILY) * FAMILY
  const first = (seed * 1_000_000) % 2 ** 31
  const parts = Array.from({ length: workers }, (_, i) => ({
    from: first + i * share,
    count: Math.max(0, Math.min(share, schedules - i * share)),
    file: join(dir, `${i}.jsonl`),
    log: join(dir, `${i}.log`),
  })).filter((p) => p.count > 0)
  const files = parts.map((p) => p.file)
  const told = new Set()
  const tell = (failed) => {
    for (const { schedule, problems } of failed.filter((f) => !told.has(f.schedule))) {
      told.add(schedule)
      console.error(
        `schedule ${schedule} (FULMEN_FIRST=${schedule} FULMEN_SCHEDULES=1 npx vitest run test/property/adversary.test.ts):`,
      )
      for (const p of problems) console.error(`  ${p}`)
    }
  }
  const timer = setInterval(() => {
    const { done, failed } = soFar(files)
    tell(failed)
    console.error(`${done} of ${schedules} schedules, ${failed.length} failures`)
  }, EVERY_MS)
  const codes = await Promise.all(
    parts.map(({ from, count, file, log }) => {
      const out = openSync(log, 'w')
      const env = { FULMEN_FIRST: `${from}`, FULMEN_SCHEDULES: `${count}`, FULMEN_REPORT: file }
      return run(['test/property/adversary.test.ts'], env, ['ignore', out, out]).finally(() => closeSync(out))
    }),
  )
  clearInterval(timer)
  const { done, failed } = soFar(files)
  tell(failed)
  // A process that ended otherwise than by the schedules' failures has something to say of its own.
  const broken = parts.filter((p, i) => codes[i] !== 0 && readLines(p.file).every((l) => !('schedule' in l)))
  for (const p of broken) console.error(readFileSync(p.log, 'utf8'))
  rmSync(dir, { recursive: true, force: true })
  const lostSat = failed.reduce((sum, f) => sum + f.lostSat, 0)
  const result = { schedules: done, failures: failed.length, lostSat, seed }
  if (json) console.log(JSON.stringify(result))
  else console.error(`${done} schedules, ${failed.length} failures, ${lostSat} sat lost (seed ${seed})`)
  return failed.length > 0 || broken.length > 0 || done < schedules ? 1 : 0
}

/** Tells one schedule in as few steps as it takes to go wrong. @returns the exit code: 1 when nothing is wrong with it */
async function shrink(number) {
  await buildCore()
  const dir = mkdtempSync(join(tmpdir(), 'fulmen-fuzz-'))
  const file = join(dir, 'least.json')
  const env = { FULMEN_SHRINK: `${number}`, FULMEN_REPORT: file }
  const code = await run(['test/property/adversary.test.ts', '-t', 'as short as it can be'], env, ['ignore', 2, 2])
  const [found] = readLines(file)
  rmSync(dir, { recursive: true, force: true })
  if (code !== 0 || !found) return 1
  if (found.problems.length === 0) {
    console.error(`nothing is wrong with schedule ${number}`)
    return 1
  }
  for (const p of found.problems) console.error(`  ${p}`)
  console.log(JSON.stringify(found.schedule, null, 2))
  return 0
}

// ---------------------------------------------------------------- which

/** Lives with a real LDK node. */
const LDK = {
  ldk: { file: 'test/interop/schedule.test.ts', schedules: '1000' },
  'ldk-force': { file: 'test/interop/forceSchedule.test.ts', schedules: '100' },
}

const { values, positionals } = options()
if (values.suite === 'crypto') {
  const times = whole(values.times ?? positionals[0] ?? '300', 'times', 1)
  process.exit(await run(['test/crypto'], { FUZZ: `${times}` }, 'inherit'))
} else if (values.suite === 'adversary') {
  if (positionals.length > 0) usage(`"${positionals[0]}" is not an option of this suite`)
  if (values.shrink !== undefined) process.exit(await shrink(whole(values.shrink, '--shrink', 0)))
  const schedules = whole(values.schedules ?? '200000', '--schedules', 1)
  process.exit(await adversary({ schedules, seed: whole(values.seed, '--seed', 0), json: values.json }))
} else if (Object.hasOwn(LDK, values.suite)) {
  if (positionals.length > 0) usage(`"${positionals[0]}" is not an option of this suite`)
  const { file, schedules } = LDK[values.suite]
  const runs = whole(values.schedules ?? schedules, '--schedules', 1)
  const seed = whole(values.seed, '--seed', 0)
  process.exit(await run([file], { FULMEN_RUNS: `${runs}`, FULMEN_SEED: `${seed}` }, 'inherit'))
} else usage(`there is no suite "${values.suite}": crypto, adversary, ${Object.keys(LDK).join(' or ')}`)
