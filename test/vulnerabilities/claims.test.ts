import { describe, expect, it } from 'vitest'
import { outpointKey, txid } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { p2wpkhScriptCode } from '../../src/bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../src/bitcoin/sighash.ts'
import { type Transaction, txidOf, unsignedInput, withWitness } from '../../src/bitcoin/transaction.ts'
import { htlcTable } from '../../src/channel/htlcTable.ts'
import { signHtlcTx } from '../../src/channel/onchain/claims.ts'
import type { OnchainStep } from '../../src/channel/onchain/types.ts'
import type { ChannelTypeName, Effect } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { TestChain } from '../channel/onchain/chain.ts'
import {
  CAPACITY,
  channelOf,
  DELAY,
  GIFT,
  type HtlcSpec,
  type Name,
  preimageOf,
  type Setup,
  START,
  settled,
  signers,
  walletKey,
  walletScript,
  walletSecrets,
} from '../channel/onchain/fixture.ts'
import { type World, won, world } from '../channel/onchain/world.ts'

const types: readonly ChannelTypeName[] = ['static_remotekey', 'anchors']
const htlc = (from: Name, amountSat: number, blocks: number, n: number, knows: boolean): HtlcSpec => ({
  from,
  amountSat,
  cltvExpiry: START + blocks,
  n,
  knows,
})

// BOLT 5 §htlc-output-handling-remote-commitment-local-offers
describe('replacement stalling (LND, 2025): double spends of one of our inputs at a time', () => {
  /** Shows what the mempool holds. */
  class Seen extends TestChain {
    readonly all = new Map<string, Transaction>()
    override broadcast(tx: Transaction): string | null {
      this.all.set(txidOf(tx), tx)
      return super.broadcast(tx)
    }
    spenders(key: string): readonly Transaction[] {
      return [...this.all].flatMap(([id, tx]) =>
        this.inMempool(id as never) && tx.inputs.some((i) => outpointKey(i) === key) ? [tx] : [],
      )
    }
  }

  it.each(types)('neither keep the rest from being claimed in the same block, nor lower its feerate: %s', (type) => {
    const htlcs = Array.from({ length: 6 }, (_, n) => htlc('alice', 100_000, 4, n + 1, false))
    const w = world({ type, opener: 'bob', number: 3, htlcs }, Seen)
    // All of them are forwards of alice's: what they came by expires 40 blocks after they do.
    const { commitments } = w.alice.channel
    const forwarded = [...commitments.outgoing.chunks.flat()].map((h) => ({
      ...h,
      add: {
        ...h.add,
        origin: { tag: 'forward', channelId: w.alice.channel.params.channelId, htlcId: h.add.id } as const,
      },
    }))
    w.alice.channel = { ...w.alice.channel, commitments: { ...commitments, outgoing: htlcTable(forwarded) } }
    w.alice.claim = 300
    w.bob.forceClose()
    w.mine(4)
    const unspent = () => w.alice.onchain!.outputs.filter((o) => o.htlc && !o.spent)
    expect(unspent().length).toBe(6)
    let last = 0
    for (let id = 0; id < 5; id++) {
      w.bob.learn(BigInt(id), preimageOf(htlcs[id]!))
      w.mine(1, (tx) => !w.alice.paid.has(txidOf(tx)))
      expect(unspent().length).toBe(5 - id)
      for (const { outpoint } of unspent()) {
        const ours = w.chain.spenders(outpointKey(outpoint)).filter((tx) => w.alice.paid.has(txidOf(tx)))
        expect(ours.length, outpointKey(outpoint)).toBe(1)
      }
      const rate = Math.min(...w.alice.onchain!.sweeps.map((s) => s.feeratePerKw))
      expect(rate).toBeGreaterThanOrEqual(last)
      last = rate
    }
    w.mine()
    expect(unspent()).toEqual([])
    w.finish()
    expect(w.alice.events.map((e) => e.tag).sort()).toEqual(['failed', ...Array(5).fill('fulfilled')])
    expect(w.alice.refused).toEqual([])
    expect(won(w, 'alice')).toBe(CAPACITY / 2n - 500_000n)
  })
})

