import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { type Snapshot, World } from './world.ts'

/** Alice – Bob – Carol. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

describe('a hold invoice that is paid', () => {
  it('can be settled for half a day, or for as long as was asked', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const blocks: number[] = []
    for (const minFinalCltvExpiryDelta of [undefined, 500]) {
      const paymentHash = createHash('sha256').update(`${minFinalCltvExpiryDelta}`).digest('hex') as PaymentHash
      const request = {
        amountMsat: msat(900_000),
        paymentHash,
        ...(minFinalCltvExpiryDelta && { minFinalCltvExpiryDelta }),
      }
      const { bolt11 } = await bob.api.createInvoice(request)
      await alice.api.pay({ bolt11 })
      await world.settle()
      blocks.push((await bob.api.invoice(paymentHash)).settleBefore! - bob.node!.chain.height)
    }
    expect(blocks[0]).toBeGreaterThanOrEqual(72)
    expect(blocks[1]).toBe(blocks[0]! + 500 - (18 + 72))
    const few = bob.api.createInvoice({ minFinalCltvExpiryDelta: 17 })
    await expect(few).rejects.toThrow('17 blocks are too few to claim a payment in: at least 18')
    world.close()
  })

  it('says the height before which it can be settled, which is that at which it goes back', async () => {
    for (const settles of [true, false]) {
      const world = await World.start(['alice', 'bob'], base)
      const [alice, bob] = [world.of('alice'), world.of('bob')]
      const preimage = new Uint8Array(32).fill(5)
      const paymentHash = createHash('sha256').update(preimage).digest('hex') as PaymentHash
      const { bolt11, ...made } = await bob.api.createInvoice({ amountMsat: msat(900_000), paymentHash })
      expect(made.settleBefore).toBeNull()
      await alice.api.pay({ bolt11 })
      await world.settle()
      const { status, settleBefore } = await bob.api.invoice(paymentHash)
      expect(status).toBe('accepted')
      await world.mine(settleBefore! - bob.node!.chain.height - (settles ? 1 : 0))
      if (settles) {
        await world.attempt(bob.api.settleInvoice(paymentHash, preimage))
        await world.settle()
      }
      const end = await bob.api.invoice(paymentHash)
      expect([end.status, end.settleBefore]).toEqual([settles ? 'settled' : 'cancelled', null])
      expect((await alice.api.payment(paymentHash)).status).toBe(settles ? 'succeeded' : 'failed')
      world.close()
    }
  })
})
