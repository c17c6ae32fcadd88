import { EMPTY } from '../base/bytes.ts'
import { type Outpoint, outpointKey } from '../base/ids.ts'
import { txidOf } from '../bitcoin/transaction.ts'
import { IRREVOCABLE_DEPTH } from './onchain/plan.ts'
import type { Channel, CoinSpender } from './state.ts'
import type { ChainEvent, Watch } from './types.ts'

/** A funding transaction of ours and what it builds on, as long as it is in no block: without any of them, there is no channel. */
function spendersOf({ funding, commitments }: Channel): readonly CoinSpender[] {
  const { tx, confirmed, ancestors = [] } = funding
  if (tx === null || confirmed !== null) return []
  return [{ txid: commitments.active[0]!.funding.txid, inputs: tx.inputs }, ...ancestors]
}

/** Where a transaction shows that rules out one which spends the same. */
export const inputWatches = (inputs: readonly Outpoint[]): readonly Watch[] =>
  inputs.map(({ txid, index }) => ({ tag: 'spend', outpoint: { txid, index }, scriptPubKey: EMPTY }))

export const rivalWatches = (channel: Channel): readonly Watch[] =>
  inputWatches(spendersOf(channel).flatMap((s) => s.inputs))

/** What a funding transaction that is in no block takes, and the lowest height at which another has spent some of that. */
export interface FundingRace {
  readonly spenders: readonly CoinSpender[]
  readonly rival: number | null
}

/** @returns the height of its rival after a chain event */
export function rivalAfter({ spenders, rival }: FundingRace, event: ChainEvent): number | null {
  if (event.tag === 'reorg') return rival !== null && rival > event.height ? null : rival
  if (event.tag !== 'spent' || (rival !== null && rival <= event.height)) return rival
  const spent = outpointKey(event.outpoint)
  const meant = spenders.find(({ inputs }) => inputs.some((i) => outpointKey(i) === spent))
  return meant && txidOf(event.tx) !== meant.txid ? event.height : rival
}

/** The channel with what a chain event says of transactions that spend the coins of its funding; the same one when that is nothing. */
export function followRival(channel: Channel, event: ChainEvent): Channel {
  const { rival = null, ...funding } = channel.funding
  const next = rivalAfter({ spenders: spendersOf(channel), rival }, event)
  if (next === rival) return channel
  return { ...channel, funding: next === null ? funding : { ...funding, rival: next } }
}

/** Height from which on the funding is given up, since no reorganisation undoes any more what has spent its coins; null without such. */
const ruledOutAt = ({ funding: { confirmed, rival } }: Channel): number | null =>
  confirmed !== null || rival === undefined ? null : rival + IRREVOCABLE_DEPTH - 1

/**
 * Why there can never be a channel, or null: something else has spent what its funding transaction spends, or what that builds on, as a wallet
 * of the same words elsewhere can.
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
