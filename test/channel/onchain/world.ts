import { isDeepStrictEqual } from 'node:util'
import { type Outpoint, outpointKey, type Txid, txid } from '../../../src/base/ids.ts'
import { pack, unpack } from '../../../src/base/pack.ts'
import type { Sat } from '../../../src/base/units.ts'
import { p2wpkhScriptCode } from '../../../src/bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../../src/bitcoin/sighash.ts'
import { type Transaction, txidOf, unsignedInput, withWitness } from '../../../src/bitcoin/transaction.ts'
import type { RevokedHtlc } from '../../../src/channel/htlc.ts'
import { getHtlc, replaceHtlc } from '../../../src/channel/htlcTable.ts'
import { signHtlcTx } from '../../../src/channel/onchain/claims.ts'
import { beginLocal, fundingSpent, onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import type { OnchainInput, OnchainState, OnchainStep } from '../../../src/channel/onchain/types.ts'
import { onchainWatches } from '../../../src/channel/onchain/view.ts'
import type { Channel } from '../../../src/channel/state.ts'
import { commitmentNumberOf } from '../../../src/channel/tx/commitment.ts'
import { obscuringFactor } from '../../../src/channel/tx/keys.ts'
import type { ChannelContext, Effect, HtlcEvent } from '../../../src/channel/types.ts'
import { crypto } from '../../../src/crypto/crypto.ts'
import { TestChain } from './chain.ts'
import {
  CAPACITY,
  channelOf,
  contextOf,
  FEERATE,
  FUNDING,
  fundingScript,
  GIFT,
  type Name,
  other,
  type Setup,
  START,
  signers,
  walletKey,
  walletScript,
  walletSecrets,
} from './fixture.ts'

/** One side of the channel on the test chain: does what the effects say, and keeps every promise of the core to its store. */
class Party {
  readonly who: Name
  readonly chain: TestChain
  channel: Channel
  onchain: OnchainState | null = null
  done = false
  claim = FEERATE
  /** What differs of its context. */
  about: Partial<ChannelContext> = {}
  /** What the chain refused, other than a race that the other side won. */
  readonly refused: string[] = []
  /** Claims of what the other side took, or was taking, first. */
  readonly raced: string[] = []
  readonly events: HtlcEvent[] = []
  readonly paid = new Set<Txid>()
  /** Settled HTLCs of revoked commitments, as the store has them; null while the disk is slow. */
  revokedHtlcs: readonly RevokedHtlc[] | null = []
  /** Wallet inputs, each with its change, that stand before the HTLC in its transaction: others may build one as they like. */
  ahead = 0
  /** Wallet inputs spent on fees. */
  readonly #funded = new Map<string, Transaction>()
  #gifts: Outpoint[]

  constructor(who: Name, chain: TestChain, channel: Channel, gifts: readonly Outpoint[]) {
    this.who = who
    this.chain = chain
    this.channel = channel
    this.#gifts = [...gifts]
  }

  get ctx(): ChannelContext {
    return { ...contextOf(this.who, this.chain.height, this.claim), ...this.about }
  }

  forceClose(): void {
    this.take(beginLocal(this.channel, this.ctx))
  }

  /** Plays a step's effects; the state goes through the store's encoding at every step. */
  take(step: OnchainStep): void {
    const stored = unpack<OnchainState>(pack(step.onchain))
    if (!isDeepStrictEqual(stored, step.onchain)) throw new Error('the state does not survive the store')
    this.channel = step.channel
    this.onchain = stored
    this.done = step.done
    for (const effect of step.effects) this.#play(effect)
  }

  #play(effect: Effect): void {
    if (effect.tag === 'relay') this.events.push(effect.event)
    if (effect.tag === 'broadcast') this.#broadcast(effect)
    if (effect.tag === 'loadRevokedHtlcs') {
      const n = effect.commitmentNumber
      if (this.revokedHtlcs === null) return
      const htlcs = this.revokedHtlcs.filter((h) => h.remoteFrom <= n && n < h.remoteTo)
      this.input({ tag: 'revokedHtlcs', commitmentNumber: n, htlcs })
    }
  }

  #broadcast(effect: Effect & { tag: 'broadcast' }): void {
    const tx = effect.addFees === undefined ? effect.tx : this.#addFees(effect)
    const reason = this.chain.broadcast(tx)
    if (reason === null) this.paid.add(txidOf(tx))
    else if (reason === 'missing inputs' || reason === 'insufficient fee to replace') this.raced.push(reason)
    else this.refused.push(reason)
  }

  /** A wallet that adds an input and its change, once for each HTLC transaction. */
  #addFees({ tx, signAgain }: Effect & { tag: 'broadcast' }): Transaction {
    const key = outpointKey(tx.inputs[0]!)
    const known = this.#funded.get(key)
    if (known) return known
    const coins = this.#gifts.splice(-1 - this.ahead)
    const inputs = coins.map((coin) => unsignedInput(coin, 0xfffffffd))
    const change = { amountSat: GIFT, scriptPubKey: walletScript(this.who) }
    const feeSat = 2_000n
    const unsigned: Transaction = {
      ...tx,
      inputs: [...inputs.slice(1), ...tx.inputs, inputs[0]!],
      outputs: [...inputs.slice(1).map(() => change), ...tx.outputs, { ...change, amountSat: (GIFT - feeSat) as Sat }],
    }
    const code = p2wpkhScriptCode(crypto.hash160(walletKey(this.who)))
    const funded = unsigned.inputs.reduce((signed, input, index) => {
      if (!inputs.includes(input)) return signed
      const digest = sighashV0(unsigned, { index, scriptCode: code, amountSat: GIFT }, SIGHASH_ALL)
      const signature = derSignature(crypto.ecdsaSign(digest, walletSecrets[this.who]), SIGHASH_ALL)
      return withWitness(signed, index, [signature, walletKey(this.who)])
    }, unsigned)
    const signed = signHtlcTx(funded, signAgain!.stage, signAgain!.preimage, signers[this.who])
    this.#funded.set(key, signed)
    return signed
  }

  input(input: OnchainInput): void {
    if (this.onchain && !this.done) this.take(onchainEvent(this.channel, this.onchain, input, this.ctx))
  }

  /** What the watcher tells of a block. */
  block(txs: readonly Transaction[]): void {
    const height = this.chain.height
    for (const tx of txs) {
      for (const outpoint of tx.inputs) this.#spent({ txid: outpoint.txid, index: outpoint.index }, tx, height)
    }
    this.input({ tag: 'block', height })
  }

  #spent(outpoint: Outpoint, tx: Transaction, height: number): void {
    const key = outpointKey(outpoint)
    if (this.onchain) {
      const watched = onchainWatches(this.channel, this.onchain).some(
        (w) => w.tag === 'spend' && outpointKey(w.outpoint) === key,
      )
      if (watched) this.input({ tag: 'spent', outpoint, tx, height })
    } else if (key === outpointKey(FUNDING)) {
      const factor = obscuringFactor(
        signers[this.channel.params.isOpener ? this.who : other(this.who)].basepoints.paymentBasepoint,
        signers[this.channel.params.isOpener ? other(this.who) : this.who].basepoints.paymentBasepoint,
      )
      const mutual = commitmentNumberOf(tx, factor) === null
      this.take(fundingSpent(this.channel, { tx, height, mutual }, this.ctx))
    }
  }

  reorg(height: number): void {
    this.input({ tag: 'reorg', height })
  }

  /** The payment part hands over a preimage late. */
  learn(id: bigint, preimage: Uint8Array): void {
    const { commitments } = this.channel
    const htlc = getHtlc(commitments.incoming, id)!
    const incoming = replaceHtlc(commitments.incoming, { ...htlc, removal: { tag: 'fulfilled', preimage } })
    this.channel = { ...this.channel, commitments: { ...commitments, incoming } }
    this.input({ tag: 'preimages', htlcIds: [id] })
  }
}

