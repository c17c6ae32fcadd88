import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_MARGINS, leastDelta, unsafeMargins } from '../../src/node/margins.ts'
import { channelPolicy, relayPolicy } from '../../src/node/policy.ts'
import { World } from './world.ts'

describe('BOLT 2 §cltv_expiry_delta-selection: margins between deadlines', () => {
  it('what is taken as safe leaves a day of trouble room: close, claim and preimage fit between the two expiries', () => {
    const blocks = fc.nat(300)
    fc.assert(
      fc.property(blocks, blocks, blocks, (cltvExpiryDelta, closeBeforeExpiry, minFinalCltvExpiryDelta) => {
        const margins = { cltvExpiryDelta, closeBeforeExpiry, minFinalCltvExpiryDelta }
        if (unsafeMargins(margins) !== null) return
        // A peer that shows the preimage at the last moment: 2 blocks after the expiry we close, 12 later all is decided.
        const outgoing = 1_000
        const incoming = outgoing + cltvExpiryDelta
        expect(outgoing + 2 + 12).toBeLessThanOrEqual(incoming - closeBeforeExpiry)
        expect(closeBeforeExpiry).toBeGreaterThanOrEqual(7)
        expect(minFinalCltvExpiryDelta).toBeGreaterThan(closeBeforeExpiry)
      }),
      { numRuns: 2_000 },
    )
    expect(unsafeMargins(DEFAULT_MARGINS)).toBeNull()
  })

  it('are those of the channels', () => {
    const margins = { cltvExpiryDelta: 90, closeBeforeExpiry: 30, minFinalCltvExpiryDelta: 40 }
    expect(channelPolicy('regtest', margins).closeBeforeExpiry).toBe(30)
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
    world.close()
  })
})
