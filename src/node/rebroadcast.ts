import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import { childrenLeft } from './bumper.ts'
import { channelOfLabel } from './claimLabels.ts'
import type { Node } from './node.ts'
import { dropUnsaid } from './orphans.ts'
import type { TurnScope } from './reactor.ts'
import { aside } from './rounds.ts'

/**
 * Hands all that waits for a block to the Bitcoin node: at a start, and when that node is there again, which may have lost its mempool.
 * The wallet's goes first, since a child that pays for a commitment may spend its change.
 */
export function rebroadcastAll(node: Node, scope: TurnScope): void {
  rebroadcastWallet(node, scope)
  scope.after(() => aside(node.log, dropUnsaid(node)))
  const { channels, effects } = node
  for (const entry of channels.all()) channels.apart(entry, scope, () => effects.republish(entry, scope))
}

/** After a block that channels and wallet have taken in: mempools forget what waits for long, or pays less than others. */
export function rebroadcastAfterBlock(node: Node, scope: TurnScope): void {
  const own = node.wallet.unconfirmed((label) => channelOfLabel(label) === null)
  scope.after(() => hand(node, own))
  const { channels, effects } = node
  for (const entry of channels.all()) channels.apart(entry, scope, () => effects.afterBlock(entry, scope))
}

/** But for children of commitments that are not handed out any more, by what channels know at the end of the turn. */
export function rebroadcastWallet(node: Node, scope: TurnScope): void {
  const { wallet, channels } = node
  // Not those of turns after this one, which may not be on disk by then.
  const txs = wallet.unconfirmed()
  scope.after(() => {
    const left = new Set(channels.all().flatMap((entry) => childrenLeft(entry, wallet).map(({ txid }) => txid)))
    hand(
      node,
      txs.filter((tx) => !left.has(txidOf(tx))),
    )
  })
}

/** A refusal is nothing new: what spends an output of the peer's as well may have lost. */
function hand({ source, logs, orphans }: Node, txs: readonly Transaction[]): void {
  const one = async (tx: Transaction): Promise<void> => {
    const result = await source.broadcast(tx)
    orphans.told(tx, result)
    if (!result.accepted) logs.of('chain').debug({ reason: result.reason }, 'transaction refused again')
  }
  for (const tx of txs) void one(tx).catch(() => {})
}
