import { describe, expect, it } from 'vitest'
import type { Sat } from '../../../src/base/units.ts'
import { type Block, blockHashOf } from '../../../src/bitcoin/block.ts'
import type { Transaction } from '../../../src/bitcoin/transaction.ts'
import type { EmbeddedChain } from '../../../src/chain/embedded/chain.ts'
import { mineBlock } from '../../../src/chain/embedded/miner.ts'
import {
  type Bend,
  bend,
  FALSE_OUTPUT,
  FALSE_SCRIPT,
  fund,
  outputOf,
  pay,
  START,
  spend,
  TRUE_OUTPUT,
  testChain,
} from './harness.ts'

let extraNonce = 1 << 20
/** An honest empty block on the tip. */
const template = (chain: EmbeddedChain): Block =>
  mineBlock({ chain: chain.state, scriptPubKey: TRUE_OUTPUT, transactions: [], now: START, extraNonce: extraNonce++ })

const reasonOf = (chain: EmbeddedChain, block: Block): string | null => {
  const result = chain.submitBlock(block)
  return result.ok ? null : result.error.reason
}

const rewarded = (tx: Transaction, amount: bigint): Transaction => ({
  ...tx,
  outputs: [{ ...tx.outputs[0]!, amountSat: amount as Sat }, ...tx.outputs.slice(1)],
})

describe('blocks that break a rule are refused in Bitcoin Core words', () => {
  const { chain, clock } = testChain()
  const [a, b] = fund(chain, 2)
  const { tip } = chain.state
  const young = outputOf(chain.state.at(chain.state.height - 98)!.block.transactions[0]!, 0)
  const tx = spend([a!])
  const cases: readonly [string, Bend][] = [
    ['time-too-old', { header: { time: tip.medianTimePast } }],
    ['time-too-new', { header: { time: clock.now() + 7_300 } }],
    ['bad-version(0x00000003)', { header: { version: 3 } }],
    ['bad-diffbits', { header: { bits: 0x207ffffe } }],
    [
      'bad-cb-height',
      { coinbase: (cb) => ({ ...cb, inputs: [{ ...cb.inputs[0]!, scriptSig: Uint8Array.of(1, 1, 1) }] }) },
    ],
    [
      'bad-cb-length',
      { coinbase: (cb) => ({ ...cb, inputs: [{ ...cb.inputs[0]!, scriptSig: new Uint8Array(101) }] }) },
    ],
    ['bad-cb-amount', { coinbase: (cb) => rewarded(cb, 5_000_000_001n) }],
    ['bad-cb-amount', { coinbase: (cb) => rewarded(cb, 5_000_001_001n), transactions: [tx] }],
    ['bad-cb-missing', { coinbase: () => tx, commit: false }],
    ['bad-cb-multiple', { transactions: [template(chain).transactions[0]!] }],
    ['bad-txns-inputs-missingorspent', { transactions: [tx, spend([a!], { fee: 2_000n })] }],
    ['bad-txns-inputs-missingorspent', { transactions: [spend([{ ...a!, index: 7 }])] }],
    ['bad-txns-inputs-duplicate', { transactions: [spend([a!, a!])] }],
    ['bad-txns-in-belowout', { transactions: [spend([a!], { fee: -1n })] }],
    ['bad-txns-vout-toolarge', { transactions: [spend([a!], { outputs: [pay(21_000_001n * 100_000_000n)] })] }],
    ['bad-txns-premature-spend-of-coinbase', { transactions: [spend([young])] }],
    ['bad-txns-nonfinal', { transactions: [spend([a!], { lockTime: tip.height + 1 })] }],
    ['bad-txns-nonfinal', { transactions: [spend([a!], { lockTime: tip.medianTimePast })] }],
    ['bad-txns-nonfinal', { transactions: [spend([b!], { sequence: tip.height - 1 + 1 })] }],
    [
      'block-script-verify-flag-failed (Witness program hash mismatch)',
      { transactions: [spend([a!], { script: FALSE_SCRIPT })] },
    ],
    ['bad-witness-merkle-match', { transactions: [tx], commit: false }],
    [
      'bad-witness-nonce-size',
      { coinbase: (cb) => ({ ...cb, inputs: [{ ...cb.inputs[0]!, witness: [new Uint8Array(31)] }] }) },
    ],
    ['unexpected-witness', { coinbase: (cb) => ({ ...cb, outputs: cb.outputs.slice(0, 1) }), commit: false }],
    ['bad-txnmrklroot', { header: { merkleRoot: new Uint8Array(32) } }],
  ]

  it.each(cases)('%s (%#)', (reason, change) => {
    const before = new Map(chain.state.coins)
    expect(reasonOf(chain, bend(template(chain), change))).toBe(reason)
    expect(chain.state.tip).toBe(tip)
    expect(new Map(chain.state.coins)).toEqual(before)
  })

  it('high-hash: proof of work that falls short', () => {
    const block = template(chain)
    let header = block.header
    do header = { ...header, nonce: header.nonce + 1 }
    while (Number.parseInt(blockHashOf(header).slice(0, 2), 16) < 0x80)
    expect(reasonOf(chain, { ...block, header })).toBe('high-hash')
  })

  it('bad-txns-duplicate: a transaction list that repeats its end under the same merkle root', () => {
    const block = bend(template(chain), { transactions: [tx, spend([b!])] })
    const twice = { ...block, transactions: [...block.transactions, block.transactions[2]!] }
    expect(reasonOf(chain, twice)).toBe('bad-txns-duplicate')
  })

  it('prev-blk-not-found, duplicate, duplicate-invalid and bad-prevblk', () => {
    expect(
      reasonOf(chain, bend(template(chain), { header: { previousHash: blockHashOf(template(chain).header) } })),
    ).toBe('prev-blk-not-found')
    expect(reasonOf(chain, tip.block)).toBe('duplicate')
    const bad = bend(template(chain), { coinbase: (cb) => rewarded(cb, 5_000_000_001n) })
    expect(reasonOf(chain, bad)).toBe('bad-cb-amount')
    expect(reasonOf(chain, bad)).toBe('duplicate-invalid')
    const child = bend(template(chain), { header: { previousHash: blockHashOf(bad.header) } })
    expect(reasonOf(chain, child)).toBe('bad-prevblk')
  })

  it('the same blocks unbent are good: a payment, its fee claimed, a lock time that has passed', () => {
    const final = spend([b!], { lockTime: tip.height, sequence: tip.height - 2 + 1 })
    const good = bend(template(chain), {
      transactions: [tx, final],
      coinbase: (cb) => rewarded(cb, 5_000_000_000n + 2_000n),
    })
    expect(reasonOf(chain, good)).toBe(null)
    expect(chain.state.tip.hash).toBe(blockHashOf(good.header))
  })
})

