import { fromHex } from '../../base/bytes.ts'
import { outpointKey } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { decodeTransaction, type Transaction } from '../../bitcoin/transaction.ts'
import { onchainOf } from '../../channel/describe.ts'
import { inputWeight, isHtlcStage } from '../../channel/onchain/claims.ts'
import type { SpendingTransaction } from '../../channel/onchain/types.ts'
import type { ChannelState } from '../../channel/state.ts'
import type { ChannelEntry } from '../channels.ts'
import type { Node } from '../node.ts'
import type { NodeService } from '../service.ts'

/** An output of a closed channel that is in a transaction of ours by now. */
interface Swept {
  readonly owner: ChannelEntry
  readonly amountSat: Sat
  readonly weight: number
}

type Claim = Pick<SpendingTransaction, 'txid' | 'feeSat'> & { readonly kind: SpendingTransaction['kind'] | 'child' }

/** What a channel paid for one of its claims; 0 sat where that is not known. */
export type ClaimFee = (entry: ChannelEntry, claim: Claim) => Promise<Sat>

const NONE = 0n as Sat

/** What spends outputs of a channel's end in blocks: claims of either side, and what may be our child of its commitment. */
export function claimsOf(state: ChannelState): readonly Claim[] {
  const { spenders = [], anchorsSpent = [] } = onchainOf(state) ?? {}
  const children = new Set(anchorsSpent.flatMap(({ txid }) => txid ?? []))
  return [...spenders, ...[...children].map((txid): Claim => ({ txid, kind: 'child', feeSat: null }))]
}

/**
 * Where not all inputs are the channel's, the wallet has the transaction: what it paid for an HTLC transaction, or for a child, is all of the channel's. A sweep of
 * several channels (node/sweeper.ts) is paid for by each input's weight, where the other channels' records have all other inputs.
 */
export function claimFees(
  { channels }: Pick<Node, 'channels'>,
  wallet: Pick<NodeService, 'walletTransaction'>,
): ClaimFee {
  let swept: ReadonlyMap<string, Swept> | null = null
  return async (entry, { txid, kind, feeSat }) => {
    if (kind === 'theirs') return NONE
    if (feeSat !== null) return feeSat
    const found = await wallet.walletTransaction(txid).catch(() => null)
    if (!found) return NONE
    if (kind === 'htlc' || kind === 'child') return found.feeSat ?? NONE
    swept ??= sweptOf(channels.all())
    return shareOf(decodeTransaction(fromHex(found.hex)), entry, swept) ?? NONE
  }
}

function sweptOf(entries: readonly ChannelEntry[]): ReadonlyMap<string, Swept> {
  const swept = new Map<string, Swept>()
  for (const owner of entries) {
    for (const { outpoint, amountSat, spend, spent } of onchainOf(owner.state)?.outputs ?? [])
      if (spent && !isHtlcStage(spend))
        swept.set(outpointKey(outpoint), { owner, amountSat, weight: inputWeight(spend) })
  }
  return swept
}

/** The shares of all inputs, each rounded where it ends in the sum, add up to the fee. @returns null where an input is not known */
function shareOf({ inputs, outputs }: Transaction, entry: ChannelEntry, swept: ReadonlyMap<string, Swept>): Sat | null {
  const parts = inputs.flatMap((i) => swept.get(outpointKey(i)) ?? [])
  if (parts.length < inputs.length) return null
  const has = parts.reduce((sum, p) => sum + p.amountSat, 0n)
  const fee = outputs.reduce((left, o) => left - o.amountSat, has)
  const whole = BigInt(parts.reduce((sum, p) => sum + p.weight, 0))
  let [weight, paid, own] = [0n, 0n, 0n]
  for (const part of parts) {
    weight += BigInt(part.weight)
    const before = paid
    paid = (fee * weight) / whole
    if (part.owner === entry) own += paid - before
  }
  return own as Sat
}
