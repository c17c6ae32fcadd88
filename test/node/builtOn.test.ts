import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { NOBODY, World } from './world.ts'

it('a claim that is paid for with the change of another is made again at once when that one is replaced', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  await world.open('alice', 'bob', 3_000_000, 400_000)
  const bob = world.of('bob')
  const hold = async (n: number, amountSat: bigint) => {
    const preimage = new Uint8Array(32).fill(n)
    const paymentHash = toHex(crypto.sha256(preimage)) as PaymentHash
    const invoice = bob.api.createInvoice({ amountMsat: msat(amountSat * 1000n), description: '', paymentHash })
    const { bolt11 } = (await world.attempt(invoice))!
    void world.of('alice').api.pay({ bolt11 })
    await world.settle()
    return { settle: () => world.attempt(bob.api.settleInvoice(paymentHash, preimage)), amountSat }
  }
  const soon = await hold(1, 100_000n)
  await world.mine(3)
  const later = await hold(2, 1_000_000n)
  world.crash('alice')
  void bob.api.closeChannel(bob.node!.channels.all()[0]!.meta.localId, { force: true })
  await world.settle()
  await world.mine(1)

  const claimsOf = ({ amountSat }: { amountSat: bigint }) =>
    [...world.chain.mempool.entries()].filter((e) => e.tx.outputs[0]!.amountSat === amountSat)
  const before = bob.node!.context.bind(bob.node!)
  const estimate = (claim: number): void => {
    bob.node!.context = (entry) => {
      const context = before(entry)
      return { ...context, feerates: { ...context.feerates, claim, closing: claim, slow: claim } }
    }
  }
  estimate(1_000)
  for (const htlc of [later, soon]) {
    await htlc.settle()
    await world.settle()
  }
  const [root] = claimsOf(later)
  expect([...claimsOf(soon)[0]!.parents]).toEqual([root])

  let raised = 0
  for (let rate = 1_300; rate < 12_000; rate = Math.round(rate * 1.3)) {
    const [was] = claimsOf(later)
    estimate(rate)
    world.chain.mineExactly([], NOBODY)
    await world.settle()
    expect(claimsOf(soon), `at ${rate} sat per 1,000 weight units`).toHaveLength(1)
    if (claimsOf(later)[0] !== was) raised++
  }
  // It has to pay for the other, too, each time.
  expect(raised).toBeGreaterThanOrEqual(3)
  world.close()
})
