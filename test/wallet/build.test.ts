import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { outpointKey, type Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { OP } from '../../src/bitcoin/opcodes.ts'
import { compileScript, p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'
import { derSignature, SIGHASH_ANYONECANPAY, SIGHASH_SINGLE, sighashV0 } from '../../src/bitcoin/sighash.ts'
import { type Transaction, txidOf, unsignedInput, weightOf, withWitness } from '../../src/bitcoin/transaction.ts'
import { verifyInput, verifyTransaction } from '../../src/bitcoin/verify.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { anchorReserve, type BuiltTransaction, fundTransaction, sweepWallet } from '../../src/wallet/build.ts'
import { addFees } from '../../src/wallet/bump.ts'
import { addTransaction, unlockCoins } from '../../src/wallet/coins.ts'
import { WalletError } from '../../src/wallet/errors.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import type { WalletState } from '../../src/wallet/state.ts'
import { unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import {
  account,
  coinbase,
  foreignOutpoint,
  foreignScript,
  mine,
  newWallet,
  output,
  signer,
  total,
  transaction,
  walletWith,
} from './world.ts'

const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (e) {
    if (e instanceof WalletError) return e.code
    throw e
  }
  return 'no error'
}

/** Independent of how it was built: scripts, sums, feerate. */
function checkSpend(before: WalletState, built: BuiltTransaction, feerate: number): void {
  const { tx, coins, feeSat } = built
  const prevouts = tx.inputs.map((input) => {
    const coin = before.coins.get(outpointKey(input))!
    return output(coin.amountSat, walletScript(account, coin.branch, coin.keyIndex))
  })
  expect(verifyTransaction(tx, prevouts)).toEqual({ ok: true })
  expect(total(prevouts) - total(tx.outputs)).toBe(feeSat)
  const least = BigInt(Math.ceil((weightOf(tx) * feerate) / 1000))
  expect(feeSat).toBeGreaterThanOrEqual(least)
  // Each signature may be two bytes shorter than reckoned; without change up to a change output goes to the fee.
  const slack = BigInt(Math.ceil((2 * coins.length * feerate) / 1000)) + 1n
  const unchanged = 294n + BigInt(Math.ceil((124 * feerate) / 1000))
  expect(feeSat).toBeLessThanOrEqual(least + slack + (built.changeSat === null ? unchanged : 0n))
  for (const o of tx.outputs) expect(o.amountSat).toBeGreaterThanOrEqual(294n)
}

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

  it('keeps the reserve, whichever coins are named', () => {
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
    expect(anchorReserve(500)).toBe(100_000n)
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

describe('BOLT 3 §htlc-timeout-and-htlc-success-transactions: addFees', () => {
  const secret = crypto.sha256(Uint8Array.of(7))
  const witnessScript = compileScript([crypto.publicKey(secret), OP.CHECKSIG])
  const type = SIGHASH_SINGLE | SIGHASH_ANYONECANPAY

  /** Like an HTLC transaction with option_anchors: one input, one output of the same amount, no fee. */
  function htlcTransaction(amount: number, lockTime: number): Transaction {
    const unsigned: Transaction = {
      version: 2,
      inputs: [unsignedInput({ txid: '22'.repeat(32) as Txid, index: 1 }, 1)],
      outputs: [output(amount, p2wsh(foreignScript(3)))],
      lockTime,
    }
    const digest = sighashV0(unsigned, { index: 0, scriptCode: witnessScript, amountSat: sat(amount) }, type)
    return withWitness(unsigned, 0, [derSignature(crypto.ecdsaSign(digest, secret), type), witnessScript])
  }

  it('keeps the HTLC signature valid and its output in place, and brings the whole to the feerate', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 330, max: 1_000_000 }),
        fc.nat(800_000),
        fc.array(fc.integer({ min: 2_000, max: 500_000 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 253, max: 50_000 }),
        (amount, lockTime, amounts, feeratePerKw) => {
          const wallet = walletWith(amounts)
          const htlc = htlcTransaction(amount, lockTime)
          let built: BuiltTransaction
          try {
            built = addFees(wallet, { tx: htlc, feeratePerKw, owner: 'htlc' }, signer)!
          } catch (e) {
            expect((e as WalletError).code).toBe('INSUFFICIENT_FUNDS')
            return
          }
          const { tx, coins, feeSat } = built
          expect(tx.inputs[0]).toEqual(htlc.inputs[0])
          expect(tx.outputs[0]).toEqual(htlc.outputs[0])
          expect([tx.version, tx.lockTime]).toEqual([2, lockTime])
          const prevouts = [
            output(amount, p2wsh(witnessScript)),
            ...coins.map((c) => output(c.amountSat, walletScript(account, c.branch, c.keyIndex))),
          ]
          expect(verifyTransaction(tx, prevouts)).toEqual({ ok: true })
          expect(total(prevouts) - total(tx.outputs)).toBe(feeSat)
          const least = BigInt(Math.ceil((weightOf(tx) * feeratePerKw) / 1000))
          if (feeSat < least) {
            // Less than was asked for, but no more could be paid by all coins together.
            const everything = weightOf(htlc) + 272 * amounts.length + 8
            expect(amounts.reduce((a, b) => a + b)).toBeLessThan((everything * feeratePerKw) / 1000)
            expect(feeSat).toBeGreaterThanOrEqual(BigInt(Math.ceil((weightOf(tx) * 253) / 1000)))
            return
          }
          const slack = BigInt(Math.ceil(((124 + 2 * coins.length) * feeratePerKw) / 1000)) + 296n
          expect(feeSat).toBeLessThanOrEqual(least + slack)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('our added inputs commit to everything: a changed output breaks them, not the HTLC signature', () => {
    const wallet = walletWith([100_000])
    const { tx, coins } = addFees(wallet, { tx: htlcTransaction(10_000, 0), feeratePerKw: 1_000, owner: 'x' }, signer)!
    const stolen = { ...tx, outputs: [tx.outputs[0]!, { ...tx.outputs[1]!, scriptPubKey: p2wpkh(new Uint8Array(20)) }] }
    expect(verifyInput(stolen, 0, output(10_000, p2wsh(witnessScript))).ok).toBe(true)
    const ours = output(100_000, walletScript(account, coins[0]!.branch, coins[0]!.keyIndex))
    expect(verifyInput(tx, 1, ours).ok).toBe(true)
    expect(verifyInput(stolen, 1, ours).ok).toBe(false)
  })

  it('may use what the reserve was kept for, and leaves a transaction alone that pays enough', () => {
    const wallet = walletWith([2_000])
    const tx = htlcTransaction(10_000, 0)
    expect(addFees(wallet, { tx, feeratePerKw: 1_000, owner: 'x' }, signer)!.coins).toHaveLength(1)
    const paid = addFees(wallet, { tx, feeratePerKw: 1_000, owner: 'x', paidSat: sat(5_000) }, signer)!
    expect(paid.tx).toEqual(tx)
    expect(paid.state).toBe(wallet)
  })
})
