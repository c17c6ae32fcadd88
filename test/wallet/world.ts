import { u32be, utf8 } from '../../src/base/bytes.ts'
import {
  type BlockHash,
  blockHashFromBytes,
  type Outpoint,
  outpointKey,
  type Txid,
  txidFromBytes,
} from '../../src/base/ids.ts'
import { type Sat, sat } from '../../src/base/units.ts'
import { p2wpkh } from '../../src/bitcoin/script.ts'
import { type Transaction, type TxOutput, txidOf, unsignedInput } from '../../src/bitcoin/transaction.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { applyBlock } from '../../src/wallet/coins.ts'
import { masterKey, walletAccount, walletScript, walletSigner } from '../../src/wallet/keys.ts'
import { emptyWallet, type WalletState } from '../../src/wallet/state.ts'
import { unspentCoins } from '../../src/wallet/status.ts'

/** Blocks and transactions out of thin air: nothing here is valid, all of it is consistent. */

const master = masterKey(`${'abandon '.repeat(11)}about`, 'regtest')
export const account = walletAccount(master)
export const signer = walletSigner(master)

const digest = (text: string): Uint8Array => crypto.sha256(utf8(text))
export const GENESIS = blockHashFromBytes(digest('genesis'))
const EMPTY = emptyWallet({ account, tip: { height: 0, hash: GENESIS } })
export const newWallet = (): WalletState => EMPTY

/** An output script that is not the wallet's. */
export const foreignScript = (n: number): Uint8Array => p2wpkh(digest(`foreign ${n}`).slice(0, 20))
/** An outpoint that is not the wallet's. */
export const foreignOutpoint = (n: number): Outpoint => ({ txid: txidFromBytes(digest(`outpoint ${n}`)), index: n % 3 })

export const transaction = (spends: readonly Outpoint[], outputs: readonly TxOutput[], lockTime = 0): Transaction => ({
  version: 2,
  inputs: spends.map((o) => unsignedInput(o)),
  outputs,
  lockTime,
})

export const coinbase = (height: number, fork: number, output: TxOutput): Transaction =>
  transaction([{ txid: '0'.repeat(64) as Txid, index: 0xffffffff }], [output], height * 1000 + fork)

export const output = (amountSat: number | bigint, scriptPubKey: Uint8Array): TxOutput => ({
  amountSat: sat(amountSat),
  scriptPubKey,
})

export function block(
  previous: { readonly height: number; readonly hash: BlockHash },
  transactions: readonly Transaction[],
): ChainBlock {
  const txids = transactions.map(txidOf)
  const height = previous.height + 1
  const content = [utf8(previous.hash), u32be(height), utf8(txids.join())]
  const hash = blockHashFromBytes(crypto.sha256(Uint8Array.from(content.flatMap((c) => [...c]))))
  return { hash, previousHash: previous.hash, height, time: 1_700_000_000 + 600 * height, transactions, txids }
}

export const mine = (state: WalletState, ...transactions: readonly Transaction[]): WalletState =>
  applyBlock(state, block(state, transactions))

let nextForeign = 1_000_000
/** A wallet that was paid these amounts, each to an address of its own, in one block. */
export function walletWith(amounts: readonly (number | bigint)[]): WalletState {
  const state = newWallet()
  const scripts = [...state.scripts].filter(([, k]) => k.branch === 0).map(([hex]) => hex)
  const outputs = amounts.map((a, i) => output(a, Uint8Array.from(Buffer.from(scripts[i % scripts.length]!, 'hex'))))
  return mine(state, transaction([foreignOutpoint(nextForeign++)], outputs))
}

export const total = (outputs: readonly { readonly amountSat: Sat }[]): bigint =>
  outputs.reduce((s, o) => s + o.amountSat, 0n)

const scripts = ([0, 1] as const).map((branch) =>
  Array.from({ length: 65 }, (_, i) => walletScript(account, branch, i)),
)
/** Output script of one of the wallet's own addresses. */
export const own = (i: number, branch: 0 | 1 = 0): Uint8Array => scripts[branch]![i]!
/** What is unspent, in an order that does not depend on how it came. */
export const view = (w: WalletState) =>
  unspentCoins(w)
    .map((v) => ({ key: outpointKey(v.coin.outpoint), status: v.status, height: v.coin.height, sat: v.coin.amountSat }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
