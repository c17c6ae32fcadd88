import type { ChannelTypeName } from './types.ts'

/** 20 sat per vbyte: enough to be relayed at most times; a child pays for the rest, at the feerate of the moment. */
const ANCHORS_CEILING = 5_000
/** A feerate within this much of the wanted one is left alone. */
const CLOSE_ENOUGH_PERCENT = 20

/**
 * The feerate that we want for the commitments of a channel that we opened.
 * @param estimate for a commitment that has to confirm by itself; sat per 1,000 weight units, as the result
 */
export const wantedFeerate = (type: ChannelTypeName, estimate: number): number =>
  type === 'anchors' ? Math.min(estimate, ANCHORS_CEILING) : estimate

/** Whether the feerate is so far from the wanted one that an update_fee is worth its round trip. @source BOLT 2 §updating-fees */
export const isWorthUpdating = (feeratePerKw: number, wanted: number): boolean =>
  Math.abs(wanted - feeratePerKw) * 100 > feeratePerKw * CLOSE_ENOUGH_PERCENT
