/**
 * A key that would never work is a mistake in its dates: what is wrong, and in which of the fields of the body.
 * @param from Unix ms, as `now` is
 */
export function lifeFault(
  { expiresAt, from }: { readonly expiresAt: string | null; readonly from: number },
  now: number,
): readonly [pointer: string, detail: string] | null {
  const end = expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt)
  if (end <= now) return ['/expiresAt', `expected a time to come: it is ${new Date(now).toISOString()}`]
  return end <= from ? ['/activatesAt', `expected a time before the key expires, at ${expiresAt}`] : null
}
