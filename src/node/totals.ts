import { addMsat, addSat, type Msat, type Sat, ZERO_MSAT, ZERO_SAT } from '../base/units.ts'
import { channelOf, summary } from '../channel/describe.ts'
import { leftovers } from '../channel/onchain/leftovers.ts'
import type { ClosedState } from '../channel/state.ts'
import { walletBalance } from '../wallet/status.ts'
import type { Node } from './node.ts'
import type { Balance } from './service.ts'

export interface Totals {
  /** Channels by state, without the closed ones. */
  readonly channels: ReadonlyMap<string, number>
  readonly usable: number
  /** What the channels hold that are open. */
  readonly localMsat: Msat
  readonly pendingMsat: Msat
  readonly remoteMsat: Msat
  readonly sendableMsat: Msat
  readonly receivableMsat: Msat
  readonly htlcs: Readonly<Record<'in' | 'out', { readonly count: number; readonly msat: Msat }>>
  /** In outputs of closed channels that are ours, and that the wallet cannot spend yet. */
  readonly closingSat: Sat
}

/** What all channels hold together; cost grows with their number. */
export function channelTotals(node: Pick<Node, 'channels' | 'context'>): Totals {
  const channels = new Map<string, number>()
  const sums = {
    localMsat: ZERO_MSAT,
    pendingMsat: ZERO_MSAT,
    remoteMsat: ZERO_MSAT,
    sendableMsat: ZERO_MSAT,
    receivableMsat: ZERO_MSAT,
  }
  const htlcs = { in: { count: 0, msat: ZERO_MSAT }, out: { count: 0, msat: ZERO_MSAT } }
  let closingSat: Sat = ZERO_SAT
  let usable = 0
  for (const entry of node.channels.all()) {
    if (entry.state.tag === 'closed') {
      closingSat = addSat(closingSat, leftSat(entry.state))
      continue
    }
    const s = summary(entry.state, node.context(entry))
    channels.set(s.state, (channels.get(s.state) ?? 0) + 1)
    if (channelOf(entry.state) === null) continue
    if (s.closing) {
      closingSat = addSat(closingSat, s.closing.pendingSat)
      continue
    }
    if (s.usable && entry.quarantined === null) usable++
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] = addMsat(sums[name], s[name])
    for (const { direction, amountMsat } of s.htlcs) {
      const { count, msat } = htlcs[direction]
      htlcs[direction] = { count: count + 1, msat: addMsat(msat, amountMsat) }
    }
  }
  return { channels, usable, ...sums, htlcs, closingSat }
}

/** Of a channel that is closed for good: it waits for fees at which it is worth its claim. */
const leftSat = ({ onchain }: ClosedState): Sat =>
  (onchain === null ? [] : leftovers(onchain)).reduce((sum, o) => (o.spent ? sum : addSat(sum, o.amountSat)), ZERO_SAT)

/** The wallet and the channels, by what can be spent now. */
export function balanceOf(node: Pick<Node, 'channels' | 'context' | 'wallet'>, totals = channelTotals(node)): Balance {
  const wallet = walletBalance(node.wallet.state)
  return {
    onchainConfirmedSat: wallet.confirmedSat,
    onchainUnconfirmedSat: wallet.unconfirmedSat,
    onchainClosingSat: totals.closingSat,
    channelSendableMsat: totals.sendableMsat,
    channelReceivableMsat: totals.receivableMsat,
    channelLocalMsat: totals.localMsat,
    channelPendingMsat: totals.pendingMsat,
  }
}
