import { expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { nodeIdOf, World } from './world.ts'

it('of a payment whose record is damaged nobody is told that there is none, nor is it paid once more', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(1_000_000) })
  const { id, paymentHash } = (await world.attempt(alice.api.pay({ bolt11 })))!
  await world.settle()
  expect((await alice.api.payment(id)).status).toBe('succeeded')
  world.crash('alice')
  await alice.disk.harm(`payment/${paymentHash}`, Uint8Array.of(0x93, 1))
  await world.boot('alice')
  world.connectAll()
  await world.settle()
  const damaged = { code: 'CONFLICT', message: expect.stringContaining('is damaged: what became of it is not known') }
  for (const name of [id, paymentHash]) {
    await expect(alice.api.payment(name)).rejects.toMatchObject(damaged)
    await expect(alice.api.cancelPayment(name)).rejects.toMatchObject(damaged)
  }
  await expect(alice.api.pay({ bolt11 })).rejects.toMatchObject(damaged)
  await expect(alice.api.payment('none')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect((await alice.api.payments({ limit: 10 }, {})).items).toEqual([])
  world.close()
})

it('nor where it is the record of its id: a keysend that is asked for again would be paid again', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  const alice = world.of('alice')
  await world.attempt(alice.api.pay({ nodeId: nodeIdOf('bob'), amountMsat: msat(1_000_000), id: 'sent' }))
  await world.settle()
  expect(await alice.api.payment('sent')).toMatchObject({ status: 'succeeded' })
  world.crash('alice')
  await alice.disk.harm('payment-id/sent', Uint8Array.of(0x93, 1))
  await world.boot('alice')
  const damaged = { code: 'CONFLICT', message: expect.stringContaining('is damaged: what became of it is not known') }
  await expect(alice.api.payment('sent')).rejects.toMatchObject(damaged)
  world.close()
})

it('no invoice takes the place of one whose record is damaged', async () => {
  const world = await World.start(['bob'])
  const bob = world.of('bob')
  const paymentHash = '07'.repeat(32) as PaymentHash
  await bob.api.createInvoice({ amountMsat: msat(1_000_000), paymentHash })
  world.crash('bob')
  await bob.disk.harm(`invoice/${paymentHash}`, Uint8Array.of(0x93, 1))
  await world.boot('bob')
  const again = bob.api.createInvoice({ amountMsat: msat(2_000_000), paymentHash })
  await expect(again).rejects.toMatchObject({ code: 'CONFLICT' })
  world.close()
})

it('of what was sent on chain nobody is told that there is nothing where its record is damaged: it would be sent again', async () => {
  const world = await World.start(['alice'])
  await world.fund()
  const alice = world.of('alice')
  const { address } = await alice.api.newAddress()
  const outputs = [{ address, amountSat: sat(10_000) }]
  const { txid } = (await world.attempt(alice.api.sendOnChain({ outputs, id: 'sent' })))!
  expect(await alice.api.walletTransaction('sent')).toMatchObject({ txid })
  for (const key of [`wallet/tx/${txid}`, 'wallet-send/sent']) {
    world.crash('alice')
    await alice.disk.harm(key, Uint8Array.of(0x93, 1))
    await world.boot('alice')
    const damaged = { code: 'CONFLICT', message: expect.stringContaining('is damaged') }
    await expect(alice.api.walletTransaction('sent')).rejects.toMatchObject(damaged)
  }
  await expect(alice.api.walletTransaction('none')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  world.close()
})
