import { describe, expect, it } from 'vitest'
import { onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import { describeOnchain } from '../../../src/channel/onchain/view.ts'
import type { ChannelTypeName } from '../../../src/channel/types.ts'
import {
  CAPACITY,
  DELAY,
  FEERATE,
  type HtlcSpec,
  type Name,
  other,
  preimageOf,
  START,
  walletScript,
} from './fixture.ts'
import { type World, won, world } from './world.ts'

const types: readonly ChannelTypeName[] = ['static_remotekey', 'anchors']
const names: readonly Name[] = ['alice', 'bob']
const SMALL_COINS = 40n * 50_000n
const HALF = CAPACITY / 2n

const htlc = (from: Name, amountSat: number, n: number, knows: boolean): HtlcSpec => ({
  from,
  amountSat,
  cltvExpiry: START + 10 + n,
  n,
  knows,
})
/** Each side offers one that is fulfilled, one that is not, and one that is trimmed. */
const mixed: readonly HtlcSpec[] = [
  htlc('alice', 100_000, 1, true),
  htlc('alice', 200_000, 2, false),
  htlc('alice', 300, 3, false),
  htlc('bob', 150_000, 4, true),
  htlc('bob', 250_000, 5, false),
  htlc('bob', 250, 6, false),
]
const setup = (type: ChannelTypeName, htlcs: readonly HtlcSpec[] = [], opener: Name = 'alice') => ({
  type,
  opener,
  number: 3,
  htlcs,
})

/** Every HTLC that a side offered has exactly one result, the right one. */
function expectResults(w: World, htlcs: readonly HtlcSpec[]): void {
  for (const who of names) {
    const own = htlcs.filter((h) => h.from === who)
    expect(w[who].events.length).toBe(own.length)
    own.forEach((h, id) => {
      const event = w[who].events.find((e) => 'id' in e && e.id === BigInt(id))
      expect(event).toMatchObject(
        h.knows ? { tag: 'fulfilled', preimage: preimageOf(h) } : { tag: 'failed', failure: { tag: 'onchain' } },
      )
    })
  }
}
const refusals = (w: World): readonly string[] => [...w.alice.refused, ...w.bob.refused]

for (const type of types) {
  for (const closer of names) {
    const opener = 'alice'
    const accepter = other(opener)
    describe(`BOLT 5 §unilateral-close-handling: ${type}, the ${closer === opener ? 'opener' : 'accepter'} closes`, () => {
      it('sweeps to_local as soon as the delay allows, to_remote at once', () => {
        const w = world(setup(type))
        w[closer].forceClose()
        w.mine()
        expect(w[other(closer)].onchain?.how).toBe('remote-force')
        w.mine()
        expect(w.chain.balance(walletScript(other(closer)))).toBeGreaterThan(SMALL_COINS)
        w.mine(DELAY[closer] - 2)
        expect(w.chain.balance(walletScript(closer))).toBe(SMALL_COINS)
        w.mine()
        expect(w.chain.balance(walletScript(closer))).toBeGreaterThan(SMALL_COINS)
        w.finish()
        expect(refusals(w)).toEqual([])
      })

      it('gives every HTLC to whom it belongs, to the satoshi, and reports each once', () => {
        const w = world(setup(type, mixed))
        w[closer].forceClose()
        w.finish()
        expectResults(w, mixed)
        expect(refusals(w)).toEqual([])
        expect([...w.alice.raced, ...w.bob.raced]).toEqual([])
        const { feeSat, anchorsSat } = w[closer].onchain!.closing
        expect(anchorsSat).toBe(type === 'anchors' ? 660n : 0n)
        // The accepter pays no fee: its half, less what it offered, with what it got back and what it claimed.
        const accepted = HALF - 250n - 150_000n + 100_000n
        expect(won(w, accepter)).toBe(accepted)
        expect(won(w, opener)).toBe(CAPACITY - feeSat - anchorsSat - accepted)
      })

      it('accounts for the fee of every transaction that is the channel’s own', () => {
        const w = world(setup(type, mixed))
        w[closer].forceClose()
        w.finish()
        for (const who of names) {
          const party = w[who]
          const view = describeOnchain(party.channel, party.onchain!, party.ctx)
          expect(view.resolved).toBe(true)
          expect(view.unclaimedSat).toBe(party.onchain!.closing.anchorsSat)
          for (const tx of view.transactions) {
            expect(tx.confirmed).toBe(true)
            if (tx.feeSat !== null) expect(tx.feeSat).toBe(w.chain.fees.get(tx.txid))
          }
          // Each of its claims is listed as its own.
          const ours = view.transactions.filter((t) => ['sweep', 'htlc'].includes(t.kind)).map((t) => t.txid)
          const mined = [...w.chain.fees.keys()].filter((id) => party.paid.has(id) && id !== view.txid)
          expect([...ours].sort()).toEqual([...mined].sort())
        }
      })
    })
  }

  describe(`BOLT 5: ${type}, what comes late`, () => {
    it('claims an HTLC whose preimage arrives after the close, on either commitment', () => {
      for (const closer of names) {
        const htlcs = [htlc('alice', 100_000, 60, false)]
        const w = world(setup(type, htlcs))
        w[closer].forceClose()
        w.mine(5)
        w.bob.learn(0n, preimageOf(htlcs[0]!))
        w.finish()
        expectResults(w, [{ ...htlcs[0]!, knows: true }])
        expect(won(w, 'bob')).toBe(HALF + 100_000n)
      }
    })

    it('learns a preimage in the block that shows it, long before the claim is deep', () => {
      const w = world(setup(type, [htlc('alice', 100_000, 60, true)]))
      w.bob.forceClose()
      w.mine(2)
      expect(w.alice.events).toMatchObject([{ tag: 'fulfilled' }])
    })

    it('fails an HTLC upstream no earlier than with 6 blocks on top, so that a reorg of 6 does not bring it back', () => {
      for (const spec of [htlc('alice', 100_000, 2, false), htlc('alice', 300, 90, false)]) {
        const w = world(setup(type, [spec]))
        w.alice.forceClose()
        w.mine()
        const trimmed = spec.amountSat === 300
        // The claim is published at the expiry and confirms one block later.
        const resolved = trimmed ? w.chain.height : spec.cltvExpiry + 1
        while (w.chain.height < resolved + 5) w.mine()
        expect(w.alice.events).toEqual([])
        w.mine()
        expect(w.alice.events).toMatchObject([{ tag: 'failed' }])
      }
    })

    it('begins a second stage again that a reorg undid', () => {
      const w = world(setup(type, [htlc('alice', 100_000, 2, false), htlc('bob', 150_000, 4, true)]))
      w.alice.forceClose()
      w.mine(15)
      const stages = () => w.alice.onchain!.outputs.filter((o) => o.outpoint.txid !== w.alice.onchain!.closing.txid)
      expect(stages().length).toBe(2)
      w.reorg(5)
      expect(stages().length).toBe(1)
      w.finish()
      expect(stages().every((o) => o.spent)).toBe(true)
      expect(won(w, 'bob')).toBe(HALF - 150_000n)
      expect(refusals(w)).toEqual([])
    })

    it('changes nothing in the record at a block that brings nothing', () => {
      const w = world(setup(type, mixed))
      w.alice.forceClose()
      w.mine(2)
      const { channel, onchain, ctx } = w.alice
      const step = onchainEvent(channel, onchain!, { tag: 'block', height: ctx.blockHeight }, ctx)
      expect(step.onchain).toBe(onchain)
      expect(step.channel).toBe(channel)
    })

    it('goes on when a claim misses many blocks, with a higher fee each time', () => {
      const w = world(setup(type, [htlc('bob', 100_000, 60, true)]))
      w.bob.forceClose()
      w.mine()
      const closing = w.bob.onchain!.closing.txid
      w.mine(20, (tx) => tx.inputs.every((i) => i.txid !== closing))
      const sweeps = w.alice.onchain!.sweeps
      expect(sweeps.length).toBe(2)
      for (const s of sweeps) expect(s.feeratePerKw).toBeGreaterThan(FEERATE * 1.9)
      w.finish()
      expect(refusals(w)).toEqual([])
      expect(won(w, 'bob')).toBe(HALF - 100_000n)
    })
  })
}