export interface World<C extends TestChain = TestChain> {
  readonly chain: C
  readonly alice: Party
  readonly bob: Party
  /** Mines a block and tells both. */
  mine(blocks?: number, choose?: (tx: Transaction) => boolean): void
  reorg(depth: number): void
  /** Mines until both are done. @throws when that takes too long */
  finish(limit?: number): void
}

type ChainParts = ConstructorParameters<typeof TestChain>

/** Both sides with the channel of a setup, a funding output in the chain, and small coins for fees. */
export function world(s: Setup): World
export function world<C extends TestChain>(s: Setup, chain: new (...args: ChainParts) => C): World<C>
export function world(s: Setup, Chain: new (...args: ChainParts) => TestChain = TestChain): World {
  const coins = [{ outpoint: FUNDING, output: { amountSat: CAPACITY, scriptPubKey: fundingScript } }]
  const gifts: Record<Name, Outpoint[]> = { alice: [], bob: [] }
  for (const who of ['alice', 'bob'] as const) {
    for (let i = 0; i < 40; i++) {
      const outpoint = { txid: txid((who === 'alice' ? 'a1' : 'b1').repeat(32)), index: i }
      gifts[who].push(outpoint)
      coins.push({ outpoint, output: { amountSat: GIFT, scriptPubKey: walletScript(who) } })
    }
  }
  const chain = new Chain(START, coins)
  const alice = new Party('alice', chain, channelOf('alice', s), gifts.alice)
  const bob = new Party('bob', chain, channelOf('bob', s), gifts.bob)
  const mine = (blocks = 1, choose?: (tx: Transaction) => boolean): void => {
    for (let i = 0; i < blocks; i++) {
      const txs = chain.mine(choose)
      alice.block(txs)
      bob.block(txs)
    }
  }
  return {
    chain,
    alice,
    bob,
    mine,
    reorg(depth) {
      chain.reorg(depth)
      alice.reorg(chain.height)
      bob.reorg(chain.height)
    },
    finish(limit = 400) {
      for (let i = 0; i < limit && !(alice.done && bob.done); i++) mine()
      if (!alice.done || !bob.done) throw new Error(`not resolved after ${limit} blocks`)
    },
  }
}

/** What a side has won beyond its small coins: the fees of its claims added back, the closing transaction's left out. */
export function won(w: World, who: Name): bigint {
  const party = w[who]
  let fees = 0n
  for (const [id, fee] of w.chain.fees) if (party.paid.has(id) && id !== party.onchain?.closing.txid) fees += fee
  return w.chain.balance(walletScript(who)) + fees - 40n * GIFT
}
