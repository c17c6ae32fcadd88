import { describe, expect, it } from 'vitest'
import { fromHex } from '../../../src/base/bytes.ts'
import { p2tr, p2wpkh } from '../../../src/bitcoin/script.ts'
import { type Transaction, txidOf, vsizeOf } from '../../../src/bitcoin/transaction.ts'
import type { EmbeddedChain } from '../../../src/chain/embedded/chain.ts'
import { selectTransactions } from '../../../src/chain/embedded/miner.ts'
import { FALSE_OUTPUT, FALSE_SCRIPT, fund, idsOf, outputOf, pay, spend, TRUE_OUTPUT, testChain } from './harness.ts'

const reasonOf = (chain: EmbeddedChain, tx: Transaction): string | null => {
  const result = chain.submit(tx)
  return result.ok ? null : result.error.reason
}

describe('transactions that Bitcoin nodes would not relay are refused in their words', () => {
  const { chain } = testChain()
  const [a] = fund(chain, 1)
  const toSelf = spend([a!])
  const key = p2wpkh(new Uint8Array(20))

  it.each<[string, Transaction]>([
    ['min relay fee not met', spend([a!], { fee: BigInt(vsizeOf(toSelf)) - 1n })],
    ['dust', spend([a!], { outputs: [pay(1_000_000n), pay(329n)] })],
    ['dust', spend([a!], { outputs: [pay(1_000_000n), pay(293n, key)] })],
    ['version', spend([a!], { version: 4 })],
    ['scriptpubkey', spend([a!], { outputs: [pay(1_000_000n, fromHex('51'))] })],
    [
      'multi-op-return',
      spend([a!], { outputs: [pay(1_000_000n), pay(0n, fromHex('6a0101')), pay(0n, fromHex('6a0102'))] }),
    ],
    ['coinbase', chain.state.tip.block.transactions[0]!],
    ['bad-txns-inputs-missingorspent', spend([{ ...a!, index: 9 }])],
    ['bad-txns-in-belowout', spend([a!], { fee: -1n })],
    ['bad-txns-vout-empty', spend([a!], { outputs: [] })],
    ['mempool-script-verify-flag-failed (Witness program hash mismatch)', spend([a!], { script: FALSE_SCRIPT })],
    ['tx-size', spend([a!], { count: 2_400 })],
    ['bad-txns-premature-spend-of-coinbase', spend([outputOf(chain.state.at(3)!.block.transactions[0]!, 0)])],
  ])('%s (%#)', (reason, tx) => {
    expect(reasonOf(chain, tx)).toBe(reason)
    expect(chain.mempool.size).toBe(0)
  })

  it('an anchor of 330 sat and a P2TR output are fine; spending the latter is not: nothing here validates it yet', () => {
    const taproot = p2tr(new Uint8Array(32))
    const tx = spend([a!], { outputs: [pay(1_000_000n), pay(330n), pay(30_000n, taproot)] })
    expect(reasonOf(chain, tx)).toBe(null)
    expect(reasonOf(chain, tx)).toBe('txn-already-in-mempool')
    chain.mine(1, FALSE_OUTPUT)
    expect(reasonOf(chain, tx)).toBe('txn-already-known')
    expect(reasonOf(chain, spend([outputOf(tx, 2)]))).toBe('bad-txns-nonstandard-inputs')
  })

  it('the least fee is one satoshi per vbyte, to the satoshi', () => {
    const { chain: other } = testChain()
    const [coin] = fund(other, 1)
    expect(reasonOf(other, spend([coin!], { fee: BigInt(vsizeOf(toSelf)) }))).toBe(null)
  })
})

describe('families of unconfirmed transactions', () => {
  it('25 in a row, not more', () => {
    const { chain } = testChain()
    let [last] = fund(chain, 1)
    for (let i = 0; i < 25; i++) {
      const tx = spend([last!])
      expect(reasonOf(chain, tx)).toBe(null)
      last = outputOf(tx, 0)
    }
    expect(reasonOf(chain, spend([last!]))).toBe('too-long-mempool-chain')
    chain.mine(1, FALSE_OUTPUT)
    expect(reasonOf(chain, spend([last!]))).toBe(null)
  })

  it('24 descendants of one parent, and one small child more for the other owner of an anchor', () => {
    const { chain } = testChain()
    const [a] = fund(chain, 1)
    const parent = spend([a!], { count: 26, fee: 5_000n })
    chain.submit(parent)
    for (let i = 0; i < 24; i++) expect(reasonOf(chain, spend([outputOf(parent, i)]))).toBe(null)
    expect(reasonOf(chain, spend([outputOf(parent, 24)]))).toBe(null)
    expect(reasonOf(chain, spend([outputOf(parent, 25)]))).toBe('too-long-mempool-chain')
  })
})

