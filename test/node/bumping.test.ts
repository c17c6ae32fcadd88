import { beforeAll, describe, expect, it, vi } from 'vitest'
import { EMPTY, equalBytes } from '../../src/base/bytes.ts'
import type { Txid } from '../../src/base/ids.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { encodePsbt, finalWitnessValue, PSBT_IN, witnessUtxoValue } from '../../src/bitcoin/psbt.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf, unsignedInput, withWitness } from '../../src/bitcoin/transaction.ts'
import { type MempoolEntry, withDescendants } from '../../src/chain/embedded/mempoolEntry.ts'
import { selectTransactions } from '../../src/chain/embedded/miner.ts'
import { ChainError } from '../../src/chain/errors.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { Spend } from '../../src/channel/onchain/claims.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { anchorScript } from '../../src/channel/tx/scripts.ts'
import type { Node } from '../../src/node/node.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import { type CoinView, unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import { believe } from './claims.ts'
import { Life } from './life.ts'
import { type Name, NOBODY, nodeIdOf, type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  await world.open('alice', 'bob', 1_000_000, 400_000)
  base = world.snapshot()
  world.close()
})

const begin = async (): Promise<Life> => new Life(await World.start(['alice', 'bob'], base))

/** A mempool whose minimum is above what commitments pay by themselves: they get in by a package alone. */
function refuseAlone({ source, channels }: Node): void {
  const broadcast = source.broadcast.bind(source)
  const fundings = channels.all().map((e) => outpointKey(channelOf(e.state)!.commitments.active[0]!.funding))
  source.broadcast = async (tx) =>
    tx.inputs.some((i) => fundings.includes(outpointKey(i)))
      ? { accepted: false, reason: 'mempool min fee not met' }
      : broadcast(tx)
}

