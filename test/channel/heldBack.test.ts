import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { rebroadcasts, summary } from '../../src/channel/describe.ts'
import { HELD_BACK_BLOCKS } from '../../src/channel/heldBack.ts'
import { add, expectNext, POLICY, preimageOf, reachNormal, sentBy, World } from './harness.ts'
import type { Side } from './side.ts'

/** Connected again, after payments both ways; nothing is said yet. */
function again(before: (w: World) => void = () => {}, w = reachNormal({ pushMsat: msat(400_000_000) })): World {
  for (const n of [1, 2]) {
    w.alice.command(add(n, 5_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: BigInt(n - 1), preimage: preimageOf(n) })
    w.settle()
  }
  before(w)
  w.disconnect()
  w.alice.broadcasts = []
  w.connect()
  return w
}
const error = (w: World, text = 'sync error') =>
  ({ type: 'error', channelId: w.alice.channel.params.channelId, data: utf8(text) }) as const
const endOf = ({ state }: Side) => (state?.tag === 'closing' ? state.onchain.closing.kind : null)
const at = (w: World) => [w.alice.state!.tag, w.alice.broadcasts.length]
const commitmentOf = ({ channel, ctx }: Side) => signedLocal(channel, channel.commitments.active[0]!, ctx)

/** An error of Bob's that comes before he has shown where he stands. */
function failed(before?: (w: World) => void, from?: World): World {
  const w = again(before, from)
  w.receive('alice', error(w))
  return w
}

/** Bob shows that he knows a newer commitment of Alice's than she does. */
function prove(w: World): void {
  const said = expectNext(w, 'bob', 'channel_reestablish')
  const { number } = w.alice.channel.commitments.local
  const secret = w.alice.ctx.signer.commitmentSecret(number)
  w.receive('alice', { ...said, nextRevocationNumber: BigInt(number + 1), yourLastPerCommitmentSecret: secret })
  w.disconnect()
}

describe('BOLT 5 §failing-a-channel: a channel that fails before both sides are in step', () => {
  it('leaves the peer the first move, tells it so, and publishes its own commitment when that does not come', () => {
    const w = failed()
    expect([...at(w), sentBy(w.alice).at(-1)]).toEqual(['waiting-for-peer', 0, 'error'])
    w.disconnect()
    for (let n = 0; n < HELD_BACK_BLOCKS; n++) w.mine()
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    w.alice.crash()
    w.mine()
    expect(endOf(w.alice)).toBe('local')
  })

  it('publishes it as soon as the peer shows that it is the newest', () => {
    const w = failed()
    w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
    expect(at(w)).toEqual(['closing', 1])
  })

  it('never publishes it once the peer has proved that it is revoked', () => {
    const w = failed()
    prove(w)
    w.mine(HELD_BACK_BLOCKS + 2)
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    w.alice.command({ tag: 'forceClose', requestId: 3, evenIfRevoked: true })
    expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 3, result: { code: 'DATA_LOSS' } })
  })

  it('nor where a reorganisation takes back what the peer has published since', () => {
    const from = reachNormal({ pushMsat: msat(400_000_000) })
    const revoked = commitmentOf(from.bob)
    const w = failed(undefined, from)
    prove(w)
    w.alice.broadcasts = []
    w.bob.broadcasts = [revoked]
    w.mine()
    expect(endOf(w.alice)).toBe('revoked')
    w.alice.broadcasts = []
    w.reorg(w.height - 1)
    expect(w.alice.broadcasts.map(txidOf)).not.toContain(txidOf(commitmentOf(w.alice)))
  })

  it('nor once the store is found to have lost a write', () => {
    const w = failed()
    w.alice.step({ tag: 'doubted' })
    w.disconnect()
    w.mine(HELD_BACK_BLOCKS + 2)
    expect(at(w)).toEqual(['waiting-for-peer', 0])
  })

  it('does not count blocks that are caught up with, which give the peer no time', () => {
    const w = failed()
    w.disconnect()
    w.alice.ctx = { ...w.alice.ctx, isBehind: true }
    w.mine(HELD_BACK_BLOCKS + 10)
    w.alice.ctx = { ...w.alice.ctx, isBehind: false }
    w.mine(HELD_BACK_BLOCKS)
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    w.mine()
    expect(w.alice.state!.tag).toBe('closing')
  })

  it('counts those that a node is there for, though it be for an hour of each day', () => {
    const w = failed()
    w.disconnect()
    for (let live = 0; live <= HELD_BACK_BLOCKS; live += 6) {
      expect(at(w)).toEqual(['waiting-for-peer', 0])
      w.alice.ctx = { ...w.alice.ctx, isBehind: true }
      w.mine(30)
      w.alice.ctx = { ...w.alice.ctx, isBehind: false }
      w.mine(6)
    }
    expect(endOf(w.alice)).toBe('local')
  })

  it('ends when what was to fund it pays to something else', () => {
    const w = new World({ opener: 'bob', pushMsat: msat(100_000_000) }).open()
    const [tx] = w.bob.broadcasts
    w.disconnect()
    w.connect()
    w.receive('alice', error(w))
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    const about = { tag: 'confirmed', txid: txidOf(tx!), height: w.height + 1, txIndex: 1 } as const
    w.alice.step({ tag: 'chain', event: { ...about, tx: { ...tx!, outputs: tx!.outputs.slice(0, 1) } } })
    expect(w.alice.state).toMatchObject({ tag: 'closed', onchain: null, forGood: true })
  })

  it('does not wait past the deadline of an HTLC that it has the preimage of', () => {
    const deadline = 4
    const w = failed((w) => {
      w.bob.command(add(9, 20_000_000, { cltvExpiry: w.height + POLICY.closeBeforeExpiry + deadline }))
      w.settle()
    })
    w.disconnect()
    w.alice.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(9) })
    w.mine(deadline - 1)
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    w.mine()
    expect(w.alice.state!.tag).toBe('closing')
  })

  it('waits whatever became of an HTLC that it may have offered in lost writes: its own commitment has none', () => {
    const w = failed()
    w.disconnect()
    const { channelId } = w.alice.channel.params
    const origin = { tag: 'forward', channelId, htlcId: 7n } as const
    const about = {
      amountMsat: msat(50_000_000),
      paymentHash: 'ab'.repeat(32) as PaymentHash,
      cltvExpiry: w.height - 10,
    }
    w.alice.command({ tag: 'presumeHtlc', ...about, origin })
    expect(w.alice.channel.commitments.outgoing.size).toBe(1)
    w.mine(HELD_BACK_BLOCKS)
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    w.mine()
    expect(endOf(w.alice)).toBe('local')
  })

  it('says how long it waits, and lets the operator take the risk', () => {
    const w = failed()
    expect(summary(w.alice.state!, w.alice.ctx).waitsFor).toContain(
      `ours is published after block ${w.height + HELD_BACK_BLOCKS}`,
    )
    w.alice.command({ tag: 'forceClose', requestId: 4 })
    expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 4, result: { code: 'DATA_LOSS' } })
    w.alice.command({ tag: 'forceClose', requestId: 5, evenIfRevoked: true })
    expect(at(w)).toEqual(['closing', 1])
  })
})

