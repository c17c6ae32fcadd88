import { Arena, type Company, type Setting } from './arena.ts'
import { type Borrowed, borrowedBy } from './borrowed.ts'
import { declaredBy, OUR_DELAYS, THEIR_DELAYS } from './declared.ts'
import { settleDust } from './dust.ts'
import type { PlotName } from './plots.ts'
import { COINS } from './purse.ts'
import { recallCrypto } from './recall.ts'
import { Rng } from './rng.ts'
import { Run } from './run.ts'
import type { TrickName } from './tricks.ts'
import { type Verdict, verdictOf } from './verdict.ts'

recallCrypto()

/** One thing that happens. The numbers choose among what is there at that time. */
export interface Step {
  readonly tag: StepTag
  readonly a: number
  readonly b: number
  readonly c: number
}
const TALK = {
  deliver: 10,
  pump: 16,
  offer: 14,
  pay: 8,
  settle: 8,
  cut: 2,
  connect: 6,
  fee: 2,
  hold: 2,
  twin: 4,
} as const
/** Most schedules begin with one, while the channels are open. */
const SCHEMES = {
  tease: 3,
  ambush: 3,
  siege: 3,
  smother: 5,
  holdOut: 5,
  hook: 3,
  halve: 3,
  retract: 3,
  throng: 4,
} as const satisfies Record<PlotName, number>
const WAR = {
  deliver: 5,
  pump: 5,
  offer: 4,
  pay: 2,
  settle: 4,
  cut: 1,
  connect: 3,
  fee: 1,
  hold: 2,
  mine: 10,
  toExpiry: 7,
  publish: 5,
  claim: 5,
  reorg: 4,
  force: 1,
  close: 1,
  feerate: 2,
  restart: 1,
  garbage: 1,
  repeat: 1,
  twin: 3,
  ...SCHEMES,
} as const
/** Drawn apart from the rest, which is as it was before there were any. */
const RARE = { forget: 1, spend: 1 } as const
const TRICKS = { mirror: 3, gift: 2, litter: 1, shut: 2, doze: 2, mangle: 4 } as const satisfies Partial<
  Record<TrickName, number>
>
const NOVELTIES = { relapse: 6, dig: 6, cycle: 4, haggle: 6, flood: 1 } as const satisfies Partial<
  Record<TrickName, number>
>
type StepTag = keyof typeof WAR | keyof typeof RARE | TrickName

export interface Schedule {
  readonly setting: Setting
  readonly history: readonly Step[]
  readonly steps: readonly Step[]
  /** Reorganisations deeper than anybody promises anything for: HTLCs may be lost to them, nothing else. */
  readonly deep: boolean
}

/** So many schedules share what happened before they begin. */
const SHARED = 16
const COMPANIES: readonly Company[] = ['alone', 'between', 'behind-una', 'twice']

const steps = (rng: Rng, table: Readonly<Record<string, number>>, count: number): readonly Step[] => {
  const tags = Object.keys(table) as StepTag[]
  const weights = Object.values(table)
  return Array.from({ length: count }, () => ({
    tag: tags[rng.pick(weights)]!,
    a: rng.below(1 << 16),
    b: rng.below(1 << 16),
    c: rng.below(1 << 16),
  }))
}

/** Drawn apart from the rest, so that a schedule's number still means what it did before there were any. */
function declaredIn(seed: number): NonNullable<Setting['declared']> {
  const rng = new Rng(Math.floor(seed / SHARED) ^ 0x5eed)
  return { ours: declaredBy(rng, OUR_DELAYS), theirs: declaredBy(rng, THEIR_DELAYS) }
}

function withRare(seed: number, war: readonly Step[]): readonly Step[] {
  const rng = new Rng(seed ^ 0x0ddba11)
  if (rng.below(4) > 0) return war
  const at = rng.below(Math.min(war.length, 3) + 1)
  return [...war.slice(0, at), ...steps(rng, RARE, 1), ...war.slice(at)]
}

/** Drawn apart as well, like the tricks below. */
function borrowedIn(seed: number): Borrowed | undefined {
  const rng = new Rng(Math.floor(seed / SHARED) ^ 0xb0770)
  return rng.below(4) === 0 ? borrowedBy(rng) : undefined
}

function withTricks(seed: number, war: readonly Step[]): readonly Step[] {
  const rng = new Rng(seed ^ 0x7121c5)
  if (rng.below(5) > 0) return war
  const at = rng.below(Math.min(war.length, 4) + 1)
  return [...war.slice(0, at), ...steps(rng, TRICKS, 1 + rng.below(2)), ...war.slice(at)]
}

