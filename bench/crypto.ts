import { isDeepStrictEqual } from 'node:util'
import { toHex } from '../src/base/bytes.ts'
import { table } from '../src/cli/output.ts'
import { createCoreProvider } from '../src/crypto/core.ts'
import { type Candidate, candidates, type Library } from './cryptoCandidates.ts'
import { round } from './harness.ts'

/** Operations per second, by operation and library. */
export type CryptoRates = Readonly<Record<string, Partial<Record<Library, number>>>>

const ROUNDS = 15
const SLICE_MS = 25
const WARM_UP_MS = 120
/** Calls between two looks at the clock, for the operations that take under a microsecond. */
const CALLS = 4

/**
 * Measures every operation with every library that has it, turn by turn in many short slices, so that whatever else the machine is
 * doing hits all alike; the median slice counts. Keys, hashes and messages change with every call.
 * @throws Error when a library gives a wrong answer: it would not be measured
 */
export async function measureCrypto(): Promise<CryptoRates> {
  const rates: Record<string, Partial<Record<Library, number>>> = {}
  for (const [operation, some] of Object.entries(await candidates(createCoreProvider()))) {
    const libraries = Object.entries(some) as [Library, Candidate][]
    for (const [library, candidate] of libraries) checkAnswers(operation, library, candidate, some.fulmen)
    for (const [, candidate] of libraries) slice(candidate, WARM_UP_MS)
    const slices = libraries.map((): number[] => [])
    for (let i = 0; i < ROUNDS; i++) {
      for (let j = 0; j < libraries.length; j++) {
        const at = (i + j) % libraries.length
        slices[at]!.push(slice(libraries[at]![1], SLICE_MS))
      }
    }
    rates[operation] = Object.fromEntries(libraries.map(([library], at) => [library, Math.round(median(slices[at]!))]))
  }
  return rates
}

function checkAnswers(operation: string, library: Library, candidate: Candidate, ours: Candidate): void {
  for (let i = 0; i < 8; i++) {
    const [answer, expected] = [candidate(i), ours(i)].map((a) => (a instanceof Uint8Array ? toHex(a) : a))
    if (answer === null || answer === false || !isDeepStrictEqual(answer, expected)) {
      throw new Error(`${operation}: ${library} gives another answer, and is not measured`)
    }
  }
}

/** Calls per second over a stretch of time. */
function slice(candidate: Candidate, ms: number): number {
  let calls = 0
  const begin = performance.now()
  let now = begin
  while (now - begin < ms) {
    for (let i = 0; i < CALLS; i++) candidate(calls++)
    now = performance.now()
  }
  return (calls * 1000) / (now - begin)
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** Operations per second, and in brackets how many times as fast ours is. */
export function cryptoText(rates: CryptoRates): string {
  const libraries: readonly Library[] = ['fulmen', 'tiny', 'libauth', 'noble', 'hashWasm', 'node']
  const cell = (rate: number | undefined, ours: number): string =>
    rate === undefined ? '' : `${rate} (${round(ours / rate, 2)})`
  const rows = Object.entries(rates).map(([operation, of]) => [
    operation,
    of.fulmen!,
    ...libraries.slice(1).map((l) => cell(of[l], of.fulmen!)),
  ])
  return `Crypto: operations per second (times as fast Fulmen is)\n${table(['', ...libraries], rows)}\n`
}
