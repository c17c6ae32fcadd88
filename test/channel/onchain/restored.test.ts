import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../../src/base/pack.ts'
import { msat } from '../../../src/base/units.ts'
import { type BackedUpHtlc, htlcsToBackUp, nextIds, pointsOfPeer } from '../../../src/channel/backedUpHtlcs.ts'
import { htlcTable } from '../../../src/channel/htlcTable.ts'
import { fundingSpent } from '../../../src/channel/onchain/onchain.ts'
import type { OnchainState } from '../../../src/channel/onchain/types.ts'
import { describeOnchain } from '../../../src/channel/onchain/view.ts'
import { withToldPoint } from '../../../src/channel/reestablish.ts'
import { remoteKeys, restoreChannel } from '../../../src/channel/restored.ts'
import type { Channel } from '../../../src/channel/state.ts'
import type { ChannelTypeName } from '../../../src/channel/types.ts'
import { CAPACITY, channelOf, commitmentTx, contextOf, type HtlcSpec, type Setup, START } from './fixture.ts'
import { type World, won, world } from './world.ts'

const { signer } = contextOf('alice', START)
const bobsPoint = (n: number): Uint8Array => contextOf('bob', START).signer.commitmentPoint(n)

/** What alice has left of a channel: her keys, and what a backup told. */
function afterLoss(
  channel: Channel,
  {
    points = pointsOfPeer(channel),
    onchain = null,
  }: { points?: readonly Uint8Array[]; onchain?: OnchainState | null } = {},
): Channel {
  const { funding, capacitySat } = channel.commitments.active[0]!
  const htlcs = unpack<BackedUpHtlc[]>(pack(htlcsToBackUp(channel, nextIds(channel), onchain)))
  const known = { ...channel.params, funding, capacitySat, remote: remoteKeys(channel), htlcs, points }
  return restoreChannel(known, signer).channel
}
const restored = (s: Setup, points?: readonly Uint8Array[]): Channel =>
  afterLoss(channelOf('alice', s), points ? { points } : {})
/** Alice loses her disk when her own commitment is on its way. */
function loseAfterClosing({ alice }: World): void {
  alice.channel = afterLoss(alice.channel, { onchain: alice.onchain })
  alice.onchain = null
}
const TYPES: readonly ChannelTypeName[] = ['anchors', 'static_remotekey']
const htlc = (from: 'alice' | 'bob', n: number, more: Partial<HtlcSpec> = {}): HtlcSpec => ({
  ...{ from, n, amountSat: 100_000 + n, cltvExpiry: START + 20 + n, knows: false },
  ...more,
})

