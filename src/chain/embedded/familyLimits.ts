import { ancestorsOf, type MempoolEntry, type MempoolTx, totals, withDescendants } from './mempoolEntry.ts'
import { type Rejection, reject } from './rejection.ts'

/** Transactions in an unconfirmed family line, the new one included. */
const MAX_FAMILY = 25
/** Their vbytes. */
const MAX_FAMILY_VSIZE = 101_000
/** A small child of one unconfirmed parent may be one too many: so that either owner of an anchor can always bump (CPFP carve-out). */
const CARVE_OUT_VSIZE = 10_000

/**
 * Whether the pool takes one more on top of these parents.
 * @param leaving entries that the transaction replaces: they do not count
 */
export function checkFamily(
  t: MempoolTx,
  parents: ReadonlySet<MempoolEntry>,
  leaving: ReadonlySet<MempoolEntry>,
): Rejection | null {
  const ancestors = ancestorsOf(parents)
  const above = totals(ancestors)
  const tooLong = (what: string): Rejection => reject('too-long-mempool-chain', what)
  if (above.count + 1 > MAX_FAMILY) return tooLong(`too many unconfirmed ancestors [limit: ${MAX_FAMILY}]`)
  if (above.vsize + t.vsize > MAX_FAMILY_VSIZE) {
    return tooLong(`exceeds ancestor size limit [limit: ${MAX_FAMILY_VSIZE}]`)
  }
  const carveOut = ancestors.size === 1 && t.vsize <= CARVE_OUT_VSIZE ? 1 : 0
  for (const a of ancestors) {
    const below = totals([...withDescendants([a])].filter((e) => !leaving.has(e)))
    if (below.count + 1 > MAX_FAMILY + carveOut) {
      return tooLong(`too many descendants for tx ${a.txid} [limit: ${MAX_FAMILY}]`)
    }
    if (below.vsize + t.vsize > MAX_FAMILY_VSIZE + carveOut * CARVE_OUT_VSIZE) {
      return tooLong(`exceeds descendant size limit for tx ${a.txid} [limit: ${MAX_FAMILY_VSIZE}]`)
    }
  }
  return null
}
