import { printable, toHex } from '../base/bytes.ts'
import type { Outpoint } from '../base/ids.ts'
import { encodeTransaction, type Transaction, txidOf } from '../bitcoin/transaction.ts'
import { record, text } from './answers.ts'
import { ChainError } from './errors.ts'
import { hasRpcCode, RPC_ERROR } from './rpcErrors.ts'
import type { BroadcastResult } from './source.ts'

export interface BroadcasterOptions {
  /** Calls the backend; repeated until it answers. @throws ChainError */
  readonly read: (method: string, params: readonly unknown[]) => Promise<unknown>
  /** The transaction with this output where it waits in the mempool; null where it is in the chain, or unknown. */
  readonly waiting: (outpoint: Outpoint) => Promise<Transaction | null>
}

/**
 * A Bitcoin node takes more than 0.1 BTC per 1,000 vbytes for a mistake, and counts a child by itself: one that pays for a commitment of
 * hundreds of HTLCs is far above that, at feerates that are nothing unusual. What is too much is decided where fees are (FEERATE_CEILING).
 */
const NO_FEE_LIMIT = 0

const REFUSALS = [RPC_ERROR.VERIFY, RPC_ERROR.VERIFY_REJECTED, RPC_ERROR.DESERIALIZATION]

/** Hands transactions to a Bitcoin node: what comes later may build on what came before, and over several connections could overtake it. */
export class Broadcaster {
  readonly #read: BroadcasterOptions['read']
  readonly #waiting: BroadcasterOptions['waiting']
  /** Ends when all that was handed over is sent. */
  #outgoing: Promise<unknown> = Promise.resolve()

  constructor({ read, waiting }: BroadcasterOptions) {
    this.#read = read
    this.#waiting = waiting
  }

  /** Several are a package, parents before children. @throws ChainError when the backend cannot be reached */
  send(txs: readonly Transaction[]): Promise<BroadcastResult> {
    const sent = this.#outgoing.then(() => (txs.length === 1 ? this.#one(txs[0]!) : this.#package(txs)))
    this.#outgoing = sent.catch(() => {})
    return sent
  }

  async #one(tx: Transaction): Promise<BroadcastResult> {
    try {
      await this.#read('sendrawtransaction', [toHex(encodeTransaction(tx)), NO_FEE_LIMIT])
      return { accepted: true }
    } catch (e) {
      if (hasRpcCode(e, RPC_ERROR.VERIFY_ALREADY_IN_UTXO_SET)) return { accepted: true }
      if (!REFUSALS.some((code) => hasRpcCode(e, code))) throw e
      return /txn-already-(in-mempool|known)/.test((e as Error).message)
        ? { accepted: true }
        : { accepted: false, reason: (e as Error).message.replace(/^sendrawtransaction: | \(-\d+\)$/g, '') }
    }
  }

  async #package(txs: readonly Transaction[]): Promise<BroadcastResult> {
    const result = await this.#submit(txs)
    if (result) return result
    // Before Core 30 a package must have every unconfirmed parent of the child's, also those that are in the mempool.
    const parents = await this.#waitingParents(txs)
    const whole = parents.length > 0 ? await this.#submit([...parents, ...txs]) : null
    return whole ?? this.#each(txs)
  }

  /** @returns null when the package as such is none that it looks at: no such method, or another topology than it takes */
  async #submit(txs: readonly Transaction[]): Promise<BroadcastResult | null> {
    try {
      const result = record(await this.#submitWhole(txs), 'submitpackage')
      if (result.package_msg === 'success') return { accepted: true }
      const results = Object.values(record(result['tx-results'], 'tx-results'))
      if (results.length === 0) return null
      const errors = results.map((r) => record(r, 'tx-results').error).filter((r) => typeof r === 'string')
      const whole = text(result.package_msg, 'package_msg')
      const reasons = [...(errors.length > 0 && whole === 'transaction failed' ? [] : [whole]), ...errors]
      return { accepted: false, reason: printable(reasons.join('; ')) }
    } catch (e) {
      if (!(e instanceof ChainError) || e.code !== 'RPC_ERROR') throw e
      return null
    }
  }

  async #submitWhole(txs: readonly Transaction[]): Promise<unknown> {
    const whole = txs.map((tx) => toHex(encodeTransaction(tx)))
    try {
      return await this.#read('submitpackage', [whole, NO_FEE_LIMIT])
    } catch (e) {
      // Before Core 27 there is no limit for packages, nor a place to say so.
      if (!hasRpcCode(e, RPC_ERROR.MISC)) throw e
      return this.#read('submitpackage', [whole])
    }
  }

  /** What the package's child spends of the mempool's beside the package. */
  async #waitingParents(txs: readonly Transaction[]): Promise<readonly Transaction[]> {
    const known = new Set(txs.map(txidOf))
    const inputs = txs.at(-1)!.inputs.filter((i) => !known.has(i.txid))
    const found = await Promise.all(inputs.map((i) => this.#waiting(i)))
    const parents = new Map(found.flatMap((tx) => (tx ? [[txidOf(tx), tx] as const] : [])))
    return [...parents.values()]
  }

  async #each(txs: readonly Transaction[]): Promise<BroadcastResult> {
    for (const tx of txs) {
      const result = await this.#one(tx)
      if (!result.accepted) return { accepted: false, reason: `${txidOf(tx)}: ${result.reason}` }
    }
    return { accepted: true }
  }
}
