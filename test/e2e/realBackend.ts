import { isDeepStrictEqual } from 'node:util'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import type { BlockHash, Txid } from '../../src/base/ids.ts'
import { encodeBlock } from '../../src/bitcoin/block.ts'
import { decodeTransaction, encodeTransaction, type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { rpcHandler } from '../../src/chain/embedded/rpc.ts'
import type { CallOptions, RpcTransport } from '../../src/chain/rpc.ts'
import type { Backend } from '../node/world.ts'
import { inCoreWords, outcome, pick, sorted } from './beside.ts'
import { type Kind, kindsOf } from './kindOf.ts'
import type { RealNode } from './realNode.ts'

/** A transaction that the real node took into its mempool. */
export interface Sighting {
  readonly tx: Transaction
  readonly kinds: ReadonlySet<Kind>
  /** It is in a block that the real node took. */
  mined: boolean
}

const TIMEOUT = { timeoutMs: 60_000 }
/** Someone was faster: it is in the chain already. */
const isMined = (answer: unknown): boolean => (answer as { code?: number } | null)?.code === -27

/**
 * A real Bitcoin node that nodes of a `World` live on. The embedded chain beside it is handed all that they publish, so that it can
 * make the blocks; whatever the two judge differently is noted.
 */
export class RealBackend implements Backend {
  readonly transport: RpcTransport
  readonly seen = new Map<Txid, Sighting>()
  /** What the two chains answered differently, and blocks that the real node did not take. */
  readonly differences: unknown[] = []
  /** Packages of which a transaction entered that would not have by itself. */
  readonly helped: Txid[] = []
  /** The refusals of the real node, in its own words. */
  readonly refused: { readonly kinds: readonly Kind[]; readonly answer: unknown }[] = []
  readonly #real: RealNode
  readonly #chain: EmbeddedChain
  readonly #kinds = new Map<Txid, ReadonlySet<Kind>>()
  /** What of the embedded chain the real node was given, from height 1 on. */
  readonly #given: BlockHash[] = []
  /** What fills the real node's mempool, and is not in the embedded chain's. */
  readonly #strangers = new Set<Txid>()
  #calls = 0
  #turn: Promise<unknown> = Promise.resolve()

  constructor(real: RealNode, chain: EmbeddedChain) {
    this.#real = real
    this.#chain = chain
    this.transport = { call: (method, params, options) => this.#call(method, params, options), close: () => {} }
  }

  get idle(): boolean {
    return this.#calls === 0
  }

  follow(): Promise<void> {
    return this.#inTurn(() => this.#follow())
  }

  ask(method: string, ...params: unknown[]): Promise<unknown> {
    return this.#real.transport.call(method, params, TIMEOUT)
  }

  /** Transactions with an input of this kind that were in the mempool. */
  of(kind: Kind): readonly Sighting[] {
    return [...this.seen.values()].filter((s) => s.kinds.has(kind))
  }

  /** Fills the real node's mempool with these, as far as it takes them. */
  async crowd(txs: readonly Transaction[]): Promise<void> {
    for (const tx of txs) {
      this.#strangers.add(txidOf(tx))
      await this.ask('sendrawtransaction', toHex(encodeTransaction(tx)))
    }
  }

  async #call(method: string, params: readonly unknown[], options: CallOptions): Promise<unknown> {
    const { transport } = this.#real
    if (method === 'waitfornewblock') return transport.call(method, params, options)
    this.#calls++
    try {
      if (method !== 'sendrawtransaction' && method !== 'submitpackage') {
        return await transport.call(method, params, options)
      }
      return await this.#inTurn(() => this.#submit(method, params, options))
    } finally {
      this.#calls--
    }
  }

  /** What changes the mempools is done one after the other, so that both see it in the same order. */
  #inTurn<T>(what: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(what)
    this.#turn = done.catch(() => {})
    return done
  }

  async #submit(method: string, params: readonly unknown[], options: CallOptions): Promise<unknown> {
    const { transport } = this.#real
    const answer = transport.call(method, params, options)
    const theirs = await outcome(() => answer, method, params)
    const txs = (method === 'submitpackage' ? (params[0] as string[]) : [params[0] as string]).map((hex) =>
      decodeTransaction(fromHex(hex)),
    )
    for (const tx of txs) this.#kinds.set(txidOf(tx), kindsOf(tx, this.#kinds))
    if (this.#strangers.size > 0) await this.#adoptMinimum()
    this.#compare(method, theirs, await outcome(rpcHandler(this.#chain), method, params))
    for (const tx of txs) await this.#note(tx, theirs)
    return answer
  }

  async #note(tx: Transaction, answer: unknown): Promise<void> {
    const id = txidOf(tx)
    const kinds = this.#kinds.get(id)!
    const entry = await this.ask('getmempoolentry', id).catch(() => null)
    if (entry === null) {
      if (!isMined(answer)) this.refused.push({ kinds: [...kinds], answer })
      return
    }
    if (!this.seen.has(id)) this.seen.set(id, { tx, kinds, mined: false })
    const results = Object.values((answer as { 'tx-results'?: object })['tx-results'] ?? {})
    const own = results.find((r) => r.txid === id)
    if ((own?.fees?.['effective-includes']?.length ?? 0) > 1) this.helped.push(id)
  }

  /** A full mempool asks for more; it sinks again with time. */
  async #adoptMinimum(): Promise<void> {
    const { mempoolminfee } = (await this.ask('getmempoolinfo')) as { readonly mempoolminfee: number }
    this.#chain.mempool.minFeerate = BigInt(Math.round(mempoolminfee * 1e8))
  }

  async #follow(): Promise<void> {
    const { state } = this.#chain
    let undone: BlockHash | undefined
    while (this.#given.length > 0 && state.at(this.#given.length)?.hash !== this.#given.at(-1)) {
      undone = this.#given.pop()
    }
    if (undone) await this.ask('invalidateblock', undone)
    if (this.#given.length === state.height) return
    while (this.#given.length < state.height) {
      const { block, hash, txids } = state.at(this.#given.length + 1)!
      const verdict = await this.ask('submitblock', toHex(encodeBlock(block)))
      if (verdict !== null) this.differences.push({ method: 'submitblock', verdict })
      for (const id of txids) {
        const sighting = this.seen.get(id)
        if (sighting) sighting.mined = true
      }
      this.#given.push(hash)
    }
    const pool = ((await this.ask('getrawmempool')) as Txid[]).filter((id) => !this.#strangers.has(id)).sort()
    this.#compare('getrawmempool', pool, [...this.#chain.mempool.entries()].map((e) => e.txid).sort())
  }

  #compare(method: string, theirs: unknown, mine: unknown): void {
    if (isDeepStrictEqual(sorted(mine), sorted(pick(inCoreWords(theirs), mine)))) return
    this.differences.push({ method, theirs, mine })
  }
}