describe('BOLT 5 §unilateral-close-handling-remote-commitment-transaction: a channel restored from a backup', () => {
  const either = fc.constantFrom('alice' as const, 'bob' as const)
  const specs = fc.array(
    fc.record({
      from: either,
      amountSat: fc.integer({ min: 300, max: 300_000 }),
      cltvExpiry: fc.integer({ min: START + 10, max: START + 60 }),
      // Few values: HTLCs of one hash, amount and expiry are not rare.
      n: fc.integer({ min: 1, max: 4 }),
      knows: fc.boolean(),
    }),
    { maxLength: 6 },
  )

  it.each(TYPES)('%s: gets of every HTLC what a node that has lost nothing gets, by valid scripts', (type) => {
    fc.assert(
      fc.property(specs, either, either, (htlcs, opener, publisher) => {
        // A preimage is known for all HTLCs of its hash in one direction, or for none.
        const known = new Set(htlcs.filter((h) => h.knows).map((h) => `${h.from}${h.n}`))
        const all = htlcs.map((h) => ({ ...h, knows: known.has(`${h.from}${h.n}`) }))
        const end = (lost: boolean) => {
          const s: Setup = { type, opener, number: 3, htlcs: all }
          const w = world(s)
          w[publisher].forceClose()
          if (lost && publisher === 'alice') loseAfterClosing(w)
          else if (lost) w.alice.channel = restored(s)
          w.finish()
          expect(w.alice.refused).toEqual([])
          // Those that have no output end with the channel, of which a backup need not know.
          const learned = w.alice.events
            .flatMap((e) => (e.tag === 'fulfilled' ? [`${e.id} ${e.preimage[0]}`] : []))
            .sort()
          return { won: won(w, 'alice'), learned }
        }
        expect(end(true)).toEqual(end(false))
      }),
      { numRuns: 14 },
    )
  })

  it.each(['now', 'next', 'told'] as const)('knows the outputs by the point that was %s', (by) => {
    const s: Setup = {
      type: 'anchors',
      opener: 'bob',
      number: 7,
      htlcs: [htlc('alice', 1), htlc('bob', 2, { knows: true })],
    }
    const w = world(s)
    const points = { now: [bobsPoint(7)], next: [bobsPoint(6), bobsPoint(7)], told: [bobsPoint(3)] }[by]
    w.alice.channel = restored(s, points)
    if (by === 'told') {
      const message = { type: 'channel_reestablish', myCurrentPerCommitmentPoint: bobsPoint(7) } as never
      w.alice.channel = withToldPoint(w.alice.channel, message)
    }
    w.bob.forceClose()
    w.finish()
    expect(won(w, 'alice')).toBe(CAPACITY / 2n + 100_002n)
  })

  it('a point that is not on the curve is not listened to', () => {
    const channel = restored({ type: 'anchors', opener: 'bob', number: 7, htlcs: [] })
    const message = {
      type: 'channel_reestablish',
      myCurrentPerCommitmentPoint: new Uint8Array(33).fill(2).fill(255, 1),
    }
    expect(withToldPoint(channel, message as never)).toBe(channel)
  })

  it('an HTLC that was settled after the backup is in no output: it is let go once it has expired, and holds up no claim', () => {
    const s: Setup = { type: 'anchors', opener: 'bob', number: 5, htlcs: [htlc('alice', 1)] }
    const w = world(s)
    w.alice.channel = restored({ ...s, htlcs: [htlc('alice', 1), htlc('alice', 2), htlc('bob', 3, { knows: true })] })
    w.bob.forceClose()
    w.mine(3)
    expect(w.alice.onchain?.outputs.map((o) => o.htlc?.paymentHash).filter(Boolean)).toHaveLength(1)
    w.finish()
    expect(won(w, 'alice')).toBe(CAPACITY / 2n)
    expect(w.alice.events).toMatchObject([
      { tag: 'failed', id: 0n },
      { tag: 'failed', id: 1n },
    ])
  })

  it.each(['no point of the peer’s', 'our own commitment'])(
    'with %s to know its outputs by, it still learns what the peer shows when it claims them',
    (what) => {
      const s: Setup = {
        type: 'anchors',
        opener: 'alice',
        number: 5,
        htlcs: [htlc('alice', 1, { knows: true }), htlc('alice', 2)],
      }
      const w = world(s)
      w.alice.channel = restored(s, [])
      if (what === 'our own commitment') expect(w.chain.broadcast(commitmentTx('alice', s))).toBeNull()
      else w.bob.forceClose()
      w.mine()
      const { waitsFor } = describeOnchain(w.alice.channel, w.alice.onchain!, w.alice.ctx)
      expect(waitsFor).toMatch(/HTLC|claim|delay/)
      w.finish()
      expect(w.alice.events).toMatchObject([
        { tag: 'fulfilled', id: 0n },
        { tag: 'failed', id: 1n },
      ])
    },
  )

  it('takes no signature of another commitment of ours for one of this', () => {
    const s: Setup = { type: 'anchors', opener: 'bob', number: 5, htlcs: [htlc('alice', 1)] }
    const w = world({ ...s, number: 4 })
    w.alice.forceClose()
    const channel = afterLoss(w.alice.channel, { onchain: w.alice.onchain })
    expect(channel.ownStages).toHaveLength(1)
    const tx = commitmentTx('alice', s)
    const step = fundingSpent(channel, { tx, height: START + 1, mutual: false }, contextOf('alice', START + 1))
    expect(step.onchain.outputs.map((o) => o.spend.tag)).toEqual(['delayed'])
  })

  it('a channel whose database is older than the peer’s commitment claims what it knows in the same way', () => {
    const s: Setup = {
      type: 'anchors',
      opener: 'bob',
      number: 9,
      htlcs: [htlc('alice', 1), htlc('bob', 2, { knows: true })],
    }
    const w = world(s)
    const message = { type: 'channel_reestablish', myCurrentPerCommitmentPoint: bobsPoint(9) } as never
    w.alice.channel = withToldPoint(channelOf('alice', { ...s, number: 4 }), message)
    w.bob.forceClose()
    w.finish()
    expect(w.alice.onchain?.closing.kind).toBe('future')
    expect(won(w, 'alice')).toBe(CAPACITY / 2n + 100_002n)
  })

  it('takes into a backup what a commitment of the peer has, from before the given ids, unless it has been failed', () => {
    const channel = channelOf('alice', { type: 'anchors', opener: 'bob', number: 4, htlcs: [] })
    const record = channelOf('alice', {
      ...{ type: 'anchors', opener: 'bob', number: 4 },
      htlcs: [1, 2, 3, 4].flatMap((n) => [htlc('alice', n), htlc('bob', n)]),
    })
    const [out, incoming] = [record.commitments.outgoing, record.commitments.incoming].map((t) => [...t.chunks.flat()])
    const dust = { ...out![1]!, add: { ...out![1]!.add, amountMsat: msat(600_000) } }
    const failed = { ...incoming![1]!, removal: { tag: 'failed', reason: new Uint8Array(1) } as const }
    const commitments = {
      ...channel.commitments,
      outgoing: htlcTable([{ ...out![0]!, stage: 'signed' }, dust, { ...out![2]!, stage: 'proposed' }, out![3]!]),
      incoming: htlcTable([{ ...incoming![0]!, stage: 'received' }, failed, incoming![2]!, incoming![3]!]),
    }
    const ids = (below: { out: bigint; in: bigint }) =>
      htlcsToBackUp({ ...channel, commitments }, below).map((h) => [h.direction, h.id])
    expect(ids({ out: 4n, in: 4n })).toEqual([
      ['out', 0n],
      ['out', 3n],
      ['in', 2n],
      ['in', 3n],
    ])
    expect(ids({ out: 3n, in: 3n })).toEqual([
      ['out', 0n],
      ['in', 2n],
    ])
  })
})
