import { beforeAll, describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { type MempoolEntry, withDescendants } from '../../src/chain/embedded/mempoolEntry.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { walletBalance } from '../../src/wallet/status.ts'
import { believe } from './claims.ts'
import { childOf, entryOf, force, mineAt, onchainOf, oneChannel, refuseAlone } from './forcedClose.ts'
import { Life } from './life.ts'
import { type Name, nodeIdOf, type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await oneChannel()
})

const begin = async (): Promise<Life> => new Life(await World.start(['alice', 'bob'], base))
const balance = (world: World, name: Name): bigint => {
  const b = walletBalance(world.of(name).node!.wallet.state)
  return b.confirmedSat + b.unconfirmedSat + b.immatureSat
}

describe('a commitment with anchors', () => {
  it('goes out alone and at its own pace when it pays enough and nothing is at stake', async () => {
    const { world } = await begin()
    await force(world, 'alice')
    const { closing } = onchainOf(world, 'alice')!
    expect(world.chain.mempool.get(closing.txid)).toBeDefined()
    expect(world.chain.mempool.size).toBe(1)
    world.close()
  })

  it('that the mempool does not take alone confirms by a package with a child, whose fee is raised as estimates rise; its coins are free again after', async () => {
    const { world } = await begin()
    const { node } = world.of('alice')
    believe(node!, { slow: 3_000, claim: 3_000, closing: 3_000 })
    refuseAlone(node!)
    const before = balance(world, 'alice')
    await force(world, 'alice')
    const { closing } = onchainOf(world, 'alice')!
    const first = childOf(world, closing.txid)!
    const rate = (child: MempoolEntry): number => {
      const parent = world.chain.mempool.get(closing.txid)!
      return (Number(parent.fee + child.fee) * 1000) / (parent.weight + child.weight)
    }
    expect(rate(first)).toBeGreaterThanOrEqual(3_000)
    expect(rate(first)).toBeLessThan(3_100)

    believe(node!, { slow: 6_000, claim: 6_000, closing: 6_000 })
    await mineAt(world, 5_000)
    const second = childOf(world, closing.txid)!
    expect(second.txid).not.toBe(first.txid)
    expect(rate(second)).toBeGreaterThanOrEqual(6_000)

    await world.restart('alice')
    believe(world.of('alice').node!, { slow: 6_000, claim: 6_000, closing: 6_000 })
    await mineAt(world, 50_000)
    expect(childOf(world, closing.txid)!.txid).toBe(second.txid)

    await mineAt(world, 5_000)
    expect(onchainOf(world, 'alice')!.closing.height).toBe(world.chain.state.height)
    expect(balance(world, 'alice')).toBe(before - second.fee + 330n)
    world.close()
  })

  it('and its child pay enough for a mempool that is full, and so does what follows', async () => {
    for (const minimum of [17_036n, 25_001n]) {
      const { world } = await begin()
      world.chain.mempool.minFeerate = minimum
      world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
      // It asks for estimates when it starts.
      await world.restart('alice')
      await world.settle()
      await force(world, 'alice')
      const { closing } = onchainOf(world, 'alice')!
      expect(world.chain.submit(closing.tx)).toMatchObject({ error: { reason: 'txn-already-in-mempool' } })
      await world.mine(11)
      expect(world.chain.mempool.size).toBe(1)
      await world.mine(6)
      expect(world.of('alice').node!.channels.all()[0]!.state.tag).toBe('closed')
      world.close()
    }
  })

  it('comes into a full mempool though its child spends what the close before it left over', async () => {
    const { world } = await begin()
    await world.open('alice', 'bob', 1_000_000, 400_000)
    expect((await world.of('alice').api.utxos()).length).toBe(1)
    world.chain.mempool.minFeerate = 17_036n
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    await world.restart('alice')
    await world.settle()
    const closes = world.of('alice').node!.channels.all()
    for (const { meta } of closes) {
      void world
        .of('alice')
        .api.closeChannel(meta.localId, { force: true })
        .catch(() => {})
    }
    await world.settle()
    expect(world.chain.mempool.size).toBe(4)
    expect(world.of('alice').complaints).toEqual([])
    world.close()
  })

  it('gives up its child when the peer’s commitment wins, and helps that one along while it waits', async () => {
    const { world } = await begin()
    const [alice, bob] = [world.of('alice').node!, world.of('bob').node!]
    const before = balance(world, 'alice')
    believe(bob, { slow: 5_000, claim: 5_000, closing: 5_000 })
    believe(alice, { slow: 5_200, claim: 5_200, closing: 5_200 })
    await force(world, 'bob')
    const theirs = onchainOf(world, 'bob')!.closing.txid
    // Bob's error made alice close as well: her own commitment does not pay enough to replace bob's package.
    await force(world, 'alice')
    const ours = onchainOf(world, 'alice')!.closing.txid
    expect(ours).not.toBe(theirs)
    expect(world.chain.mempool.get(theirs)).toBeDefined()
    const children = [...withDescendants([world.chain.mempool.get(theirs)!])]
    expect(children.length).toBe(3)
    await mineAt(world, 5_000)
    expect(onchainOf(world, 'alice')!.closing.txid).toBe(theirs)
    await world.mine(1)
    const paid = children.find((c) => c.tx.inputs.length > 1 && alice.wallet.state.txs.has(c.txid))!
    expect(alice.wallet.state.txs.get(paid.txid)!.height).not.toBeNull()
    const swept = onchainOf(world, 'alice')!.outputs.find((o) => o.spent)!
    const sweep = world.chain.findTransaction(swept.spent!.txid)!.tx
    expect(balance(world, 'alice')).toBe(before - paid.fee + 330n + sweep.outputs[0]!.amountSat)
    world.close()
  })
})

