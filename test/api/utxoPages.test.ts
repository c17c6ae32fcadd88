import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outpointKey, txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { FulmenClient } from '../../src/client/index.ts'
import type { UtxoView } from '../../src/node/onchainService.ts'
import { testApi } from './harness.ts'

const TIP = 200

const coin = (n: number, blockHeight: number | null): UtxoView => ({
  outpoint: { txid: txid(n.toString(16).padStart(64, '0')), index: n % 3 },
  amountSat: sat(BigInt(n + 1)),
  address: 'bcrt1q',
  blockHeight,
  confirmations: blockHeight === null ? 0 : TIP - blockHeight + 1,
  locked: n % 5 === 0,
})

const coins = fc
  .uniqueArray(fc.record({ n: fc.nat(500), blockHeight: fc.option(fc.integer({ min: 190, max: TIP })) }), {
    selector: ({ n }) => n,
    maxLength: 40,
  })
  .map((list) => list.map(({ n, blockHeight }) => coin(n, blockHeight)))

describe('the list of unspent outputs', () => {
  it('page by page is the whole list, newest first, and no page is longer than asked', async () => {
    const { call, node } = await testApi()
    await fc.assert(
      fc.asyncProperty(coins, fc.integer({ min: 1, max: 9 }), async (all, limit) => {
        node.utxos = async () => all
        const seen: { outpoint: string; blockHeight: number | null }[] = []
        let cursor: string | null = null
        do {
          const page: { items: typeof seen; nextCursor: string | null } = (
            await call('GET', `/v1/wallet/utxos?limit=${limit}${cursor ? `&cursor=${cursor}` : ''}`)
          ).json()
          expect(page.items.length).toBeLessThanOrEqual(limit)
          if (page.nextCursor !== null) expect(page.items).toHaveLength(limit)
          seen.push(...page.items)
          cursor = page.nextCursor
        } while (cursor !== null)
        const heights = seen.map(({ blockHeight }) => blockHeight ?? TIP + 1)
        expect(heights).toEqual(heights.toSorted((a, b) => b - a))
        expect(seen.map(({ outpoint }) => outpoint).toSorted()).toEqual(
          all.map(({ outpoint }) => outpointKey(outpoint)).toSorted(),
        )
      }),
      { numRuns: 40 },
    )
  })

  it('leaves out none that stays, whatever is spent, comes in or confirms between two pages', async () => {
    const { call, node } = await testApi()
    const between = fc.array(fc.constantFrom('spend', 'come', 'confirm'), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(coins, fc.integer({ min: 1, max: 5 }), between, async (first, limit, happenings) => {
        let now = [...first]
        node.utxos = async () => now
        const [seen, spent, left] = [new Set<string>(), new Set<string>(), [...happenings]]
        let cursor: string | null = null
        do {
          const query: string = cursor ? `&cursor=${cursor}` : ''
          const { items, nextCursor } = (await call('GET', `/v1/wallet/utxos?limit=${limit}${query}`)).json()
          for (const { outpoint } of items) seen.add(outpoint)
          cursor = nextCursor
          const what = left.pop()
          if (what === 'spend') {
            // Also the very coin at which the next page begins.
            const last = now.find(({ outpoint }) => outpointKey(outpoint) === items.at(-1)?.outpoint)
            if (last) spent.add(outpointKey(last.outpoint))
            now = now.filter((one) => one !== last)
          } else if (what === 'come') now = [coin(1_000 + left.length, null), ...now]
          else if (what === 'confirm') now = now.map((one) => ({ ...one, blockHeight: one.blockHeight ?? TIP + 1 }))
        } while (cursor !== null)
        for (const { outpoint } of first) {
          const key = outpointKey(outpoint)
          if (!spent.has(key)) expect(seen).toContain(key)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('is filtered before it is cut into pages; the client reads one page, or all', async () => {
    const { app, bearer, call, node } = await testApi()
    const all = Array.from({ length: 12 }, (_, n) => coin(n, n < 6 ? null : 189 + n))
    node.utxos = async () => all
    const { items, nextCursor } = (await call('GET', '/v1/wallet/utxos?minConfirmations=1&limit=6')).json()
    expect(items.map((u: { blockHeight: number }) => u.blockHeight)).toEqual([200, 199, 198, 197, 196, 195])
    expect(nextCursor).toBeNull()
    expect((await call('GET', '/v1/wallet/utxos?locked=true')).json().items).toHaveLength(3)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const address = app.server.address() as { port: number }
    const client = new FulmenClient({ url: `http://127.0.0.1:${address.port}`, key: bearer })
    const page = await client.wallet.utxoPage({ limit: 5, minConfirmations: 1 })
    expect([page.items.length, page.nextCursor === null]).toEqual([5, false])
    node.utxos = async () => Array.from({ length: 1_234 }, (_, n) => coin(n, 150))
    expect(await client.wallet.utxos()).toHaveLength(1_234)
    await app.close()
  })
})
