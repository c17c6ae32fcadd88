import { ancestorsOf, type MempoolEntry, type MempoolTx } from './mempoolEntry.ts'
import { type Rejection, reject } from './rejection.ts'

/** BIP 431: a version whose unconfirmed families are one parent and one child at most, so that the child can always be replaced. */
export const TRUC_VERSION = 3
const MAX_VSIZE = 10_000
const MAX_CHILD_VSIZE = 1_000

/**
 * @param parents of the transaction, in the pool or in its package
 * @param conflicts entries that the transaction would replace
 * @returns 'sibling' when the only thing in its way is the parent's other child, which it may replace
 * @source BIP 431
 */
export function checkTruc(
  t: MempoolTx,
  parents: ReadonlySet<MempoolEntry>,
  conflicts: ReadonlySet<MempoolEntry>,
): Rejection | { readonly sibling: MempoolEntry } | null {
  const name = `tx ${t.txid} (wtxid=${t.wtxid})`
  const violation = (what: string): Rejection => reject('TRUC-violation', what)
  const isTruc = t.tx.version === TRUC_VERSION
  for (const p of parents) {
    const parentIsTruc = p.tx.version === TRUC_VERSION
    const parentName = `tx ${p.txid} (wtxid=${p.wtxid})`
    if (isTruc && !parentIsTruc) return violation(`version=3 ${name} cannot spend from non-version=3 ${parentName}`)
    if (!isTruc && parentIsTruc) return violation(`non-version=3 ${name} cannot spend from version=3 ${parentName}`)
  }
  if (!isTruc) return null
  if (t.vsize > MAX_VSIZE) {
    return violation(`version=3 ${name} is too big: ${t.vsize} > ${MAX_VSIZE} virtual bytes`)
  }
  if (parents.size === 0) return null
  if (ancestorsOf(parents).size > 1) return violation(`${name} would have too many ancestors`)
  if (t.vsize > MAX_CHILD_VSIZE) {
    return violation(`version=3 child ${name} is too big: ${t.vsize} > ${MAX_CHILD_VSIZE} virtual bytes`)
  }
  const [parent] = parents
  const sibling = [...parent!.children].find((c) => !conflicts.has(c))
  return sibling ? { sibling } : null
}
