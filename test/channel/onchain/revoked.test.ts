import { describe, expect, it } from 'vitest'
import { txidOf } from '../../../src/bitcoin/transaction.ts'
import { onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import { planClaims } from '../../../src/channel/onchain/plan.ts'
import type { OnchainState } from '../../../src/channel/onchain/types.ts'
import { describeOnchain } from '../../../src/channel/onchain/view.ts'
import type { ChannelTypeName } from '../../../src/channel/types.ts'
import { CAPACITY, channelOf, DELAY, type HtlcSpec, type Name, type Setup, START, settled } from './fixture.ts'
import { type World, won, world } from './world.ts'

const types: readonly ChannelTypeName[] = ['static_remotekey', 'anchors']

const htlc = (from: Name, amountSat: number, n: number, knows: boolean): HtlcSpec => ({
  from,
  amountSat,
  cltvExpiry: START + n,
  n,
  knows,
})
const oldHtlcs = [htlc('alice', 100_000, 1, true), htlc('alice', 200_000, 90, false), htlc('bob', 150_000, 3, false)]

/** Bob publishes commitment 3 and plays on from it, though the channel is at 6. */
function cheating(type: ChannelTypeName, live: readonly HtlcSpec[] = []): World {
  const old: Setup = { type, opener: 'bob', number: 3, htlcs: [...live, ...oldHtlcs] }
  const now: Setup = { type, opener: 'bob', number: 6, htlcs: live.map((h) => ({ ...h, since: 2 })) }
  const w = world(now)
  w.alice.revokedHtlcs = settled('alice', { ...old, htlcs: oldHtlcs }, 5)
  w.bob.channel = channelOf('bob', old)
  return w
}

function finishAlice(w: World): void {
  for (let i = 0; i < 300 && !w.alice.done; i++) w.mine()
  expect(w.alice.done).toBe(true)
}

/** Alice has everything but what went to miners: by the commitment, and by HTLC transactions of bob's that pay from their HTLC. */
function expectAll(w: World): void {
  const { closing, spenders } = w.alice.onchain!
  const stageFees = spenders.filter((s) => s.kind === 'theirs').reduce((sum, s) => sum + (s.feeSat ?? 0n), 0n)
  expect(won(w, 'alice')).toBe(CAPACITY - closing.feeSat - closing.anchorsSat - stageFees)
  expect(w.alice.refused).toEqual([])
}

for (const type of types) {
  describe(`BOLT 5 §revoked-transaction-close-handling: ${type}`, () => {
    it('takes everything: to_local, to_remote and every HTLC output', () => {
      const w = cheating(type)
      w.bob.forceClose()
      w.mine()
      expect(w.alice.onchain).toMatchObject({ how: 'revoked', closing: { kind: 'revoked' } })
      finishAlice(w)
      expectAll(w)
    })

    it('takes the outputs of HTLC transactions that confirmed before its penalties', () => {
      const w = cheating(type)
      w.bob.forceClose()
      // A miner that works for bob: of alice it takes nothing for as long as bob's delay allows.
      w.mine(DELAY.bob - 2, (tx) => !w.alice.paid.has(txidOf(tx)))
      const stages = w.alice.onchain!.spenders.filter((s) => s.kind === 'theirs')
      expect(stages.length).toBe(2)
      finishAlice(w)
      expectAll(w)
    })

    it('punishes HTLCs that still stand, and settles them upstream: by the preimage, or as failed', () => {
      const live = [htlc('alice', 50_000, 1, true), htlc('alice', 60_000, 95, false), htlc('bob', 70_000, 96, false)]
      const w = cheating(type, live)
      w.bob.forceClose()
      w.mine(DELAY.bob - 2, (tx) => !w.alice.paid.has(txidOf(tx)))
      expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', id: 0n }])
      finishAlice(w)
      expect(w.alice.events).toMatchObject([
        { tag: 'fulfilled', id: 0n },
        { tag: 'failed', id: 1n },
      ])
      expect(w.alice.refused).toEqual([])
    })

    it('misses nothing that happens before the records of settled HTLCs are read', () => {
      const w = cheating(type)
      const records = w.alice.revokedHtlcs
      w.alice.revokedHtlcs = null
      w.bob.forceClose()
      w.mine(6)
      expect(w.alice.onchain!.revoked!.early.length).toBe(2)
      w.alice.revokedHtlcs = records
      w.mine()
      expect(w.alice.onchain!.revoked!.early).toEqual([])
      finishAlice(w)
      expectAll(w)
    })

    it('finds HTLCs in outputs of the same number as those of HTLC transactions that came before the records', () => {
      // The smallest come first: the settled ones before the one that is live, behind two anchors.
      for (const ahead of type === 'anchors' ? [0, 1, 2, 3, 4] : [0]) {
        const w = cheating(type, [htlc('alice', 250_000, 1, true)])
        const records = w.alice.revokedHtlcs
        w.alice.revokedHtlcs = null
        w.bob.ahead = ahead
        w.bob.forceClose()
        w.mine(6, (tx) => !w.alice.paid.has(txidOf(tx)))
        expect(w.alice.onchain!.outputs.some((o) => o.outpoint.txid !== w.alice.onchain!.closing.txid)).toBe(true)
        w.alice.revokedHtlcs = records
        finishAlice(w)
        expectAll(w)
      }
    })

    it('is not done before the records of settled HTLCs have been looked through', () => {
      const w = cheating(type)
      w.bob.forceClose()
      w.mine()
      const { channel, onchain, ctx } = w.alice
      const open: OnchainState = {
        ...onchain!,
        outputs: [],
        revoked: { ...onchain!.revoked!, loaded: false },
      }
      const later = { ...ctx, blockHeight: ctx.blockHeight + 50 }
      const n = 3
      expect(onchainEvent(channel, open, { tag: 'block', height: later.blockHeight }, later)).toMatchObject({
        done: false,
        effects: [{ tag: 'loadRevokedHtlcs', commitmentNumber: n }],
      })
      expect(onchainEvent(channel, open, { tag: 'revokedHtlcs', commitmentNumber: n, htlcs: [] }, later).done).toBe(
        true,
      )
      const wrong = onchainEvent(channel, open, { tag: 'revokedHtlcs', commitmentNumber: n + 1, htlcs: [] }, later)
      expect(wrong.done).toBe(false)
    })

    it('tells what the peer has taken after its delay all the same as the peer’s', () => {
      const w = cheating(type)
      w.bob.forceClose()
      w.mine(DELAY.bob, (tx) => !w.alice.paid.has(txidOf(tx)))
      const { publish } = planClaims(w.bob.channel, w.bob.onchain!, w.bob.ctx)
      const { tx } = publish.find((p) => p.purpose === 'sweep')!
      w.alice.block(w.chain.connect([tx]))
      const { transactions } = describeOnchain(w.alice.channel, w.alice.onchain!, w.alice.ctx)
      expect(transactions.find((t) => t.txid === txidOf(tx))).toMatchObject({ kind: 'theirs', confirmed: true })
    })

    it('publishes our own commitment when a reorg takes the revoked one away', () => {
      const w = cheating(type)
      w.bob.forceClose()
      w.mine()
      w.chain.reorg(1)
      w.alice.reorg(w.chain.height)
      expect(w.alice.onchain).toMatchObject({ how: 'local-force', closing: { kind: 'local', height: null } })
      finishAlice(w)
      expect(won(w, 'alice')).toBe(CAPACITY / 2n)
    })
  })
}
