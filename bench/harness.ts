import { isDeepStrictEqual } from 'node:util'
import { Bench } from 'tinybench'
import { table } from '../src/cli/output.ts'

/** One thing to time. */
export interface Task<T> {
  readonly name: string
  readonly run: () => T | Promise<T>
  /** The right answer, or a predicate on the answer: a wrong one is not timed. */
  readonly expect: T | ((answer: T) => boolean)
  /** How many operations one run is, when it is more than one. */
  readonly operations?: number
}

export interface Timing {
  readonly name: string
  readonly perSecond: number
  /** Microseconds per operation. */
  readonly meanUs: number
  readonly p99Us: number
  /** Relative margin of error of the mean, in percent. */
  readonly marginPercent: number
  readonly samples: number
}

export interface Suite {
  readonly name: string
  readonly timings: readonly Timing[]
}

const TIME_MS = 400
const WARM_UP_MS = 150

/** A task with its type forgotten, so that tasks of different types can be listed together. */
export const task = <T>(t: Task<T>): Task<unknown> => t as Task<unknown>

/**
 * Checks every answer, then times the tasks.
 * @throws Error when an answer is wrong
 */
export async function timeSuite(name: string, tasks: readonly Task<unknown>[]): Promise<Suite> {
  for (const t of tasks) await checkAnswer(t)
  const bench = new Bench({ time: TIME_MS, warmupTime: WARM_UP_MS, throws: true })
  for (const t of tasks) bench.add(t.name, t.run)
  await bench.run()
  return { name, timings: bench.tasks.map((done, i) => timingOf(done.result, tasks[i]!)) }
}

async function checkAnswer(t: Task<unknown>): Promise<void> {
  const answer = await t.run()
  const right = typeof t.expect === 'function' ? t.expect(answer) : isDeepStrictEqual(answer, t.expect)
  if (right !== true) throw new Error(`"${t.name}" gives a wrong answer: it is not timed`)
}

function timingOf(result: Bench['tasks'][number]['result'], { name, operations = 1 }: Task<unknown>): Timing {
  if (result.state !== 'completed') throw new Error(`"${name}" was not timed: ${result.state}`)
  const { latency } = result
  const us = (ms: number): number => (ms * 1000) / operations
  return {
    name,
    perSecond: (1000 / latency.mean) * operations,
    meanUs: us(latency.mean),
    p99Us: us(latency.p99),
    marginPercent: latency.rme,
    samples: latency.samplesCount,
  }
}

export const suiteText = ({ name, timings }: Suite): string =>
  `${name}\n${table(
    ['', 'per second', 'µs', 'p99 µs', '± %', 'samples'],
    timings.map((t) => [
      t.name,
      Math.round(t.perSecond),
      round(t.meanUs, 2),
      round(t.p99Us, 2),
      round(t.marginPercent, 1),
      t.samples,
    ]),
  )}\n`

export const round = (value: number, places: number): number => Math.round(value * 10 ** places) / 10 ** places