describe('an HTLC that the peer does not settle (pinning, flood and loot)', () => {
  it('is claimed in time through full blocks: commitment and HTLC transaction climb, each within half of its value', async () => {
    const life = await begin()
    const { world } = life
    const amountMsat = 200_000_000
    await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat, kind: 'hold' })
    await world.settle()
    world.crash('alice')
    const before = balance(world, 'bob')
    await life.step({ tag: 'decide', pick: 0, settle: true })
    await world.settle()
    const channel = channelOf(entryOf(world, 'bob').state)!
    const { cltvExpiry } = channel.commitments.incoming.chunks[0]![0]!.add
    // Estimates know nothing of it, but the blocks are full of what pays nine times as much.
    let closedAt = 0
    while (world.chain.state.height < cltvExpiry) {
      await mineAt(world, closedAt === 0 ? 250 : 9_000)
      if (closedAt === 0 && onchainOf(world, 'bob')) closedAt = world.chain.state.height
    }
    expect(closedAt).toBe(cltvExpiry - 12)
    const { closing, outputs } = onchainOf(world, 'bob')!
    const htlc = outputs.find((o) => o.htlc)!
    expect(closing.height).not.toBeNull()
    expect(htlc.spent?.height).toBeLessThanOrEqual(cltvExpiry)
    // Every coin of what was replaced on the way is there again: what is missing are the fees of the two that confirmed.
    const paid = [...world.of('bob').node!.wallet.state.txs.values()].filter(
      (t) => t.height !== null && t.feeSat !== null,
    )
    const [child, stage] = paid.slice(-2)
    expect(child!.tx.inputs[0]!.txid).toBe(closing.txid)
    expect(stage!.txid).toBe(htlc.spent!.txid)
    for (const t of [child!, stage!]) expect(t.feeSat).toBeLessThanOrEqual(BigInt(amountMsat) / 2_000n + 330n)
    expect(balance(world, 'bob')).toBe(before + 330n - child!.feeSat! - stage!.feeSat!)
    world.close()
  })
})

describe('a close that both sides signed, published by the peer before we had its signature', () => {
  /** Alice knows nothing of bob's last word: she closes by force, and would pay enough to replace what is there. */
  async function outrun(): Promise<{ readonly life: Life; readonly agreed: Txid }> {
    const life = await begin()
    const { world } = life
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const { funding } = channelOf(entryOf(world, 'alice').state)!.commitments.active[0]!
    const spender = () => world.chain.mempool.spender(outpointKey(funding))?.txid
    void alice.api.closeChannel(entryOf(world, 'alice').meta.localId, {}).catch(() => {})
    for (let i = 0; i < 50 && spender() === undefined; i++) {
      await world.turn()
      world.wire.deliver(i % 2 === 0 ? alice.nodeId : bob.nodeId)
      await world.turn()
    }
    const agreed = spender()!
    expect(commitmentNumberOf(world.chain.mempool.get(agreed)!.tx, 0)).toBeNull()
    world.crash('bob')
    believe(alice.node!, { claim: 5_000 })
    await force(world, 'alice')
    expect(onchainOf(world, 'alice')).toMatchObject({ how: 'local-force' })
    return { life, agreed }
  }

  it('stays, and is how the channel ends', async () => {
    const { life, agreed } = await outrun()
    const { world } = life
    expect(world.chain.mempool.get(agreed)).toBeDefined()
    await world.mine(1)
    expect(onchainOf(world, 'alice')).toMatchObject({ how: 'cooperative', closing: { txid: agreed } })
    world.close()
  })

  it('is outbid when it does not confirm', async () => {
    const { life, agreed } = await outrun()
    const { world } = life
    for (let i = 0; i < 7; i++) await mineAt(world, 1_000_000)
    expect(world.chain.mempool.get(agreed)).toBeUndefined()
    expect(onchainOf(world, 'alice')).toMatchObject({ how: 'local-force' })
    world.close()
  })
})
