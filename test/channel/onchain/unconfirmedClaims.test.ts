import { describe, expect, it } from 'vitest'
import type { Msat } from '../../../src/base/units.ts'
import { txidOf } from '../../../src/bitcoin/transaction.ts'
import { channelOf } from '../../../src/channel/describe.ts'
import { eachHtlc } from '../../../src/channel/htlcTable.ts'
import { Arena } from '../../adversary/arena.ts'
import { settleDust } from '../../adversary/dust.ts'
import { passOn } from '../../adversary/plots.ts'
import { Run } from '../../adversary/run.ts'
import { verdictOf } from '../../adversary/verdict.ts'

const SETTING = {
  company: 'between',
  channelType: 'static_remotekey',
  opens: false,
  feeratePerKw: 1_000,
  coins: 1,
} as const
const AMOUNT = 70_000_000n as Msat

/** BOLT 3 §received-htlc-outputs: without anchors an HTLC output of a commitment can be spent while that is in no block. */
describe('a preimage that the peer shows while the commitment itself waits', () => {
  for (const whose of ['ours', 'its own'] as const) {
    it(`goes upstream at once: of ${whose}`, async () => {
      const arena = new Arena(SETTING, null)
      const { lane } = passOn(new Run(arena, false), AMOUNT)!
      const mal = arena.hostiles.get(lane)!
      const commitment = mal.newest()
      if (whose === 'its own') {
        expect(arena.chain.broadcast(commitment).accepted).toBe(true)
        arena.held.set(txidOf(commitment), arena.chain.height + 50)
      }
      arena.hal.forceClose(lane)
      const closing = arena.closingOf(lane)!
      expect(txidOf(closing.tx) === txidOf(commitment)).toBe(whose === 'its own')
      const prey = mal.prey(arena.chain, arena.book, closing.tx, true).filter((p) => p.preimage !== null)
      const claims = mal.take(prey, { together: false, coins: arena.purse, feerate: 2_000 })
      expect(claims).toHaveLength(1)
      expect(arena.chain.broadcast(claims[0]!).accepted).toBe(true)
      await arena.block({ greed: 0, censor: true })
      expect(arena.closingOf(lane)!.confirmed).toBe(false)
      const upstream = channelOf(arena.hal.entry('up').state)!.commitments.incoming
      expect([...eachHtlc(upstream)].map((h) => h.removal?.tag)).toEqual(['fulfilled'])
      // Replaced by something that shows nothing.
      arena.chain.evict(txidOf(claims[0]!))
      await settleDust(arena, false)
      expect(verdictOf(arena, { setting: SETTING, history: [], steps: [], deep: false }).problems).toEqual([])
    })
  }
})
