import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sat } from '../../src/base/units.ts'
import { weightOf } from '../../src/bitcoin/transaction.ts'
import { fundTransaction, sweepWallet } from '../../src/wallet/build.ts'
import { addTransaction, unlockCoins } from '../../src/wallet/coins.ts'
import { WalletError } from '../../src/wallet/errors.ts'
import type { WalletState } from '../../src/wallet/state.ts'
import { unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import { checkSpend, codeOf } from './spends.ts'
import { foreignScript, mine, newWallet, output, signer, total, walletWith } from './world.ts'

describe('sweepWallet', () => {
  it('sends everything that is worth its fee, less the fee and the reserve', () => {
    const wallet = walletWith([50_000, 60_000, 100])
    const all = sweepWallet(wallet, { scriptPubKey: foreignScript(1), feeratePerKw: 1_000, owner: 'x' }, signer)
    checkSpend(wallet, all, 1_000)
    expect(all.tx.outputs).toHaveLength(1)
    expect(all.coins).toHaveLength(2)

    const reserveSat = sat(20_000)
    const some = sweepWallet(
      wallet,
      { scriptPubKey: foreignScript(1), feeratePerKw: 1_000, owner: 'x', reserveSat },
      signer,
    )
    checkSpend(wallet, some, 1_000)
    expect(some.changeSat).toBe(20_000n)
    const after = addTransaction(some.state, some.tx, { now: 1 })
    // With the coin of 100 sat that was not worth its fee.
    expect(walletBalance(after).spendableSat).toBe(20_100n)
  })

  it('says so when there is nothing', () => {
    const to = { scriptPubKey: foreignScript(1), feeratePerKw: 1_000, owner: 'x' }
    expect(codeOf(() => sweepWallet(newWallet(), to, signer))).toBe('NOTHING_TO_SPEND')
    expect(codeOf(() => sweepWallet(walletWith([600]), to, signer))).toBe('INSUFFICIENT_FUNDS')
  })

  it('any wallet is emptied for the feerate to the satoshi, but for what was to stay, or nothing is touched', () => {
    const amounts = fc.array(fc.integer({ min: 100, max: 60_000 }), { minLength: 1, maxLength: 8 })
    const reserves = fc.integer({ min: 0, max: 100_000 })
    const feerates = fc.integer({ min: 253, max: 20_000 })
    fc.assert(
      fc.property(amounts, reserves, feerates, fc.nat({ max: 8 }), (coins, reserve, feerate, named) => {
        const wallet = walletWith(coins)
        const inputFee = Math.ceil((272 * feerate) / 1000)
        const all = unspentCoins(wallet).map((v) => v.coin)
        const chosen = all.slice(0, named)
        const isSpent = (c: (typeof all)[number]): boolean =>
          chosen.length > 0 ? chosen.includes(c) : c.amountSat > inputFee
        const left = all.filter((c) => !isSpent(c) && c.amountSat > inputFee)
        const staying = total(left) < reserve ? Math.max(294, reserve - Number(total(left))) : 0
        const inputs = all.filter(isSpent)
        // 10 B around inputs and outputs and the segwit marker; 31 B for each output.
        const weight = 4 * 10 + 2 + 272 * inputs.length + 124 * (staying > 0 ? 2 : 1)
        const fee = Math.ceil((weight * feerate) / 1000)
        const amount = Number(total(inputs)) - fee - staying
        const request = { scriptPubKey: foreignScript(1), feeratePerKw: feerate, owner: 'x', reserveSat: sat(reserve) }
        const sweep = () =>
          sweepWallet(
            wallet,
            { ...request, ...(chosen.length > 0 && { coins: chosen.map((c) => c.outpoint) }) },
            signer,
          )
        if (inputs.length === 0 || amount < 294) {
          expect(codeOf(sweep)).toBe(inputs.length === 0 ? 'NOTHING_TO_SPEND' : 'INSUFFICIENT_FUNDS')
          return
        }
        const built = sweep()
        checkSpend(wallet, built, feerate)
        expect(built.feeSat).toBe(BigInt(fee))
        expect(built.tx.outputs[built.outputIndexes[0]!]).toEqual(output(amount, foreignScript(1)))
        const after = unspentCoins(addTransaction(unlockCoins(built.state, 'x'), built.tx, { now: 1 }))
        const change = staying > 0 ? [BigInt(staying)] : []
        const expected = [...all.filter((c) => !isSpent(c)).map((c) => c.amountSat as bigint), ...change]
        const sorted = (list: readonly bigint[]) => [...list].map(Number).sort((a, b) => a - b)
        expect(sorted(after.map((v) => v.coin.amountSat))).toEqual(sorted(expected))
      }),
      { numRuns: 60 },
    )
  })

  it('leaves unconfirmed coins and those that an opening has locked; change of ours only goes where it is named', () => {
    const start = walletWith([10_000, 20_000, 300_000])
    const to = { scriptPubKey: foreignScript(1), feeratePerKw: 253, owner: 'x' }
    const pay = (amount: number, owner: string, from: WalletState) =>
      fundTransaction(from, { outputs: [output(amount, foreignScript(2))], feeratePerKw: 253, owner }, signer)
    const opening = pay(9_000, 'opening', start)
    expect(opening.coins.map((c) => c.amountSat)).toEqual([10_000n])
    const sent = pay(100_000, 'send', opening.state)
    const wallet = addTransaction(unlockCoins(sent.state, 'send'), sent.tx, { now: 1 })
    const swept = sweepWallet(wallet, to, signer)
    expect(swept.coins.map((c) => c.amountSat)).toEqual([20_000n])
    // The change counts as what stays, as it does in any other send.
    expect(sweepWallet(wallet, { ...to, reserveSat: sat(50_000) }, signer).changeSat).toBeNull()
    const own = unspentCoins(wallet).find((v) => v.coin.height === null)!
    const named = sweepWallet(wallet, { ...to, coins: [own.coin.outpoint] }, signer)
    expect(named.coins).toEqual([own.coin])
    const locked = [opening.coins[0]!.outpoint]
    expect(codeOf(() => sweepWallet(wallet, { ...to, coins: locked }, signer))).toBe('COIN_NOT_SPENDABLE')
  })

  it.each([0, 20_000])('more coins than fit are sent in two steps, as the refusal says (reserve %i)', (reserve) => {
    const wallet = walletWith(Array.from({ length: 1_480 }, (_, i) => 1_000 + i))
    const to = { scriptPubKey: foreignScript(1), feeratePerKw: 300, owner: 'x', reserveSat: sat(reserve) }
    let told = ''
    try {
      sweepWallet(wallet, to, signer)
    } catch (e) {
      if (!(e instanceof WalletError) || e.code !== 'TRANSACTION_TOO_LARGE') throw e
      told = e.message
    }
    const first = Number(/first send (\d+) sat, then all/.exec(told)?.[1])
    const request = { ...to, outputs: [output(first, foreignScript(1))] }
    const sent = fundTransaction(wallet, request, signer)
    expect(weightOf(sent.tx)).toBeLessThanOrEqual(400_000)
    const after = mine(addTransaction(sent.state, sent.tx, { now: 1 }), sent.tx)
    const rest = sweepWallet(after, to, signer)
    expect(rest.coins.length).toBeLessThan(50)
    const left = walletBalance(addTransaction(rest.state, rest.tx, { now: 1 }))
    expect(left.spendableSat).toBe(BigInt(reserve))
  })
})
