import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { outpointKey } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import {
  encodePsbt,
  finalWitness,
  finalWitnessValue,
  PSBT_IN,
  type Psbt,
  type PsbtMap,
  partialSigs,
  sighashType,
  witnessUtxo,
  witnessUtxoValue,
} from '../bitcoin/psbt.ts'
import { p2wpkh, p2wpkhScriptCode } from '../bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, type SighashCache, sighashV0 } from '../bitcoin/sighash.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import { verifyInput } from '../bitcoin/verify.ts'
import { crypto } from '../crypto/crypto.ts'
import { InsufficientFundsError, WalletError } from './errors.ts'
import { type WalletSigner, walletScript } from './keys.ts'
import type { Coin, WalletState } from './state.ts'
import { judge, unspentCoins } from './status.ts'

/** A transaction of ours as a PSBT to be signed: the witnesses are left out, what each input spends is said. */
export function unsignedPsbt(state: WalletState, tx: Transaction): Psbt {
  const inputs = tx.inputs.map((input): PsbtMap => {
    const coin = state.coins.get(outpointKey(input))
    if (!coin) return new Map()
    const output = { amountSat: coin.amountSat, scriptPubKey: walletScript(state.account, coin.branch, coin.keyIndex) }
    return new Map([[PSBT_IN.witnessUtxo, witnessUtxoValue(output)]])
  })
  const bare = { ...tx, inputs: tx.inputs.map((i) => ({ ...i, witness: [] })) }
  return { tx: bare, global: new Map(), inputs, outputs: tx.outputs.map(() => new Map()) }
}

export interface SignedPsbt {
  readonly psbt: Psbt
  /** How many inputs of ours it has. */
  readonly ours: number
  /** What we pay into it beyond what comes back to us. */
  readonly netSat: bigint
}

/**
 * Adds our signatures to the inputs that are ours. Amounts come from the wallet's own records, never from the PSBT: a false one
 * cannot make us pay more in fees than was shown. Only SIGHASH_ALL is signed: nothing may be changed afterwards.
 * @param how.owner under whose name the coins may be locked
 * @param how.reserveSat kept back in the wallet, see anchorReserve: what eats into it is not signed, since nothing else may either
 * @throws InsufficientFundsError, WalletError
 */
export function signPsbt(
  state: WalletState,
  psbt: Psbt,
  how: { readonly signer: WalletSigner; readonly owner: string; readonly reserveSat: Sat },
): SignedPsbt {
  const { signer, owner, reserveSat } = how
  const cache: SighashCache = {}
  let ours = 0
  let spent = 0n
  const inputs = psbt.tx.inputs.map((input, index): PsbtMap => {
    const map = psbt.inputs[index]!
    const coin = state.coins.get(outpointKey(input))
    if (!coin) return map
    checkCoin(state, coin, owner)
    checkClaims(state, coin, map)
    ours++
    spent += coin.amountSat
    if (finalWitness(map)) return map
    const publicKey = signer.publicKey(coin.branch, coin.keyIndex)
    const scriptCode = p2wpkhScriptCode(crypto.hash160(publicKey))
    const digest = sighashV0(psbt.tx, { index, scriptCode, amountSat: coin.amountSat }, SIGHASH_ALL, cache)
    const signature = derSignature(signer.sign(coin.branch, coin.keyIndex, digest), SIGHASH_ALL)
    return new Map([...map, [`${PSBT_IN.partialSig}${toHex(publicKey)}`, signature]])
  })
  if (ours === 0) throw new WalletError('UNKNOWN_COIN', 'the PSBT spends nothing of this wallet')
  const back = psbt.tx.outputs.reduce((s, o) => (state.scripts.has(toHex(o.scriptPubKey)) ? s + o.amountSat : s), 0n)
  const netSat = spent - back
  const owned = spent + freeBeside(state, psbt.tx)
  if (netSat > 0n && owned - netSat < reserveSat) {
    throw new InsufficientFundsError(netSat, owned > reserveSat ? owned - reserveSat : 0n, reserveSat)
  }
  return { psbt: { ...psbt, inputs }, ours, netSat }
}

