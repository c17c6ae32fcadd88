import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeAddress } from '../../src/bitcoin/address.ts'
import { BitcoindSource } from '../../src/chain/bitcoind.ts'
import { followFrom, readBlocks } from '../../src/chain/follower.ts'
import { TRUE_OUTPUT } from '../chain/embedded/harness.ts'
import { BITCOIND, type RealNode, startBitcoind } from './realNode.ts'

if (!BITCOIND) console.warn('LEFT OUT: no pruned Bitcoin node was asked, because FULMEN_BITCOIND names no bitcoind')

const BLOCKS = 700

describe.skipIf(!BITCOIND)('a pruned Bitcoin node (left out unless FULMEN_BITCOIND names one)', () => {
  let whole: RealNode
  let pruned: RealNode
  const ask = (node: RealNode, method: string, ...params: unknown[]): Promise<unknown> =>
    node.transport.call(method, params, { timeoutMs: 60_000 })

  beforeAll(async () => {
    ;[whole, pruned] = await Promise.all([
      startBitcoind(BITCOIND!),
      startBitcoind(BITCOIND!, ['-txindex=0', '-prune=1', '-fastprune']),
    ])
    await ask(whole, 'generatetoaddress', BLOCKS, encodeAddress(TRUE_OUTPUT, 'regtest'))
  })
  afterAll(() => Promise.all([whole?.stop(), pruned?.stop()]))

  it('fetches again what it has deleted, while it has a peer that keeps all blocks; without one it says what is wrong', async () => {
    await ask(pruned, 'addnode', `127.0.0.1:${whole.port}`, 'onetry')
    while ((await ask(pruned, 'getblockcount')) !== BLOCKS) await new Promise((resolve) => setTimeout(resolve, 50))
    const least = Number(await ask(pruned, 'pruneblockchain', BLOCKS - 288)) + 1
    expect(least).toBeGreaterThan(50)
    const source = new BitcoindSource({ transport: pruned.transport, network: 'regtest' })
    const read: number[] = []
    const onBlock = ({ height }: { height: number }): void => void read.push(height)
    // As a node does that was away for long.
    await readBlocks(source, await followFrom(source), { fromHeight: 10, toHeight: 15 }, onBlock)
    expect(read).toEqual([10, 11, 12, 13, 14, 15])

    for (const { id } of (await ask(pruned, 'getpeerinfo')) as { id: number }[]) {
      await ask(pruned, 'disconnectnode', '', id)
    }
    while (((await ask(pruned, 'getpeerinfo')) as unknown[]).length > 0) await new Promise(setImmediate)
    await expect(source.block(await source.blockHash(30))).rejects.toMatchObject({
      code: 'PRUNED',
      message: expect.stringContaining('keeps all blocks'),
    })
  })
})
