import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { Txid } from '../../src/base/ids.ts'
import { decodeBlock, encodeBlock } from '../../src/bitcoin/block.ts'
import { networkParams } from '../../src/bitcoin/networks.ts'
import type { BitcoindSource } from '../../src/chain/bitcoind.ts'
import { rpcHandler } from '../../src/chain/embedded/rpc.ts'
import { ChainError } from '../../src/chain/errors.ts'
import { localTransport } from '../../src/chain/rpc.ts'
import { foreignScript } from '../wallet/world.ts'
import { failure, newChain, sourceOver } from './sources.ts'

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
