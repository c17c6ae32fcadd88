import { formatScid } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { type ChannelSummary, onchainOf, summary } from '../../channel/describe.ts'
import type { ChannelState } from '../../channel/state.ts'
import { NOTHING } from '../analytics/sums.ts'
import type { ChannelEarnings } from '../analytics/views.ts'
import type { ChannelEntry } from '../channels.ts'
import type { Node } from '../node.ts'
import type { NodeService } from '../service.ts'
import { type ClaimFee, claimsOf } from './claimFees.ts'

export interface EarningsSources {
  readonly node: Node
  readonly wallet: Pick<NodeService, 'walletTransaction'>
  readonly claimFee: ClaimFee
}

/** 0 to 1, in millionths; null where nothing was tried. */
export const successRate = (good: bigint, bad: bigint): number | null =>
  good + bad === 0n ? null : Number((good * 1_000_000n) / (good + bad)) / 1_000_000

/** What a channel has carried and earned, what opening and closing it cost, and what is left of it. The ledger must be folded. */
export async function channelEarnings(sources: EarningsSources, entry: ChannelEntry): Promise<ChannelEarnings> {
  const { node } = sources
  const s = summary(entry.state, node.context(entry))
  const of = (direction: 'in' | 'out') =>
    s.channelId === null ? NOTHING.forward : node.ledger.get('forward', `${s.channelId}:${direction}`, 'ever', 'ever')
  const fees = [openFee(sources, s), closeFee(sources, entry, s)] as const
  const [into, out, openFeeSat, closeFeeSat] = await Promise.all([of('in'), of('out'), ...fees])
  return {
    id: entry.meta.localId,
    channelId: s.channelId,
    peer: entry.meta.peer,
    state: s.state,
    capacitySat: s.capacitySat,
    createdAt: entry.meta.createdAt,
    forwardsIn: into.settled,
    forwardsOut: out.settled,
    amountInMsat: into.amountInMsat,
    amountOutMsat: out.amountOutMsat,
    feeInMsat: into.feeMsat,
    feeOutMsat: out.feeMsat,
    successRate: successRate(into.settled + out.settled, into.failed + out.failed),
    openFeeSat,
    closeFeeSat,
    profitMsat: out.feeMsat - (openFeeSat + closeFeeSat) * 1000n,
    shortChannelId: s.shortChannelId === null ? null : formatScid(s.shortChannelId),
  }
}

/** Of the funding transaction, where it is ours. */
async function openFee({ wallet }: EarningsSources, s: ChannelSummary): Promise<Sat> {
  if (!s.isOpener || s.funding === null) return 0n as Sat
  const tx = await wallet.walletTransaction(s.funding.txid).catch(() => null)
  return tx?.feeSat ?? (0n as Sat)
}

/** Our claims, the child of a commitment, and the closing transaction where its fee is ours: the opener's for a commitment, the closer's for an agreed close. */
async function closeFee({ claimFee }: EarningsSources, entry: ChannelEntry, s: ChannelSummary): Promise<Sat> {
  if (s.closing === null) return 0n as Sat
  const [closing] = s.closing.transactions
  const claims = await Promise.all(claimsOf(entry.state).map((claim) => claimFee(entry, claim)))
  const isOurs = closing?.kind === 'mutual' ? paidMutual(entry.state, s) : s.isOpener
  return claims.reduce<bigint>((sum, fee) => sum + fee, isOurs ? (closing?.feeSat ?? 0n) : 0n) as Sat
}

/** Whoever pays for an agreed close gets less than its balance. */
function paidMutual(state: ChannelState, s: ChannelSummary): boolean {
  const ours = s.localMsat / 1000n
  const theirs = s.remoteMsat / 1000n
  const amounts = onchainOf(state)?.closing.tx.outputs.map((o): bigint => o.amountSat) ?? []
  const isWhole = (balance: bigint): boolean => balance === 0n || amounts.includes(balance)
  return isWhole(ours) === isWhole(theirs) ? s.isOpener : isWhole(theirs)
}
