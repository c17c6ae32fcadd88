import type { TimeRange } from '../../node/timeRange.ts'
import { badFields, type FieldError } from '../problems.ts'

const DAY = /^\d{4}-\d\d-\d\d$/
const DAY_MS = 24 * 3_600_000

/** Unix ms; null for a day that the calendar does not have: 31 February would be read as one in March. @param text RFC 3339, or a day */
export function instantOf(text: string): number | null {
  const day = text.slice(0, 10)
  const ms = Date.parse(text)
  return Number.isNaN(ms) || !new Date(Date.parse(day)).toISOString().startsWith(day) ? null : ms
}

/**
 * The range of a query. A day stands for the whole of it.
 * @throws ApiProblem VALIDATION_FAILED
 */
export function timeRange({ from, to }: { from?: string; to?: string }): TimeRange {
  const errors: FieldError[] = []
  const read = (name: string, text: string): number => {
    const ms = instantOf(text)
    if (ms === null) errors.push({ in: 'query', pointer: `/${name}`, detail: 'there is no such time' })
    return ms ?? 0
  }
  const range = {
    ...(from !== undefined && { from: read('from', from) }),
    ...(to !== undefined && { to: read('to', to) + (DAY.test(to) ? DAY_MS : 0) }),
  }
  if (errors.length === 0 && range.from !== undefined && range.to !== undefined && range.to <= range.from) {
    errors.push({ in: 'query', pointer: '/to', detail: 'expected a time after from' })
  }
  if (errors.length > 0) throw badFields(errors)
  return range
}

/** What of a query chooses among records. @throws ApiProblem VALIDATION_FAILED */
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