describe('BIP 125, whatever was signalled: replacements', () => {
  const setUp = () => {
    const { chain } = testChain()
    const [a, b] = fund(chain, 2)
    const first = spend([a!], { fee: 1_000n, sequence: 0xffffffff })
    const child = spend([outputOf(first, 0)], { fee: 500n })
    chain.submit(first)
    chain.submit(child)
    return { chain, a: a!, b: b!, first, child }
  }

  it('must pay for all that goes and for its own relay', () => {
    const { chain, a, first, child } = setUp()
    const size = BigInt(vsizeOf(first))
    expect(reasonOf(chain, spend([a], { fee: 1_499n }))).toBe('insufficient fee')
    expect(reasonOf(chain, spend([a], { fee: 1_500n + size - 1n }))).toBe('insufficient fee')
    const better = spend([a], { fee: 1_500n + size })
    const result = chain.mempool.accept(better)
    expect(result.ok && result.value.replaced.map((e) => e.txid)).toEqual([txidOf(first), txidOf(child)])
    expect(idsOf(chain)).toEqual([txidOf(better)])
  })

  it('must pay a higher rate than each that it replaces', () => {
    const { chain, a } = setUp()
    const large = spend([a], { fee: 4_000n, count: 30 })
    expect(vsizeOf(large)).toBeGreaterThan(1_000)
    expect(reasonOf(chain, large)).toBe('insufficient fee')
  })

  it('must not spend what it replaces, nor add an unconfirmed parent', () => {
    const { chain, a, b, child } = setUp()
    expect(reasonOf(chain, spend([a, outputOf(child, 0)], { fee: 50_000n }))).toBe('bad-txns-spends-conflicting-tx')
    const other = spend([b])
    chain.submit(other)
    expect(reasonOf(chain, spend([a, outputOf(other, 0)], { fee: 50_000n }))).toBe('replacement-adds-unconfirmed')
  })

  it('a block that spends the same output drops the rival and its child', () => {
    const { chain, a } = setUp()
    chain.mineExactly([spend([a], { fee: 0n })], FALSE_OUTPUT)
    expect(chain.mempool.size).toBe(0)
  })
})

describe('BIP 431: version 3', () => {
  const setUp = (fee = 0n, version = 3) => {
    const { chain } = testChain()
    const [a, b] = fund(chain, 2)
    const parent = spend([a!], { fee, version, count: 2 })
    return { chain, a: a!, b: b!, parent }
  }

  it('a parent without a fee enters with a child that pays for both, and not alone', () => {
    const { chain, parent } = setUp()
    const child = spend([outputOf(parent, 0)], { fee: 1_000n, version: 3 })
    expect(reasonOf(chain, parent)).toBe('min relay fee not met')
    const poor = chain.submitPackage([parent, spend([outputOf(parent, 0)], { fee: 100n, version: 3 })])
    expect(poor.ok).toBe(false)
    expect(chain.mempool.size).toBe(0)
    expect(chain.submitPackage([parent, child]).ok).toBe(true)
    expect(idsOf(chain)).toEqual([txidOf(parent), txidOf(child)])
    chain.mine(1, FALSE_OUTPUT)
    expect(chain.mempool.size).toBe(0)
  })

  it('a version 2 parent without a fee does not, whatever its child pays', () => {
    const { chain, parent } = setUp(0n, 2)
    const result = chain.submitPackage([parent, spend([outputOf(parent, 0)], { fee: 50_000n })])
    expect([...result.results.values()].map((r) => r.ok || r.rejection.reason)).toEqual([
      'min relay fee not met',
      'bad-txns-inputs-missingorspent',
    ])
  })

  it('one child of at most 1,000 vbytes, and the whole at most 10,000', () => {
    const { chain, a, parent } = setUp(1_000n)
    chain.submit(parent)
    expect(reasonOf(chain, spend([outputOf(parent, 0)], { version: 3, fee: 5_000n, count: 30 }))).toBe('TRUC-violation')
    expect(reasonOf(chain, spend([a], { version: 3, fee: 50_000n, count: 300 }))).toBe('TRUC-violation')
  })

  it('a version 3 family does not mix with others', () => {
    const { chain, b, parent } = setUp(1_000n)
    chain.submit(parent)
    expect(reasonOf(chain, spend([outputOf(parent, 0)], { version: 2 }))).toBe('TRUC-violation')
    const plain = spend([b])
    chain.submit(plain)
    expect(reasonOf(chain, spend([outputOf(plain, 0)], { version: 3 }))).toBe('TRUC-violation')
  })

  it('another child takes the place of the first one when it pays more', () => {
    const { chain, parent } = setUp(1_000n)
    chain.submit(parent)
    const first = spend([outputOf(parent, 0)], { version: 3, fee: 1_000n })
    chain.submit(first)
    expect(reasonOf(chain, spend([outputOf(parent, 1)], { version: 3, fee: 1_050n }))).toBe('insufficient fee')
    const second = spend([outputOf(parent, 1)], { version: 3, fee: 5_000n })
    expect(reasonOf(chain, second)).toBe(null)
    expect(idsOf(chain)).toEqual([txidOf(parent), txidOf(second)])
  })

  it('a package replaces another by what it pays as a whole, or leaves everything as it was', () => {
    const { chain, a } = setUp()
    const old = spend([a], { fee: 2_000n })
    chain.submit(old)
    const parent = spend([a], { fee: 0n, version: 3 })
    const child = (fee: bigint) => spend([outputOf(parent, 0)], { fee, version: 3 })
    expect(chain.submitPackage([parent, child(2_100n)]).ok).toBe(false)
    expect(idsOf(chain)).toEqual([txidOf(old)])
    const result = chain.submitPackage([parent, child(9_000n)])
    expect(result.ok).toBe(true)
    expect(result.replaced).toEqual([txidOf(old)])
    expect(chain.mempool.size).toBe(2)
  })
})

