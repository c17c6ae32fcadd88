import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { Outpoint } from '../../src/base/ids.ts'
import { encodeAddress } from '../../src/bitcoin/address.ts'
import { encodeTransaction, type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { rpcHandler } from '../../src/chain/embedded/rpc.ts'
import { Rng } from '../adversary/rng.ts'
import { DAMAGES, prevoutsOf, SHAPES, spendOf } from '../bitcoin/lightningSpends.ts'
import { FALSE_OUTPUT, outputOf, pay, type Spendable, spend, TRUE_OUTPUT } from '../chain/embedded/harness.ts'
import { type Call, inCoreWords, outcome, pick, sorted } from './beside.ts'
import { BITCOIND, type RealNode, startBitcoind } from './realNode.ts'

type Said = { readonly package_msg: string }
const hexOf = (tx: Transaction): string => toHex(encodeTransaction(tx))

if (!BITCOIND) {
  console.warn(
    'LEFT OUT: the embedded chain was not compared with a real node, because FULMEN_BITCOIND names no bitcoind',
  )
}

describe.skipIf(!BITCOIND)(
  'the embedded chain beside a real Bitcoin node (left out unless FULMEN_BITCOIND names one)',
  () => {
    let node: RealNode
    let chain: EmbeddedChain
    let real: Call
    let ours: Call
    let coins: Spendable[]
    let spends: readonly [Outpoint, Outpoint][]
    const address = encodeAddress(FALSE_OUTPUT, 'regtest')!

    /** The same call on both: the same answer, or the same refusal. */
    const compare = async (method: string, ...params: unknown[]): Promise<unknown> => {
      const [theirs, mine] = await Promise.all([outcome(real, method, params), outcome(ours, method, params)])
      expect(sorted(mine), method).toEqual(sorted(pick(inCoreWords(theirs), mine)))
      return mine
    }

    /** The real node mines, ours takes the blocks. */
    const mineThere = async (blocks: number, to = address): Promise<void> => {
      for (const hash of (await real('generatetoaddress', [blocks, to])) as string[]) {
        expect(await ours('submitblock', [await real('getblock', [hash, 0])])).toBe(null)
      }
    }
    /** Ours mines, the real node takes the blocks. */
    const mineHere = async (blocks: number): Promise<void> => {
      for (const hash of (await ours('generatetoaddress', [blocks, address])) as string[]) {
        expect(await real('submitblock', [await ours('getblock', [hash, 0])])).toBe(null)
      }
    }
    const nextCoin = (): Spendable => coins.pop()!

    beforeAll(async () => {
      node = await startBitcoind(BITCOIND!)
      real = (method, params) => node.transport.call(method, params, { timeoutMs: 60_000 })
      chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
      ours = rpcHandler(chain)
      await mineThere(20, encodeAddress(TRUE_OUTPUT, 'regtest')!)
      coins = Array.from({ length: 20 }, (_, i) => outputOf(chain.state.at(i + 1)!.block.transactions[0]!, 0))
      await mineHere(100)
      const outputs = SHAPES.flatMap(prevoutsOf)
      const funding = spend([nextCoin()], { outputs: [...outputs, pay(4_996_000_000n)] })
      expect(await compare('sendrawtransaction', hexOf(funding))).toBe(txidOf(funding))
      await mineThere(500)
      const id = txidOf(funding)
      spends = SHAPES.map((_, i) => [
        { txid: id, index: 2 * i },
        { txid: id, index: 2 * i + 1 },
      ])
    })
    afterAll(() => node?.stop())

    it('blocks, headers, transactions, outputs: the same answers', async () => {
      for (const height of [0, 1, 121, chain.state.height]) {
        const hash = (await compare('getblockhash', height)) as string
        for (const verbosity of [0, 1, ...(height === 0 ? [] : [2])]) await compare('getblock', hash, verbosity)
        await compare('getblockheader', hash)
        await compare('getblockheader', hash, false)
      }
      const { txid, index } = spends[0]![0]
      for (const verbosity of [0, 1]) await compare('getrawtransaction', txid, verbosity)
      await compare('gettxout', txid, index)
      await compare('gettxout', txid, 9_999)
      for (const method of ['getblockcount', 'getbestblockhash', 'getindexinfo', 'getchaintips']) {
        await compare(method)
      }
      const { size_on_disk: _, ...info } = (await ours('getblockchaininfo', [])) as Record<string, unknown>
      expect(info).toEqual(pick(await real('getblockchaininfo', []), info))
    })

    it('every Lightning spend, right and with one thing wrong: the same verdict for the same reason', async () => {
      let [allowed, refused] = [0, 0]
      for (const [i, shape] of SHAPES.entries()) {
        const { tx } = spendOf(shape, spends[i])
        const variants = [tx, ...Object.values(DAMAGES).flatMap((damage) => [0, 1, 17].map((at) => damage(tx, at)))]
        for (const variant of variants) {
          const [verdict] = (await compare('testmempoolaccept', [hexOf(variant)])) as [{ allowed: boolean }]
          if (verdict.allowed) allowed++
          else refused++
        }
      }
      expect(allowed).toBeGreaterThanOrEqual(SHAPES.length)
      expect(refused).toBeGreaterThan(SHAPES.length)
    })

    it('every Lightning spend is relayed and mined, by either side', async () => {
      for (const [i, shape] of SHAPES.entries()) {
        const { tx } = spendOf(shape, spends[i])
        expect(await compare('sendrawtransaction', hexOf(tx))).toBe(txidOf(tx))
        await compare('sendrawtransaction', hexOf(tx))
        if (i % 2) await mineHere(1)
        else await mineThere(1)
        await compare('sendrawtransaction', hexOf(tx))
        await compare('gettxout', txidOf(tx), 0)
      }
    })

    it('refusals: numbers and words', async () => {
      const coin = nextCoin()
      const cases: readonly Transaction[] = [
        spend([coin], { fee: 0n }),
        spend([coin], { fee: -1_000n }),
        spend([coin], { fee: 20_000_000n }),
        spend([{ ...coin, index: 3 }]),
        spend([coin], { lockTime: 100_000 }),
        spend([coin], { sequence: 50_000 }),
        spend([coin], { version: 4 }),
        spend([coin, coin]),
        spend([coin], { outputs: [] }),
        spend([outputOf(chain.state.tip.block.transactions[0]!, 0)]),
      ]
      for (const tx of cases) await compare('sendrawtransaction', hexOf(tx))
      const none = 'ab'.repeat(32)
      const calls: readonly [string, ...unknown[]][] = [
        ['getblock', none],
        ['getblockhash', 100_000],
        ['getblockheader', 'zz'],
        ['getrawtransaction', none],
        ['getmempoolentry', none],
        ['gettxout', none, 0],
        ['sendrawtransaction', 'zz'],
        ['generatetoaddress', 1, 'bc1qxx'],
        ['submitblock', '00'],
        ['submitblock', await real('getblock', [chain.state.tip.hash, 0])],
        ['invalidateblock', none],
        ['nosuchcall'],
      ]
      for (const [method, ...params] of calls) await compare(method, ...params)
    })

    it('replacement and packages: the same ones enter', async () => {
      const coin = nextCoin()
      for (const fee of [1_000n, 1_001n, 1_050n, 2_000n]) {
        await compare('testmempoolaccept', [hexOf(spend([coin], { fee }))])
        await compare('sendrawtransaction', hexOf(spend([coin], { fee })))
      }
      for (const [parentFee, childFee, version] of [
        [0n, 2_000n, 3],
        [0n, 20n, 3],
        [0n, 2_000n, 2],
        [500n, 2_000n, 2],
      ] as const) {
        const parent = spend([nextCoin()], { fee: parentFee, version, count: 2 })
        const child = spend([outputOf(parent, 0)], { fee: childFee, version })
        const sibling = spend([outputOf(parent, 1)], { fee: childFee * 4n, version })
        await compare('submitpackage', [hexOf(parent), hexOf(child)])
        await compare('submitpackage', [hexOf(child), hexOf(parent)])
        await compare('submitpackage', [hexOf(parent), hexOf(child)])
        await compare('sendrawtransaction', hexOf(sibling))
      }
      const byId = (ids: unknown) => [...(ids as string[])].sort()
      const pool = byId(await real('getrawmempool', []))
      expect(byId(await ours('getrawmempool', []))).toEqual(pool)
      for (const id of pool) {
        const [theirs, { time: _, unbroadcast: __, ...mine }] = (await Promise.all([
          real('getmempoolentry', [id]),
          ours('getmempoolentry', [id]),
        ])) as [unknown, Record<string, unknown>]
        expect(mine).toEqual(pick(theirs, mine))
      }
      await mineHere(1)
      expect(await real('getrawmempool', [])).toEqual([])
    })

    it('a child that pays for others pays too much by itself: taken only without a limit', async () => {
      for (const [parentFee, version] of [
        [0n, 3],
        [500n, 2],
      ] as const) {
        const parent = spend([nextCoin()], { fee: parentFee, version })
        const child = spend([outputOf(parent, 0)], { fee: 10_000_000n, version })
        await compare('submitpackage', [hexOf(parent), hexOf(child)])
        await compare('sendrawtransaction', hexOf(child))
        expect(await compare('submitpackage', [hexOf(parent), hexOf(child)], 0)).toMatchObject({
          package_msg: 'success',
        })
      }
      await mineHere(1)
      expect(await real('getrawmempool', [])).toEqual([])
    })

    it('packages in the place of others: the same verdict for the same reason', async () => {
      const source = spend([nextCoin()], { fee: 100_000n, count: 300 })
      await compare('sendrawtransaction', hexOf(source))
      await mineHere(1)
      const free = source.outputs.map((_, i) => outputOf(source, i))
      const rng = new Rng(29)
      const fee = (): bigint => BigInt(100 + rng.below(60) ** 2)
      const send = (from: readonly Spendable[], count: number): Transaction => spend(from, { fee: fee(), count })
      const verdicts = new Map<string, string>()
      const kinds = [
        ...['success', 'transaction failed', 'insufficient anti-DoS fees', 'does not improve feerate diagram'],
        ...['less than or equal to parent feerate', 'descendants, max 1 allowed', 'is not the only child of parent'],
      ]
      for (let n = 0; n < 100; n++) {
        const [a, b, c] = [free.pop()!, free.pop()!, free.pop()!]
        const rival = send([a], 3)
        await compare('sendrawtransaction', hexOf(rival))
        const children = rng.below(4)
        for (let i = 0; i < children; i++) {
          await compare('sendrawtransaction', hexOf(send([outputOf(rival, i)], 1 + rng.below(3))))
        }
        const parent = send(rng.below(3) === 0 ? [a, b] : [a], 1 + rng.below(9))
        const child = send([outputOf(parent, 0), ...(rng.below(4) === 0 ? [c] : [])], 1 + rng.below(9))
        const { package_msg: said } = (await compare('submitpackage', [hexOf(parent), hexOf(child)])) as Said
        verdicts.set(kinds.find((k) => said.includes(k)) ?? said, said)
      }
      expect([...verdicts.keys()].sort()).toEqual([...kinds].sort())
      const byId = (ids: unknown) => [...(ids as string[])].sort()
      expect(byId(await ours('getrawmempool', []))).toEqual(byId(await real('getrawmempool', [])))
      await mineHere(1)
    })

    it('a reorganisation: both follow, and hold the same coins and mempool', async () => {
      const coin = nextCoin()
      await compare('sendrawtransaction', hexOf(spend([coin])))
      await mineHere(1)
      const { hash } = chain.state.tip
      await compare('invalidateblock', hash)
      await compare('getrawmempool')
      await mineThere(1)
      await compare('getbestblockhash')
      await compare('reconsiderblock', hash)
      await mineHere(2)
      await compare('getbestblockhash')
      const mine = (await ours('scantxoutset', ['start', [`addr(${address})`]])) as {
        unspents: { txid: string }[]
        txouts: number
      }
      const theirs = (await real('scantxoutset', ['start', [`addr(${address})`]])) as typeof mine
      expect(mine.txouts).toBe(theirs.txouts)
      expect(mine.unspents.map((u) => u.txid).sort()).toEqual(theirs.unspents.map((u) => u.txid).sort())
    })
  },
)
