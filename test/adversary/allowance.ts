import { toHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { Htlc } from '../../src/channel/htlc.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import { localBalance } from '../../src/channel/limits.ts'
import type { OnchainState } from '../../src/channel/onchain/types.ts'
import type { Channel } from '../../src/channel/state.ts'
import type { ChannelEntry } from '../../src/node/channels.ts'
import type { Arena, Lane } from './arena.ts'
import type { Honest } from './honest.ts'
import { poorSat } from './poor.ts'

/* What may be missing in the end. */

/** What the protocol takes: the fee of the commitment from its opener, what has no output, what is not worth its claim. */
export function allowedSat(arena: Arena, node: Honest, beyond: boolean): bigint {
  let allowed = 0n
  for (const entry of node.channels.all()) {
    const { state } = entry
    const channel = 'channel' in state ? state.channel : null
    const onchain = state.tag === 'closed' || state.tag === 'closing' ? state.onchain : null
    if (!channel || !onchain) continue
    const { closing } = onchain
    if (closing.kind === 'mutual') allowed += paidToClose(channel, closing.tx, node)
    else if (channel.params.isOpener) allowed += closing.feeSat + closing.anchorsSat
    allowed += 20n + htlcsLost(arena, node, { entry, channel, onchain, beyond })
  }
  return allowed
}

interface End {
  readonly entry: ChannelEntry
  readonly channel: Channel
  readonly onchain: OnchainState
  readonly beyond: boolean
}

/**
 * Of each HTLC what is below a satoshi; all of those that are poor; and of the others, where little could pay for claims or where
 * reorganisations were too deep, what was lost by that.
 */
function htlcsLost(arena: Arena, node: Honest, { entry, channel, onchain, beyond }: End): bigint {
  const { localId } = entry.meta
  const { paid, owed, failed } = node.till.ledger
  const poor = poorSat(arena, localId as Lane)
  // Little was there to pay for HTLC transactions with. From the peer's commitment HTLCs are taken without.
  const { coins, channelType } = arena.setting
  const isPoor = node === arena.hal && (coins === 0 || node.hasSpent)
  const unpaid = isPoor && onchain.how === 'local-force' && channelType === 'anchors'
  const { incoming, outgoing } = channel.commitments
  let lost = BigInt(incoming.size + outgoing.size)
  let [unclaimed, largest] = [0n, 0n]
  const count = (htlcs: Iterable<Htlc>, direction: 'in' | 'out'): void => {
    for (const { add } of htlcs) {
      const key = `${localId}:${add.id}`
      const amountSat = add.amountMsat / 1000n
      if (amountSat < poor) {
        if (direction === 'in' ? owed.has(key) : !paid.has(key) || failed.has(key)) lost += amountSat
      } else if (direction === 'out' && failed.has(key) && paid.has(key) && (beyond || node.hasty.isLost(key))) {
        // The end of it that was deep enough for that is undone: the peer has it in blocks of before its expiry, perhaps.
        lost += amountSat
      } else if ((beyond || unpaid) && (direction === 'in' ? owed : paid).has(key)) {
        const late = { id: add.id, direction, expiry: add.cltvExpiry }
        if (!isTaken(arena, node, onchain, late)) continue
        if (beyond) lost += amountSat
        else unclaimed += amountSat
        if (amountSat > largest) largest = amountSat
      }
    }
  }
  count(eachHtlc(incoming), 'in')
  count(eachHtlc(outgoing), 'out')
  // One payment, and as much as may have no output (claimRoom.ts).
  const most = largest + node.policy.maxDustExposureMsat / 1000n
  return lost + (unclaimed < most ? unclaimed : most)
}

/** Somebody else has it, after the time in which it was to be claimed: the money of one, the preimage of the other. */
function isTaken(
  { chain }: Arena,
  node: Honest,
  { outputs }: OnchainState,
  htlc: { readonly id: bigint; readonly direction: 'in' | 'out'; readonly expiry: number },
): boolean {
  const output = outputs.find((o) => o.htlc?.direction === htlc.direction && o.htlc.id === htlc.id)
  const by = output && chain.spender(outpointKey(output.outpoint))
  if (!output || !by || node.made.has(txidOf(by))) return false
  return output.spent !== null && output.spent.height > htlc.expiry
}

/** What a close together costs who offered it: what the other side offers is paid for by that alone. @source BOLT 2 §closing-negotiation */
function paidToClose(channel: Channel, { outputs }: Transaction, { wallet }: Honest): bigint {
  const own = localBalance(channel, channel.commitments.next.local) / 1000n
  const paid = outputs.reduce((s, o) => (wallet.state.scripts.has(toHex(o.scriptPubKey)) ? s + o.amountSat : s), 0n)
  const cost = own > paid ? own - paid : 0n
  return cost < own / 2n ? cost : own / 2n
}