/** While HTLCs hang, and before the channels have ended. */
function withRebuff(seed: number, war: readonly Step[]): readonly Step[] {
  const rng = new Rng(seed ^ 0x4ebff)
  if (rng.below(6) > 0) return war
  const at = rng.below(Math.min(war.length, 5) + 1)
  return [...war.slice(0, at), ...steps(rng, { rebuff: 1 }, 1), ...war.slice(at)]
}

/** While the channels are open. */
function withNovelty(seed: number, war: readonly Step[]): readonly Step[] {
  const rng = new Rng(seed ^ 0x90e1)
  if (rng.below(4) > 0) return war
  const at = rng.below(Math.min(war.length, 4) + 1)
  return [...war.slice(0, at), ...steps(rng, NOVELTIES, 1), ...war.slice(at)]
}

/** While the channels are open. */
function withRecant(seed: number, war: readonly Step[]): readonly Step[] {
  const rng = new Rng(seed ^ 0x2eca17)
  if (rng.below(6) > 0) return war
  const at = rng.below(Math.min(war.length, 3) + 1)
  return [...war.slice(0, at), ...steps(rng, { recant: 1 }, 1), ...war.slice(at)]
}

/** The schedule of a seed. */
export function scheduleOf(seed: number): Schedule {
  const past = new Rng(Math.floor(seed / SHARED) * 2 + 1)
  const borrowed = borrowedIn(seed)
  const setting: Setting = {
    company: COMPANIES[past.pick([1, 3, 2, 2])]!,
    channelType: past.below(4) === 0 ? 'static_remotekey' : 'anchors',
    opens: past.below(2) === 0,
    feeratePerKw: [253, 1000, 2500][past.below(3)]!,
    coins: [0, 1, COINS][past.pick([1, 1, 6])]!,
    declared: declaredIn(seed),
    ...(borrowed && { borrowed }),
    ...(new Rng(Math.floor(seed / SHARED) ^ 0x5a11).below(3) === 0 && { small: true as const }),
  }
  const history = steps(past, TALK, 15 + past.below(45))
  const rng = new Rng(seed * 2)
  const deep = rng.below(8) === 0
  const first = rng.below(4) === 0 ? [] : [...steps(rng, TALK, rng.below(3)), ...steps(rng, SCHEMES, 1)]
  const war = [...first, ...steps(rng, WAR, rng.below(24))]
  const before = withNovelty(seed, withRebuff(seed, withTricks(seed, withRare(seed, war))))
  return { setting, history, steps: withRecant(seed, before), deep }
}

/** The world before the war, made once for all schedules that share it. */
let base: { readonly key: string; readonly saved: ReturnType<Arena['save']> } | null = null

async function before({ setting, history }: Schedule): Promise<ReturnType<Arena['save']>> {
  const key = JSON.stringify([setting, history])
  if (base?.key === key) return base.saved
  const run = new Run(new Arena(setting, null), false)
  for (const s of history) await run.step(s)
  base = { key, saved: run.arena.save() }
  return base.saved
}

export interface PlayOptions {
  /** Until nothing is watched any more, instead of until nothing is left to do. */
  readonly toTheEnd: boolean
  /** Called before each step, and before the dust settles. */
  readonly onStep?: (step: Step | null, arena: Arena) => void
}

export async function play(
  schedule: Schedule,
  { toTheEnd, onStep }: PlayOptions,
): Promise<Verdict & { readonly arena: Arena }> {
  const run = new Run(new Arena(schedule.setting, await before(schedule)), schedule.deep)
  for (const s of schedule.steps) {
    onStep?.(s, run.arena)
    await run.step(s)
  }
  onStep?.(null, run.arena)
  await settleDust(run.arena, toTheEnd)
  return { ...verdictOf(run.arena, schedule), arena: run.arena }
}

/** What is wrong in the end, an exception of ours included. */
export async function problemsOf(schedule: Schedule, toTheEnd = true): Promise<Verdict> {
  try {
    const { problems, lostSat } = await play(schedule, { toTheEnd })
    return { problems, lostSat }
  } catch (e) {
    return { problems: [`an exception: ${(e as Error).stack}`], lostSat: 0 }
  }
}

/** A schedule with as few steps as it takes to go wrong, with keys and declarations as usual where those will do. */
export async function shrink(schedule: Schedule): Promise<Schedule> {
  let best = schedule
  for (const part of ['borrowed', 'declared'] as const) {
    const { [part]: _, ...setting } = best.setting
    const plainer = { ...best, setting }
    if ((await problemsOf(plainer)).problems.length > 0) best = plainer
  }
  for (const part of ['steps', 'history'] as const) {
    for (let size = Math.max(1, best[part].length >> 1); size > 0; size >>= 1) {
      for (let at = 0; at < best[part].length; ) {
        const fewer = { ...best, [part]: best[part].filter((_, i) => i < at || i >= at + size) }
        if ((await problemsOf(fewer)).problems.length > 0) best = fewer
        else at += size
      }
    }
  }
  return best
}
