import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { anchorReserve, type BuiltTransaction, fundTransaction } from '../../src/wallet/build.ts'
import { addTransaction, unlockCoins } from '../../src/wallet/coins.ts'
import type { WalletError } from '../../src/wallet/errors.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import { unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import { checkSpend, codeOf } from './spends.ts'
import {
  account,
  coinbase,
  foreignOutpoint,
  foreignScript,
  mine,
  newWallet,
  output,
  signer,
  transaction,
  walletWith,
} from './world.ts'

describe('fundTransaction', () => {
  it('any transaction that it signs passes the script interpreter, conserves money and pays its feerate', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1_000, max: 2_000_000 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: 330, max: 500_000 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 253, max: 20_000 }),
        (amounts, wanted, feeratePerKw) => {
          const wallet = walletWith(amounts)
          const outputs = wanted.map((a, i) => output(a, i % 2 ? foreignScript(i) : p2wsh(foreignScript(i))))
          let built: BuiltTransaction
          try {
            built = fundTransaction(wallet, { outputs, feeratePerKw, owner: 'test' }, signer)
          } catch (e) {
            expect((e as WalletError).code).toBe('INSUFFICIENT_FUNDS')
            return
          }
          checkSpend(wallet, built, feeratePerKw)
          expect(built.txid).toBe(txidOf(built.tx))
          expect(new Set(built.outputIndexes).size).toBe(outputs.length)
          expect(built.outputIndexes.map((at) => built.tx.outputs[at])).toEqual(outputs)
          expect(built.tx.outputs.length).toBe(outputs.length + (built.changeSat === null ? 0 : 1))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('finds each of two equal outputs', () => {
    const twice = output(40_000, foreignScript(1))
    const { tx, outputIndexes } = fundTransaction(
      walletWith([100_000]),
      { outputs: [twice, twice], feeratePerKw: 253, owner: 'x' },
      signer,
    )
    expect(new Set(outputIndexes).size).toBe(2)
    for (const i of outputIndexes) expect(tx.outputs[i]).toEqual(twice)
  })

  it('locks its coins and uses a change address once, until it is released', () => {
    const wallet = walletWith([100_000, 100_000])
    const request = { outputs: [output(60_000, foreignScript(1))], feeratePerKw: 253, owner: 'first' }
    const first = fundTransaction(wallet, request, signer)
    const second = fundTransaction(first.state, { ...request, owner: 'second' }, signer)
    expect(second.coins[0]).not.toEqual(first.coins[0])
    const scripts = [...first.tx.outputs, ...second.tx.outputs].map((o) => toHex(o.scriptPubKey))
    expect(new Set(scripts).size).toBe(3)
    expect(codeOf(() => fundTransaction(second.state, { ...request, owner: 'third' }, signer))).toBe(
      'INSUFFICIENT_FUNDS',
    )
    const released = unlockCoins(second.state, 'first')
    expect(fundTransaction(released, { ...request, owner: 'third' }, signer).coins).toEqual(first.coins)
    expect(walletBalance(second.state)).toMatchObject({ lockedSat: 200_000n, spendableSat: 0n })
  })

  it('spends our own unconfirmed change, but not what others sent and may take back', () => {
    const wallet = walletWith([100_000])
    const request = { outputs: [output(30_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' }
    const first = fundTransaction(wallet, request, signer)
    const sent = addTransaction(first.state, first.tx, { now: 1 })
    const second = fundTransaction(sent, request, signer)
    expect(second.tx.inputs[0]!.txid).toBe(first.txid)
    checkSpend(sent, second, 253)

    const pending = addTransaction(
      newWallet(),
      transaction([foreignOutpoint(1)], [output(100_000, walletScript(account, 0, 0))]),
      { now: 1 },
    )
    expect(walletBalance(pending)).toMatchObject({ unconfirmedSat: 100_000n, spendableSat: 0n })
    expect(codeOf(() => fundTransaction(pending, request, signer))).toBe('INSUFFICIENT_FUNDS')
  })

  it('prefers confirmed coins to unconfirmed change', () => {
    let wallet = walletWith([100_000, 90_000])
    const first = fundTransaction(
      wallet,
      { outputs: [output(5_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' },
      signer,
    )
    wallet = addTransaction(first.state, first.tx, { now: 1 })
    const second = fundTransaction(
      wallet,
      { outputs: [output(30_000, foreignScript(1))], feeratePerKw: 253, owner: 'y' },
      signer,
    )
    expect(second.coins.every((c) => c.height !== null)).toBe(true)
  })

  it('keeps the reserve, whichever coins are named (exhausted fee reserve)', () => {
    const wallet = walletWith([100_000])
    const request = { outputs: [output(60_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' }
    expect(codeOf(() => fundTransaction(wallet, { ...request, reserveSat: sat(39_000) }, signer))).toBe('no error')
    expect(codeOf(() => fundTransaction(wallet, { ...request, reserveSat: sat(40_000) }, signer))).toBe(
      'INSUFFICIENT_FUNDS',
    )
    const coins = unspentCoins(wallet).map((v) => v.coin.outpoint)
    expect(codeOf(() => fundTransaction(wallet, { ...request, coins, reserveSat: sat(40_000) }, signer))).toBe(
      'INSUFFICIENT_FUNDS',
    )
    expect(anchorReserve(0)).toBe(0n)
    expect(anchorReserve(3)).toBe(30_000n)
    expect(anchorReserve(500)).toBe(5_000_000n)
    expect(anchorReserve(500, sat(2_000))).toBe(1_000_000n)
  })

  it('spends exactly the coins that are named, and refuses ones that it cannot', () => {
    const wallet = walletWith([50_000, 60_000, 70_000])
    const request = { outputs: [output(1_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' }
    const coins = unspentCoins(wallet).map((v) => v.coin.outpoint)
    const built = fundTransaction(wallet, { ...request, coins: [coins[0]!, coins[2]!, coins[0]!] }, signer)
    expect(built.coins.map((c) => c.outpoint.index).sort()).toEqual([0, 2])
    checkSpend(wallet, built, 253)
    expect(codeOf(() => fundTransaction(built.state, { ...request, coins: [coins[0]!] }, signer))).toBe(
      'COIN_NOT_SPENDABLE',
    )
    expect(codeOf(() => fundTransaction(wallet, { ...request, coins: [foreignOutpoint(1)] }, signer))).toBe(
      'UNKNOWN_COIN',
    )
  })

  it('spends a coinbase output when it is 100 deep in the next block, not before', () => {
    let wallet = mine(newWallet(), coinbase(1, 0, output(5_000_000, walletScript(account, 0, 0))))
    const request = { outputs: [output(1_000, foreignScript(1))], feeratePerKw: 253, owner: 'x' }
    for (let i = 0; i < 98; i++) wallet = mine(wallet)
    expect(wallet.height).toBe(99)
    expect(codeOf(() => fundTransaction(wallet, request, signer))).toBe('INSUFFICIENT_FUNDS')
    expect(walletBalance(wallet)).toMatchObject({ immatureSat: 5_000_000n, confirmedSat: 0n })
    wallet = mine(wallet)
    expect(codeOf(() => fundTransaction(wallet, request, signer))).toBe('no error')
  })

  it.each([
    ['dust', { outputs: [output(293, foreignScript(1))], feeratePerKw: 253 }, 'DUST_OUTPUT'],
    ['no output', { outputs: [], feeratePerKw: 253 }, 'NOTHING_TO_SPEND'],
    [
      'a feerate that nobody relays',
      { outputs: [output(1_000, foreignScript(1))], feeratePerKw: 252 },
      'INVALID_FEERATE',
    ],
    [
      'a feerate beyond reason',
      { outputs: [output(1_000, foreignScript(1))], feeratePerKw: 250_001 },
      'INVALID_FEERATE',
    ],
  ])('refuses %s', (_, request, code) => {
    expect(codeOf(() => fundTransaction(walletWith([100_000]), { ...request, owner: 'x' }, signer))).toBe(code)
  })
})
