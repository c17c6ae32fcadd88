import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { fundTransaction } from '../../src/wallet/build.ts'
import { addTransaction, unlockCoins } from '../../src/wallet/coins.ts'
import type { WalletState } from '../../src/wallet/state.ts'
import { families, unspentCoins } from '../../src/wallet/status.ts'
import { type Bump, bump, htlc, rate } from './bumps.ts'
import { foreignScript, mine, output, signer, walletWith } from './world.ts'

describe('many HTLC transactions at once, which are paid for with the change of those before them', () => {
  /** As many as the wallet can pay for before a block. */
  const payAll = (state: WalletState, from: number, until: number, coinsWanted = 1): readonly Bump[] => {
    const made: Bump[] = []
    for (let n = from; n < until; n++) {
      try {
        made.push(bump(made.at(-1)?.state ?? state, { tx: htlc(n), feeratePerKw: 1_000, coinsWanted })!)
      } catch (e) {
        expect(e).toMatchObject({ code: 'FAMILY_FULL' })
        break
      }
    }
    return made
  }

  it('go to families of all coins, none larger than a mempool takes; those that are left over come with the next block', () => {
    const first = payAll(walletWith([1_000_000, 2_000_000]), 1, 61)
    expect(first.length).toBe(2 * 23)
    const { state } = first.at(-1)!
    const familyOf = families(state)
    for (const { tx } of first) expect(familyOf(txidOf(tx)).size).toBe(23)
    const later = payAll(mine(state, ...first.map((b) => b.tx)), 1 + first.length, 61)
    expect(first.length + later.length).toBe(60)
  })

  it('are spread over the coins, so that none has to pay for a long row of others when it is raised', () => {
    const made = payAll(walletWith(Array(10).fill(300_000)), 1, 71)
    expect(made.length).toBe(70)
    const familyOf = families(made.at(-1)!.state)
    for (const { tx } of made) expect(familyOf(txidOf(tx)).size).toBeLessThanOrEqual(9)
  })

  it('have the only coin of a wallet come back in several, once, so that the next block has room for all of them', () => {
    const first = payAll(walletWith([2_000_000]), 1, 101, 5)
    expect(first.map((b) => b.tx.outputs.length - 1)).toEqual([5, ...Array(22).fill(1)])
    const before = mine(first.at(-1)!.state, ...first.map((b) => b.tx))
    const coins = unspentCoins(before).length
    expect(coins).toBe(5)
    const later = payAll(before, 1 + first.length, 101, 5)
    expect(first.length + later.length).toBe(100)
    for (const b of [...first, ...later]) {
      expect(rate(b)).toBeGreaterThanOrEqual(999)
      expect(rate(b)).toBeLessThan(1_020)
    }
  })

  it('never join the change of two long rows of payments, which no mempool takes: less is paid with one of them', () => {
    let state = walletWith([50_000, 50_000])
    for (const { coin } of unspentCoins(state)) {
      let outpoint = coin.outpoint
      for (let n = 0; n < 15; n++) {
        const request = { outputs: [output(1_000, foreignScript(n))], feeratePerKw: 253, owner: 'x', coins: [outpoint] }
        const built = fundTransaction(state, request, signer)
        state = unlockCoins(addTransaction(built.state, built.tx, { now: 1 }), 'x')
        outpoint = { txid: built.txid, index: built.tx.outputs.findIndex((o) => o.amountSat > 1_000n) }
      }
    }
    const made = bump(state, { tx: htlc(), feeratePerKw: 40_000 })!
    expect(families(made.state)(txidOf(made.tx)).size).toBe(16)
    expect(rate(made)).toBeGreaterThan(20_000)
  })

  it('are raised with the same outputs for their change', () => {
    const first = bump(walletWith([2_000_000]), { tx: htlc(), feeratePerKw: 1_000, coinsWanted: 4 })!
    const second = bump(first.state, { tx: htlc(), feeratePerKw: 3_000, coinsWanted: 4, earlier: first.tx })!
    const scripts = ({ tx }: Bump) => tx.outputs.map((o) => toHex(o.scriptPubKey)).sort()
    expect(scripts(second)).toEqual(scripts(first))
    expect(second.tx.outputs.length).toBe(1 + 4)
    expect(rate(second)).toBeGreaterThanOrEqual(2_990)
    expect(second.state.next).toEqual(first.state.next)
  })

  it('leave a small coin whole', () => {
    const { tx } = bump(walletWith([99_000]), { tx: htlc(), feeratePerKw: 1_000, coinsWanted: 4 })!
    expect(tx.outputs.length).toBe(2)
  })
})
