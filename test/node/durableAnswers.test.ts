import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { World } from './world.ts'

it('an invoice is not said to be paid before that is on disk, however long the disk takes', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const { bolt11, id, paymentHash } = await bob.api.createInvoice({ amountMsat: msat(1_000_000) })
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const { disk } = bob
  const { batch } = disk
  disk.batch = async (ops) => {
    if (ops.some((op) => op.key === `invoice/${paymentHash}`)) await gate
    return batch.call(disk, ops)
  }
  const inMemory = () => bob.node!.payments.invoices.get(paymentHash)?.record.status
  const { id: paying } = await alice.api.pay({ bolt11 })
  for (let n = 0; n < 1_000 && inMemory() !== 'settled'; n++) {
    world.wire.deliver()
    await world.turn()
  }
  const said: string[] = []
  for (const answer of [bob.api.invoice(id), bob.api.invoices({ limit: 1 }, {}).then(({ items }) => items[0]!)])
    void answer.then(({ status }) => said.push(status))
  for (let n = 0; n < 50; n++) await world.turn()
  expect([inMemory(), said]).toEqual(['settled', []])
  release()
  await world.settle()
  expect([said, (await alice.api.payment(paying)).status]).toEqual([['settled', 'settled'], 'succeeded'])
  world.close()
})
