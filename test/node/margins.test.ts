import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { DEFAULT_MARGINS, leastDelta, unsafeMargins } from '../../src/node/margins.ts'
import { channelPolicy, relayPolicy } from '../../src/node/policy.ts'
import { World } from './world.ts'

describe('BOLT 2 §cltv_expiry_delta-selection: margins between deadlines', () => {
  it('what is taken as safe leaves a day of trouble room: close, claim and preimage fit between the two expiries', () => {
    const blocks = fc.nat(300)
    fc.assert(
      fc.property(
        blocks,
        blocks,
        blocks,
        fc.nat(20),
        (cltvExpiryDelta, closeBeforeExpiry, minFinalCltvExpiryDelta, htlcFailDepth) => {
          const margins = { cltvExpiryDelta, closeBeforeExpiry, minFinalCltvExpiryDelta, htlcFailDepth }
          if (unsafeMargins(margins) !== null) return
          // A peer that shows the preimage at the last moment: 2 blocks after the expiry we close, and after 6 to confirm it has its depth.
          const outgoing = 1_000
          const incoming = outgoing + cltvExpiryDelta
          expect(outgoing + 2 + 6 + htlcFailDepth).toBeLessThanOrEqual(incoming - closeBeforeExpiry)
          expect(closeBeforeExpiry).toBeGreaterThanOrEqual(7)
          expect(minFinalCltvExpiryDelta).toBeGreaterThan(closeBeforeExpiry)
        },
      ),
      { numRuns: 2_000 },
    )
    expect(unsafeMargins(DEFAULT_MARGINS)).toBeNull()
  })

  it('are those of the channels', () => {
    const margins = { cltvExpiryDelta: 90, closeBeforeExpiry: 30, minFinalCltvExpiryDelta: 40, htlcFailDepth: 9 }
    expect(channelPolicy('regtest', margins)).toMatchObject({ closeBeforeExpiry: 30, htlcFailDepth: 9 })
    expect(relayPolicy(1n, margins).cltvExpiryDelta).toBe(90)
  })

  it('a policy that the API is given keeps to them', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund(1)
    const { id } = await world.open('alice', 'bob', 1_000_000)
    const { api, node } = world.of('alice')
    const least = leastDelta(node!.policy)
    const set = (cltvExpiryDelta: number) => world.attempt(api.setChannelPolicy(id, { cltvExpiryDelta }))
    await expect(set(least - 1)).rejects.toMatchObject({ code: 'VALIDATION_FAILED', message: /at least 26$/ })
    expect((await set(least))?.policy.cltvExpiryDelta).toBe(least)
    const both = api.setChannelPolicy(id, { cltvExpiryDelta: 1, htlcMaximumMsat: msat(0n) })
    const fields = [{ pointer: '/cltvExpiryDelta' }, { pointer: '/htlcMaximumMsat' }]
    await expect(world.attempt(both)).rejects.toMatchObject({ code: 'VALIDATION_FAILED', fields })
    const toItself = api.openChannel({ peer: world.of('alice').nodeId, capacitySat: sat(1_000_000n) })
    await expect(world.attempt(toItself)).rejects.toMatchObject({ fields: [{ pointer: '/peer' }], message: /itself/ })
    world.close()
  })
})
