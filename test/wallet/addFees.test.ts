import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { OP } from '../../src/bitcoin/opcodes.ts'
import { compileScript, p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'
import { derSignature, SIGHASH_ANYONECANPAY, SIGHASH_SINGLE, sighashV0 } from '../../src/bitcoin/sighash.ts'
import { type Transaction, unsignedInput, weightOf, withWitness } from '../../src/bitcoin/transaction.ts'
import { verifyInput, verifyTransaction } from '../../src/bitcoin/verify.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { BuiltTransaction } from '../../src/wallet/build.ts'
import { addFees } from '../../src/wallet/bump.ts'
import type { WalletError } from '../../src/wallet/errors.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import { account, foreignScript, output, signer, total, walletWith } from './world.ts'

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
