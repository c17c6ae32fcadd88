import type { TimeRange } from '../node/timeRange.ts'

const DAY = /^\d{4}-\d\d-\d\d$/
const DAY_MS = 24 * 3_600_000

/** Unix ms; null for a day that the calendar does not have: 31 February would be read as one in March. @param text RFC 3339, or a day */
export function instantOf(text: string): number | null {
  const day = text.slice(0, 10)
  const ms = Date.parse(text)
  return Number.isNaN(ms) || !new Date(Date.parse(day)).toISOString().startsWith(day) ? null : ms
}

/** The range of a query whose times are times. A day stands for the whole of it. */
export const timeRange = ({ from, to }: { from?: string; to?: string }): TimeRange => ({
  ...(from !== undefined && { from: Date.parse(from) }),
  ...(to !== undefined && { to: Date.parse(to) + (DAY.test(to) ? DAY_MS : 0) }),
})

/** What of a query chooses among records. */
export const recordFilter = <S extends string>({
  status,
  keyId,
  ...range
}: {
  status?: S
  keyId?: string
  from?: string
  to?: string
}): TimeRange & { status?: S; keyId?: string } => ({
  ...(status !== undefined && { status }),
  ...(keyId !== undefined && { keyId }),
  ...timeRange(range),
})
