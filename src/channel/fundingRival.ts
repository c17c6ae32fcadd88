import { EMPTY } from '../base/bytes.ts'
import { type Outpoint, outpointKey } from '../base/ids.ts'
import { txidOf } from '../bitcoin/transaction.ts'
import { IRREVOCABLE_DEPTH } from './onchain/plan.ts'
import type { Channel } from './state.ts'
import type { ChainEvent, Watch } from './types.ts'

/** What a funding transaction of ours spends, as long as it is in no block. */
const inputsOf = ({ funding }: Channel): readonly Outpoint[] =>
  funding.confirmed === null ? (funding.tx?.inputs ?? []) : []

/** Where a transaction shows that rules out our funding transaction. */
export const rivalWatches = (channel: Channel): readonly Watch[] =>
  inputsOf(channel).map(({ txid, index }) => ({ tag: 'spend', outpoint: { txid, index }, scriptPubKey: EMPTY }))

/** The channel with what a chain event says of transactions that spend the coins of its funding; the same one when that is nothing. */
export function followRival(channel: Channel, event: ChainEvent): Channel {
  const { rival, ...funding } = channel.funding
  if (event.tag === 'reorg') return rival !== undefined && rival > event.height ? { ...channel, funding } : channel
  if (event.tag !== 'spent' || (rival !== undefined && rival <= event.height)) return channel
  const spent = outpointKey(event.outpoint)
  const isInput = inputsOf(channel).some((i) => outpointKey(i) === spent)
  if (!isInput || txidOf(event.tx) === channel.commitments.active[0]!.funding.txid) return channel
  return { ...channel, funding: { ...funding, rival: event.height } }
}

/** Height from which on the funding is given up, since no reorganisation undoes any more what has spent its coins; null without such. */
const ruledOutAt = ({ funding: { confirmed, rival } }: Channel): number | null =>
  confirmed !== null || rival === undefined ? null : rival + IRREVOCABLE_DEPTH - 1

/**
 * Why there can never be a channel, or null: something else has spent what its funding transaction spends, as a wallet of the same words
 * elsewhere can.
 * @source BOLT 5 §general-nomenclature
 */
export function ruledOut(channel: Channel, height: number): string | null {
  const at = ruledOutAt(channel)
  if (at === null || height < at) return null
  return `the funding transaction ${channel.commitments.active[0]!.funding.txid} can never be in a block, since another has spent its coins`
}

/** For people. */
export function waitsForRival(channel: Channel): string | null {
  const at = ruledOutAt(channel)
  return at === null
    ? null
    : `its funding transaction, though another has spent its coins; it is given up at height ${at}`
}
