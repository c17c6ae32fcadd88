import { expect, it, vi } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { entryOf, onchainOf, oneChannel } from './forcedClose.ts'
import { World } from './world.ts'

it('goes through the records of settled HTLCs once for a revoked commitment', async () => {
  const world = await World.start(['alice', 'bob'], await oneChannel())
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const entry = entryOf(world, 'bob')
  const before = channelOf(entry.state)!
  const revoked = signedLocal(before, before.commitments.active[0]!, bob.node!.context(entry))
  for (let n = 0; n < 2; n++) {
    const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(1_000_000n), description: '' })
    await world.attempt(alice.api.pay({ bolt11 }))
    await world.settle()
  }
  const entries = vi.spyOn(alice.node!.driver, 'entries')
  world.crash('bob')
  expect(world.chain.submit(revoked)).toMatchObject({ ok: true })
  await world.mine(1)
  expect(onchainOf(world, 'alice')!.closing.kind).toBe('revoked')
  expect(entries.mock.calls.filter(([r]) => JSON.stringify(r).includes('revoked/'))).toHaveLength(1)
  world.close()
})