/** sat in coins that can be spent now and that the transaction leaves alone. */
function freeBeside(state: WalletState, tx: Transaction): bigint {
  const spent = new Set(tx.inputs.map(outpointKey))
  return unspentCoins(state)
    .filter(({ coin, status }) => status === 'spendable' && !spent.has(outpointKey(coin.outpoint)))
    .reduce((sum, { coin }) => sum + coin.amountSat, 0n)
}

/** A coin that is spent, or reserved for a channel or another payment, is not signed away. */
function checkCoin(state: WalletState, coin: Coin, owner: string): void {
  const key = outpointKey(coin.outpoint)
  const { isAlive, isSpent } = judge(state)
  const lock = state.locks.get(key)
  if (!isAlive(coin.outpoint.txid) || isSpent(coin)) {
    throw new WalletError('COIN_NOT_SPENDABLE', `${key} is spent`)
  }
  if (lock !== undefined && !lock.startsWith(owner)) {
    throw new WalletError('COIN_NOT_SPENDABLE', `${key} is locked by another transaction that is being made`)
  }
}

function checkClaims(state: WalletState, coin: Coin, map: PsbtMap): void {
  const key = outpointKey(coin.outpoint)
  const said = witnessUtxo(map)
  const script = walletScript(state.account, coin.branch, coin.keyIndex)
  if (said && (said.amountSat !== coin.amountSat || !equalBytes(said.scriptPubKey, script))) {
    throw new WalletError(
      'PSBT_REFUSED',
      `${key} holds ${coin.amountSat} sat of ours, and the PSBT says something else`,
    )
  }
  const type = sighashType(map)
  if (type !== null && type !== SIGHASH_ALL) {
    throw new WalletError('PSBT_REFUSED', `${key}: sighash type ${type} is not signed; only SIGHASH_ALL (1) is`)
  }
}

/** Makes P2WPKH inputs with a signature final; others stay as they are. @source BIP 174 §input-finalizer */
export function finalisePsbt(psbt: Psbt): Psbt {
  const inputs = psbt.inputs.map((map): PsbtMap => {
    const output = witnessUtxo(map)
    const found = partialSigs(map).find(
      ([key]) => output && equalBytes(p2wpkh(crypto.hash160(fromHex(key))), output.scriptPubKey),
    )
    if (!output || !found || finalWitness(map)) return map
    const [publicKey, signature] = found
    // What led here is dropped; the output spent and what is not known stay.
    const kept = [...map].filter(([key]) => key === PSBT_IN.witnessUtxo || Number.parseInt(key.slice(0, 2), 16) > 8)
    return new Map([...kept, [PSBT_IN.finalScriptWitness, finalWitnessValue([signature, fromHex(publicKey)])]])
  })
  return { ...psbt, inputs }
}

/**
 * That what spends our coins is rightly signed. The wallet takes the coins of a transaction for spent before the chain has seen it, and
 * would go on doing so for one that no chain takes, when the answer to that does not come.
 * @throws WalletError PSBT_REFUSED
 */
export function checkWitnesses(state: WalletState, tx: Transaction): void {
  for (const [index, input] of tx.inputs.entries()) {
    const coin = state.coins.get(outpointKey(input))
    if (!coin) continue
    const scriptPubKey = walletScript(state.account, coin.branch, coin.keyIndex)
    const result = verifyInput(tx, index, { amountSat: coin.amountSat, scriptPubKey })
    if (!result.ok)
      throw new WalletError('PSBT_REFUSED', `input ${index}, a coin of ours, is not rightly signed: ${result.detail}`)
  }
}

/** Fee of a PSBT that says what all of its inputs spend; null otherwise. */
export function psbtFee({ tx, inputs }: Psbt): Sat | null {
  const spent = inputs.map((map) => witnessUtxo(map)?.amountSat)
  if (spent.some((amount) => amount === undefined)) return null
  const fee = spent.reduce<bigint>((s, a) => s + (a ?? 0n), 0n) - tx.outputs.reduce((s, o) => s + o.amountSat, 0n)
  return fee < 0n ? null : (fee as Sat)
}

export const psbtText = (psbt: Psbt): string => Buffer.from(encodePsbt(psbt)).toString('base64')