describe('time locks: to the block and to the second', () => {
  it('BIP 68: a relative lock of n blocks opens n blocks after the output', () => {
    const { chain } = testChain()
    const [a] = fund(chain, 1)
    const parent = spend([a!])
    chain.mineExactly([parent], FALSE_OUTPUT)
    const child = spend([outputOf(parent, 0)], { sequence: 3 })
    for (let i = 0; i < 2; i++) {
      const refused = chain.submit(child)
      expect(refused.ok ? null : refused.error.reason).toBe('non-BIP68-final')
      chain.mine(1, FALSE_OUTPUT)
    }
    expect(chain.submit(child).ok).toBe(true)
  })

  it('BIP 68 with BIP 113: a relative lock in time counts median times in steps of 512 s', () => {
    const { chain, clock } = testChain()
    const [a] = fund(chain, 1)
    const parent = spend([a!])
    chain.mineExactly([parent], FALSE_OUTPUT)
    const child = spend([outputOf(parent, 0)], { sequence: 0x00400001 })
    const since = chain.state.at(chain.state.height - 1)!.medianTimePast
    const mineUntil = (median: number): void => {
      while (chain.state.tip.medianTimePast < median) {
        clock.advance(1)
        chain.mine(1, FALSE_OUTPUT)
      }
    }
    mineUntil(since + 511)
    const refused = chain.submit(child)
    expect(refused.ok ? null : refused.error.reason).toBe('non-BIP68-final')
    mineUntil(since + 512)
    expect(chain.submit(child).ok).toBe(true)
  })

  it('a lock in height or time is over when the block above it is due, by median time', () => {
    const { chain, clock } = testChain()
    const [a, b] = fund(chain, 2)
    const byHeight = spend([a!], { lockTime: chain.state.height + 1 })
    const byTime = spend([b!], { lockTime: chain.state.tip.medianTimePast })
    for (const tx of [byHeight, byTime]) {
      const refused = chain.submit(tx)
      expect(refused.ok ? null : refused.error.reason).toBe('non-final')
    }
    clock.advance(3_600)
    chain.mine(1, FALSE_OUTPUT)
    expect(chain.submit(byHeight).ok).toBe(true)
    chain.mine(6, FALSE_OUTPUT)
    expect(chain.submit(byTime).ok).toBe(true)
    chain.mine(1, FALSE_OUTPUT)
    expect(chain.mempool.size).toBe(0)
    expect(chain.findTransaction(outputOf(byHeight, 0).txid)?.node?.height).toBe(byHeight.lockTime + 1)
  })
})

