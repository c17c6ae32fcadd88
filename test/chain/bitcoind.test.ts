import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BlockHash, Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { BitcoindSource } from '../../src/chain/bitcoind.ts'
import { type RpcServer, rpcHandler, startRpcServer } from '../../src/chain/embedded/rpc.ts'
import { follow, followFrom } from '../../src/chain/follower.ts'
import { httpTransport, localTransport, type RpcTransport } from '../../src/chain/rpc.ts'
import { fundTransaction, sweepWallet } from '../../src/wallet/build.ts'
import { addTransaction, applyBlock, issueAddress, rollback } from '../../src/wallet/coins.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import { restoreWallet } from '../../src/wallet/restore.ts'
import { signInputs } from '../../src/wallet/sign.ts'
import { emptyWallet, type WalletState } from '../../src/wallet/state.ts'
import { unconfirmed, unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import { account, foreignScript, output, signer } from '../wallet/world.ts'
import { instantClock } from './fakeSource.ts'
import { failure, newChain, sourceOver } from './sources.ts'

describe.each(['in this process', 'over HTTP'])('a Bitcoin node %s', (where) => {
  const chain = newChain()
  let server: RpcServer | null = null
  let transport: RpcTransport
  let source: BitcoindSource
  let wallet: WalletState

  const sync = async (): Promise<void> => {
    for (let h = wallet.height + 1; h <= chain.state.height; h++) {
      wallet = applyBlock(wallet, await source.block(await source.blockHash(h)))
    }
  }
  const pay = (amount: number, owner = 'x') =>
    fundTransaction(wallet, { outputs: [output(amount, foreignScript(1))], feeratePerKw: 300, owner }, signer)

  beforeAll(async () => {
    if (where === 'over HTTP') {
      server = await startRpcServer(chain, { port: 0, user: 'alice', password: 'p@ss' })
      transport = httpTransport({ url: `http://alice:p%40ss@127.0.0.1:${server.port}` })
    } else transport = localTransport(rpcHandler(chain))
    source = sourceOver(transport)
    wallet = emptyWallet({ account, tip: await source.tip() })
    await source.mine(103, walletScript(account, 0, 0))
    await sync()
  })
  afterAll(async () => {
    await source.close()
    await server?.close()
    chain.close()
  })

  it('is known by its first block', async () => {
    await source.check()
    const wrong = sourceOver(transport, 'signet')
    expect(await failure(wrong.tip())).toMatchObject({ code: 'WRONG_NETWORK' })
    expect((await failure(wrong.check())).message).toContain('signet')
    expect(await failure(wrong.mine(1, foreignScript(1)))).toMatchObject({ code: 'NOT_SUPPORTED' })
  })

  it('gives its tip, and blocks by height and hash', async () => {
    const tip = await source.tip()
    expect(tip).toEqual({ hash: chain.state.tip.hash, height: 103, syncing: false })
    const hash = await source.blockHash(7)
    const block = await source.block(hash)
    const node = chain.state.at(7)!
    expect(block).toMatchObject({ hash: node.hash, height: 7, previousHash: chain.state.at(6)!.hash })
    expect(block.time).toBe(node.block.header.time)
    expect(block.transactions).toEqual(node.block.transactions)
    expect(block.txids).toEqual(node.block.transactions.map(txidOf))
    expect(await source.txids(hash)).toEqual(block.txids)
    expect(await failure(source.txids('00'.repeat(32) as BlockHash))).toMatchObject({ code: 'NOT_FOUND' })
    expect(await failure(source.blockHash(10_000))).toMatchObject({ code: 'NOT_FOUND' })
    expect(await failure(source.block('00'.repeat(32) as BlockHash))).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('finds a transaction of any block with its confirmations, and none that there is not', async () => {
    const coinbase = chain.state.at(2)!.block.transactions[0]!
    const { height } = chain.state
    expect(await source.locate(txidOf(coinbase))).toEqual({ tx: coinbase, confirmations: height - 1 })
    expect(await source.locate('11'.repeat(32) as Txid)).toBeNull()
  })

  it('takes what the wallet builds, says why not, and takes it twice', async () => {
    const built = pay(1_000_000)
    expect(await source.broadcast(built.tx)).toEqual({ accepted: true })
    expect(await source.broadcast(built.tx)).toEqual({ accepted: true })
    expect(await source.transaction(built.txid)).toEqual(built.tx)
    expect(await source.locate(built.txid)).toEqual({ tx: built.tx, confirmations: 0 })
    expect(await source.transaction('11'.repeat(32) as Txid)).toBeNull()
    wallet = addTransaction(built.state, built.tx, { now: 1 })
    const child = pay(2_000_000, 'y')
    const outpoint = { txid: built.txid, index: built.outputIndexes[0]! }
    expect(await source.utxo(outpoint)).toBeNull()

    await source.mine(1, foreignScript(2))
    expect(await source.broadcast(built.tx)).toEqual({ accepted: true })
    expect(await source.utxo(outpoint)).toEqual({ output: output(1_000_000, foreignScript(1)), confirmations: 1 })
    expect(await source.utxo({ ...outpoint, index: 9 })).toBeNull()

    const broken = { ...child.tx, lockTime: 5 }
    const refused = await source.broadcast(broken)
    expect(refused.accepted).toBe(false)
    expect(refused.reason).toMatch(/script-verify-flag/)
    const missing = { ...child.tx, inputs: child.tx.inputs.map((i) => ({ ...i, index: 50 })) }
    expect(await source.broadcast(missing)).toEqual({ accepted: false, reason: 'bad-txns-inputs-missingorspent' })
    await sync()
    expect(unconfirmed(wallet)).toEqual([])
  })

  it('takes a parent that pays too little together with a child that pays for both', async () => {
    const base = pay(500_000)
    const coin = base.coins[0]!
    const free: Transaction = {
      ...base.tx,
      version: 3,
      inputs: base.tx.inputs.slice(0, 1),
      outputs: [output(coin.amountSat, walletScript(account, 0, 1))],
    }
    const parent = signInputs(free, new Map([[0, coin]]), signer)
    expect((await source.broadcast(parent)).accepted).toBe(false)
    const spendable = addTransaction(wallet, parent, { now: 1 })
    const at = [{ txid: txidOf(parent), index: 0 }]
    const small = fundTransaction(
      spendable,
      { outputs: [output(400_000, foreignScript(3))], feeratePerKw: 2_000, owner: 'c', coins: at },
      signer,
    )
    const child = signInputs({ ...small.tx, version: 3 }, new Map([[0, small.coins[0]!]]), signer)
    expect(await source.broadcastPackage([parent, { ...child, lockTime: 1 }])).toMatchObject({ accepted: false })
    expect(await source.broadcastPackage([parent, child])).toEqual({ accepted: true })
    await source.mine(1, foreignScript(2))
    await sync()
  })

  it('takes a child that pays for a large parent, whatever that comes to for its own size', async () => {
    const parent = pay(500_000)
    const spendable = addTransaction(wallet, parent.tx, { now: 1 })
    const at = [{ txid: parent.txid, index: parent.outputIndexes[0] === 0 ? 1 : 0 }]
    const { tx, coins } = fundTransaction(
      spendable,
      { outputs: [output(400_000, foreignScript(3))], feeratePerKw: 2_000, owner: 'c', coins: at },
      signer,
    )
    const paying = (feeSat: number): Transaction => {
      const left = Number(coins[0]!.amountSat) - feeSat
      return signInputs({ ...tx, outputs: [output(left, foreignScript(3))] }, new Map([[0, coins[0]!]]), signer)
    }
    // 10,000 sat per vbyte are taken for a mistake by a Bitcoin node that is not told otherwise.
    expect(await source.broadcastPackage([parent.tx, paying(2_000_000)])).toEqual({ accepted: true })
    expect(await source.broadcast(paying(3_000_000))).toEqual({ accepted: true })
    await source.mine(1, foreignScript(2))
    await sync()
  })

  it('one by one where the package has another form than the node takes', async () => {
    const first = pay(300_000)
    const rest = addTransaction(first.state, first.tx, { now: 1 })
    const coins = unspentCoins(rest)
      .filter((v) => v.status === 'spendable' && v.coin.outpoint.txid !== first.txid)
      .map((v) => v.coin.outpoint)
    const second = fundTransaction(
      rest,
      { outputs: [output(300_000, foreignScript(4))], feeratePerKw: 300, owner: 'z', coins: coins.slice(0, 1) },
      signer,
    )
    expect(await source.broadcastPackage([first.tx, second.tx])).toEqual({ accepted: true })
    expect(await source.broadcastPackage([first.tx, { ...second.tx, lockTime: 3 }])).toMatchObject({
      accepted: false,
      reason: expect.stringContaining(txidOf({ ...second.tx, lockTime: 3 })),
    })
    await source.mine(1, foreignScript(2))
    await sync()
  })

  it('has estimates or says that it has none', async () => {
    expect(await source.estimateFeerate(6)).toBeNull()
    expect(await source.mempoolMinFeerate()).toBe(250)
  })

  it('has no estimate where it says 0', async () => {
    const call = async (method: string) =>
      method === 'estimatesmartfee' ? { feerate: 0, blocks: 6 } : transport.call(method, [0], { timeoutMs: 1_000 })
    expect(await sourceOver({ call, close: () => {} }).estimateFeerate(6)).toBeNull()
  })

  it('wakes who waits for a block, and at the time limit, and when stopped', async () => {
    const never = new AbortController()
    const waiting = source.waitForChange(chain.state.tip.hash, 60_000, never.signal)
    await source.mine(1, foreignScript(2))
    await waiting
    await source.waitForChange('00'.repeat(32) as BlockHash, 60_000, never.signal)
    await source.waitForChange(chain.state.tip.hash, 10, never.signal)
    const stopped = source.waitForChange(chain.state.tip.hash, 60_000, never.signal)
    never.abort()
    await stopped
    await sync()
  })

  it('restores a wallet from its seed by a scan, which then lives on as the old one', async () => {
    const restored = await restoreWallet(source, account)
    const amounts = (w: WalletState) =>
      unspentCoins(w)
        .map((v) => v.coin)
        .sort((a, b) => (a.outpoint.txid + a.outpoint.index < b.outpoint.txid + b.outpoint.index ? -1 : 1))
    expect(amounts(restored)).toEqual(amounts(wallet))
    expect([restored.height, restored.hash]).toEqual([wallet.height, wallet.hash])
    const sweep = sweepWallet(restored, { scriptPubKey: foreignScript(9), feeratePerKw: 300, owner: 's' }, signer)
    expect(await source.broadcast(sweep.tx)).toEqual({ accepted: true })
  })

  it('is followed through a reorganisation, and the wallet with it', async () => {
    const state = await followFrom(source, wallet.height)
    const stop = new AbortController()
    let seen: () => void = () => {}
    const reached = (hash: () => BlockHash): Promise<void> =>
      new Promise((resolve) => {
        seen = () => wallet.hash === hash() && resolve()
        seen()
      })
    let reorgs = 0
    const end = follow({
      source,
      state,
      signal: stop.signal,
      clock: instantClock,
      onStatus: () => {},
      onFatal: (e) => {
        throw e
      },
      onEvent(event) {
        if (event.tag === 'reorg') reorgs++
        wallet = event.tag === 'block' ? applyBlock(wallet, event.block) : rollback(wallet, event.height, event.hash)
        seen()
      },
    })
    const issued = issueAddress(wallet)
    wallet = issued.state
    await source.mine(3, issued.scriptPubKey)
    await reached(() => chain.state.tip.hash)
    const before = walletBalance(wallet)
    chain.invalidate(chain.state.at(chain.state.height - 2)!)
    await source.mine(4, foreignScript(2))
    await reached(() => chain.state.tip.hash)
    expect(reorgs).toBe(1)
    expect(walletBalance(wallet).immatureSat).toBeLessThan(before.immatureSat)
    stop.abort()
    await end
  })
})
