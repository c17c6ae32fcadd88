import { expect, it } from 'vitest'
import { walletBalance } from '../../src/wallet/status.ts'
import { estimate } from './claims.ts'
import { torn } from './disk.ts'
import { entryOf, force, onchainOf, oneChannel } from './forcedClose.ts'
import { type Snapshot, World } from './world.ts'

/** The power goes at Alice's n-th write of a close by force, of which the wallet's records alone are found afterwards. */
async function closeTorn(base: Snapshot, n: number): Promise<{ readonly world: World; readonly died: boolean }> {
  const world = await World.start(['alice', 'bob'], base)
  const { disk, node } = world.of('alice')
  estimate(node!, 3_000)
  const last = disk.writes + n
  const tear = { keeps: (group: string) => group === 'wallet', localIdOf: (id: string) => id }
  disk.judge = (ops, at) => (at < last ? null : { tag: 'die', kept: torn(ops, tear) })
  await force(world, 'alice')
  disk.judge = () => null
  const died = disk.dead
  await world.boot('alice')
  await world.settle()
  return { world, died }
}

it('keeps no coins for the child of a commitment whose channel a crash has left open', async () => {
  const base = await oneChannel()
  let cut = 0
  for (let n = 1, died = true; died; n++) {
    const run = await closeTorn(base, n)
    died = run.died
    const { world } = run
    if (entryOf(world, 'alice').state.tag !== 'closing') {
      cut++
      const { wallet } = world.of('alice').node!
      const { spendableSat, unconfirmedSat } = walletBalance(wallet.state)
      expect([n, spendableSat > 0n, unconfirmedSat]).toEqual([n, true, 0n])
      world.connectAll()
      await world.settle()
      expect(entryOf(world, 'alice').state.tag).toBe('normal')
      estimate(world.of('alice').node!, 3_000)
      await force(world, 'alice')
    }
    await world.mine(1)
    const { txid, height } = onchainOf(world, 'alice')!.closing
    expect(height).toBe(world.chain.state.height)
    expect(
      [...world.of('alice').node!.wallet.state.txs.values()].find((t) => t.tx.inputs[0]!.txid === txid),
    ).toMatchObject({ height })
    world.close()
  }
  expect(cut).toBeGreaterThan(0)
})