// BOLT 5 §revoked-transaction-close-handling
describe('combined HTLC transactions (CLN and LND, 2022; LDK 0.1.0): several on a revoked commitment in one', () => {
  const old = [
    htlc('alice', 100_000, 90, 1, true),
    htlc('alice', 200_000, 90, 2, true),
    htlc('bob', 150_000, 3, 3, false),
    htlc('bob', 250_000, 3, 4, false),
  ]
  const coin = (n: number) => ({ txid: txid('b1'.repeat(32)), index: n })
  type Stage = Effect & { readonly tag: 'broadcast'; readonly signAgain?: object }

  /** Bob's HTLC transactions in one, with coins of his wallet and their change wherever he wants them. */
  function combined(stages: readonly Stage[], ahead: number): Transaction {
    const coins = Array.from({ length: 2 * ahead + 1 }, (_, n) => unsignedInput(coin(n), 0xfffffffd))
    const change = { amountSat: GIFT, scriptPubKey: walletScript('bob') }
    const inputs = [...coins.slice(0, ahead)]
    const outputs = coins.slice(0, ahead).map(() => change)
    for (const [i, { tx }] of stages.entries()) {
      inputs.push(...tx.inputs)
      outputs.push(...tx.outputs)
      if (i !== 0) continue
      inputs.push(...coins.slice(ahead, 2 * ahead))
      outputs.push(...coins.slice(ahead, 2 * ahead).map(() => change))
    }
    inputs.push(coins.at(-1)!)
    outputs.push({ ...change, amountSat: (GIFT - 20_000n) as Sat })
    const code = p2wpkhScriptCode(crypto.hash160(walletKey('bob')))
    let tx: Transaction = { ...stages[0]!.tx, inputs, outputs }
    for (const [index, input] of inputs.entries()) {
      if (!coins.includes(input)) continue
      const digest = sighashV0(tx, { index, scriptCode: code, amountSat: GIFT }, SIGHASH_ALL)
      const signature = derSignature(crypto.ecdsaSign(digest, walletSecrets.bob), SIGHASH_ALL)
      tx = withWitness(tx, index, [signature, walletKey('bob')])
    }
    for (const { signAgain } of stages) tx = signHtlcTx(tx, signAgain!.stage, signAgain!.preimage, signers.bob)
    return tx
  }

  it.each([
    ['success', 0],
    ['success', 1],
    ['success', 2],
    ['timeout', 0],
    ['timeout', 1],
    ['timeout', 2],
  ] as const)('HTLC-%s, %i inputs between: each output is punished all the same', (kind, ahead) => {
    const setup: Setup = { type: 'anchors', opener: 'bob', number: 3, htlcs: old }
    const w = world({ type: 'anchors', opener: 'bob', number: 6, htlcs: [] })
    w.alice.revokedHtlcs = settled('alice', setup, 5)
    w.bob.channel = channelOf('bob', setup)
    const stages: Stage[] = []
    const play = w.bob.take.bind(w.bob)
    w.bob.take = (step: OnchainStep) => {
      const isStage = (e: Effect): e is Stage => e.tag === 'broadcast' && e.signAgain !== undefined
      stages.push(...step.effects.filter(isStage))
      play({ ...step, effects: step.effects.filter((e) => !isStage(e)) })
    }
    w.bob.forceClose()
    w.mine(4, (tx) => !w.alice.paid.has(txidOf(tx)))
    const two = stages.filter((s) => s.signAgain!.stage.tag === `htlc-${kind}`)
    const [first, second] = [...new Map(two.map((s) => [outpointKey(s.tx.inputs[0]!), s])).values()]
    const tx = combined([first!, second!], ahead)
    expect(tx.inputs.filter((i) => i.txid === w.alice.onchain!.closing.txid).length).toBe(2)
    expect(w.chain.broadcast(tx)).toBeNull()
    w.mine(1, (t) => !w.alice.paid.has(txidOf(t)))
    const made = w.alice.onchain!.outputs.filter((o) => o.outpoint.txid === txidOf(tx))
    expect(made.map((o) => o.spend.tag)).toEqual(['penalty', 'penalty'])
    for (let i = 0; i < 300 && !w.alice.done; i++) w.mine(1, (t) => i > 0 || w.alice.paid.has(txidOf(t)))
    expect(w.chain.height).toBeLessThan(START + 5 + DELAY.bob + 100)
    const { closing } = w.alice.onchain!
    expect(won(w, 'alice')).toBe(CAPACITY - closing.feeSat - closing.anchorsSat)
    expect(w.chain.balance(walletScript('bob'))).toBe(40n * GIFT - 20_000n)
    expect(w.alice.refused).toEqual([])
  })
})

