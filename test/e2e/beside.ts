export type Call = (method: string, params: readonly unknown[]) => Promise<unknown>

/** The result of a call, or the number and text of its error. */
export const outcome = (call: Call, method: string, params: readonly unknown[]): Promise<unknown> =>
  call(method, params).catch((e: { code: unknown; rpcCode?: number; message: string }) => ({
    code: e.rpcCode ?? e.code,
    message: e.message.replace(`${method}: `, '').replace(/ \(-\d+\)$/, ''),
  }))

/** Knots names some refusals more closely than Core does, whose words are ours. */
export const inCoreWords = (answer: unknown): unknown =>
  JSON.parse(
    JSON.stringify(answer).replace(/bad-witness-(stackitem|script|program)[a-z-]*/g, 'bad-witness-nonstandard'),
  )

/** Ours with what theirs has beside it left out; what differs stays to be seen. */
export function pick(theirs: unknown, ours: unknown): unknown {
  if (Array.isArray(ours) && Array.isArray(theirs)) return theirs.map((t, i) => pick(t, ours[i]))
  if (typeof ours !== 'object' || ours === null || typeof theirs !== 'object' || theirs === null) return theirs
  const shared = Object.entries(ours).filter(([k]) => k in theirs)
  return Object.fromEntries(shared.map(([k, v]) => [k, pick((theirs as Record<string, unknown>)[k], v)]))
}

/** What was replaced is named in no particular order. */
export function sorted(answer: unknown): unknown {
  const replaced = (answer as { 'replaced-transactions'?: readonly string[] } | null)?.['replaced-transactions']
  return replaced ? { ...(answer as object), 'replaced-transactions': [...replaced].sort() } : answer
}
