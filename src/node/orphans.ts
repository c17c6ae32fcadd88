import { outpointKey, type Txid } from '../base/ids.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import type { BroadcastResult } from '../chain/source.ts'
import type { WalletTx } from '../wallet/state.ts'
import { isPaidFor } from './bumper.ts'
import { channelOfLabel } from './claimLabels.ts'
import type { NodeParts } from './parts.ts'
import { isGone } from './refusals.ts'

type Parts = () => Pick<NodeParts, 'wallet' | 'chain' | 'reactor'>

/** So long, in blocks, may the Bitcoin node lack what is spent: a mempool that threw it out for its fee may have it again. */
const PATIENCE_BLOCKS = 12

/**
 * Transactions of the wallet with an input that is not its own, whose parent a reorganisation took away: a child that somebody else's miner
 * took after we had given it up, for one. Nothing in the wallet says that they cannot confirm any more, and they would hold its coins
 * for ever. What confirms after all counts.
 */
export class Orphans {
  readonly #parts: Parts
  /** Heights of the first and the latest refusal without another answer between. */
  readonly #refused = new Map<Txid, { readonly first: number; readonly latest: number }>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** What the Bitcoin node said to one that waits. */
  told(tx: Transaction, { accepted, reason }: BroadcastResult): void {
    const { wallet, chain, reactor } = this.#parts()
    const txid = txidOf(tx)
    const { height } = chain
    if (accepted || !isGone(reason)) return void this.#refused.delete(txid)
    if ((chain.status.tipHeight ?? height) < height) return
    if (tx.inputs.every((i) => wallet.state.coins.has(outpointKey(i)))) return
    const known = this.#refused.get(txid)
    const first = known && known.latest >= height - 1 ? known.first : height
    this.#refused.set(txid, { first, latest: height })
    if (height - first < PATIENCE_BLOCKS) return
    this.#refused.delete(txid)
    reactor.post(() => wallet.abandon(txid))
  }
}

/**
 * What the wallet paid for a close that its channel does not know of: a crash cut the batch of both apart, of which nothing was said, and the
 * channel goes on. What the mempool has nevertheless was said, and its channel lost that.
 * @throws ChainError
 */
export async function dropUnsaid({
  wallet,
  channels,
  source,
  reactor,
}: Pick<NodeParts, 'wallet' | 'channels' | 'source' | 'reactor'>): Promise<void> {
  const isUnsaid = ({ label, height }: WalletTx): boolean => {
    const entry = height === null ? channels.get(channelOfLabel(label) ?? '') : undefined
    return entry !== undefined && !isPaidFor(entry.state)
  }
  const unsaid = [...wallet.state.txs.values()].filter((t) => !t.abandoned && isUnsaid(t))
  const known = await Promise.all(unsaid.map(({ txid }) => source.transaction(txid)))
  const gone = unsaid.filter((_, i) => known[i] === null)
  if (gone.length === 0) return
  reactor.post(() => {
    for (const t of gone) if (isUnsaid(t)) wallet.abandon(t.txid)
  })
}
