import { describe, expect, it } from 'vitest'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { TestChain } from '../channel/onchain/chain.ts'
import { channelOf, type HtlcSpec, START, settled } from '../channel/onchain/fixture.ts'
import { world } from '../channel/onchain/world.ts'

/** The highest sequence that says of a transaction that it may be replaced. @source BIP 125 */
const MAY_BE_REPLACED = 0xfffffffd

class Listening extends TestChain {
  readonly heard: Transaction[] = []
  override broadcast(tx: Transaction): string | null {
    this.heard.push(tx)
    return super.broadcast(tx)
  }
}

// BOLT 5 §failing-a-channel, §revoked-transaction-close-handling
describe('pinning (CVE-2021-31876): what builds on a replaceable transaction is not replaceable by that', () => {
  const htlcs: readonly HtlcSpec[] = (['alice', 'bob'] as const).flatMap((from, i) =>
    [false, true].map((knows, k) => ({ from, amountSat: 40_000, cltvExpiry: START + 20, n: 2 * i + k, knows })),
  )
  for (const type of ['anchors', 'static_remotekey'] as const) {
    it(`all that a close by force publishes says so itself, penalties too: ${type}`, () => {
      for (const isRevoked of [false, true]) {
        const w = world({ type, opener: 'alice', number: 3, htlcs }, Listening)
        if (isRevoked) {
          w.alice.channel = channelOf('alice', { type, opener: 'alice', number: 6, htlcs: [] })
          w.alice.revokedHtlcs = settled('alice', { type, opener: 'alice', number: 3, htlcs }, 5)
        }
        w.bob.forceClose()
        w.finish()
        expect(w.alice.onchain!.how).toBe(isRevoked ? 'revoked' : 'remote-force')
        expect(w.chain.heard.length).toBeGreaterThan(4)
        const silent = w.chain.heard.filter((tx) => tx.inputs.every((i) => i.sequence > MAY_BE_REPLACED))
        expect(silent).toEqual([])
      }
    })
  }
})
