import { describe, expect, it } from 'vitest'
import { type BlockHash, type NodeId, shortChannelId, type Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import type { ChainSource } from '../../src/chain/source.ts'
import { fundingScriptPubKey } from '../../src/channel/tx/scripts.ts'
import { FundingLookups } from '../../src/node/fundingLookups.ts'
import type { ChannelAnnouncement } from '../../src/wire/messages/gossip.ts'
import { announcementOf, scidOf } from '../gossip/network.ts'

const idOf = (n: number): NodeId => `02${n.toString(16).padStart(64, '0')}` as NodeId
const CHOSEN = idOf(99)
const ANY = announcementOf({ block: 1, n: 0 })

/** Look-ups of which each waits in the chain until it is let go; `found` names the blocks that were asked for. */
function start() {
  const found: number[] = []
  const held: (() => void)[] = []
  const source = {
    blockHash: async (height: number) => {
      found.push(height)
      await new Promise<void>((resolve) => held.push(resolve))
      return '' as BlockHash
    },
    txids: async () => [],
  } as unknown as ChainSource
  let now = 0
  const lookups = new FundingLookups(
    source,
    (peer) => peer === CHOSEN,
    () => now,
  )
  const announced = (block: number): ChannelAnnouncement => ({ ...ANY, shortChannelId: scidOf({ block, n: 0 }) })
  return {
    ...{ lookups, found },
    find: (peer: NodeId, block: number) => lookups.find(peer, announced(block)),
    next: () => held.shift()!(),
    pass: (ms: number) => {
      now += ms
    },
  }
}

describe('fundings that are looked up, those of made-up channels too', () => {
  it('of strangers, as many as they are, leave room for what a chosen peer announces, which comes first', async () => {
    const { lookups, found, find, next } = start()
    for (let n = 0; n < 6; n++)
      for (let i = 0; i < 1_000; i++) if (lookups.hasRoom(idOf(n), 1)) void find(idOf(n), 1 + i)
    expect([lookups.hasRoom(idOf(7), 1), lookups.hasRoom(CHOSEN, 500)]).toEqual([false, true])
    const mine = find(CHOSEN, 7_777)
    expect(found).toEqual([1, 2, 3, 4])
    next()
    for (let n = 0; n < 10 && found.length < 5; n++) await Promise.resolve()
    expect(found.at(-1)).toBe(7_777)
    for (let n = 0; n < 4; n++) next()
    expect(await mine).toBeNull()
  })

  it('of a chosen peer are limited as well', () => {
    const { lookups, find } = start()
    for (let i = 0; i < 1_000; i++) void find(CHOSEN, i)
    expect(lookups.hasRoom(CHOSEN, 1)).toBe(false)
    expect(lookups.hasRoom(idOf(1), 1)).toBe(true)
  })

  it('in vain are looked up for a peer a few hundred times, for strangers together two thousand, then once in a while', async () => {
    const { lookups, found, find, next, pass } = start()
    const inVain = async (peer: NodeId, most: number): Promise<number> => {
      let count = 0
      for (; count < most && lookups.hasRoom(peer, 1); count++) {
        const wait = find(peer, count)
        await Promise.resolve()
        next()
        await wait
      }
      return count
    }
    expect(await inVain(CHOSEN, 1_000)).toBe(500)
    for (const n of [1, 2, 3, 4]) expect(await inVain(idOf(n), 1_000)).toBe(500)
    expect(await inVain(idOf(5), 1_000)).toBe(0)
    const before = found.length
    expect(await find(idOf(1), 9)).toBeNull()
    expect(found.length).toBe(before)
    pass(60_000)
    expect(await inVain(CHOSEN, 1_000)).toBe(6)
    expect([await inVain(idOf(1), 1_000), await inVain(idOf(5), 1_000)]).toEqual([6, 54])
  })

  it('in vain count only where there are more of them than others', async () => {
    const txid = 'aa'.repeat(32) as Txid
    const output = { amountSat: sat(1), scriptPubKey: fundingScriptPubKey(ANY.bitcoinKey1, ANY.bitcoinKey2) }
    const source = {
      blockHash: async () => '' as BlockHash,
      txids: async () => [txid],
      utxo: async () => ({ output, confirmations: 6 }),
    } as unknown as ChainSource
    const lookups = new FundingLookups(
      source,
      () => false,
      () => 0,
    )
    const announced = (n: number, isThere: boolean) =>
      lookups.find(idOf(1), { ...ANY, shortChannelId: shortChannelId(n, isThere ? 0 : 7, 0) })
    for (let n = 0; n < 3_000; n++) expect((await announced(n, n % 2 === 0)) === null).toBe(n % 2 !== 0)
    let found = 0
    for (let n = 0; n < 3_000; n++) if ((await announced(n, n % 5 === 0)) !== null) found++
    expect(found).toBeLessThan(200)
  })

  it('are asked of the chain once the announcement has been found genuine, in its turn', async () => {
    const { lookups, found, next } = start()
    const asked: number[] = []
    const forged = (n: number) => lookups.find(idOf(1), ANY, () => void asked.push(n) as never)
    const held = [1, 2, 3, 4].map((n) => lookups.find(idOf(2), { ...ANY, shortChannelId: scidOf({ block: n, n: 0 }) }))
    const bad = [1, 2].map(forged)
    for (let n = 0; n < 9; n++) await Promise.resolve()
    expect([found.length, asked]).toEqual([4, []])
    for (let n = 0; n < 4; n++) next()
    expect(await Promise.all([...held, ...bad])).toEqual([null, null, null, null, null, null])
    expect([found.length, asked]).toEqual([4, [1, 2]])
  })
})
