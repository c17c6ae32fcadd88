import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { Snapshot } from '../node/world.ts'
import { Ground, makeBase } from './realGround.ts'
import { BITCOIND } from './realNode.ts'

/** Nothing is mined meanwhile, so that no block brings it about. */
const SECONDS = 30
let base: Snapshot
let ground: Ground

if (!BITCOIND) {
  console.warn('LEFT OUT: no real node was restarted with an empty mempool, because FULMEN_BITCOIND names no bitcoind')
}

describe.skipIf(!BITCOIND)(
  'a Bitcoin node that starts again without its mempool (left out unless FULMEN_BITCOIND names one)',
  () => {
    beforeAll(async () => {
      base = await makeBase()
    })
    afterEach(() => ground?.end())

    const mempool = async (): Promise<readonly Txid[]> => ((await ground.real.ask('getrawmempool')) as Txid[]).sort()
    const until = async (done: () => Promise<boolean> | boolean): Promise<void> => {
      for (const begun = performance.now(); !(await done()) && performance.now() < begun + SECONDS * 1_000; ) {
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    const expectBack = async (count: number): Promise<void> => {
      const before = await mempool()
      expect(before.length).toBe(count)
      const height = ground.world.chain.state.height
      await ground.restartBitcoind()
      await until(async () => (await mempool()).length === count)
      expect(await mempool()).toEqual(before)
      expect(await ground.real.ask('getblockcount')).toBe(height)
      await until(() => ground.world.alive.every(({ node }) => node!.chain.status.synced))
      await ground.world.settle()
    }

    it('is given again, within seconds and without a block, all that nodes wait for', async () => {
      ground = await Ground.begin(base, {}, ['-persistmempool=0'])
      const { world } = ground
      const [alice, bob] = [world.of('alice'), world.of('bob')]
      const entries = () => alice.node!.channels.all()
      const { address } = await bob.api.newAddress()
      await alice.api.sendOnChain({ outputs: [{ address, amountSat: sat(50_000n) }] })
      const opening = { peer: bob.nodeId, capacitySat: sat(1_000_000n), pushMsat: 400_000_000n as never }
      for (let n = 0; n < 2; n++) {
        const answer = alice.api.openChannel(opening)
        await world.settle()
        await answer
      }
      // The second spends the change of the first, which spends that of the payment.
      await expectBack(3)
      await world.mine(6)

      const [together, byForce] = entries()
      await world.attempt(alice.api.closeChannel(together!.meta.localId, {}))
      await world.settle()
      await ground.holdFour()
      // Payees have the preimages, and their peers do not hear of it.
      world.wire.cut(alice.nodeId, bob.nodeId)
      for (let n = 0; n < 4; n++) await ground.settleHeld(n)
      ground.believe('bob', { slow: 5_000, claim: 5_000, closing: 5_000 })
      const { channelId } = channelOf(byForce!.state)!.params
      const { localId } = bob.node!.channels.byChannelId(channelId)!.meta
      await world.attempt(bob.api.closeChannel(localId, { force: true }))
      await world.settle()
      // The close that both signed, a commitment and the child that pays for it.
      await expectBack(3)
      await world.mine(1)
      await ground.mineNothing()
      // Bob's two HTLC transactions with a coin of his wallet each; Alice's claims on two HTLCs, and on her balance.
      await expectBack(5)
      await world.mine(1)
      expect(await mempool()).toEqual([])
    })
  },
)
