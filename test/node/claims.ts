import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { MempoolEntry } from '../../src/chain/embedded/mempoolEntry.ts'
import type { ChannelContext } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { Node } from '../../src/node/node.ts'
import { NOBODY, World } from './world.ts'

/** The feerates that this node believes in, sat per 1,000 weight units. */
export function believe(node: Node, rates: Partial<ChannelContext['feerates']>): void {
  const before = node.feerates.bind(node)
  node.feerates = () => ({ ...before(), ...rates })
}

/** The same for whatever time there is. */
export const estimate = (node: Node, rate: number): void => believe(node, { claim: rate, closing: rate, slow: rate })

/** An HTLC from alice that bob holds. @param n chooses the preimage */
export async function hold(world: World, n: number, amountSat: bigint) {
  const { api } = world.of('bob')
  const preimage = new Uint8Array(32).fill(n)
  const paymentHash = toHex(crypto.sha256(preimage)) as PaymentHash
  const invoice = api.createInvoice({ amountMsat: msat(amountSat * 1000n), description: '', paymentHash })
  const { bolt11 } = (await world.attempt(invoice))!
  void world.of('alice').api.pay({ bolt11 })
  await world.settle()
  return {
    settle: () => world.attempt(api.settleInvoice(paymentHash, preimage)),
    /** Its HTLC transactions in the mempool. */
    claims: (): readonly MempoolEntry[] =>
      [...world.chain.mempool.entries()].filter((e) => e.tx.outputs[0]!.amountSat === amountSat),
  }
}

/** Bob's only coin, and a channel of 3,000,000 sat with alice. */
export async function withOneCoin(): Promise<World> {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  await world.open('alice', 'bob', 3_000_000, 400_000)
  return world
}

/** Alice is gone, and bob's commitment in the chain. */
export async function closedByBob(world: World): Promise<Node> {
  const { node, api } = world.of('bob')
  world.crash('alice')
  void api.closeChannel(node!.channels.all()[0]!.meta.localId, { force: true })
  await world.settle()
  await world.mine(1)
  return node!
}

/** Blocks that take in nothing. */
export async function mineEmpty(world: World, blocks: number): Promise<void> {
  for (let i = 0; i < blocks; i++) {
    world.chain.mineExactly([], NOBODY)
    await world.settle()
  }
}
