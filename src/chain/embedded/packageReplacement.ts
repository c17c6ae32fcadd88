import { compareBytes, fromHex } from '../../base/bytes.ts'
import type { Candidate } from './mempool.ts'
import { ancestorsOf, type MempoolEntry, paysMore, totals, withDescendants } from './mempoolEntry.ts'
import { feerate, paysTooLittle } from './replacement.ts'

/**
 * Whether a package may take the place of what it conflicts with, by the rules of Bitcoin Core 28 and 29: one parent with one child that
 * build on nothing else in the pool, in the place of families of two at most, each of which pays less.
 * @returns why not, in Core's words
 */
export function checkPackageReplacement(candidates: readonly Candidate[]): string | null {
  const replaced = [...new Set(candidates.flatMap((c) => [...c.replaced]))].sort(byWireOrder)
  if (replaced.length === 0) return null
  const [parent, child] = candidates
  if (!parent || !child || candidates.length > 2) return 'package must be 1-parent-1-child'
  const own = [...child.parents].filter((p) => p.txid !== parent.txid)
  if (parent.parents.size > 0 || own.length > 0) return 'new transaction cannot have mempool ancestors'
  const { fee, vsize } = totals(candidates)
  const together = { txid: child.txid, fee, vsize }
  const poor = paysTooLittle(together, replaced)
  if (poor) return `insufficient anti-DoS fees, ${poor}`
  if (!paysMore(together, parent)) {
    const what = 'package feerate is less than or equal to parent feerate'
    return `${what}, package feerate ${feerate(together)} <= parent feerate is ${feerate(parent)}`
  }
  const tangled = replaced.map(tangledFamily).find((what) => what !== null)
  if (tangled) return tangled
  const isBetter = replaced.every((e) => !paysMore(bestOfFamily(e), together))
  return isBetter ? null : 'insufficient feerate: does not improve feerate diagram'
}

/** Of several that are in the way Core names the first by the bytes of its id. */
const byWireOrder = (a: MempoolEntry, b: MempoolEntry): number =>
  compareBytes(fromHex(a.txid).reverse(), fromHex(b.txid).reverse())

/** What one family is to be compared with must be one transaction, or a parent with its only child. */
function tangledFamily(entry: MempoolEntry): string | null {
  const [above, below] = familyOf(entry)
  const { txid } = entry
  if (above.length > 1) return `${txid} has ${above.length} ancestors, max 1 allowed`
  if (below.length > 1) return `${txid} has ${below.length} descendants, max 1 allowed`
  if (above.length > 0 && below.length > 0) {
    return `${txid} has both ancestor and descendant, exceeding cluster limit of 2`
  }
  const [parent, child] = [above[0], below[0]]
  if (child && ancestorsOf(child.parents).size > 1) return `${txid} is not the only parent of child ${child.txid}`
  if (parent && withDescendants([parent]).size > 2) return `${txid} is not the only child of parent ${parent.txid}`
  return null
}

/** What miners would take first of it: a parent, or the parent with a child that pays more. */
function bestOfFamily(entry: MempoolEntry): { readonly fee: bigint; readonly vsize: number } {
  const [above, below] = familyOf(entry)
  const [parent, child] = above[0] ? [above[0], entry] : [entry, below[0]]
  return child && paysMore(child, parent) ? totals([parent, child]) : parent
}

const familyOf = (entry: MempoolEntry): readonly [readonly MempoolEntry[], readonly MempoolEntry[]] => [
  [...ancestorsOf(entry.parents)],
  [...withDescendants([entry])].filter((e) => e !== entry),
]