describe('a full pool', () => {
  it('asks more than the relay fee, of a transaction or of the package that helps it', () => {
    const { chain } = testChain()
    const [a, b] = fund(chain, 2)
    chain.mempool.minFeerate = 10_001n
    const parent = spend([a!], { fee: 500n })
    expect(reasonOf(chain, parent)).toBe('mempool min fee not met')
    const vsize = vsizeOf(parent)
    const child = (fee: bigint) => spend([outputOf(parent, 0)], { fee })
    const enough = BigInt(Math.ceil((2 * vsize * 10_001) / 1000)) - 500n
    expect(chain.submitPackage([parent, child(enough - 1n)]).ok).toBe(false)
    expect(chain.submitPackage([parent, child(enough)]).ok).toBe(true)
    expect(reasonOf(chain, spend([b!], { fee: BigInt(Math.ceil((vsize * 10_001) / 1000)) }))).toBe(null)
  })
})

describe('a package in the place of others', () => {
  /** What the pool says of a package whose parent conflicts with one that has `children` children, at this much for it and them. */
  const attempt = (children: number, parentFee: bigint, childFee: bigint) => {
    const { chain } = testChain()
    const [a, b] = fund(chain, 2)
    const rival = spend([a!], { fee: 1_000n, count: Math.max(1, children) })
    chain.submit(rival)
    for (let i = 0; i < children; i++) chain.submit(spend([outputOf(rival, i)], { fee: 3_000n }))
    const parent = spend([a!, b!], { fee: parentFee })
    const { ok, refusal } = chain.submitPackage([parent, spend([outputOf(parent, 0)], { fee: childFee })])
    expect(chain.mempool.size).toBe(ok ? 2 : 1 + children)
    return ok ? 'taken' : (refusal ?? 'refused')
  }

  it('is one parent with one child, which pay more than a family of two', () => {
    expect(attempt(0, 500n, 9_000n)).toBe('taken')
    expect(attempt(1, 500n, 19_000n)).toBe('taken')
    expect(attempt(1, 500n, 3_600n)).toMatch('insufficient anti-DoS fees')
    expect(attempt(1, 900n, 3_400n)).toMatch('does not improve feerate diagram')
    expect(attempt(2, 500n, 90_000n)).toMatch(/has 2 descendants, max 1 allowed|is not the only child/)
  })
})

describe('the miner', () => {
  it('takes what pays best, parents first, and the fees go to the miner', () => {
    const { chain } = testChain()
    const [a, b, c] = fund(chain, 3)
    const plain = spend([b!], { fee: 300n })
    const parent = spend([a!], { fee: 100n })
    const child = spend([outputOf(parent, 0)], { fee: 5_000n })
    const rich = spend([c!], { fee: 9_000n })
    for (const tx of [plain, parent, child, rich]) expect(reasonOf(chain, tx)).toBe(null)
    const order = selectTransactions(chain.mempool.entries()).map((e) => e.txid)
    expect(order).toEqual([rich, parent, child, plain].map(txidOf))
    chain.mine(1, TRUE_OUTPUT)
    const { transactions } = chain.state.tip.block
    expect(transactions.slice(1).map(txidOf)).toEqual(order)
    expect(transactions[0]!.outputs[0]!.amountSat).toBe(5_000_000_000n + 14_400n)
  })

  it('leaves what does not fit for the next block', () => {
    const { chain } = testChain()
    const coins = fund(chain, 12)
    for (const coin of coins) expect(reasonOf(chain, spend([coin], { fee: 200_000n, count: 2_300 }))).toBe(null)
    chain.mine(1, FALSE_OUTPUT)
    expect(chain.mempool.size).toBeGreaterThan(0)
    chain.mine(1, FALSE_OUTPUT)
    expect(chain.mempool.size).toBe(0)
  })
})

describe('after a reorganisation', () => {
  it('transactions of the lost blocks wait again; what the new chain rules out is dropped', () => {
    const { chain } = testChain()
    const [a, b] = fund(chain, 2)
    const kept = spend([a!])
    const child = spend([outputOf(kept, 0)])
    const lost = spend([b!])
    chain.mineExactly([kept, lost], FALSE_OUTPUT)
    chain.submit(child)
    chain.invalidate(chain.state.tip)
    expect(idsOf(chain).sort()).toEqual([kept, lost, child].map(txidOf).sort())
    chain.mineExactly([spend([b!], { fee: 5n })], FALSE_OUTPUT)
    expect(idsOf(chain)).toEqual([kept, child].map(txidOf))
  })
})
