import type { KnownChannel } from './table.ts'

/** Which gossip a peer wants: Unix seconds, `from` included, `before` not. */
export interface TimestampFilter {
  readonly from: number
  readonly before: number
}

export const passes = (filter: TimestampFilter, timestamp: number): boolean =>
  timestamp >= filter.from && timestamp < filter.before

/** An announcement has no time of its own: that of an update counts, and without any it is kept back. */
export const channelPasses = (filter: TimestampFilter, { updates }: KnownChannel): boolean =>
  updates.some((u) => u !== null && passes(filter, u.timestamp))
