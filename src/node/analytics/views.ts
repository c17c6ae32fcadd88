import type { ChannelId, NodeId, PaymentHash } from '../../base/ids.ts'
import type { Msat, Sat } from '../../base/units.ts'
import type { Page, PageRequest } from '../service.ts'
import type { TimeRange } from '../timeRange.ts'
import type { BalanceSpan } from './balances.ts'
import type { ForwardSums, PaymentSums } from './sums.ts'

/** Days in UTC, `2026-11-27`, both included; absent: from the beginning, until now. */
export interface DayRange {
  readonly from?: string
  readonly to?: string
}

export interface ForwardView {
  /** In the order of settling. */
  readonly id: string
  readonly at: string
  readonly paymentHash: PaymentHash
  readonly incomingChannelId: ChannelId
  /** null when a restart forgot it. */
  readonly outgoingChannelId: ChannelId | null
  readonly amountInMsat: number
  readonly amountOutMsat: number
  readonly feeMsat: number
}

/** Of all that ended how many ended well; null where nothing ended. */
export interface Rated {
  readonly successRate: number | null
}
export interface ForwardsIn extends ForwardSums, Rated {
  /** A day or a month. */
  readonly period: string
  readonly channelId: ChannelId | null
}
export interface PaymentsIn extends PaymentSums, Rated {
  readonly period: string
}
export interface SummaryView extends DayRange {
  readonly forwards: ForwardSums & Rated
  readonly payments: PaymentSums & Rated
}

/** What a channel has carried, earned and cost. */
export interface ChannelEarnings {
  readonly id: string
  readonly channelId: ChannelId | null
  readonly peer: NodeId
  readonly state: string
  readonly capacitySat: Sat
  readonly createdAt: string
  /** Settled forwards that came in over it, and those that went out over it. */
  readonly forwardsIn: bigint
  readonly forwardsOut: bigint
  readonly amountInMsat: bigint
  readonly amountOutMsat: bigint
  /** Earned with forwards that came in over it, and with those that went out over it: each fee is in one channel's `in` and in another's `out`. */
  readonly feeInMsat: bigint
  readonly feeOutMsat: bigint
  readonly successRate: number | null
  /** What we paid to miners to open it and to close it, as far as it is known (services/claimFees.ts). */
  readonly openFeeSat: Sat
  readonly closeFeeSat: Sat
  /** feeOutMsat less what opening and closing cost: over all channels it sums up to what the node earned. */
  readonly profitMsat: bigint
  /** `heightxindexxoutput`; null before the funding transaction is deep enough. */
  readonly shortChannelId: string | null
}

export interface Balances {
  readonly onchainConfirmedSat: Sat
  readonly onchainUnconfirmedSat: Sat
  readonly onchainClosingSat: Sat
  readonly channelLocalMsat: Msat
  readonly channelRemoteMsat: Msat
  readonly channelSendableMsat: Msat
  readonly channelReceivableMsat: Msat
  readonly usableChannels: number
}
export interface BalancesIn extends Balances {
  /** An hour (`2026-11-27T14`) or a day. */
  readonly period: string
  /** When they were so. */
  readonly at: string
}

/** What happened, summed up; nothing here goes through history. */
export interface AnalyticsService {
  /** Settled forwards, newest first, or those of a range of time. */
  forwards(page: PageRequest, range?: TimeRange): Promise<Page<ForwardView>>
  summary(range: DayRange): Promise<SummaryView>
  /** By period, newest first, of all channels or of the forwards that came in or went out over one (by local id or channel id). */
  forwardSums(
    page: PageRequest,
    query: DayRange & {
      readonly period: 'day' | 'month'
      readonly channel?: string
      readonly direction?: 'in' | 'out'
    },
  ): Promise<Page<ForwardsIn>>
  paymentSums(page: PageRequest, query: DayRange & { readonly period: 'day' | 'month' }): Promise<Page<PaymentsIn>>
  /** Newest first, with the closed ones. */
  channelEarnings(page: PageRequest): Promise<Page<ChannelEarnings>>
  balanceHistory(page: PageRequest, query: DayRange & { readonly period: BalanceSpan }): Promise<Page<BalancesIn>>
}
