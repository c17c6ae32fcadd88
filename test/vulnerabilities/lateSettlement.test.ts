import { beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { type Snapshot, World } from '../node/world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

describe('dust withheld past its expiry and taken late (a peer before and a peer behind the victim)', () => {
  it('costs a forwarding node no more than a bounded sum, however many HTLCs are withheld', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    await world.settle()
    const mine = () => bob.node!.localChannels().length
    expect(mine()).toBe(2)
    const balances = () =>
      bob
        .node!.channels.all()
        .reduce(
          (sum, e) =>
            'channel' in e.state && e.state.channel ? sum + e.state.channel.commitments.local.shiftMsat : sum,
          0n,
        )
    const before = balances()
    const held: string[] = []
    for (let n = 0; n < 10; n++) {
      const preimage = new Uint8Array(32).fill(n + 1)
      const { createHash } = await import('node:crypto')
      const paymentHash = createHash('sha256').update(preimage).digest('hex')
      const { bolt11, id } = await carol.api.createInvoice({
        amountMsat: msat(350_000),
        description: '',
        paymentHash: paymentHash as never,
      })
      held.push(id)
      await alice.api.pay({ bolt11, timeoutSeconds: 1 })
      await world.settle()
    }
    // Carol is deaf to the chain and keeps everything until it has long expired.
    const carolsNode = carol.node!
    carolsNode.payments.review = () => {}
    await world.mine(170)
    for (const [n, id] of held.entries()) {
      await world.attempt(carol.api.settleInvoice(id, new Uint8Array(32).fill(n + 1))).catch(() => {})
    }
    await world.settle()
    expect(before - balances()).toBeLessThanOrEqual(1_000_000n)
    expect(bob.node!.channels.all().map((c) => c.state.tag)).toEqual(['normal', 'normal'])
    world.close()
  })
})
