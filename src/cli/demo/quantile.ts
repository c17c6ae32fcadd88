/**
 * The value that a share `q` of all values does not exceed (nearest rank).
 * @param sorted ascending
 * @returns null when there are none
 */
export function quantile(sorted: ArrayLike<number>, q: number): number | null {
  if (sorted.length === 0) return null
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * q) - 1))]!
}
