import { equalBytes } from '../../src/base/bytes.ts'
import { type Outpoint, txid } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { p2wpkhOfKey, p2wpkhScriptCode, p2wsh } from '../../src/bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../src/bitcoin/sighash.ts'
import { type Transaction, txidOf, unsignedInput, withWitness } from '../../src/bitcoin/transaction.ts'
import { anchorScript } from '../../src/channel/tx/scripts.ts'
import { ANCHOR_SAT } from '../../src/channel/tx/weights.ts'
import type { ChannelSigner } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { GenesisCoin } from './chain.ts'

/* The attacker's own money, and what it makes of it: children that are in the way. */

const SECRET = new Uint8Array(32).fill(0x66)
const KEY = crypto.publicKey(SECRET)
/** Of the attacker's wallet. */
export const LOOT = p2wpkhOfKey(KEY)
export const COIN: Sat = 600_000n as Sat
const COINS = 30
const COIN_TXID = 'e0'.repeat(32)
export const hostileCoins: readonly GenesisCoin[] = Array.from({ length: COINS }, (_, index) => ({
  outpoint: { txid: txid(COIN_TXID), index },
  output: { amountSat: COIN, scriptPubKey: LOOT },
}))
export const SEQUENCE = 0xfffffffd

/** Adds the attacker's signature for its own coin at an input. */
export function signCoin(tx: Transaction, index: number, amountSat: Sat): Transaction {
  const scriptCode = p2wpkhScriptCode(crypto.hash160(KEY))
  const bare = withWitness(tx, index, [])
  const digest = sighashV0(bare, { index, scriptCode, amountSat }, SIGHASH_ALL)
  return withWitness(tx, index, [derSignature(crypto.ecdsaSign(digest, SECRET), SIGHASH_ALL), KEY])
}

/** The attacker's coins, each used once. */
export class Purse {
  #next = 0
  next(): { readonly outpoint: Outpoint; readonly amountSat: Sat } | null {
    const coin = hostileCoins[this.#next]
    if (!coin) return null
    this.#next++
    return { outpoint: coin.outpoint, amountSat: COIN }
  }
}

interface PinOptions {
  readonly coins: Purse
  readonly times: number
}

/**
 * What makes a transaction hard to replace, parents first: a large child that pays little by its size (`times` the floor), but more in
 * all than most replacements can; or with `times` 0 as many small ones in a row as the mempool takes.
 */
export function pinOf(
  parent: Transaction,
  signer: ChannelSigner,
  { coins, times }: PinOptions,
): readonly Transaction[] {
  const child = childOf(
    parent,
    signer,
    times === 0 ? { coins, outputs: 0, times: 2 } : { coins, outputs: PIN_OUTPUTS, times },
  )
  if (!child) return []
  const row = [child]
  for (let last = child; times === 0 && row.length < MOST_DESCENDANTS; row.push(last)) last = spendOn(last)
  return row
}

/** Of the anchor, or of what is the attacker's own, with a coin. */
function childOf(
  parent: Transaction,
  signer: ChannelSigner,
  { coins, outputs, times }: PinOptions & { readonly outputs: number },
): Transaction | null {
  const id = txidOf(parent)
  const own = parent.outputs.findIndex((o) => equalBytes(o.scriptPubKey, LOOT))
  const anchor = anchorScript(signer.basepoints.fundingPubkey)
  const anchorAt = own >= 0 ? -1 : parent.outputs.findIndex((o) => equalBytes(o.scriptPubKey, p2wsh(anchor)))
  const coin = own < 0 && anchorAt < 0 ? null : coins.next()
  if (!coin) return null
  const index = own >= 0 ? own : anchorAt
  const junk = Array.from({ length: outputs }, () => ({ amountSat: 300n as Sat, scriptPubKey: LOOT }))
  const worth = coin.amountSat + parent.outputs[index]!.amountSat
  const fee = BigInt((outputs * 31 + 250) * times)
  const left = worth - fee - 300n * BigInt(outputs)
  if (left < 300n) return null
  let tx: Transaction = {
    version: 2,
    inputs: [unsignedInput({ txid: id, index }, SEQUENCE), unsignedInput(coin.outpoint, SEQUENCE)],
    outputs: [...junk, { amountSat: left as Sat, scriptPubKey: LOOT }],
    lockTime: 0,
  }
  tx = signCoin(tx, 1, coin.amountSat)
  if (own >= 0) return signCoin(tx, 0, parent.outputs[index]!.amountSat)
  const bare = withWitness(tx, 0, [])
  const digest = sighashV0(bare, { index: 0, scriptCode: anchor, amountSat: ANCHOR_SAT }, SIGHASH_ALL)
  return withWitness(tx, 0, [derSignature(signer.signFunding(digest), SIGHASH_ALL), anchor])
}

/** Beside the parent itself. */
const MOST_DESCENDANTS = 24
/** Spends the only output of a transaction of its own. */
function spendOn(tx: Transaction): Transaction {
  const { amountSat } = tx.outputs[0]!
  const next: Transaction = {
    version: 2,
    inputs: [unsignedInput({ txid: txidOf(tx), index: 0 }, SEQUENCE)],
    outputs: [{ amountSat: (amountSat - 150n) as Sat, scriptPubKey: LOOT }],
    lockTime: 0,
  }
  return signCoin(next, 0, amountSat)
}
/** Of 31 vbytes each: at the floor of 1 sat per vbyte the child pays this much that a replacement has to beat. */
const PIN_OUTPUTS = 400
