import { afterEach, beforeAll } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { weightOf } from '../../src/bitcoin/transaction.ts'
import type { WalletTransactionView } from '../../src/node/onchainService.ts'
import { type Name, type Snapshot, World } from './world.ts'

let base: Snapshot
export let world: World
beforeAll(async () => {
  const made = await World.start(['alice', 'bob'])
  await made.fund()
  base = made.snapshot()
  made.close()
})
afterEach(() => world.close())
/** A new world, until the test ends. */
export const begin = async () => {
  world = await World.start(['alice', 'bob'], base)
}

export const api = (name: Name) => world.of(name).api
export const inPool = (txid: string) => world.chain.mempool.get(txid as Txid)
/** What a call answers. */
export const ask = async <T>(call: Promise<T>): Promise<T> => (await world.attempt(call))!

export async function sendToBob(feerateSatPerVbyte: number, amountSat = 50_000): Promise<WalletTransactionView> {
  const { address } = await ask(api('bob').newAddress())
  return ask(api('alice').sendOnChain({ outputs: [{ address, amountSat: sat(amountSat) }], feerateSatPerVbyte }))
}
export const bump = (name: Name, txid: string, feerateSatPerVbyte?: number) =>
  ask(api(name).bumpTransaction(txid, feerateSatPerVbyte === undefined ? {} : { feerateSatPerVbyte }))
export const total = async (name: Name) => (await api(name).utxos()).reduce((sum, u) => sum + u.amountSat, 0n)
/** Satoshis for each virtual byte. */
export const rate = (txid: string) => {
  const { fee, tx } = inPool(txid)!
  return (Number(fee) * 4) / weightOf(tx)
}
