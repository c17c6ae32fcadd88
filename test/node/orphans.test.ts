import { expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { unsignedInput } from '../../src/bitcoin/transaction.ts'
import { walletBalance } from '../../src/wallet/status.ts'
import { World } from './world.ts'

it('a transaction beside an output that never comes gives its coin back after twelve blocks, and not before', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  const { wallet, reactor } = world.of('alice').node!
  const spendable = (): bigint => walletBalance(wallet.state).spendableSat
  const before = spendable()
  await reactor.run(() => {
    const outputs = [{ amountSat: sat(100_000), scriptPubKey: p2wsh(Uint8Array.of(1)) }]
    const { tx } = wallet.fund({ outputs, feeratePerKw: 1000, owner: 'us', anchorChannels: 0 })
    const foreign = unsignedInput({ txid: 'ab'.repeat(32) as Txid, index: 0 }, 0xfffffffd)
    wallet.sent({ ...tx, inputs: [foreign, ...tx.inputs] }, {})
    wallet.release('us')
  })
  expect(spendable()).toBeLessThan(before - 100_000n)
  await world.mine(12)
  expect(spendable()).toBeLessThan(before - 100_000n)
  await world.mine(2)
  expect(spendable()).toBe(before)
  world.close()
})
