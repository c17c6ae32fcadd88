import { ancestorsOf, type MempoolEntry, type MempoolTx, paysMore, totals, withDescendants } from './mempoolEntry.ts'
import { type Rejection, reject } from './rejection.ts'
import { btc } from './txRules.ts'

const MAX_REPLACED = 100
/** sat per vbyte that a replacement must pay for its own relay, on top of what it replaces. */
const INCREMENTAL_FEERATE = 1n

/**
 * What a transaction would push out of the pool, fees aside; nothing need have signalled that it may be replaced.
 * @param parents of the transaction in the pool
 * @param conflicts entries that spend the same outputs
 * @returns conflicts and all that builds on them
 * @source BIP 125 §implementation-details, rules 2 and 5
 */
export function replacedBy(
  t: MempoolTx,
  parents: ReadonlySet<MempoolEntry>,
  conflicts: ReadonlySet<MempoolEntry>,
): ReadonlySet<MempoolEntry> | Rejection {
  const replaced = withDescendants(conflicts)
  if (replaced.size === 0) return replaced
  for (const a of ancestorsOf(parents)) {
    if (replaced.has(a)) {
      return reject('bad-txns-spends-conflicting-tx', `${t.txid} spends conflicting transaction ${a.txid}`)
    }
  }
  if (replaced.size > MAX_REPLACED) {
    const what = `too many potential replacements (${replaced.size} > ${MAX_REPLACED})`
    return reject('too many potential replacements', `rejecting replacement ${t.txid}; ${what}`)
  }
  const known = new Set([...conflicts].flatMap((c) => [...c.parents]))
  for (const p of parents) {
    if (!known.has(p)) {
      return reject('replacement-adds-unconfirmed', `replacement ${t.txid} adds unconfirmed input, idx of ${p.txid}`)
    }
  }
  return replaced
}

export interface Payment {
  readonly txid: string
  readonly fee: bigint
  readonly vsize: number
}

/**
 * Whether a transaction, or a package as a whole, pays enough to replace.
 * @source BIP 125 §implementation-details, rules 3 and 4; and a higher fee rate than each conflict
 */
export function checkReplacementFee(
  pays: Payment,
  conflicts: Iterable<MempoolEntry>,
  replaced: Iterable<MempoolEntry>,
): Rejection | null {
  const refuse = (what: string): Rejection => reject('insufficient fee', `rejecting replacement ${pays.txid}${what}`)
  for (const c of conflicts) {
    if (!paysMore(pays, c)) return refuse(`; new feerate ${feerate(pays)} <= old feerate ${feerate(c)}`)
  }
  const old = totals(replaced).fee
  if (pays.fee < old) return refuse(`, less fees than conflicting txs; ${btc(pays.fee)} < ${btc(old)}`)
  const relay = BigInt(pays.vsize) * INCREMENTAL_FEERATE
  return pays.fee - old < relay
    ? refuse(`, not enough additional fees to relay; ${btc(pays.fee - old)} < ${btc(relay)}`)
    : null
}

const feerate = ({ fee, vsize }: { fee: bigint; vsize: number }): string =>
  `${btc((fee * 1000n) / BigInt(vsize))} BTC/kvB`
