// npm run fuzz [times], or npm run fuzz -- --suite crypto [--times N]: the properties of test/crypto, each case count multiplied: by
// 300 for about a million cases, which takes noble, the other side of the comparison, an hour or two.
//
// npm run fuzz -- --suite adversary [--schedules N] [--seed S] [--patience SECONDS] [--json]: a hostile peer that owns miner and network,
// over N schedules, on all cores. With --json, exactly one object on stdout: { schedules, failures, lostSat, seed }; `npm run fuzz --silent
// -- …` keeps npm's own lines off it. Progress, and what failed with the number that plays it again, go to stderr. A process that
// dies, or whose schedule has not ended after the patience (300 s), is a failure as well; the rest is played by another one.
//
// npm run fuzz -- --suite adversary --shrink NUMBER: a schedule that failed, in as few steps as it takes: its JSON on stdout, as
// test/adversary/regressions.json keeps them.
//
// npm run fuzz -- --suite ldk [--schedules N] [--seed S]: N lives of two channels with a real LDK node, from opening to close; a second or two each.
// With --suite ldk-force they end by force, with payments in flight; ten seconds or more each.
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
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
        patience: { type: 'string', default: '300' },
        shrink: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (e) {
    return usage(e.message)
  }
}

/** vitest in a process of its own. */
function start(args, env, options) {
  return spawn(process.execPath, [vitest, 'run', ...args, '--testTimeout=0', '--hookTimeout=0'], {
    ...options,
    env: { ...process.env, ...env },
  })
}

/** @returns the exit code, or the signal that ended it */
const ended = (child) => new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)))

