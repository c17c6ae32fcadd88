import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { World } from '../node/world.ts'

describe('invoice paid twice: the record of the first payment is on disk alone', () => {
  it('neither a restart nor calls at the same time send the money again', async () => {
    const world = await World.start(['alice', 'bob'], await World.pair(1_000_000, 400_000, 1))
    const { bolt11, paymentHash } = await world.of('bob').api.createInvoice({ amountMsat: msat(50_000_000) })
    const pay = () => world.attempt(world.of('alice').api.pay({ bolt11 })).catch((e: { code?: string }) => e.code)
    await Promise.all([pay(), pay()])
    await world.settle()
    expect((await world.of('alice').api.payment(paymentHash)).status).toBe('succeeded')
    const offered = () => world.channelsOf('alice').map((c) => c!.commitments.nextOutgoingId)
    expect(offered()).toEqual([1n])
    await world.restart('alice')
    world.connectAll()
    await world.settle()
    await Promise.all([pay(), pay()])
    await world.settle()
    expect(offered()).toEqual([1n])
    expect((await world.of('alice').api.payments({ limit: 9 }, {})).items.length).toBe(1)
    expect((await world.of('bob').api.invoice(paymentHash)).receivedMsat).toBe(50_000_000n)
    world.close()
  })
})
