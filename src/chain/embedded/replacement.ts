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
  for (const c of conflicts) {
    if (paysMore(pays, c)) continue
    return reject('insufficient fee', `${rejecting(pays)}; new feerate ${feerate(pays)} <= old feerate ${feerate(c)}`)
  }
  const poor = paysTooLittle(pays, replaced)
  return poor === null ? null : reject('insufficient fee', poor)
}

/** Rules 3 and 4 alone. @returns what is missing, in Core's words */
export function paysTooLittle(pays: Payment, replaced: Iterable<MempoolEntry>): string | null {
  const old = totals(replaced).fee
  if (pays.fee < old) return `${rejecting(pays)}, less fees than conflicting txs; ${btc(pays.fee)} < ${btc(old)}`
  const relay = BigInt(pays.vsize) * INCREMENTAL_FEERATE
  if (pays.fee - old >= relay) return null
  return `${rejecting(pays)}, not enough additional fees to relay; ${btc(pays.fee - old)} < ${btc(relay)}`
}

const rejecting = ({ txid }: Payment): string => `rejecting replacement ${txid}`

/** As Core prints a feerate: with all eight places. */
export function feerate({ fee, vsize }: { readonly fee: bigint; readonly vsize: number }): string {
  const digits = ((fee * 1000n) / BigInt(vsize)).toString().padStart(9, '0')
  return `${digits.slice(0, -8)}.${digits.slice(-8)} BTC/kvB`
}
