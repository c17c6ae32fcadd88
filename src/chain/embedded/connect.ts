import { outpointKey } from '../../base/ids.ts'
import { err, ok, type Result } from '../../base/result.ts'
import type { Sat } from '../../base/units.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { CONSENSUS_FLAGS } from '../../bitcoin/verifyFlags.ts'
import type { BlockNode } from './blockNode.ts'
import { type Coin, CoinOverlay, type CoinSource } from './coins.ts'
import type { LockContext } from './locks.ts'
import { type Rejection, reject } from './rejection.ts'
import { MAX_BLOCK_SIGOPS, sigopCost } from './sigops.ts'
import { checkAmounts, findCoins, locksPassed, type ScriptCache } from './txRules.ts'

/** Regtest halves every 150 blocks. */
const HALVING_INTERVAL = 150
const INITIAL_SUBSIDY = 5_000_000_000n

/** sat that a block at this height may make. */
export function blockSubsidy(height: number): Sat {
  const halvings = Math.floor(height / HALVING_INTERVAL)
  return (halvings >= 64 ? 0n : INITIAL_SUBSIDY >> BigInt(halvings)) as Sat
}

export interface ConnectContext {
  readonly coins: CoinSource
  readonly locks: LockContext
  /** null: scripts were checked in an earlier run. */
  readonly scripts: ScriptCache | null
}

export interface Connected {
  /** Changes to make to the coin set. */
  readonly changes: CoinOverlay
  readonly undo: readonly (readonly Coin[])[]
}

/** Runs a block against the coins that its parent left, and changes nothing. */
export function connectBlock(node: BlockNode, context: ConnectContext): Result<Connected, Rejection> {
  const { transactions } = node.block
  const changes = new CoinOverlay(context.coins)
  const undo: (readonly Coin[])[] = []
  let fees = 0n
  let sigops = 0
  for (const [i, tx] of transactions.entries()) {
    const id = node.txids[i]!
    if (tx.outputs.some((_, index) => changes.get(outpointKey({ txid: id, index })))) {
      return err(reject('bad-txns-BIP30', 'tried to overwrite transaction'))
    }
    const spent = i === 0 ? ok({ coins: [], fee: 0n as Sat }) : spend(tx, node.wtxids[i]!, changes, context)
    if (!spent.ok) return spent
    fees += spent.value.fee
    undo.push(spent.value.coins)
    sigops += sigopCost(
      tx,
      spent.value.coins.map((c) => c.output),
    )
    if (sigops > MAX_BLOCK_SIGOPS) return err(reject('bad-blk-sigops', 'too many sigops'))
    if (i > 0) for (const input of tx.inputs) changes.spend(input)
    changes.addOutputs(tx, id, { height: node.height, coinbase: i === 0 })
  }
  const claimed = transactions[0]!.outputs.reduce((sum, o) => sum + o.amountSat, 0n)
  const allowed = blockSubsidy(node.height) + fees
  if (claimed > allowed) {
    return err(reject('bad-cb-amount', `coinbase pays too much (actual=${claimed} vs limit=${allowed})`))
  }
  return ok({ changes, undo })
}

function spend(
  tx: Transaction,
  wtxid: Uint8Array,
  source: CoinSource,
  { locks, scripts }: ConnectContext,
): Result<{ coins: Coin[]; fee: Sat }, Rejection> {
  const coins = findCoins(tx, source)
  if (!coins) return err(reject('bad-txns-inputs-missingorspent', 'inputs missing/spent'))
  const amounts = checkAmounts(tx, coins, locks.height)
  if ('reason' in amounts) return err(amounts)
  if (!locksPassed(tx, coins, locks)) return err(reject('bad-txns-nonfinal', 'contains a non-BIP68-final transaction'))
  const failure = scripts?.verify({ tx, wtxid, coins }, CONSENSUS_FLAGS, 'block')
  return failure ? err(failure) : ok({ coins, fee: amounts.fee })
}
