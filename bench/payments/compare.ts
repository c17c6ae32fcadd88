import { table } from '../../src/cli/output.ts'
import { round } from '../harness.ts'
import { machine } from '../machine.ts'
import { startFulmen } from './fulmen.ts'
import { startRival } from './rival.ts'
import type { Contender, Load, Outcome } from './types.ts'

export interface CompareOptions {
  readonly json: boolean
  readonly payments: number
  readonly inFlight: readonly number[]
  readonly channels: readonly number[]
  readonly amountsMsat: readonly number[]
  readonly rounds: number
  readonly rival: boolean
}

/** What is measured for one contender in one setting: the median of the rounds. */
export interface Row extends Load {
  readonly who: string
  readonly channels: number
  readonly rounds: number
  readonly failed: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly payerCpuMsPerPayment: number
}

export interface Ratio extends Pick<Row, 'channels' | 'amountMsat' | 'inFlight'> {
  /** Our payments per second over the rival's. */
  readonly throughput: number
  /** The rival's p50 over ours. */
  readonly latency: number
}

const CAPACITY_SAT = 400_000_000
const WARM_UP = 1_000
const WARM_UP_ALONE = 500
/** So many payments for each one in flight give a steady figure; the rival is too slow for as many as we make. */
const PER_FLIGHT = { fulmen: 40, rival: 20 }
const AT_LEAST = { fulmen: 400, rival: 200 }

/** Runs every setting, the contenders in turn, and prints tables or one JSON object. */
export async function comparePayments(options: CompareOptions): Promise<void> {
  const say = options.json ? () => {} : (text: string) => console.log(text)
  const rows: Row[] = []
  for (const channels of options.channels) {
    say(`${channels === 1 ? 'One channel' : `${channels} channels`} between two processes: starting and warming up`)
    const some = await measure(channels, options)
    rows.push(...some)
    say(`${rowsText(some)}\n`)
  }
  const ratios = ratiosOf(rows)
  if (options.json) console.log(JSON.stringify({ machine: machine(), rows, ratios }))
  else if (ratios.length > 0) {
    say(`Fulmen, every payment on disk, over LDK-WASM, which keeps nothing\n${ratiosText(ratios)}`)
  }
}

async function measure(channels: number, options: CompareOptions): Promise<Row[]> {
  const settings = { channels, capacitySat: CAPACITY_SAT }
  const contenders: Contender[] = []
  try {
    contenders.push(await startFulmen(settings))
    if (options.rival) contenders.push(await startRival(settings))
    for (const contender of contenders) await warmUp(contender)
    const loads = options.amountsMsat.flatMap((amountMsat) =>
      options.inFlight.map((inFlight): Load => ({ amountMsat, inFlight, payments: options.payments })),
    )
    const outcomes = new Map<string, Outcome[]>()
    for (let i = 0; i < options.rounds; i++) {
      for (const load of loads) {
        for (const contender of contenders) {
          const outcome = await contender.run(loadFor(contender, load))
          const key = keyOf(contender, load)
          outcomes.set(key, [...(outcomes.get(key) ?? []), outcome])
        }
      }
    }
    return loads.flatMap((load) =>
      contenders.map((contender) =>
        rowOf(contender.name, channels, loadFor(contender, load), outcomes.get(keyOf(contender, load))!),
      ),
    )
  } finally {
    for (const contender of contenders) await contender.stop()
  }
}

const keyOf = (contender: Contender, load: Load): string => `${contender.name} ${load.amountMsat} ${load.inFlight}`

async function warmUp(contender: Contender): Promise<void> {
  await contender.run({ amountMsat: 1_000_000, inFlight: 50, payments: WARM_UP })
  await contender.run({ amountMsat: 1_000_000, inFlight: 1, payments: WARM_UP_ALONE })
}

function loadFor({ name }: Contender, load: Load): Load {
  const who = name === 'fulmen' ? 'fulmen' : 'rival'
  return { ...load, payments: Math.min(load.payments, Math.max(AT_LEAST[who], load.inFlight * PER_FLIGHT[who])) }
}

function rowOf(who: string, channels: number, load: Load, outcomes: readonly Outcome[]): Row {
  const failed = outcomes.reduce((sum, o) => sum + o.failed, 0)
  if (failed > 0)
    throw new Error(`${who}: ${failed} payments failed: ${JSON.stringify(outcomes.map((o) => o.failures))}`)
  const median = (of: (o: Outcome) => number | null): number => {
    const sorted = outcomes.map((o) => of(o) ?? Number.NaN).sort((a, b) => a - b)
    return round(sorted[Math.floor(sorted.length / 2)]!, 2)
  }
  return {
    who,
    channels,
    ...load,
    rounds: outcomes.length,
    failed,
    perSecond: median((o) => o.perSecond),
    p50Ms: median((o) => o.p50Ms),
    p99Ms: median((o) => o.p99Ms),
    payerCpuMsPerPayment: median((o) => o.payerCpuMsPerPayment),
  }
}

/** Ours over the rival's, setting by setting. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  return rows
    .filter((row) => row.who === 'fulmen')
    .flatMap((ours) => {
      const { channels, amountMsat, inFlight } = ours
      const theirs = rows.find(
        (r) => r.who !== 'fulmen' && r.channels === channels && r.amountMsat === amountMsat && r.inFlight === inFlight,
      )
      if (!theirs) return []
      const throughput = round(ours.perSecond / theirs.perSecond, 2)
      return [{ channels, amountMsat, inFlight, throughput, latency: round(theirs.p50Ms / ours.p50Ms, 2) }]
    })
}

const rowsText = (rows: readonly Row[]): string =>
  table(
    ['', 'msat', 'in flight', 'payments', 'per second', 'p50 ms', 'p99 ms', 'payer CPU ms'],
    rows.map((r) => [
      r.who,
      r.amountMsat,
      r.inFlight,
      r.payments,
      r.perSecond,
      r.p50Ms,
      r.p99Ms,
      r.payerCpuMsPerPayment,
    ]),
  )

const ratiosText = (ratios: readonly Ratio[]): string =>
  table(
    ['channels', 'msat', 'in flight', 'payments per second ×', 'p50 latency ÷'],
    ratios.map((r) => [r.channels, r.amountMsat, r.inFlight, r.throughput, r.latency]),
  )
