import type { ChannelView } from '../../../src/node/service.ts'
import type { OurNode } from '../ourNode.ts'
import { inSat, type MinedTx, type RealChain } from './chain.ts'

/** What channels that are over left our wallet, in sat. */
export interface Ledger {
  /** Of outputs of the closing transactions, before the fees that the wallet paid to take it. */
  readonly taken: number
  /** Those fees. */
  readonly fees: number
  /** What went neither to us nor to the peer in the closing transactions: their fees, and HTLCs without outputs. */
  readonly lost: number
}

const total = (amounts: readonly number[]): number => amounts.reduce((a, b) => a + b, 0)
const paysFor = (tx: MinedTx, { funding }: ChannelView): boolean =>
  tx.vin.some((i) => i.txid === funding!.txid && i.vout === funding!.index)

/** From what the blocks above a height have of these channels and of our wallet, which did nothing else meanwhile. */
export async function ledgerOf(
  chain: RealChain,
  us: OurNode,
  { since, channels }: { readonly since: number; readonly channels: readonly ChannelView[] },
): Promise<Ledger> {
  const mined = await chain.minedAbove(since)
  const closings = mined.filter((tx) => channels.some((c) => paysFor(tx, c)))
  if (closings.length !== channels.length) throw new Error(`${closings.length} of ${channels.length} channels closed`)
  const own = (await Promise.all(mined.map(async (tx) => ({ tx, net: await netOf(us, tx) })))).filter(
    (t): t is { tx: MinedTx; net: number } => t.net !== null,
  )
  const fees = total(own.map(({ tx }) => inSat(tx.fee)))
  return {
    taken: total(own.map(({ net }) => net)) + fees,
    fees,
    lost: total(closings.map((tx) => inSat(tx.fee))),
  }
}

/** What the wallet had of it, in sat; null: nothing to do with it. */
const netOf = ({ service }: OurNode, { txid }: MinedTx): Promise<number | null> =>
  service.walletTransaction(txid).then(
    ({ netSat }) => Number(netSat),
    (e: { code?: string }) => {
      if (e.code !== 'NOT_FOUND') throw e
      return null
    },
  )