/** A block for which only transactions count that pay this much, in sat per 1,000 weight units, with what they build on. */
async function mineAt(world: World, floor: number): Promise<void> {
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

const entryOf = (world: World, name: Name) => world.of(name).node!.channels.all()[0]!
const onchainOf = (world: World, name: Name) => {
  const { state } = entryOf(world, name)
  return state.tag === 'closing' || state.tag === 'closed' ? state.onchain : null
}
const balance = (world: World, name: Name): bigint => {
  const b = walletBalance(world.of(name).node!.wallet.state)
  return b.confirmedSat + b.unconfirmedSat + b.immatureSat
}
const force = async (world: World, name: Name): Promise<void> => {
  void world
    .of(name)
    .api.closeChannel(entryOf(world, name).meta.localId, { force: true })
    .catch(() => {})
  await world.settle()
}
const childOf = (world: World, parent: Txid): MempoolEntry | undefined =>
  [...(world.chain.mempool.get(parent)?.children ?? [])][0]

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

  it('takes the only coin for its child from a PSBT that nobody has broadcast, which then does not replace it', async () => {
    const { world } = await begin()
    const { node, api } = world.of('alice')
    believe(node!, { slow: 3_000, claim: 3_000, closing: 3_000 })
    refuseAlone(node!)
    const address = (await world.attempt(api.newAddress()))!.address
    const outputs = [{ address, amountSat: sat(20_000) }]
    const made = (await world.attempt(api.psbt.create({ outputs, feerateSatPerVbyte: 50 })))!
    const signed = (await world.attempt(api.psbt.sign(Buffer.from(made.psbt, 'base64'))))!
    expect(walletBalance(node!.wallet.state).spendableSat).toBe(0n)
    await force(world, 'alice')
    const child = childOf(world, onchainOf(world, 'alice')!.closing.txid)!
    expect(child).toBeDefined()
    const late = api.psbt.broadcast(Buffer.from(signed.psbt, 'base64'))
    await expect(world.attempt(late)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(world.chain.mempool.get(child.txid)).toBeDefined()
    world.close()
  })

  it('has no child that a PSBT makes up, wrongly signed, before the Bitcoin node has looked at that', async () => {
    const { world } = await begin()
    const { node, api } = world.of('alice')
    believe(node!, { slow: 3_000, claim: 3_000, closing: 3_000 })
    refuseAlone(node!)
    const entry = entryOf(world, 'alice')
    const channel = channelOf(entry.state)!
    const commitment = signedLocal(channel, channel.commitments.active[0]!, node!.context(entry))
    const anchor = p2wsh(anchorScript(entry.signer.basepoints.fundingPubkey))
    const index = commitment.outputs.findIndex((o) => equalBytes(o.scriptPubKey, anchor))
    const [{ coin }] = unspentCoins(node!.wallet.state) as [CoinView]
    const inputs = [{ txid: txidOf(commitment), index }, coin.outpoint].map((o) => unsignedInput(o, 0xfffffffd))
    const scriptPubKey = walletScript(node!.wallet.state.account, coin.branch, coin.keyIndex)
    const outputs = [{ amountSat: sat(coin.amountSat - 1_000_000n), scriptPubKey }]
    const tx: Transaction = { version: 2, inputs, outputs, lockTime: 0 }
    const maps = [
      new Map([[PSBT_IN.finalScriptWitness, finalWitnessValue([EMPTY])]]),
      new Map([[PSBT_IN.witnessUtxo, witnessUtxoValue({ amountSat: coin.amountSat, scriptPubKey })]]),
    ]
    const psbt = encodePsbt({ tx, global: new Map(), inputs: maps, outputs: [new Map()] })
    const signed = Buffer.from((await world.attempt(api.psbt.sign(psbt)))!.psbt, 'base64')
    const broadcast = node!.source.broadcast.bind(node!.source)
    node!.source.broadcast = (t) =>
      t.outputs[0]?.amountSat === outputs[0]!.amountSat ? new Promise(() => {}) : broadcast(t)

    const said: string[] = []
    const attempt = async (): Promise<void> => {
      void api.psbt.broadcast(signed).catch((e) => said.push(e.message))
      await world.settle()
    }
    await attempt()
    const utxo = vi.spyOn(node!.source, 'utxo').mockRejectedValue(new ChainError('UNAVAILABLE', 'it is away'))
    await expect(api.psbt.broadcast(signed)).rejects.toMatchObject({ code: 'CHAIN_UNAVAILABLE' })
    utxo.mockRestore()
    await force(world, 'alice')
    expect(childOf(world, txidOf(commitment))).toBeDefined()
    node!.wallet.abandon(childOf(world, txidOf(commitment))!.txid)
    await attempt()
    expect(said).toEqual([
      expect.stringContaining('neither in the chain'),
      expect.stringContaining('not rightly signed'),
    ])
    world.close()
  })

  it('keeps its child, whose coins nothing else takes, while a Bitcoin node that is behind ours refuses both', async () => {
    const { world } = await begin()
    const { node } = world.of('alice')
    believe(node!, { slow: 6_000, claim: 6_000, closing: 6_000 })
    const { wallet, source, chain } = node!
    const submit = source.broadcastPackage.bind(source)
    let refused = 0
    source.broadcastPackage = async () => {
      refused++
      return { accepted: false, reason: 'bad-txns-inputs-missingorspent' }
    }
    Object.assign(chain.status, { tipHeight: chain.height - 50 })
    const free = walletBalance(wallet.state).spendableSat
    void world.of('alice').api.closeChannel(entryOf(world, 'alice').meta.localId, { force: true })
    for (let i = 0; i < 20 || refused === 0; i++) await world.turn()
    expect(walletBalance(wallet.state).spendableSat).toBeLessThan(free)
    const [child] = wallet.unconfirmed()
    source.broadcastPackage = submit
    Object.assign(chain.status, { tipHeight: chain.height })
    await world.mine(1)
    expect(childOf(world, onchainOf(world, 'alice')!.closing.txid)?.txid).toBe(txidOf(child!))
    world.close()
  })

  it('has an anchor left unclaimed that no child has taken, in the chain as it stands', async () => {
    const { world } = await begin()
    const { node, api } = world.of('alice')
    believe(node!, { slow: 3_000, claim: 3_000, closing: 3_000 })
    await force(world, 'alice')
    const { txid } = onchainOf(world, 'alice')!.closing
    const unclaimed = async () => (await api.channel(entryOf(world, 'alice').meta.localId)).closing!.unclaimedSat
    const child = childOf(world, txid)!
    expect(await unclaimed()).toBe(660n)
    world.chain.mineExactly([txid], NOBODY)
    await world.settle()
    expect(await unclaimed()).toBe(660n)
    world.chain.mineExactly([child.txid], NOBODY)
    await world.settle()
    expect(await unclaimed()).toBe(330n)
    const { state } = world.chain
    world.chain.invalidate(state.tip)
    for (let n = 0; n < 2; n++) world.chain.mineExactly([], NOBODY)
    await world.settle()
    expect(await unclaimed()).toBe(660n)
    await world.restart('alice')
    await world.mine(1)
    const after = await world.of('alice').api.channel(entryOf(world, 'alice').meta.localId)
    expect(after.closing!.unclaimedSat).toBe(330n)
    // The peer's is for anybody after 16 blocks.
    await world.mine(15)
    const script = anchorScript(channelOf(entryOf(world, 'alice').state)!.params.remote.basepoints.fundingPubkey)
    const { tx } = onchainOf(world, 'alice')!.closing
    const index = tx.outputs.findIndex((o) => equalBytes(o.scriptPubKey, p2wsh(script)))
    const sweep = withWitness(
      {
        version: 2,
        inputs: [unsignedInput({ txid, index }, 16)],
        outputs: [{ amountSat: sat(330n), scriptPubKey: NOBODY }],
        lockTime: 0,
      },
      0,
      [EMPTY, script],
    )
    world.chain.mineExactly([sweep], NOBODY)
    await world.settle()
    const end = await world.of('alice').api.channel(entryOf(world, 'alice').meta.localId)
    expect(end.closing!.unclaimedSat).toBe(0n)
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

describe('an HTLC that the peer does not settle', () => {
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

describe('what waits for a block', () => {
  /** How often a node hands each transaction to the chain. */
  function counted({ source }: Node): Map<Txid, number> {
    const times = new Map<Txid, number>()
    const note = (txs: readonly Transaction[]): void => {
      for (const tx of txs) times.set(txidOf(tx), (times.get(txidOf(tx)) ?? 0) + 1)
    }
    const { broadcast, broadcastPackage } = source
    source.broadcast = (tx) => {
      note([tx])
      return broadcast.call(source, tx)
    }
    source.broadcastPackage = (txs) => {
      note(txs)
      return broadcastPackage.call(source, txs)
    }
    return times
  }
  const emptyBlock = async (world: World): Promise<void> => {
    world.chain.mineExactly([], NOBODY)
    await world.settle()
  }

  it('is planned and handed over once with each block: commitment and child, HTLC transactions, sweeps', async () => {
    const life = await begin()
    const { world } = life
    await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat: 200_000_000, kind: 'hold' })
    await world.settle()
    const { node } = world.of('alice')
    believe(node!, { slow: 3_000, claim: 3_000, closing: 3_000 })
    await force(world, 'alice')
    const { closing, outputs } = onchainOf(world, 'alice')!
    const times = counted(node!)
    await emptyBlock(world)
    expect([...times]).toEqual([closing.txid, childOf(world, closing.txid)!.txid].map((id) => [id, 1]))

    const { cltvExpiry } = outputs.find((o) => o.htlc)!.spend as Extract<Spend, { readonly cltvExpiry: number }>
    world.crash('bob')
    await world.mine(1)
    while (world.chain.state.height < cltvExpiry) await emptyBlock(world)
    times.clear()
    await emptyBlock(world)
    const waiting = [...world.chain.mempool.entries()].map((e) => e.txid)
    expect(waiting.length).toBe(2)
    expect(new Map(times)).toEqual(new Map(waiting.map((id) => [id, 1])))
    world.close()
  })

  it('is paid for with a coin of the same block', async () => {
    const life = await begin()
    const { world } = life
    await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat: 200_000_000, kind: 'hold' })
    await world.settle()
    const { node, api } = world.of('alice')
    const { address } = await api.newAddress()
    const coin = await world.of('bob').api.sendOnChain({ outputs: [{ address, amountSat: sat(50_000n) }] })
    await world.settle()
    world.crash('bob')
    await force(world, 'alice')
    const { closing, outputs } = onchainOf(world, 'alice')!
    world.chain.mineExactly([closing.txid], NOBODY)
    await world.settle()
    const { cltvExpiry } = outputs.find((o) => o.htlc)!.spend as Extract<Spend, { readonly cltvExpiry: number }>
    while (world.chain.state.height < cltvExpiry - 1) await emptyBlock(world)
    const claim = () => [...world.chain.mempool.entries()].find((e) => e.tx.lockTime === cltvExpiry)

    // All coins are set aside for something else; one more comes with the block after which the HTLC can be claimed.
    await node!.reactor.run(() => {
      const most = walletBalance(node!.wallet.state).spendableSat - 1_000n
      const output = { amountSat: sat(most), scriptPubKey: NOBODY }
      node!.wallet.fund({ outputs: [output], feeratePerKw: 253, owner: 'channel:none', anchorChannels: 0 })
    })
    expect(walletBalance(node!.wallet.state).spendableSat).toBe(0n)
    expect(claim()).toBeUndefined()
    world.chain.mineExactly([coin.txid], NOBODY)
    await world.settle()
    expect(claim()?.tx.inputs[1]?.txid).toBe(coin.txid)
    world.close()
  })
})
