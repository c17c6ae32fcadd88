import { outpointKey, type Txid } from '../../src/base/ids.ts'
import type { MempoolEntry } from '../../src/chain/embedded/mempoolEntry.ts'
import { selectTransactions } from '../../src/chain/embedded/miner.ts'
import { channelOf, onchainOf as onchainOfState } from '../../src/channel/describe.ts'
import type { Node } from '../../src/node/node.ts'
import { type Name, NOBODY, type Snapshot, World } from './world.ts'

/** Alice and bob, and one channel of 1,000,000 sat that alice has opened, 400,000 of them bob's. */
export const oneChannel = (): Promise<Snapshot> => World.pair(1_000_000, 400_000, 1)

export const entryOf = (world: World, name: Name) => world.of(name).node!.channels.all()[0]!
/** How the channel ends on chain, null while it does not. */
export const onchainOf = (world: World, name: Name) => onchainOfState(entryOf(world, name).state)
/** Closes the channel by force, as far as that goes without a block. */
export const force = async (world: World, name: Name): Promise<void> => {
  void world
    .of(name)
    .api.closeChannel(entryOf(world, name).meta.localId, { force: true })
    .catch(() => {})
  await world.settle()
}
/** What waits in the mempool and spends of this transaction there. */
export const childOf = (world: World, parent: Txid): MempoolEntry | undefined =>
  [...(world.chain.mempool.get(parent)?.children ?? [])][0]

/** A mempool whose minimum is above what commitments pay by themselves: they get in by a package alone. */
export function refuseAlone({ source, channels }: Node): void {
  const broadcast = source.broadcast.bind(source)
  const fundings = channels.all().map((e) => outpointKey(channelOf(e.state)!.commitments.active[0]!.funding))
  source.broadcast = async (tx) =>
    tx.inputs.some((i) => fundings.includes(outpointKey(i)))
      ? { accepted: false, reason: 'mempool min fee not met' }
      : broadcast(tx)
}

/** A block for which only transactions count that pay this much, in sat per 1,000 weight units, with what they build on. */
export async function mineAt(world: World, floor: number): Promise<void> {
  const { mempool } = world.chain
  const chosen = new Set<MempoolEntry>()
  for (const entry of mempool.entries()) {
    const parents = [...entry.parents].filter((p) => !chosen.has(p))
    const family = [...parents, entry]
    const [fee, weight] = [family.reduce((s, e) => s + Number(e.fee), 0), family.reduce((s, e) => s + e.weight, 0)]
    if ((fee * 1000) / weight >= floor) for (const e of family) chosen.add(e)
  }
  world.chain.mineExactly(
    selectTransactions(chosen).map((e) => e.txid),
    NOBODY,
  )
  await world.settle()
}
