import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { BlockHash, Txid } from '../../src/base/ids.ts'
import { decodeBlock, encodeBlock } from '../../src/bitcoin/block.ts'
import { type Network, networkParams } from '../../src/bitcoin/networks.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { BitcoindSource } from '../../src/chain/bitcoind.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { type RpcServer, rpcHandler, startRpcServer } from '../../src/chain/embedded/rpc.ts'
import { ChainError } from '../../src/chain/errors.ts'
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

const failure = (p: Promise<unknown>): Promise<ChainError> =>
  p.then(
    () => {
      throw new Error('it succeeded')
    },
    (e) => e as ChainError,
  )

const newChain = (): EmbeddedChain => {
  let now = 1_700_000_000
  return createEmbeddedChain({ clock: () => now++ })
}
const sourceOver = (transport: RpcTransport, network: Network = 'regtest'): BitcoindSource =>
  new BitcoindSource({ transport, network, clock: instantClock })

describe('a Bitcoin node that has been away', () => {
  it('counts as syncing as long as it knows of blocks that it does not have', async () => {
    const hash = networkParams('bitcoin').genesisHash
    for (const [blocks, headers, initialblockdownload, syncing] of [
      [100, 100, false, false],
      [100, 102, false, false],
      [100, 160, false, true],
      [100, 100, true, true],
    ] as const) {
      const info = { chain: 'main', bestblockhash: hash, blocks, headers, initialblockdownload }
      const call = async (method: string) => (method === 'getblockchaininfo' ? info : hash)
      const source = sourceOver({ call, close: () => {} }, 'bitcoin')
      expect(await source.tip()).toEqual({ hash, height: 100, syncing })
    }
  })
})

describe('the age of a tip', () => {
  it('is told, but on regtest, where blocks come when somebody mines them', async () => {
    for (const network of ['bitcoin', 'signet', 'regtest'] as const) {
      const hash = networkParams(network).genesisHash
      const time = 1_700_000_000
      const info = { bestblockhash: hash, blocks: 100, headers: 100, initialblockdownload: false, time }
      const call = async (method: string) => (method === 'getblockchaininfo' ? info : hash)
      const tip = await sourceOver({ call, close: () => {} }, network).tip()
      expect(tip.time).toBe(network === 'regtest' ? undefined : time)
    }
  })
})

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

