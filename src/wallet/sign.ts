import { p2wpkhScriptCode } from '../bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, type SighashCache, sighashV0 } from '../bitcoin/sighash.ts'
import type { Transaction, TxInput } from '../bitcoin/transaction.ts'
import { crypto } from '../crypto/crypto.ts'
import type { WalletSigner } from './keys.ts'
import type { Coin } from './state.ts'

/**
 * The transaction with our P2WPKH inputs signed (SIGHASH_ALL): nothing may be changed afterwards.
 * @param coins what each of our inputs spends, by input index
 * @source BIP 141 §P2WPKH, BIP 143
 */
export function signInputs(tx: Transaction, coins: ReadonlyMap<number, Coin>, signer: WalletSigner): Transaction {
  const cache: SighashCache = {}
  const inputs = tx.inputs.map((input, index): TxInput => {
    const coin = coins.get(index)
    if (!coin) return input
    const publicKey = signer.publicKey(coin.branch, coin.keyIndex)
    const scriptCode = p2wpkhScriptCode(crypto.hash160(publicKey))
    const digest = sighashV0(tx, { index, scriptCode, amountSat: coin.amountSat }, SIGHASH_ALL, cache)
    const signature = derSignature(signer.sign(coin.branch, coin.keyIndex, digest), SIGHASH_ALL)
    return { ...input, witness: [signature, publicKey] }
  })
  return { ...tx, inputs }
}
