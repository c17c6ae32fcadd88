import { fromHex } from '../base/bytes.ts'
import type { ChainSource } from '../chain/source.ts'
import { importUnspent } from './coins.ts'
import type { WalletAccount } from './keys.ts'
import { emptyWallet, RESTORE_GAP, type WalletStart, type WalletState } from './state.ts'

/**
 * A wallet of which records were lost: what it owns as a scan has found it, and as it remembers it what waits for a block, its history
 * and its locks.
 */
export function refreshed(
  found: WalletState,
  { coins, txs, locks, spends, nextOrder }: Pick<WalletState, 'coins' | 'txs' | 'locks' | 'spends' | 'nextOrder'>,
): WalletState {
  const waiting = [...coins].filter(([, coin]) => coin.height === null)
  return { ...found, coins: new Map([...waiting, ...found.coins]), txs, locks, spends, nextOrder }
}

/**
 * A wallet from its seed alone: scans the unspent set for its addresses, and again as long as finds widen the gap. Takes minutes on
 * bitcoin. The result is to follow the chain from its own height on; what it had spent before is not known.
 * @param issued how many addresses of each branch had been given out, as far as that is known: coins may lie behind all of them
 * @throws ChainError
 */
export async function restoreWallet(
  source: ChainSource,
  account: WalletAccount,
  gapLimit = RESTORE_GAP,
  issued: readonly [number, number] = [0, 0],
): Promise<WalletState> {
  let wallet: WalletState | null = null
  const begin = (tip: WalletStart['tip']): WalletState => emptyWallet({ account, tip, gapLimit, next: issued })
  let scripts = [...begin(await source.tip()).scripts.keys()]
  const scanned = new Set<string>()
  while (!wallet || scripts.length > 0) {
    const { tip, outputs } = await source.scanUnspent(scripts.map(fromHex))
    wallet ??= begin(tip)
    // What came after the first scan comes again with its block.
    const { height } = wallet
    wallet = importUnspent(
      wallet,
      outputs.filter((o) => o.height <= height),
    )
    for (const s of scripts) scanned.add(s)
    scripts = [...wallet.scripts.keys()].filter((s) => !scanned.has(s))
  }
  return wallet
}