describe('invalid claims (LDK 0.1.6 and 0.2.5): a preimage comes when other HTLCs have been claimed', () => {
  for (const type of types) {
    for (const closer of ['alice', 'bob'] as const) {
      it.each([0, 1, 2, 3])(`${type}, ${closer} closes, and %i blocks are undone in between`, (depth) => {
        // The second and the fourth have one hash.
        const htlcs = [1, 2, 3, 2].map((n, i) => htlc('bob', 100_000 * (i + 1), 80, n, n !== 2))
        const w: World = world({ type, opener: 'bob', number: 3, htlcs })
        w[closer].forceClose()
        w.mine(3)
        const open = () => w.alice.onchain!.outputs.filter((o) => o.htlc && !o.spent).length
        expect(open()).toBe(2)
        if (depth > 0) w.reorg(depth)
        w.alice.learn(1n, preimageOf(htlcs[1]!))
        if (depth > 0) w.reorg(Math.min(1, w.chain.height - START))
        w.alice.learn(3n, preimageOf(htlcs[3]!))
        w.finish()
        expect([...w.alice.refused, ...w.bob.refused]).toEqual([])
        expect(won(w, 'alice')).toBe(CAPACITY / 2n + 1_000_000n)
        expect(w.bob.events.map((e) => e.tag)).toEqual(Array(4).fill('fulfilled'))
      })
    }
  }
})

// BOLT 5 §htlc-output-handling-local-commitment-local-offers
describe('claim without its deadline (LND, 2026): a spend by the peer is never taken for our own', () => {
  for (const type of types) {
    it.each(['alice', 'bob'] as const)(
      `an HTLC that the peer takes after its expiry is paid upstream: ${type}, %s closes`,
      (closer) => {
        const htlcs = [1, 2].map((n) => htlc('alice', 100_000, 3, n, false))
        const w = world({ type, opener: 'bob', number: 3, htlcs })
        w.alice.claim = 300
        w.bob.claim = 20_000
        w[closer].forceClose()
        w.mine()
        const ours = (tx: Transaction) => w.alice.paid.has(txidOf(tx))
        w.mine(4, (tx) => !ours(tx))
        const waiting = w.alice.onchain!.outputs.filter((o) => o.htlc?.direction === 'out' && !o.spent)
        expect(waiting.length).toBe(2)
        // Alice's own claim of it is in the mempools when bob's takes its place.
        w.bob.learn(0n, preimageOf(htlcs[0]!))
        w.mine(1, (tx) => !ours(tx))
        expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', id: 0n, preimage: preimageOf(htlcs[0]!) }])
        w.finish()
        expect(w.alice.events.slice(1)).toMatchObject([{ tag: 'failed', id: 1n }])
        expect(w.alice.refused).toEqual([])
      },
    )
  }
})
