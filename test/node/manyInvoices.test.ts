import { expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { newInvoice } from '../../src/payment/incoming.ts'
import { World } from './world.ts'

it('thousands of invoices are looked at in several turns, and each expires', async () => {
  const world = await World.start(['alice'])
  const { node, disk } = world.of('alice')
  const { payments, reactor } = node!
  const bytes = new Uint8Array(32)
  await reactor.run(() => {
    for (let n = 0; n < 11_000; n++) {
      payments.invoices.put(
        newInvoice({
          paymentHash: n.toString(16).padStart(64, '0') as PaymentHash,
          ...{ preimage: bytes, paymentSecret: bytes, amountMsat: null, minFinalCltvExpiryDelta: 18 },
          ...{ bolt11: null, description: '', createdAt: 0, expiresAt: 1 },
        }),
      )
    }
  })
  const open = () => payments.invoices.live().length
  expect(open()).toBe(11_000)
  const left: number[] = []
  reactor.post((scope) => payments.review(scope))
  while (open() > 0) {
    await world.turn()
    if (left.at(-1) !== open()) left.push(open())
  }
  expect(left.filter((n) => n < 11_000)).toEqual([6_000, 1_000, 0])
  await world.settle()
  expect([...disk.snapshot().keys()].filter((key) => key.startsWith('event/')).length).toBeGreaterThanOrEqual(11_000)
  world.close()
}, 30_000)
