import { beforeAll, describe, expect, it, vi } from 'vitest'
import { EMPTY, equalBytes } from '../../src/base/bytes.ts'
import { sat } from '../../src/base/units.ts'
import { encodePsbt, finalWitnessValue, PSBT_IN, witnessUtxoValue } from '../../src/bitcoin/psbt.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf, unsignedInput, withWitness } from '../../src/bitcoin/transaction.ts'
import { ChainError } from '../../src/chain/errors.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { anchorScript } from '../../src/channel/tx/scripts.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import { type CoinView, unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import { believe } from './claims.ts'
import { childOf, entryOf, force, onchainOf, oneChannel, refuseAlone } from './forcedClose.ts'
import { Life } from './life.ts'
import { NOBODY, type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await oneChannel()
})

const begin = async (): Promise<Life> => new Life(await World.start(['alice', 'bob'], base))

describe('a commitment with anchors that a child pays for', () => {
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
})
