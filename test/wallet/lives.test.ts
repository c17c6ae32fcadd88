import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outpointKey, type Txid } from '../../src/base/ids.ts'
import { pack, unpack } from '../../src/base/pack.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import { abandonTransaction, addTransaction, applyBlock, rollback } from '../../src/wallet/coins.ts'
import { loadWallet, walletRecords } from '../../src/wallet/records.ts'
import type { WalletState } from '../../src/wallet/state.ts'
import { unconfirmed, unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import {
  account,
  block,
  coinbase,
  foreignOutpoint,
  foreignScript,
  GENESIS,
  newWallet,
  output,
  own,
  transaction,
  view,
} from './world.ts'

type Step =
  | { readonly tag: 'receive'; readonly source: number; readonly key: number }
  | { readonly tag: 'spend'; readonly coin: number; readonly key: number }
  | { readonly tag: 'send'; readonly tx: number }
  | { readonly tag: 'abandon'; readonly tx: number }
  | { readonly tag: 'mine'; readonly take: number; readonly reward: boolean }
  | { readonly tag: 'reorg'; readonly depth: number; readonly fork: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  // Few sources, so that transactions conflict, also with some that have nothing of ours (keys 13 – 15).
  fc.record({ tag: fc.constant('receive' as const), source: fc.nat(4), key: fc.nat(15) }),
  fc.record({ tag: fc.constant('send' as const), tx: fc.nat(6) }),
  fc.record({ tag: fc.constant('spend' as const), coin: fc.nat(30), key: fc.nat(12) }),
  fc.record({ tag: fc.constant('send' as const), tx: fc.nat(30) }),
  fc.record({ tag: fc.constant('abandon' as const), tx: fc.nat(30) }),
  fc.record({ tag: fc.constant('mine' as const), take: fc.nat(), reward: fc.boolean() }),
  fc.record({ tag: fc.constant('reorg' as const), depth: fc.integer({ min: 1, max: 8 }), fork: fc.nat() }),
)

const OWN = new Set([...Array(13).keys()].flatMap((i) => [own(i, 0).join(), own(i, 1).join()]))

/** A chain with a pool of transactions, and the wallet that lives through it. */
class Life {
  wallet = newWallet()
  stored = new Map<string, Uint8Array>()
  chain: ChainBlock[] = []
  pool: Transaction[] = []
  #n = 0

  #persist(before: WalletState | null): void {
    for (const { key, value } of walletRecords(before, this.wallet)) {
      if (value === undefined) this.stored.delete(key)
      else this.stored.set(key, pack(value))
    }
  }

  run(s: Step): void {
    const before = this.#n === 0 ? null : this.wallet
    this.#n++
    this.#do(s)
    this.#persist(before)
  }

  #do(s: Step): void {
    switch (s.tag) {
      case 'receive': {
        const to = s.key > 12 ? foreignScript(s.key) : own(s.key)
        const outputs = [output(1_000 + this.#n, to), output(500, foreignScript(this.#n))]
        this.pool.push(transaction([foreignOutpoint(s.source)], outputs, this.#n))
        return
      }
      case 'spend': {
        const outputs = this.pool.flatMap((tx) =>
          tx.outputs.map((o, index) => ({ o, outpoint: { txid: txidOf(tx), index } })),
        )
        const from = outputs[s.coin % Math.max(1, outputs.length)]
        if (!from) return
        const half = from.o.amountSat / 2n
        const to = [output(half, own(s.key, 1)), output(half, foreignScript(this.#n))]
        this.pool.push(transaction([from.outpoint], to, this.#n))
        return
      }
      case 'send': {
        const tx = this.pool[s.tx % Math.max(1, this.pool.length)]
        if (tx && !this.#refused(tx) && !this.#orphan(tx)) this.wallet = addTransaction(this.wallet, tx, { now: 1 })
        return
      }
      case 'abandon': {
        const tx = this.pool[s.tx % Math.max(1, this.pool.length)]
        if (tx) this.wallet = abandonTransaction(this.wallet, txidOf(tx))
        return
      }
      case 'mine':
        this.#mine(s.take, s.reward)
        return
      case 'reorg': {
        const depth = Math.min(s.depth, this.chain.length)
        this.chain.length -= depth
        const fork = this.chain.at(-1) ?? { height: 0, hash: GENESIS }
        this.wallet = rollback(this.wallet, fork.height, fork.hash)
        for (let i = 0; i <= depth; i++) this.#mine((s.fork >>> i) + 1, (s.fork >>> i) % 2 === 1)
      }
    }
  }

  /** A node would not take it, since what it spends was given up. */
  #orphan(tx: Transaction): boolean {
    return this.pool.some((t) => {
      const id = txidOf(t)
      if (!tx.inputs.some((i) => i.txid === id) || this.chain.some((b) => b.txids.includes(id))) return false
      return !this.wallet.txs.has(id) || this.wallet.txs.get(id)!.abandoned
    })
  }

  /** A node would not take it, for a reason that the wallet has never seen: a transaction without anything of ours. */
  #refused(tx: Transaction): boolean {
    const spends = new Set(tx.inputs.map(outpointKey))
    return this.chain.some((b) =>
      b.transactions.some(
        (t, i) => t.inputs.some((o) => spends.has(outpointKey(o))) && !this.wallet.txs.has(b.txids[i]!),
      ),
    )
  }

  /** Mines whatever of the pool the bits of `take` name and the chain allows. */
  #mine(take: number, reward: boolean): void {
    const spent = new Set(this.chain.flatMap((b) => b.transactions.flatMap((tx) => tx.inputs.map(outpointKey))))
    const inChain = new Set<Txid>(this.chain.flatMap((b) => b.txids))
    const known = new Set(this.pool.map(txidOf))
    const height = this.chain.length + 1
    const picked: Transaction[] = reward ? [coinbase(height, this.#n, output(7_000, own(height % 12)))] : []
    this.pool.forEach((tx, i) => {
      const id = txidOf(tx)
      if (((take >>> (i % 20)) & 1) === 0 || inChain.has(id)) return
      if (tx.inputs.some((input) => spent.has(outpointKey(input)))) return
      if (tx.inputs.some((input) => known.has(input.txid) && !inChain.has(input.txid))) return
      for (const input of tx.inputs) spent.add(outpointKey(input))
      inChain.add(id)
      picked.push(tx)
    })
    const next = block(this.chain.at(-1) ?? { height: 0, hash: GENESIS }, picked)
    this.chain.push(next)
    this.wallet = applyBlock(this.wallet, next)
  }

  /** A wallet that never saw a reorganisation: what is still unconfirmed, and then the blocks as they are now. */
  replay(): WalletState {
    let fresh = newWallet()
    const waiting = [...this.wallet.txs.values()].filter((t) => t.height === null).sort((a, b) => a.order - b.order)
    for (const { tx } of waiting) fresh = addTransaction(fresh, tx, { now: 1 })
    for (const b of this.chain) fresh = applyBlock(fresh, b)
    for (const { txid, abandoned } of waiting) if (abandoned) fresh = abandonTransaction(fresh, txid)
    return fresh
  }

  /** Confirmed coins by brute force. */
  confirmedCoins(): string[] {
    const spent = new Set(this.chain.flatMap((b) => b.transactions.flatMap((tx) => tx.inputs.map(outpointKey))))
    return this.chain
      .flatMap((b) =>
        b.transactions.flatMap((tx, i) =>
          tx.outputs.flatMap((o, index) =>
            OWN.has(o.scriptPubKey.join()) ? [outpointKey({ txid: b.txids[i]!, index })] : [],
          ),
        ),
      )
      .filter((key) => !spent.has(key))
      .sort()
  }
}

describe('random lives', () => {
  it('after any blocks, reorganisations and transactions of ours the wallet is what a fresh replay gives, also after a restart', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const life = new Life()
        for (const s of steps) life.run(s)
        const { wallet } = life
        const fresh = life.replay()
        expect(isDeepStrictEqual(view(wallet), view(fresh))).toBe(true)
        expect(walletBalance(wallet)).toEqual(walletBalance(fresh))

        // By brute force: what is unspent on the chain is known, and nothing else counts as confirmed.
        const onChain = new Set(life.confirmedCoins())
        for (const key of onChain) expect(wallet.coins.get(key)?.height ?? null).not.toBeNull()
        for (const { coin } of unspentCoins(wallet)) {
          if (coin.height !== null) expect(onChain).toContain(outpointKey(coin.outpoint))
        }

        const records = Array.from(life.stored, ([key, value]) => [key, unpack(value)] as const)
        const restarted = loadWallet(account, records)!
        expect(isDeepStrictEqual(view(restarted), view(wallet))).toBe(true)
        expect(isDeepStrictEqual(unconfirmed(restarted), unconfirmed(wallet))).toBe(true)
        expect([restarted.next, restarted.height, restarted.hash]).toEqual([wallet.next, wallet.height, wallet.hash])
        expect(isDeepStrictEqual(restarted.scripts, wallet.scripts)).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  it('what it would broadcast again never conflicts with the chain or with itself, and is in order', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const life = new Life()
        for (const s of steps) life.run(s)
        const inChain = life.chain.flatMap((b) => b.transactions)
        const spent = new Set(inChain.flatMap((tx) => tx.inputs.map(outpointKey)))
        const before = new Set<Txid>()
        const ids = new Set(unconfirmed(life.wallet).map(txidOf))
        for (const tx of unconfirmed(life.wallet)) {
          for (const input of tx.inputs) {
            expect(spent.has(outpointKey(input))).toBe(false)
            spent.add(outpointKey(input))
            if (ids.has(input.txid)) expect(before.has(input.txid)).toBe(true)
          }
          before.add(txidOf(tx))
        }
      }),
      { numRuns: 100 },
    )
  })
})
