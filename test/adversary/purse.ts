import type { Sat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import { applyBlock, issueAddress } from '../../src/wallet/coins.ts'
import { masterKey, RECEIVE, walletAccount, walletScript, walletSigner } from '../../src/wallet/keys.ts'
import { emptyWallet, type WalletState } from '../../src/wallet/state.ts'
import type { GenesisCoin } from './chain.ts'
import { START } from './keys.ts'

export const COINS = 14
const COIN: Sat = 150_000n as Sat
const WORDS = {
  hal: 'legal winner thank year wave sausage worth useful legal winner thank yellow',
  una: 'letter advice cage absurd amount doctor acoustic avoid letter advice cage above',
} as const
export type HonestName = keyof typeof WORDS

interface Purse {
  readonly signer: ReturnType<typeof walletSigner>
  readonly state: WalletState
  readonly coins: readonly GenesisCoin[]
  readonly sweepScripts: readonly Uint8Array[]
  readonly worthSat: bigint
}
const purses = new Map<string, Purse>()
/** A wallet that has coins in the first block; made once, since its keys take longer than a schedule. */
export function purseOf(name: HonestName, hash: ChainBlock['hash'], count = COINS): Purse {
  const key = `${name} ${count}`
  const known = purses.get(key)
  if (known) return known
  const master = masterKey(WORDS[name], 'regtest')
  const account = walletAccount(master)
  let state = emptyWallet({ account, tip: { height: START - 1, hash: 'ff'.repeat(32) as ChainBlock['hash'] } })
  const outputs = Array.from({ length: count }, (_, i) => ({
    amountSat: COIN,
    scriptPubKey: walletScript(account, RECEIVE, i),
  }))
  const tx: Transaction = { version: 2, inputs: [], outputs, lockTime: name === 'hal' ? 1 : 2 }
  const txid = txidOf(tx)
  state = applyBlock(state, {
    hash,
    previousHash: state.hash,
    height: START,
    time: 0,
    transactions: [tx],
    txids: [txid],
  })
  const sweepScripts: Uint8Array[] = []
  for (let i = 0; i < 2; i++) {
    const issued = issueAddress(state)
    state = issued.state
    sweepScripts.push(issued.scriptPubKey)
  }
  const coins = outputs.map((output, index) => ({ outpoint: { txid, index }, output }))
  const worthSat = BigInt(coins.length) * COIN
  const purse = { signer: walletSigner(master), state, coins, sweepScripts, worthSat }
  purses.set(key, purse)
  return purse
}
export const honestCoins = (name: HonestName, hash: ChainBlock['hash'], count = COINS): readonly GenesisCoin[] =>
  purseOf(name, hash, count).coins