describe('the client of a Bitcoin node', () => {
  const chain = newChain()
  chain.mine(3, foreignScript(1))
  const handler = rpcHandler(chain)
  const over = (call: (method: string, params: readonly unknown[]) => unknown): BitcoindSource =>
    sourceOver(localTransport(call))
  const gone = (): never => {
    throw new ChainError('UNAVAILABLE', 'gone')
  }

  it('asks again when the connection breaks, a few times', async () => {
    let failures = 3
    expect((await over((m, p) => (failures-- > 0 ? gone() : handler(m, p))).tip()).height).toBe(3)
    let calls = 0
    const dead = over(() => {
      calls++
      gone()
    })
    expect(await failure(dead.tip())).toMatchObject({ code: 'UNAVAILABLE' })
    expect(calls).toBe(4)
  })

  it('tells when the node is there again, also after an outage that no call failed for', async () => {
    let failures = 0
    const warmup = (): never => {
      throw Object.assign(new Error('Loading block index…'), { code: -28 })
    }
    const source = over((m, p) => (failures === 0 ? handler(m, p) : --failures % 2 === 0 ? gone() : warmup()))
    let back = 0
    source.onBack(() => back++)
    await source.tip()
    expect(back).toBe(0)
    for (let n = 1; n <= 3; n++) {
      failures = 1
      expect((await source.tip()).height).toBe(3)
      expect(back).toBe(n)
    }
    failures = 4
    for (let n = 0; n < 2; n++) await failure(source.tip())
    expect(back).toBe(3)
    // Whatever it says, it is there.
    await failure(source.blockHash(90))
    expect(back).toBe(4)
  })

  it('hands packages to a node of old that knows no limit on fees for them', async () => {
    const source = over((m, p) => {
      if (m !== 'submitpackage') return handler(m, p)
      if (p.length > 1) throw Object.assign(new Error('submitpackage ["rawtx",...]'), { code: -1 })
      return { package_msg: 'success', 'tx-results': {} }
    })
    const txs = chain.state.at(1)!.block.transactions
    expect(await source.broadcastPackage([...txs, ...txs])).toEqual({ accepted: true })
  })

  it('finds out that one of another network answers in the place of the one before', async () => {
    let genesis = networkParams('regtest').genesisHash
    let isAway = false
    const source = over((m, p) => {
      if (isAway) return gone()
      return m === 'getblockhash' && p[0] === 0 ? genesis : handler(m, p)
    })
    const restart = async (): Promise<void> => {
      isAway = true
      await failure(source.tip())
      isAway = false
    }
    expect((await source.tip()).height).toBe(3)
    await restart()
    genesis = networkParams('signet').genesisHash
    for (const call of [source.tip(), source.broadcast(chain.state.at(1)!.block.transactions[0]!)]) {
      expect(await failure(call)).toMatchObject({ code: 'WRONG_NETWORK' })
    }
    await restart()
    genesis = networkParams('regtest').genesisHash
    expect((await source.tip()).height).toBe(3)
  })

  it('never repeats a call that mines', async () => {
    let calls = 0
    const source = over((m, p) => {
      if (m !== 'generatetoaddress') return handler(m, p)
      calls++
      return gone()
    })
    expect(await failure(source.mine(1, foreignScript(1)))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(calls).toBe(1)
  })

  it('looks every half second where the node cannot be waited on', async () => {
    let polls = 0
    const source = over((m, p) => {
      if (m === 'waitfornewblock') throw Object.assign(new Error('Method not found'), { code: -32601 })
      if (m === 'getbestblockhash' && ++polls === 5) chain.mine(1, foreignScript(1))
      return handler(m, p)
    })
    await source.waitForChange(chain.state.tip.hash, 60_000, new AbortController().signal)
    expect(polls).toBe(5)
    await source.waitForChange(chain.state.tip.hash, 1_500, new AbortController().signal)
    expect(polls).toBe(8)
  })

  it('believes no block that is not the one it asked for', async () => {
    const good = decodeBlock(encodeBlock(chain.state.at(2)!.block))
    const other = chain.state.at(3)!.block
    for (const wrong of [other, { header: good.header, transactions: other.transactions }]) {
      const source = over((m, p) => (m === 'getblock' ? toHex(encodeBlock(wrong)) : handler(m, p)))
      expect(await failure(source.block(chain.state.at(2)!.hash))).toMatchObject({ code: 'BAD_RESPONSE' })
    }
  })

  it('says that a block was pruned', async () => {
    const source = over((m, p) => {
      if (m === 'getblock') throw Object.assign(new Error('Block not available (pruned data)'), { code: -1 })
      return handler(m, p)
    })
    expect(await failure(source.block(chain.state.at(2)!.hash))).toMatchObject({ code: 'PRUNED' })
    expect(await failure(source.txids(chain.state.at(2)!.hash))).toMatchObject({ code: 'PRUNED' })
  })

  it('has a pruned block sent again by a peer that keeps all blocks, whichever does so first', async () => {
    const { hash } = chain.state.at(2)!
    const services = { 1: ['NETWORK_LIMITED'], 5: ['NETWORK', 'WITNESS'], 6: ['NETWORK'], 7: ['NETWORK', 'WITNESS'] }
    const asked: unknown[] = []
    let looks = 0
    const source = over((m, p) => {
      if (m === 'getpeerinfo')
        return Object.entries(services).map(([id, servicesnames]) => ({ id: +id, servicesnames }))
      if (m === 'getblockfrompeer') {
        asked.push(p)
        if (p[1] === 5) throw Object.assign(new Error('Peer does not exist'), { code: -1 })
        return {}
      }
      const isHere = asked.length === 3 && ++looks > 3
      if (m === 'getblock' && !isHere) throw Object.assign(new Error('Block not available (pruned data)'), { code: -1 })
      return handler(m, p)
    })
    expect((await source.block(hash)).hash).toBe(hash)
    expect(asked).toEqual([5, 6, 7].map((peer) => [hash, peer]))
  })

  it('reads amounts to the satoshi', async () => {
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 0n, max: 2_100_000_000_000_000n }), async (amount) => {
        const text = `${amount / 100_000_000n}.${(amount % 100_000_000n).toString().padStart(8, '0')}`
        const answer = JSON.parse(`{"value":${text},"confirmations":1,"scriptPubKey":{"hex":""}}`)
        const source = over((m, p) => (m === 'gettxout' ? answer : handler(m, p)))
        expect((await source.utxo({ txid: '11'.repeat(32) as Txid, index: 0 }))?.output.amountSat).toBe(amount)
      }),
    )
  })

  it('whatever the node answers, it gives a value or fails with ChainError', async () => {
    const tx = chain.state.at(1)!.block.transactions[0]!
    const calls: ((s: BitcoindSource) => Promise<unknown>)[] = [
      (s) => s.tip(),
      (s) => s.blockHash(1),
      (s) => s.block(chain.state.tip.hash),
      (s) => s.txids(chain.state.tip.hash),
      (s) => s.transaction('11'.repeat(32) as Txid),
      (s) => s.utxo({ txid: '11'.repeat(32) as Txid, index: 0 }),
      (s) => s.scanUnspent([foreignScript(1)]),
      (s) => s.broadcast(tx),
      (s) => s.broadcastPackage([tx, tx]),
      (s) => s.estimateFeerate(6),
      (s) => s.mempoolMinFeerate(),
      (s) => s.mempoolSpends([{ txid: '11'.repeat(32) as Txid, index: 0 }]),
      (s) => s.mine(1, foreignScript(1)),
    ]
    const key = fc.constantFrom(
      'blocks',
      'tx',
      'bestblockhash',
      'height',
      'value',
      'unspents',
      'success',
      'feerate',
      'tx-results',
    )
    const json = fc.oneof(fc.jsonValue(), fc.dictionary(key, fc.jsonValue()))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...calls), fc.array(json, { minLength: 1 }), async (call, answers) => {
        let n = 0
        const source = over((m, p) =>
          m === 'getblockhash' && p[0] === 0 ? handler(m, p) : answers[n++ % answers.length],
        )
        await call(source).catch((e) => expect(e).toBeInstanceOf(ChainError))
      }),
      { numRuns: 500 },
    )
  })
})
