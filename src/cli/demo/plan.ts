/** One payment that the demo will make. */
export interface PlannedPayment {
  readonly from: 'alice' | 'bob'
  readonly to: 'alice' | 'bob' | 'carol'
  readonly amountMsat: number
}

/** Shares out of ten: alice → bob, bob → alice, and alice → bob → carol, which bob forwards. */
const DIRECTIONS = [
  ['alice', 'bob', 4],
  ['bob', 'alice', 3],
  ['alice', 'carol', 3],
] as const

/** Below every dust limit: such an HTLC has no output in the commitments. */
const SMALL_MAX_MSAT = 100_000
/** Above every dust limit: these have one, with its signature. */
const LARGE_MIN_MSAT = 1_000_000
const LARGE_MAX_MSAT = 20_000_000

/** A reproducible source of numbers 0 ≤ x < 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/**
 * Small and large payments in every direction, in random order, with amounts that are seldom whole satoshis.
 * @param budgetMsat what one direction may move in all, so that no channel runs dry
 */
export function planPayments(count: number, budgetMsat: number, seed: number): PlannedPayment[] {
  const random = randomFrom(seed)
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1))
  const largeMax = Math.max(LARGE_MIN_MSAT, Math.min(LARGE_MAX_MSAT, Math.floor(budgetMsat / count)))
  const cycle = DIRECTIONS.flatMap(([from, to, share]) => Array.from({ length: share }, () => ({ from, to })))
  const planned = Array.from({ length: count }, (_, i) => ({
    ...cycle[i % cycle.length]!,
    amountMsat:
      (i + Math.floor(i / cycle.length)) % 2 === 0 ? between(1_000, SMALL_MAX_MSAT) : between(LARGE_MIN_MSAT, largeMax),
  }))
  return shuffled(planned, random)
}

/** Fisher–Yates. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items]
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[out[i], out[j]] = [out[j]!, out[i]!]
  }
  return out
}
