import type { Msat, Sat } from '../base/units.ts'
import { type Direction, feeInNextLocal, feeInNextRemote, type Htlc, stands } from './htlc.ts'
import type { HtlcTable } from './htlcTable.ts'
import type { ChannelParams, Commitment, CommitmentNumbers, Commitments, Totals } from './state.ts'
import { isTrimmed, type TrimThresholds, trimThresholds } from './tx/weights.ts'

/**
 * Running sums over the two commitments to come, so that judging one more HTLC does not mean looking at all others. `recount` makes
 * them from the records; `restage` keeps them right when one HTLC moves on.
 */
type NextView = 'nextLocal' | 'nextRemote'

/** The least amounts with an output in one side's commitment at a feerate; "offered" is meant from its holder. */
const thresholds = (params: ChannelParams, view: NextView, feeratePerKw: number): TrimThresholds =>
  trimThresholds({
    channelType: params.channelType,
    dustLimitSat: view === 'nextLocal' ? params.local.dustLimitSat : params.remote.dustLimitSat,
    feeratePerKw,
  })

/** Whether an HTLC of this amount would be trimmed from our next commitment, or from the peer's, at a feerate. */
export const trimmedIn = (
  params: ChannelParams,
  view: NextView,
  htlc: { readonly amountMsat: Msat; readonly direction: Direction },
  feeratePerKw: number,
): boolean =>
  isTrimmed(
    htlc.amountMsat,
    (htlc.direction === 'out') === (view === 'nextLocal'),
    thresholds(params, view, feeratePerKw),
  )

/** The least amount with an output in our next commitment, or in the peer's, at a feerate. */
export function leastWithOutput(
  params: ChannelParams,
  view: NextView,
  direction: Direction,
  feeratePerKw: number,
): Sat {
  const { offeredSat, receivedSat } = thresholds(params, view, feeratePerKw)
  return (direction === 'out') === (view === 'nextLocal') ? offeredSat : receivedSat
}

/** One HTLC more (sign 1) or less (sign -1); the money of one that left fulfilled moves across for good. */
function shiftTotals(
  t: Totals,
  change: { readonly htlc: Htlc; readonly direction: Direction; readonly sign: 1 | -1; readonly trimmed: boolean },
): Totals {
  const { htlc, direction, sign, trimmed } = change
  const amount = sign === 1 ? htlc.add.amountMsat : -htlc.add.amountMsat
  const settled = sign === -1 && htlc.removal?.tag === 'fulfilled'
  const paid = !settled ? 0n : direction === 'out' ? amount : -amount
  return {
    feeratePerKw: t.feeratePerKw,
    shiftMsat: t.shiftMsat + paid,
    outMsat: direction === 'out' ? t.outMsat + amount : t.outMsat,
    outCount: direction === 'out' ? t.outCount + sign : t.outCount,
    inMsat: direction === 'in' ? t.inMsat + amount : t.inMsat,
    inCount: direction === 'in' ? t.inCount + sign : t.inCount,
    untrimmed: trimmed ? t.untrimmed : t.untrimmed + sign,
    dustMsat: trimmed ? t.dustMsat + amount : t.dustMsat,
  }
}

/** The sums after one HTLC went from `before` to `after`; null stands for not there. */
export function restage(
  params: ChannelParams,
  next: Commitments['next'],
  move: { readonly direction: Direction; readonly before: Htlc | null; readonly after: Htlc | null },
): Commitments['next'] {
  const { direction, before, after } = move
  const one = (view: NextView, t: Totals): Totals => {
    const was = before !== null && stands(before, direction, view)
    const is = after !== null && stands(after, direction, view)
    if (was === is) return t
    const htlc = is ? after! : (after ?? before!)
    const trimmed = trimmedIn(params, view, { amountMsat: htlc.add.amountMsat, direction }, t.feeratePerKw)
    return shiftTotals(t, { htlc, direction, sign: is ? 1 : -1, trimmed })
  }
  const local = one('nextLocal', next.local)
  const remote = one('nextRemote', next.remote)
  return local === next.local && remote === next.remote ? next : { local, remote }
}

type Records = Pick<Commitments, 'outgoing' | 'incoming' | 'feeUpdates' | 'local' | 'remote' | 'remoteSigned'>

/** The sums from the records. */
export function recount(params: ChannelParams, c: Records): Commitments['next'] {
  const inNext = { nextLocal: feeInNextLocal, nextRemote: feeInNextRemote }
  const count = (view: NextView, from: CommitmentNumbers): Totals => {
    const fees = c.feeUpdates.filter((f) => inNext[view](f, params.isOpener))
    const feeratePerKw = fees[fees.length - 1]?.feeratePerKw ?? from.feeratePerKw
    let totals: Totals = {
      feeratePerKw,
      shiftMsat: from.shiftMsat,
      outMsat: 0n,
      outCount: 0,
      inMsat: 0n,
      inCount: 0,
      untrimmed: 0,
      dustMsat: 0n,
    }
    const limits = thresholds(params, view, feeratePerKw)
    const add = (table: HtlcTable, direction: Direction): void => {
      const offered = (direction === 'out') === (view === 'nextLocal')
      for (const chunk of table.chunks) {
        for (const htlc of chunk) {
          const is = stands(htlc, direction, view)
          // What it left fulfilled since `from` was made is not in from.shiftMsat yet.
          const leaves = !is && stands(htlc, direction, view === 'nextLocal' ? 'local' : 'remoteSigned')
          const trimmed = isTrimmed(htlc.add.amountMsat, offered, limits)
          if (is) totals = shiftTotals(totals, { htlc, direction, sign: 1, trimmed })
          else if (leaves && htlc.removal?.tag === 'fulfilled') {
            const amount = htlc.add.amountMsat
            totals = { ...totals, shiftMsat: totals.shiftMsat + (direction === 'in' ? amount : -amount) }
          }
        }
      }
    }
    add(c.outgoing, 'out')
    add(c.incoming, 'in')
    return totals
  }
  return { local: count('nextLocal', c.local), remote: count('nextRemote', c.remoteSigned ?? c.remote) }
}

/** Our balance beside the HTLCs, as one commitment has it. May fall below zero only by a bug. */
export const localMsat = (base: Commitment, t: Pick<Totals, 'shiftMsat' | 'outMsat'>): Msat =>
  (base.baseLocalMsat + t.shiftMsat - t.outMsat) as Msat
/** The same of the peer. */
export const remoteMsat = (base: Commitment, t: Pick<Totals, 'shiftMsat' | 'inMsat'>): Msat =>
  (base.baseRemoteMsat - t.shiftMsat - t.inMsat) as Msat
