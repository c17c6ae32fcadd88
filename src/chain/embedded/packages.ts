import { outpointKey, type Txid } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import type { Candidate, Mempool } from './mempool.ts'
import { type MempoolEntry, type MempoolTx, mempoolTx, totals } from './mempoolEntry.ts'
import { checkPackageReplacement } from './packageReplacement.ts'
import { type Rejection, reject } from './rejection.ts'

/** What became of one transaction of a package. */
export type PackageTxResult =
  | {
      readonly ok: true
      readonly fee: Sat
      readonly vsize: number
      /** The transactions whose fee rate counted for it; none when it was in the pool already. */
      readonly paidWith: readonly MempoolTx[]
    }
  | { readonly ok: false; readonly rejection: Rejection }

export interface PackageResult {
  readonly ok: boolean
  /** By transaction, in the package's order. */
  readonly results: ReadonlyMap<MempoolTx, PackageTxResult>
  readonly replaced: readonly Txid[]
  /** Why the package as a whole was refused, where that is not one transaction's fault. */
  readonly refusal: string | null
}

export const MAX_PACKAGE = 25

/** Whether the last transaction spends every other one, and those do not spend each other: the one shape of a package that is taken. */
export function isChildWithParents(txs: readonly MempoolTx[]): boolean {
  const child = txs.at(-1)
  if (!child) return false
  const parents = new Set(txs.slice(0, -1).map((t) => t.txid))
  const spentByChild = new Set(child.tx.inputs.map((i) => i.txid))
  const parentsOnly = txs.slice(0, -1).every((t) => !t.tx.inputs.some((i) => parents.has(i.txid)))
  return parentsOnly && [...parents].every((p) => spentByChild.has(p)) && parents.size === txs.length - 1
}

/** Whether what the child spends is in the package or in the chain: Core before 30 does not look into its mempool for it. */
function hasAllParents(pool: Mempool, txs: readonly Transaction[]): boolean {
  const known = new Set(txs.slice(0, -1).map(txidOf))
  return txs.at(-1)!.inputs.every((i) => known.has(i.txid) || pool.hasCoin(outpointKey(i)))
}

/** Worth another look with its package: it pays too little, or what it spends is to come. */
const mayBeHelped = (r: Rejection): boolean =>
  ['min relay fee not met', 'mempool min fee not met', 'insufficient fee', 'bad-txns-inputs-missingorspent'].includes(
    r.reason,
  )

/**
 * Takes a package: each transaction for itself where it can stand alone, the others together, where the child pays for all. What
 * stands alone stays even when the rest fails.
 * @param txs parents, then their child
 * @param maxFeerate sat per 1,000 vbytes that no transaction may pay more than, by itself; 0: no limit
 */
export function submitPackage(pool: Mempool, txs: readonly Transaction[], maxFeerate = 0n): PackageResult {
  const results = new Map<MempoolTx, PackageTxResult>()
  const replaced: Txid[] = []
  const together: MempoolTx[] = []
  if (!hasAllParents(pool, txs)) {
    return { ok: false, results, replaced, refusal: 'package-not-child-with-unconfirmed-parents' }
  }
  let hopeless = false
  for (const t of txs.map(mempoolTx)) {
    const alone = submitAlone(pool, t, { replaced, maxFeerate })
    results.set(t, alone)
    if (alone.ok) continue
    if (mayBeHelped(alone.rejection)) together.push(t)
    else hopeless = true
  }
  let refusal: string | null = null
  if (!hopeless && together.length > 1) {
    const outcome = submitTogether(pool, together, { replaced, maxFeerate })
    if (typeof outcome === 'string') refusal = outcome
    else for (const [t, result] of outcome) results.set(t, result)
  }
  return { ok: [...results.values()].every((r) => r.ok), results, replaced, refusal }
}

interface Submission {
  /** Filled with what goes. */
  readonly replaced: Txid[]
  readonly maxFeerate: bigint
}

/** The package in which a child pays for others does not count for it. */
const tooDear = ({ fee }: Candidate, { vsize }: MempoolTx, maxFeerate: bigint): Rejection | null =>
  maxFeerate > 0n && (fee * 1000n) / BigInt(vsize) > maxFeerate ? reject('max feerate exceeded') : null

function submitAlone(pool: Mempool, t: MempoolTx, { replaced, maxFeerate }: Submission): PackageTxResult {
  const known = pool.get(t.txid)
  if (known) return { ok: true, fee: known.fee, vsize: known.vsize, paidWith: [] }
  const candidate = pool.test(t)
  if (!candidate.ok) return { ok: false, rejection: candidate.error }
  const dear = tooDear(candidate.value, t, maxFeerate)
  if (dear) return { ok: false, rejection: dear }
  replaced.push(...[...candidate.value.replaced].map((e) => e.txid))
  pool.add(candidate.value)
  return { ok: true, fee: candidate.value.fee, vsize: t.vsize, paidWith: [t] }
}

/** All or none of them enter. @returns what became of each, or why the package as a whole was refused */
function submitTogether(
  pool: Mempool,
  txs: readonly MempoolTx[],
  { replaced, maxFeerate }: Submission,
): ReadonlyMap<MempoolTx, PackageTxResult> | string {
  const added: { entry: MempoolEntry; candidate: Candidate }[] = []
  const undo = (): void => {
    for (const { entry, candidate } of [...added].reverse()) pool.undoAdd(entry, candidate.replaced)
  }
  for (const t of txs) {
    const candidate = pool.test(t, { fees: 'package' })
    const wrong = candidate.ok ? tooDear(candidate.value, t, maxFeerate) : candidate.error
    if (!candidate.ok || wrong) {
      undo()
      return new Map([[t, { ok: false, rejection: wrong! }]])
    }
    added.push({ entry: pool.add(candidate.value), candidate: candidate.value })
  }
  const candidates = added.map((a) => a.candidate)
  const { fee, vsize } = totals(candidates)
  // What they replace is looked at where it stood.
  undo()
  const poor = pool.checkFee(fee, vsize)
  const refusal = poor ? null : checkPackageReplacement(candidates)
  if (poor) return new Map([[txs.at(-1)!, { ok: false, rejection: poor }]])
  if (refusal !== null) return `package RBF failed: ${refusal}`
  for (const c of candidates) pool.add(c)
  replaced.push(...candidates.flatMap((c) => [...c.replaced].map((e) => e.txid)))
  return new Map(candidates.map((c, i) => [txs[i]!, { ok: true, fee: c.fee, vsize: c.vsize, paidWith: txs } as const]))
}
