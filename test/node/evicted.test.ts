import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash, Txid } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
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

it.each([
  { minimum: 20_000n, what: 'comes in again with' },
  { minimum: 60_000n, what: 'gives the only coin to' },
])(
  'a claim that a mempool full at $minimum sat per 1,000 vbytes has thrown out, and that is too dear for now, $what one that is not',
  async ({ minimum }) => {
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
    const small = await hold(1, 15_000n)
    const large = await hold(2, 1_000_000n)
    world.crash('alice')
    void bob.api.closeChannel(bob.node!.channels.all()[0]!.meta.localId, { force: true })
    await world.settle()
    await world.mine(1)

    const claimsOf = ({ amountSat }: { amountSat: bigint }) =>
      [...world.chain.mempool.entries()].filter((e) => e.tx.outputs[0]!.amountSat === amountSat)
    estimate(bob.node!, 1_000)
    await small.settle()
    await world.settle()
    const [thrownOut] = claimsOf(small)
    expect(thrownOut).toBeDefined()

    estimate(bob.node!, 20_000)
    world.chain.mempool.minFeerate = minimum
    world.chain.mempool.undoAdd(thrownOut!, [])
    await large.settle()
    await world.settle()
    for (let block = 0; block < 2; block++) {
      world.chain.mineExactly([], NOBODY)
      await world.settle()
    }
    expect(claimsOf(large)).toHaveLength(1)
    expect(claimsOf(small)).toHaveLength(minimum === 20_000n ? 1 : 0)
    world.close()
  },
)

it('a commitment is paid for with the change of a payment that a full mempool has thrown out: that comes in again with it', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  await world.open('alice', 'bob', 1_000_000, 400_000)
  const { api } = world.of('alice')
  const { address } = (await world.attempt(world.of('bob').api.newAddress()))!
  const outputs = [{ address, amountSat: sat(50_000) }]
  const { txid } = (await world.attempt(api.sendOnChain({ outputs, feerateSatPerVbyte: 1.1 })))!
  const entry = world.chain.mempool.get(txid as Txid)!
  expect((await api.utxos()).length).toBe(1)

  world.chain.mempool.minFeerate = 17_036n
  world.chain.mempool.undoAdd(entry, [])
  estimate(world.of('alice').node!, 8_000)
  const { localId } = world.of('alice').node!.channels.all()[0]!.meta
  void world
    .of('alice')
    .api.closeChannel(localId, { force: true })
    .catch(() => {})
  await world.settle()
  expect([...world.chain.mempool.entries()].map((e) => e.parents.size).sort()).toEqual([0, 0, 2])
  expect(world.chain.mempool.get(txid as Txid)).toBeDefined()
  world.close()
})
