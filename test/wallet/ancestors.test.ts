import { expect, it } from 'vitest'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { addTransaction } from '../../src/wallet/coins.ts'
import { shallowAncestors } from '../../src/wallet/status.ts'
import { foreignOutpoint, foreignScript, mine, newWallet, output, own, transaction } from './world.ts'

it('what a transaction builds on counts until it is deep, with all that it builds on itself', () => {
  const other = transaction([foreignOutpoint(1)], [output(9_000, own(5))])
  const received = transaction([foreignOutpoint(2)], [output(90_000, own(0)), output(90_000, foreignScript(1))])
  const sent = transaction([{ txid: txidOf(received), index: 0 }], [output(80_000, own(0, 1))])
  const funding = transaction([{ txid: txidOf(sent), index: 0 }], [output(70_000, foreignScript(2))])
  let wallet = mine(newWallet(), other, received)
  wallet = addTransaction(wallet, sent, { now: 0 })
  const found = (): readonly unknown[] => shallowAncestors(wallet, funding, 6).map((t) => t.txid)
  for (let depth = 1; depth < 6; depth++, wallet = mine(wallet)) {
    expect(found()).toEqual([txidOf(sent), txidOf(received)])
  }
  expect(found()).toEqual([txidOf(sent)])
  wallet = mine(wallet, sent)
  for (let depth = 1; depth < 6; depth++, wallet = mine(wallet)) expect(found()).toEqual([txidOf(sent)])
  expect(found()).toEqual([])
})
