import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { wantedFeerate } from '../../src/channel/feerate.ts'
import { commitFee } from '../../src/channel/tx/weights.ts'
import { add, faultsOf, reachNormal } from '../channel/harness.ts'
import { estimate, hold, withOneCoin } from '../node/claims.ts'
import { nodeIdOf, World } from '../node/world.ts'

const HTLCS = 60

// BOLT 3 §fee-calculation
describe('fee ransom (2020): a peer leaves HTLCs in a channel whose opener pays for them', () => {
  it.each([253, 5_000, 90_000])(
    'costs no more than 20 sat per vbyte with anchors, at estimates of %i sat per kw',
    (estimate) => {
      const feeratePerKw = wantedFeerate('anchors', estimate)
      expect(commitFee(feeratePerKw, 483, 'anchors')).toBeLessThanOrEqual(421_000n)
      const w = reachNormal({ capacitySat: sat(10_000_000), pushMsat: msat(5_000_000_000), feeratePerKw })
      for (const side of w.sides) side.ctx = { ...side.ctx, feerates: { ...side.ctx.feerates, commitment: estimate } }
      for (let n = 0; n < HTLCS; n++) w.bob.command(add(n, 1_000_000), n === HTLCS - 1)
      w.settle()
      expect(w.sides.flatMap(faultsOf)).toEqual([])
      w.alice.broadcasts = []
      w.alice.command({ tag: 'forceClose', requestId: 9 })
      const [commitment] = w.alice.broadcasts
      // Beside the HTLCs both balances and both anchors.
      expect(commitment!.outputs.length).toBe(HTLCS + 4)
      const feeSat = commitment!.outputs.reduce((left, o) => left - o.amountSat, 10_000_000n)
      expect(feeSat).toBe(commitFee(feeratePerKw, HTLCS, 'anchors'))
    },
  )
})

// BOLT 5 §failing-a-channel
describe('exhausted fee reserve (2022 to 2026): too few coins for all that a close with anchors needs', () => {
  const fees = (claims: readonly { readonly fee: bigint }[]) => claims.map((c) => c.fee)
  const closeByForce = async (world: World) => {
    const { node, api } = world.of('bob')
    void api.closeChannel(node!.channels.all()[0]!.meta.localId, { force: true })
    await world.settle()
    return node!
  }

  it('no payment takes the last of them, which go to what is due first', async () => {
    const world = await withOneCoin()
    const { api } = world.of('bob')
    const soon = await hold(world, 1, 100_000n)
    await world.mine(3)
    const later = await hold(world, 2, 101_000n)
    const { address } = await world.of('alice').api.newAddress()
    const outputs = [{ address, amountSat: 'all' }] as const
    await world.attempt(api.sendOnChain({ outputs, feerateSatPerVbyte: 1 }))
    await world.mine(1)
    expect((await api.utxos()).map((u) => u.amountSat)).toEqual([10_000n])

    world.crash('alice')
    for (const htlc of [later, soon]) await htlc.settle()
    estimate(await closeByForce(world), 8_500)
    await world.mine(1)
    const [first] = fees(soon.claims())
    const [second] = fees(later.claims())
    expect(first).toBeGreaterThan(4_000n)
    expect(second).toBeGreaterThan(0n)
    expect(first).toBeGreaterThan(second! + second! / 2n)
    world.close()
  })

  it('a node without coins says that it needs some, and claims with what comes in then', async () => {
    const world = await World.start(['alice', 'bob'])
    world.crash('bob')
    await world.fund(2)
    await world.boot('bob')
    world.connectAll()
    await world.mine(1)
    await world.open('alice', 'bob', 1_000_000, 400_000)
    const htlc = await hold(world, 1, 100_000n)
    const { api, complaints } = world.of('bob')
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    await htlc.settle()
    const node = await closeByForce(world)
    await world.mine(1)
    expect(htlc.claims()).toEqual([])
    expect(complaints).toContainEqual(expect.objectContaining({ code: 'NO_COINS_FOR_FEES' }))

    const { address } = (await world.attempt(api.newAddress()))!
    const outputs = [{ address, amountSat: sat(20_000) }]
    await world.attempt(world.of('alice').api.sendOnChain({ outputs, feerateSatPerVbyte: 5 }))
    await world.mine(1)
    expect(htlc.claims()).toHaveLength(1)
    await world.mine(1)
    const { state } = node.channels.all()[0]!
    const claimed = state.tag === 'closing' && state.onchain.outputs.filter((o) => o.htlc && o.spent)
    expect(claimed).toHaveLength(1)
    world.close()
  })
})
