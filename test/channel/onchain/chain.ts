import { type Outpoint, outpointKey, type Txid } from '../../../src/base/ids.ts'
import type { Sat } from '../../../src/base/units.ts'
import { type Transaction, type TxOutput, txidOf, weightOf } from '../../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../../src/bitcoin/verify.ts'

interface Coin {
  readonly output: TxOutput
  /** Of its block. */
  readonly height: number
}
interface Entry {
  readonly tx: Transaction
  readonly feeSat: bigint
}

/** Relay floor, sat per 1,000 weight units, less the units by which real signatures are shorter than assumed. */
const FLOOR = 250

/**
 * Bitcoin as far as a closing channel can see it: coins, blocks, a mempool with the time locks of BIP 68 and 113, replacement by fee
 * and every script run through the interpreter. Transactions are mined in the order of their arrival, all in the next block.
 */
export class TestChain {
  height: number
  /** The greatest height that there ever was. */
  peak: number
  readonly blocks: (readonly Transaction[])[] = []
  readonly fees = new Map<Txid, bigint>()
  #coins = new Map<string, Coin>()
  #mempool = new Map<Txid, Entry>()
  readonly #genesis: Map<string, Coin>
  readonly #start: number

  constructor(start: number, coins: readonly { outpoint: Outpoint; output: TxOutput }[]) {
    this.#start = start
    this.height = start
    this.peak = start
    this.#genesis = new Map(coins.map((c) => [outpointKey(c.outpoint), { output: c.output, height: start }]))
    this.#coins = new Map(this.#genesis)
  }

  coins(): ReadonlyMap<string, Coin> {
    return this.#coins
  }

  inMempool(id: Txid): boolean {
    return this.#mempool.has(id)
  }

  /** null when accepted (or known), else why not. */
  broadcast(tx: Transaction): string | null {
    const id = txidOf(tx)
    if (this.#mempool.has(id) || this.#confirmed(id)) return null
    const prevouts: TxOutput[] = []
    for (const input of tx.inputs) {
      const coin = this.#coins.get(outpointKey(input))
      const parent = this.#mempool.get(input.txid)?.tx.outputs[input.index]
      if (!coin && !parent) return 'missing inputs'
      if (!this.#sequenceMet(tx, input.sequence, coin)) return 'non-BIP68-final'
      prevouts.push(coin?.output ?? parent!)
    }
    if (tx.lockTime > this.height && tx.inputs.some((i) => i.sequence !== 0xffffffff) && tx.lockTime < 500_000_000) {
      return 'non-final'
    }
    const script = verifyTransaction(tx, prevouts)
    if (!script.ok) return `script: ${script.error} ${script.detail}`
    const feeSat = prevouts.reduce((s, o) => s + o.amountSat, 0n) - tx.outputs.reduce((s, o) => s + o.amountSat, 0n)
    if (feeSat < 0n) return 'outputs exceed inputs'
    if (feeSat * 1000n < BigInt(weightOf(tx) * FLOOR)) return 'min relay fee not met'
    return this.#replace(tx, feeSat) ? null : 'insufficient fee to replace'
  }

  /** BIP 125, without its finer print: a replacement pays more than all that it replaces. */
  #replace(tx: Transaction, feeSat: bigint): boolean {
    const spent = new Set(tx.inputs.map(outpointKey))
    const conflicts = [...this.#mempool].filter(([, e]) => e.tx.inputs.some((i) => spent.has(outpointKey(i))))
    if (conflicts.reduce((s, [, e]) => s + e.feeSat, 0n) >= feeSat && conflicts.length > 0) return false
    for (const [id] of conflicts) this.#evict(id)
    this.#mempool.set(txidOf(tx), { tx, feeSat })
    return true
  }

  /** Forgets an unconfirmed transaction and its descendants. */
  #evict(id: Txid): void {
    this.#mempool.delete(id)
    for (const [child, e] of this.#mempool) if (e.tx.inputs.some((i) => i.txid === id)) this.#evict(child)
  }

  #sequenceMet(tx: Transaction, sequence: number, coin: Coin | undefined): boolean {
    if (tx.version < 2 || sequence >= 0x80000000) return true
    const blocks = sequence & 0xffff
    return coin ? this.height + 1 >= coin.height + blocks : blocks === 0
  }

  #confirmed(id: Txid): boolean {
    return this.fees.has(id)
  }

  /** One block with what `choose` lets in; the rest stays in the mempool. */
  mine(choose: (tx: Transaction) => boolean = () => true): readonly Transaction[] {
    const txs: Transaction[] = []
    const left = new Set<Txid>()
    for (const [id, { tx, feeSat }] of this.#mempool) {
      if (!choose(tx) || tx.inputs.some((i) => left.has(i.txid))) {
        left.add(id)
        continue
      }
      txs.push(tx)
      this.fees.set(id, feeSat)
      this.#mempool.delete(id)
    }
    return this.connect(txs)
  }

  /** A block with these transactions, whatever the mempool says. */
  connect(txs: readonly Transaction[]): readonly Transaction[] {
    this.height++
    this.peak = Math.max(this.peak, this.height)
    this.blocks.push(txs)
    this.#apply(txs, this.height)
    return txs
  }

  #apply(txs: readonly Transaction[], height: number): void {
    for (const tx of txs) {
      for (const i of tx.inputs) this.#coins.delete(outpointKey(i))
      const txid = txidOf(tx)
      tx.outputs.forEach((output, index) => {
        this.#coins.set(outpointKey({ txid, index }), { output, height })
      })
    }
  }

  /** Undoes the last blocks; their transactions are lost, as after a reorg that a miner used for another one. */
  reorg(depth: number): void {
    for (const txs of this.blocks.splice(-depth)) for (const tx of txs) this.fees.delete(txidOf(tx))
    this.#mempool.clear()
    this.#coins = new Map(this.#genesis)
    this.blocks.forEach((txs, i) => {
      this.#apply(txs, this.#start + i + 1)
    })
    this.height = this.#start + this.blocks.length
  }

  /** Sum of the coins that pay to a script. */
  balance(scriptPubKey: Uint8Array): Sat {
    let sum = 0n
    for (const { output } of this.#coins.values()) {
      if (Buffer.compare(output.scriptPubKey, scriptPubKey) === 0) sum += output.amountSat
    }
    return sum as Sat
  }
}