describe('the chain with most work', () => {
  it('a weaker branch is kept aside; one block more and it takes over; invalidateblock and reconsiderblock move between them', () => {
    const { chain } = testChain()
    chain.mine(3, TRUE_OUTPUT)
    const first = chain.state.at(2)!
    const before = chain.state.tip
    chain.invalidate(first)
    expect(chain.state.height).toBe(1)
    chain.mine(3, FALSE_OUTPUT)
    const after = chain.state.tip
    expect(after.height).toBe(4)
    chain.reconsider(first)
    expect(chain.state.tip).toBe(after)
    chain.invalidate(chain.state.at(3)!)
    expect(chain.state.tip).toBe(before)
    expect(chain.state.isActive(first)).toBe(true)
    chain.reconsider(after)
    expect(chain.state.tip).toBe(after)
  })

  it('of two chains of equal work the first one seen stays', () => {
    const { chain } = testChain()
    chain.mine(1, TRUE_OUTPUT)
    const rival = bend(template(chain), { header: { time: START + 10 } })
    const mine = template(chain)
    expect(chain.submitBlock(mine).ok).toBe(true)
    expect(chain.submitBlock(rival).ok).toBe(true)
    expect(chain.state.tip.hash).toBe(blockHashOf(mine.header))
  })

  it('a stronger branch with a bad block in it: the chain stays where it was', () => {
    const { chain } = testChain()
    fund(chain, 1)
    const { tip } = chain.state
    const coins = new Map(chain.state.coins)
    chain.invalidate(tip)
    const good = template(chain)
    chain.submitBlock(good)
    const bad = bend(template(chain), { coinbase: (cb) => rewarded(cb, 5_000_000_001n) })
    chain.reconsider(tip)
    expect(chain.state.tip).toBe(tip)
    expect(reasonOf(chain, bad)).toBe('bad-cb-amount')
    expect(chain.state.tip).toBe(tip)
    expect(new Map(chain.state.coins)).toEqual(coins)
  })

  it('block times never fall behind the median of the eleven before, however fast blocks come', () => {
    const { chain } = testChain()
    chain.mine(40, TRUE_OUTPUT)
    for (let h = 1; h <= 40; h++) {
      expect(chain.state.at(h)!.block.header.time).toBeGreaterThan(chain.state.at(h - 1)!.medianTimePast)
    }
  })

  it('the subsidy halves every 150 blocks', () => {
    const { chain } = testChain()
    chain.mine(300, TRUE_OUTPUT)
    const reward = (h: number) => chain.state.at(h)!.block.transactions[0]!.outputs[0]!.amountSat
    expect([reward(1), reward(149), reward(150), reward(299), reward(300)]).toEqual(
      [50n, 50n, 25n, 25n, 12n].map((v, i) => v * 100_000_000n + (i === 4 ? 50_000_000n : 0n)),
    )
  })
})