/** Alice's store has lost all since `before`; both are connected again and have said what they have to say. */
function behind(w: World, since: (w: World) => void, away: (w: World) => void = () => {}): World {
  const stored = new Map(w.alice.records)
  since(w)
  w.disconnect()
  w.alice.records.clear()
  for (const [key, value] of stored) w.alice.records.set(key, value)
  w.alice.crash()
  w.alice.handler = (effect) => effect.tag === 'broadcast'
  away(w)
  w.alice.handler = () => false
  w.alice.broadcasts = []
  w.connect()
  return w.settle()
}

describe('BOLT 2 §message-retransmission: what a store lost without knowing it', () => {
  it('was no more than our signature: the peer, whose commitment is the newer, publishes, and not we', () => {
    const w = behind(reachNormal({ pushMsat: msat(400_000_000) }), (w) => {
      w.alice.command(add(1, 50_000_000))
      w.deliver('alice')
      w.deliver('alice')
    })
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    expect([w.bob.state!.tag, w.bob.broadcasts.length]).toEqual(['closing', 1])
    w.mine()
    expect(endOf(w.alice)).toBe('future')
    expect(endOf(w.bob)).toBe('local')
  })

  it('was a revocation, and the peer is closing already: what it says first keeps us from publishing, and names its point', () => {
    const w = behind(reachNormal({ pushMsat: msat(400_000_000) }), (w) => {
      w.alice.command(add(1, 50_000_000))
      w.settle()
      w.bob.command({ tag: 'forceClose', requestId: 1 })
    })
    expect(at(w)).toEqual(['waiting-for-peer', 0])
    expect(w.alice.channel.toldPoint).toEqual(w.bob.ctx.signer.commitmentPoint(w.bob.channel.commitments.local.number))
    w.mine()
    expect(endOf(w.alice)).toBe('future')
  })

  it('was a revocation, and she has published what it revokes: that is given up while it is in no block', () => {
    const close = (w: World) => w.alice.command({ tag: 'forceClose', requestId: 1 })
    const w = behind(
      reachNormal({ pushMsat: msat(400_000_000) }),
      (w) => {
        w.alice.command(add(1, 50_000_000))
        w.settle()
      },
      close,
    )
    expect(w.alice.state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
    w.alice.crash()
    expect(rebroadcasts(w.alice.state!, w.alice.ctx)).toEqual([])
    w.mine()
    expect([endOf(w.alice), endOf(w.bob)]).toEqual(['future', 'local'])
  })
})
