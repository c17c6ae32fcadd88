import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { Node } from '../../src/node/node.ts'
import { NOBODY, World } from './world.ts'

/** What this node believes of feerates, sat per 1,000 weight units. */
function estimate(node: Node, claim: number): void {
  const before = node.context.bind(node)
  node.context = (entry) => {
    const context = before(entry)
    return { ...context, feerates: { ...context.feerates, claim, closing: claim, slow: claim } }
  }
}

it('an HTLC transaction that a full mempool has thrown out gives its coin back while it is too dear to come in again', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  await world.open('alice', 'bob', 3_000_000, 400_000)
  const bob = world.of('bob')
  const before = await bob.api.utxos()
  const preimage = new Uint8Array(32).fill(1)
  const paymentHash = toHex(crypto.sha256(preimage)) as PaymentHash
  const invoice = bob.api.createInvoice({ amountMsat: msat(15_000_000n), description: '', paymentHash })
  const { bolt11 } = (await world.attempt(invoice))!
  void world.of('alice').api.pay({ bolt11 })
  await world.settle()
  world.crash('alice')
  const [entry] = bob.node!.channels.all()
  void bob.api.closeChannel(entry!.meta.localId, { force: true })
  await world.settle()
  await world.mine(1)

  estimate(bob.node!, 1_000)
  await world.attempt(bob.api.settleInvoice(paymentHash, preimage))
  await world.settle()
  const claims = () => [...world.chain.mempool.entries()].filter((e) => e.tx.outputs[0]!.amountSat === 15_000n)
  const [claim] = claims()
  expect(claim).toBeDefined()
  estimate(bob.node!, 20_000)
  world.chain.mempool.minFeerate = 60_000n
  world.chain.mempool.undoAdd(claim!, [])
  expect((await bob.api.utxos()).map((u) => u.confirmations)).toEqual([0])
  for (let block = 0; block < 2; block++) {
    world.chain.mineExactly([], NOBODY)
    await world.settle()
  }
  expect(await bob.api.utxos()).toMatchObject([{ outpoint: before[0]!.outpoint }])

  // It is claimed with the same coin when that costs less again, and kept from then on.
  estimate(bob.node!, 1_000)
  world.chain.mempool.minFeerate = 1_000n
  for (let block = 0; block < 3; block++) {
    world.chain.mineExactly([], NOBODY)
    await world.settle()
    expect(claims()).toHaveLength(1)
    expect((await bob.api.utxos()).map((u) => u.confirmations)).toEqual([0])
  }
  world.close()
})