/** The same, to its end. @returns its exit code */
async function run(args, env, stdio) {
  const how = await ended(start(args, env, { stdio }))
  return typeof how === 'number' ? how : 1
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

/** @returns what a process has reported so far */
function soFar(file) {
  const lines = readLines(file)
  return { done: lines.findLast((l) => 'done' in l)?.done ?? 0, failed: lines.filter((l) => 'schedule' in l) }
}

const LOOK_EVERY_MS = 1_000
/** A share whose processes keep dying is given up. */
const MOST_DEATHS = 5
const again = (schedule) => `FULMEN_FIRST=${schedule} FULMEN_SCHEDULES=1 npx vitest run test/property/adversary.test.ts`

/** Groups of processes that are running: they end with this one. */
const groups = new Set()
function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

/** Plays schedules in one process. @returns how it ended: an exit code, a signal, or null for one that stood still and was ended */
async function play({ from, count, file, log }, patienceMs) {
  const out = openSync(log, 'w')
  const env = { FULMEN_FIRST: `${from}`, FULMEN_SCHEDULES: `${count}`, FULMEN_REPORT: file }
  // A group of its own: a schedule that never ends is in a child of that process, which does not hear that it is to stop.
  const child = start(['test/property/adversary.test.ts', '-t', 'whatever they do'], env, {
    stdio: ['ignore', out, out],
    detached: true,
  })
  groups.add(child.pid)
  let [size, since, isStuck] = [0, Date.now(), false]
  const watch = setInterval(() => {
    const now = existsSync(file) ? statSync(file).size : 0
    if (now !== size) [size, since] = [now, Date.now()]
    else if (Date.now() - since > patienceMs) {
      isStuck = true
      killGroup(child.pid)
    }
  }, LOOK_EVERY_MS)
  const how = await ended(child)
  clearInterval(watch)
  killGroup(child.pid)
  groups.delete(child.pid)
  closeSync(out)
  return isStuck ? null : how
}

/** What a process that did not do its share says of it. */
function tellDeath({ from, count, log }, { done, how, patienceMs }) {
  const at = from + done
  const what = how === null ? `has not ended after ${patienceMs / 1000} s` : `took its process with it (${how})`
  if (done < count) console.error(`schedule ${at} (${again(at)}) ${what}:`)
  else console.error(`a process ended otherwise than by its schedules, ${from} to ${at - 1} (${how}):`)
  console.error(readFileSync(log, 'utf8').split('\n').slice(-40).join('\n'))
}

/** A share of the schedules, in as many processes as it takes. */
class Share {
  readings = []
  deaths = 0

  constructor(from, count, path) {
    Object.assign(this, { from, count, path })
  }

  get done() {
    return this.readings.reduce((sum, file) => sum + soFar(file).done, 0)
  }
  get failed() {
    return this.readings.flatMap((file) => soFar(file).failed)
  }

  async play(patienceMs) {
    const end = this.from + this.count
    for (let from = this.from; from < end && this.deaths < MOST_DEATHS; ) {
      const name = `${this.path}-${this.readings.length}`
      const part = { from, count: end - from, file: `${name}.jsonl`, log: `${name}.log` }
      this.readings.push(part.file)
      const how = await play(part, patienceMs)
      const { done, failed } = soFar(part.file)
      if (done === part.count && (how === 0 || failed.length > 0)) return
      this.deaths++
      tellDeath(part, { done, how, patienceMs })
      from += done + 1
    }
  }
}

async function adversary({ schedules, seed, json, patienceMs }) {
  await buildCore()
  const dir = mkdtempSync(join(tmpdir(), 'fulmen-fuzz-'))
  process.on('exit', () => {
    for (const pid of groups) killGroup(pid)
    rmSync(dir, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
  const workers = Math.max(1, Math.min(availableParallelism(), Math.ceil(schedules / FAMILY)))
  const each = Math.ceil(schedules / workers / FAMILY) * FAMILY
  const first = (seed * 1_000_000) % 2 ** 31
  const shares = Array.from({ length: workers }, (_, i) => {
    const count = Math.max(0, Math.min(each, schedules - i * each))
    return new Share(first + i * each, count, join(dir, `${i}`))
  }).filter((s) => s.count > 0)
  const told = new Set()
  const soFarOfAll = () => {
    const failed = shares.flatMap((s) => s.failed)
    for (const { schedule, problems } of failed.filter((f) => !told.has(f.schedule))) {
      told.add(schedule)
      console.error(`schedule ${schedule} (${again(schedule)}):`)
      for (const p of problems) console.error(`  ${p}`)
    }
    return {
      schedules: shares.reduce((sum, s) => sum + s.done, 0),
      failures: failed.length + shares.reduce((sum, s) => sum + s.deaths, 0),
      lostSat: failed.reduce((sum, f) => sum + f.lostSat, 0),
      seed,
    }
  }
  const timer = setInterval(() => {
    const { schedules: done, failures } = soFarOfAll()
    console.error(`${done} of ${schedules} schedules, ${failures} failures`)
  }, EVERY_MS)
  await Promise.all(shares.map((s) => s.play(patienceMs)))
  clearInterval(timer)
  const result = soFarOfAll()
  if (json) console.log(JSON.stringify(result))
  else
    console.error(
      `${result.schedules} schedules, ${result.failures} failures, ${result.lostSat} sat lost (seed ${seed})`,
    )
  return result.failures > 0 || result.schedules < schedules ? 1 : 0
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
  const patienceMs = whole(values.patience, '--patience', 1) * 1000
  process.exit(await adversary({ schedules, seed: whole(values.seed, '--seed', 0), json: values.json, patienceMs }))
} else if (Object.hasOwn(LDK, values.suite)) {
  if (positionals.length > 0) usage(`"${positionals[0]}" is not an option of this suite`)
  const { file, schedules } = LDK[values.suite]
  const runs = whole(values.schedules ?? schedules, '--schedules', 1)
  const seed = whole(values.seed, '--seed', 0)
  process.exit(await run([file], { FULMEN_RUNS: `${runs}`, FULMEN_SEED: `${seed}` }, 'inherit'))
} else usage(`there is no suite "${values.suite}": crypto, adversary, ${Object.keys(LDK).join(' or ')}`)
