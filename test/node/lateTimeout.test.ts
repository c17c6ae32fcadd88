import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import { leastDelta } from '../../src/node/margins.ts'
import { mineEmpty } from './claims.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

interface Late {
  readonly htlcFailDepth: number
  readonly cltvExpiryDelta: number
  /** Blocks from the expiry of what Bob offered to Carol to the one that takes his claim of it. */
  readonly lateness: number
}

/**
 * Carol sits on what Bob passed on to her. He closes, and no block takes his claim for so long.
 * @returns the blocks that Alice's HTLC had left as it failed, and how her channel was then
 */
async function timedOutLate({ htlcFailDepth, cltvExpiryDelta, lateness }: Late) {
  const world = await World.start(['alice', 'bob', 'carol'], base, { htlcFailDepth })
  const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
  await world.settle()
  const [fromAlice] = bob.node!.channels.ofPeer(nodeIdOf('alice'))
  const [toCarol] = bob.node!.channels.ofPeer(nodeIdOf('carol'))
  await world.attempt(bob.api.setChannelPolicy(toCarol!.meta.localId, { cltvExpiryDelta }))
  await world.settle()
  const paymentHash = '11'.repeat(32) as never
  const about = { amountMsat: msat(100_000_000n), description: '', paymentHash }
  const { bolt11 } = await carol.api.createInvoice(about)
  await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 1 }))
  await world.settle()
  const [cameBy, expiry] = [
    [...eachHtlc(channelOf(fromAlice!.state)!.commitments.incoming)][0]!.add.cltvExpiry,
    [...eachHtlc(channelOf(toCarol!.state)!.commitments.outgoing)][0]!.add.cltvExpiry,
  ]
  expect(cameBy - expiry).toBe(cltvExpiryDelta)
  world.crash('carol')
  const height = () => world.chain.state.height
  await world.mine(expiry + 2 - height())
  await world.mine(1)
  expect(toCarol!.state).toMatchObject({ tag: 'closing', onchain: { closing: { height: expiry + 3 } } })
  await mineEmpty(world, lateness - 4)
  const status = async () => (await alice.api.payment(paymentHash)).status
  while ((await status()) === 'pending') await world.mine(1)
  const isConfirmed = height() >= expiry + lateness
  const tags = alice.node!.channels.all().map((c) => c.state.tag)
  const left = cameBy - height()
  world.close()
  return { left, isConfirmed, tags }
}

describe('BOLT 2 §cltv_expiry_delta-selection: a forward whose claim on chain confirms late', () => {
  it.each([
    ['by the margins of a new node', { htlcFailDepth: 6, cltvExpiryDelta: 40, lateness: 35 }, 3],
    ['with a depth of most of a day', { htlcFailDepth: 100, cltvExpiryDelta: 120, lateness: 35 }, 6],
    [
      'with all confirmations where there is time for them',
      { htlcFailDepth: 9, cltvExpiryDelta: 40, lateness: 20 },
      11,
    ],
  ])('goes back before the one that it came by expires: %s', async (_, late, left) => {
    expect(await timedOutLate(late)).toEqual({ left, isConfirmed: true, tags: ['normal'] })
  })

  it('closes no channel but its own, however deep and late, if it is in three blocks by then', async () => {
    const any = fc
      .record({ htlcFailDepth: fc.integer({ min: 1, max: 60 }), more: fc.nat(40), late: fc.nat(99) })
      .map(({ htlcFailDepth, more, late }): Late => {
        const cltvExpiryDelta = leastDelta({ closeBeforeExpiry: 12, htlcFailDepth }) + more
        return { htlcFailDepth, cltvExpiryDelta, lateness: 4 + (late % (cltvExpiryDelta - 6)) }
      })
    await fc.assert(
      fc.asyncProperty(any, async (late) => {
        const { left, isConfirmed, tags } = await timedOutLate(late)
        const { htlcFailDepth, cltvExpiryDelta, lateness } = late
        const after = cltvExpiryDelta - lateness
        expect(left).toBe(Math.max(after - htlcFailDepth, Math.min(6, after - Math.min(2, htlcFailDepth))))
        expect([isConfirmed, tags]).toEqual([true, ['normal']])
      }),
      { numRuns: 6 },
    )
  })
})
