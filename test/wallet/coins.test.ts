import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type Outpoint, outpointKey } from '../../src/base/ids.ts'
import { pack, unpack } from '../../src/base/pack.ts'
import { sat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { fundTransaction } from '../../src/wallet/build.ts'
import {
  abandonTransaction,
  addTransaction,
  applyBlock,
  importUnspent,
  issueAddress,
  lockCoins,
  rollback,
} from '../../src/wallet/coins.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import { loadWallet, walletRecords } from '../../src/wallet/records.ts'
import { statusOf, unconfirmed, unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import {
  account,
  block,
  coinbase,
  foreignOutpoint,
  foreignScript,
  GENESIS,
  mine,
  newWallet,
  output,
  own,
  signer,
  transaction,
  view,
  walletWith,
} from './world.ts'

describe('blocks and reorganisations', () => {
  const deposit = transaction([foreignOutpoint(1)], [output(70_000, foreignScript(1)), output(50_000, own(0))])

  it('a deposit counts from its first confirmation, and no longer when its block is undone', () => {
    const before = newWallet()
    const after = mine(before, deposit)
    expect(walletBalance(after)).toMatchObject({ confirmedSat: 50_000n, spendableSat: 50_000n })
    expect(after.txs.get(txidOf(deposit))).toMatchObject({ netSat: 50_000n, feeSat: null, height: 1 })
    const undone = rollback(after, 0, GENESIS)
    expect(walletBalance(undone)).toMatchObject({ confirmedSat: 0n, unconfirmedSat: 50_000n, spendableSat: 0n })
    expect(unconfirmed(undone)).toEqual([deposit])
    expect(walletBalance(mine(undone, deposit)).confirmedSat).toBe(50_000n)
  })

  it('a block without anything of ours costs no copies', () => {
    const before = mine(newWallet(), deposit)
    const after = mine(before, transaction([foreignOutpoint(9)], [output(1, foreignScript(2))]))
    expect(after.coins).toBe(before.coins)
    expect(after.txs).toBe(before.txs)
    expect(walletRecords(before, after).map((r) => r.key)).toEqual(['numbers'])
  })

  it('a block that does not follow is refused, the last one again is harmless', () => {
    const one = block({ height: 0, hash: GENESIS }, [deposit])
    const after = applyBlock(newWallet(), one)
    expect(applyBlock(after, one)).toBe(after)
    expect(() => applyBlock(after, block({ height: 0, hash: GENESIS }, []))).toThrow('does not follow')
  })

  it('a payment of ours that another transaction rules out frees its coins, and comes back when that one is undone', () => {
    const wallet = walletWith([80_000])
    const built = fundTransaction(
      wallet,
      { outputs: [output(30_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' },
      signer,
    )
    const sent = addTransaction(built.state, built.tx, { now: 1 })
    expect(view(sent)).toHaveLength(1)
    const rival = transaction([built.coins[0]!.outpoint], [output(79_000, own(7))])
    const ruledOut = mine(sent, rival)
    expect(view(ruledOut)).toMatchObject([{ sat: 79_000n, status: 'spendable' }])
    expect(statusOf(ruledOut, ruledOut.txs.get(built.txid)!)).toBe('dropped')
    expect(unconfirmed(ruledOut)).toEqual([])
    const back = mine(rollback(ruledOut, sent.height, sent.hash), built.tx)
    expect(view(back)).toMatchObject([{ sat: built.changeSat, status: 'spendable', height: 2 }])
    expect(statusOf(back, back.txs.get(txidOf(rival))!)).toBe('dropped')
  })

  it('a sweep that somebody else beat to it is ruled out, though its input was never ours', () => {
    const sweep = transaction([foreignOutpoint(5)], [output(40_000, own(0))])
    const wallet = addTransaction(newWallet(), sweep, { now: 1, feeSat: sat(200), label: 'sweep' })
    expect(wallet.txs.get(txidOf(sweep))).toMatchObject({ netSat: 40_000n, feeSat: 200n, label: 'sweep' })
    expect(walletBalance(wallet)).toMatchObject({ unconfirmedSat: 40_000n, spendableSat: 0n })
    const beaten = mine(wallet, transaction([foreignOutpoint(5)], [output(40_000, foreignScript(1))]))
    expect(walletBalance(beaten).unconfirmedSat).toBe(0n)
    expect(walletBalance(rollback(beaten, 0, GENESIS)).unconfirmedSat).toBe(40_000n)
  })

  it('what spends a transaction that is ruled out is ruled out too', () => {
    const parent = transaction([foreignOutpoint(5)], [output(40_000, own(0))])
    const child = transaction([{ txid: txidOf(parent), index: 0 }], [output(39_000, own(1))])
    const both = addTransaction(addTransaction(newWallet(), parent, { now: 1 }), child, { now: 2 })
    expect(unconfirmed(both)).toEqual([parent, child])
    const beaten = mine(both, transaction([foreignOutpoint(5)], [output(1, foreignScript(1))]))
    expect(view(beaten)).toEqual([])
    expect(unconfirmed(beaten)).toEqual([])
  })

  it('a fee-bumped version replaces the one before', () => {
    const first = transaction([foreignOutpoint(5)], [output(40_000, own(0))])
    const second = transaction([foreignOutpoint(5)], [output(39_000, own(0))])
    const wallet = addTransaction(addTransaction(newWallet(), first, { now: 1 }), second, { now: 2 })
    expect(unconfirmed(wallet)).toEqual([second])
    expect(walletBalance(wallet).unconfirmedSat).toBe(39_000n)
    expect(walletBalance(mine(wallet, first)).confirmedSat).toBe(40_000n)
  })

  it('a version that came later replaces none when what it is built on is gone', () => {
    const wallet = walletWith([80_000, 90_000])
    const [a, b] = [...wallet.coins.values()].map((c) => c.outpoint) as [Outpoint, Outpoint]
    const first = transaction([a], [output(70_000, foreignScript(1))])
    const parent = transaction([b], [output(60_000, own(4)), output(20_000, foreignScript(2))])
    const second = transaction([a, { txid: txidOf(parent), index: 0 }], [output(130_000, own(5))])
    const all = [first, parent, second].reduce((w, tx, i) => addTransaction(w, tx, { now: i }), wallet)
    expect(unconfirmed(all)).toEqual([parent, second])
    const bumped = addTransaction(all, transaction([b], [output(79_000, foreignScript(2))]), { now: 9 })
    for (const gone of [bumped, abandonTransaction(all, txidOf(parent))]) {
      expect(unconfirmed(gone)[0]).toEqual(first)
      expect(statusOf(gone, gone.txs.get(txidOf(first))!)).toBe('unconfirmed')
      expect(statusOf(gone, gone.txs.get(txidOf(second))!)).toBe('dropped')
      // Its coin is spent, and is not given out for something else.
      expect(view(gone).map((v) => v.key)).not.toContain(outpointKey(a))
    }
  })

  it('of two that rule each other out by what they are built on, one lives', () => {
    const wallet = walletWith([80_000, 90_000])
    const [a, b] = [...wallet.coins.values()].map((c) => c.outpoint) as [Outpoint, Outpoint]
    const parent = transaction([a], [output(70_000, own(4))])
    const rival = transaction([a, b], [output(160_000, foreignScript(1))])
    const child = transaction([b, { txid: txidOf(parent), index: 0 }], [output(150_000, foreignScript(2))])
    const all = [parent, rival, child].reduce((w, tx, i) => addTransaction(w, tx, { now: i }), wallet)
    const alive = unconfirmed(all)
    expect([[rival], [parent, child]]).toContainEqual(alive)
  })

  it('an abandoned transaction frees its coins for good, unless it confirms after all', () => {
    const wallet = walletWith([80_000])
    const built = fundTransaction(
      wallet,
      { outputs: [output(30_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' },
      signer,
    )
    const sent = addTransaction(built.state, built.tx, { now: 1 })
    const abandoned = abandonTransaction(sent, built.txid)
    expect(view(abandoned)).toEqual(view(wallet))
    const later = mine(mine(abandoned))
    expect(later.txs.has(built.txid)).toBe(false)
    expect(view(later)).toEqual(view(wallet))
    expect(view(mine(later, built.tx))).toMatchObject([{ sat: built.changeSat, height: 4 }])
  })

  it('a mined reward dies with its block', () => {
    const reward = coinbase(1, 0, output(5_000, own(0)))
    const wallet = mine(newWallet(), reward)
    expect(walletBalance(wallet).immatureSat).toBe(5_000n)
    const undone = rollback(wallet, 0, GENESIS)
    expect(view(undone)).toEqual([])
    expect(unconfirmed(undone)).toEqual([])
    expect(walletBalance(mine(undone, reward)).immatureSat).toBe(5_000n)
  })

  it('lets go of transactions that are 100 deep, and keeps their coins', () => {
    let wallet = walletWith([80_000])
    const built = fundTransaction(
      wallet,
      { outputs: [output(30_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' },
      signer,
    )
    wallet = mine(addTransaction(built.state, built.tx, { now: 1 }), built.tx)
    const coins = view(wallet)
    for (let i = 0; i < 100; i++) wallet = mine(wallet)
    expect(wallet.txs.size).toBe(0)
    const last = walletRecords(mine(newWallet(), built.tx), wallet).find((r) => r.key === `tx/${built.txid}`)
    expect(last?.value).toMatchObject({ settled: true, height: 1, abandoned: false })
    expect(wallet.spends.size).toBe(0)
    expect(wallet.coins.size).toBe(1)
    expect(view(wallet)).toEqual(coins)
  })
})

describe('addresses', () => {
  it('are never handed out twice and all looked for, however many are out', () => {
    let wallet = newWallet()
    const scripts = new Set<string>()
    for (let i = 0; i < 45; i++) {
      const issued = issueAddress(wallet)
      expect(issued.path).toBe(`m/84'/1'/0'/0/${i}`)
      expect(issued.beyondGap).toBe(i >= 20)
      scripts.add(issued.address)
      wallet = issued.state
    }
    expect(scripts.size).toBe(45)
    expect(walletBalance(mine(wallet, transaction([foreignOutpoint(1)], [output(1_000, own(64))]))).confirmedSat).toBe(
      1_000n,
    )
  })

  it('BIP 44 §address-gap-limit: a restored wallet finds payments up to 20 unused addresses ahead, and then 20 further', () => {
    const pay = (i: number) => transaction([foreignOutpoint(i)], [output(1_000 + i, own(i))])
    const found = mine(mine(newWallet(), pay(19)), pay(39), pay(60))
    expect(walletBalance(found).confirmedSat).toBe(2_058n)
    expect(found.next).toEqual([40, 0])
    // Both outputs of one transaction, the farther one first.
    const both = transaction([foreignOutpoint(1)], [output(1, own(30)), output(2, own(15))])
    expect(walletBalance(mine(newWallet(), both)).confirmedSat).toBe(3n)
  })

  it('a scan of the unspent set restores coins, which blocks then spend or undo', () => {
    const outpoint = foreignOutpoint(3)
    const found = { outpoint, output: output(9_000, own(4)), height: 1, coinbase: false }
    const wallet = importUnspent(mine(newWallet()), [found, { ...found, output: output(1, foreignScript(1)) }])
    expect(walletBalance(wallet).confirmedSat).toBe(9_000n)
    expect(wallet.next).toEqual([5, 0])
    expect(walletBalance(mine(wallet, transaction([outpoint], [output(1, foreignScript(1))]))).confirmedSat).toBe(0n)
    expect(walletBalance(rollback(wallet, 0, GENESIS)).confirmedSat).toBe(0n)
  })
})

describe('records', () => {
  it('locks and labels survive a restart; a wallet without records is none', () => {
    const wallet = lockCoins(walletWith([80_000]), [unspentCoins(walletWith([80_000]))[0]!.coin.outpoint], 'opening')
    const records = walletRecords(null, wallet).map((r) => [r.key, unpack(pack(r.value))] as const)
    const restarted = loadWallet(account, records)!
    expect(restarted.locks).toEqual(wallet.locks)
    expect(isDeepStrictEqual(restarted, wallet)).toBe(true)
    expect(loadWallet(account, [])).toBeNull()
  })

  it('a transaction restored from the store still signs', () => {
    const stored = walletRecords(null, walletWith([80_000])).map((r) => [r.key, unpack(pack(r.value))] as const)
    const restarted = loadWallet(account, stored)!
    const built = fundTransaction(
      restarted,
      { outputs: [output(30_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' },
      signer,
    )
    const prevout = output(80_000, walletScript(account, 0, built.coins[0]!.keyIndex))
    expect(verifyTransaction(built.tx, [prevout])).toEqual({ ok: true })
  })
})
