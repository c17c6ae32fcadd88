import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import { payKeysend } from '../../src/payment/request.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import { type Name, nodeIdOf, type Snapshot, World } from './world.ts'

/** Alice – Bob – Carol. */
let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

/** A payment without invoice whose preimage the payer did not choose by chance. */
async function keysend(world: World, from: Name, to: Name, preimage: Uint8Array, amountMsat: Msat) {
  const { node, api } = world.of(from)
  const request = payKeysend(nodeIdOf(to), preimage, { amountMsat }, node!.now())
  if (!request.ok) throw new Error(request.error.detail)
  await node!.reactor.run((scope) => {
    node!.payments.start(request.value, scope)
    node!.channels.drain(scope)
  })
  await world.settle()
  return api.payment(request.value.paymentHash)
}

describe('bLIP 3: a payment that brings the preimage of an invoice (keysend over an invoice)', () => {
  it('does not take the place of one that is paid, nor of one that was cancelled, whose record is on disk alone', async () => {
    const world = await World.start(undefined, base)
    const bob = world.of('bob')
    const paid = await bob.api.createInvoice({ amountMsat: msat(5_000_000), description: 'a bicycle' })
    const { preimage } = await world
      .attempt(world.of('alice').api.pay({ bolt11: paid.bolt11 }))
      .then(() => world.settle())
      .then(() => world.of('alice').api.payment(paid.paymentHash))
    const known = new Uint8Array(32).fill(9)
    const paymentHash = createHash('sha256').update(known).digest('hex') as PaymentHash
    const held = await bob.api.createInvoice({ amountMsat: msat(7_000_000), description: 'a swap', paymentHash })
    await bob.api.cancelInvoice(held.id)
    const before = (await bob.api.invoices({ limit: 10 }, {})).items
    await world.restart('bob')
    world.connectAll()
    await world.settle()

    for (const secret of [fromHex(preimage!), known]) {
      const payment = await keysend(world, 'carol', 'bob', secret, msat(1_000))
      expect(payment).toMatchObject({ status: 'failed', failure: { code: 'REJECTED_BY_PAYEE' } })
    }
    expect((await bob.api.invoices({ limit: 10 }, {})).items).toEqual(before)
    world.close()
  })

  it('is taken once where there is none, across a restart too', async () => {
    const world = await World.start(undefined, base)
    const preimage = new Uint8Array(32).fill(3)
    expect(await keysend(world, 'carol', 'bob', preimage, msat(2_000))).toMatchObject({
      status: 'succeeded',
      preimage: toHex(preimage),
    })
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    expect(await keysend(world, 'alice', 'bob', preimage, msat(9_000))).toMatchObject({ status: 'failed' })
    const { items } = await world.of('bob').api.invoices({ limit: 10 }, {})
    expect(items.map((i) => [i.status, i.receivedMsat])).toEqual([['settled', 2_000n]])
    world.close()
  })
})

describe('BOLT 7 §the-node_announcement-message: a payee that asks for features which we do not have', () => {
  it('is paid by an invoice, which says what it needs, and not without one', async () => {
    const world = await World.start(undefined, base)
    await world.settle()
    const { api, node } = world.of('alice')
    const carol = node!.graph.node(nodeIdOf('carol'))!
    const features = featuresFromBits([9, 200])
    const alias = new Uint8Array(32)
    node!.graph.applyNode({ ...carol, alias, features, timestamp: carol.timestamp + 1 } as never)
    const direct = { nodeId: nodeIdOf('carol'), amountMsat: msat(2_000) }
    await expect(world.attempt(api.pay(direct))).rejects.toMatchObject({ code: 'NO_ROUTE' })
    expect((await api.payments({ limit: 1 }, {})).items).toEqual([])
    const { bolt11 } = await world.of('carol').api.createInvoice({ amountMsat: msat(2_000) })
    const { id } = await api.pay({ bolt11 })
    await world.settle()
    expect((await api.payment(id)).status).toBe('succeeded')
    world.close()
  })
})
