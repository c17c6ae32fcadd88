import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { closeRequest } from '../../src/channel/restored.ts'
import type { ClosedState } from '../../src/channel/state.ts'
import { add, expectNext, preimageOf, reachNormal, type World } from './harness.ts'
import type { Side } from './side.ts'

/** Without knowing it, Alice has lost her last signatures: Bob's commitment is two ahead, and she can claim an HTLC in it. */
function behind(): World {
  const cltvExpiry = 180
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  w.bob.command(add(7, 60_000_000, { cltvExpiry }))
  w.settle()
  w.alice.command(add(1, 50_000_000, { cltvExpiry }))
  w.deliver('alice')
  const stored = new Map(w.alice.records)
  w.deliver('alice')
  w.receive('alice', expectNext(w, 'bob', 'revoke_and_ack'))
  w.bob.outbox = []
  w.alice.command(add(2, 40_000_000, { cltvExpiry }))
  w.deliver('alice')
  w.deliver('alice')
  w.disconnect()
  w.alice.records.clear()
  for (const [key, value] of stored) w.alice.records.set(key, value)
  w.alice.crash()
  w.alice.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(7) })
  w.alice.broadcasts = []
  return w
}
const ends = (w: World) => w.bob.command({ tag: 'forceClose', requestId: 1 })

/** The HTLCs that Alice has found in Bob's commitment, in sat. */
function found({ state }: Side): readonly bigint[] {
  if (state?.tag !== 'closing') throw new Error(`not closing: ${state?.tag}`)
  expect(state.onchain.closing.kind).toBe('future')
  return state.onchain.outputs.flatMap((o) => (o.htlc ? [o.amountSat] : [])).toSorted()
}
const BOTH = [50_000n, 60_000n]

describe('BOLT 2 §message-retransmission: the point of a commitment that is newer than our store knows', () => {
  it('is kept from the channel_reestablish by which the channel fails: the peer need not speak again', () => {
    const w = behind()
    w.connect()
    w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    w.bob.outbox = []
    ends(w)
    w.disconnect()
    w.mine()
    expect(found(w.alice)).toEqual(BOTH)
  })

  it('is taken from a peer that tells it after ours is published', () => {
    const w = behind()
    w.alice.command({ tag: 'forceClose', requestId: 1 })
    w.alice.broadcasts = []
    ends(w)
    w.connect()
    w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
    w.disconnect()
    w.mine()
    expect(found(w.alice)).toEqual(BOTH)
  })

  it('is asked for once that commitment is in the chain: the HTLCs in it are found then, and claimed', () => {
    for (const blocks of [1, 85]) {
      const w = behind()
      ends(w)
      const [commitment] = w.bob.broadcasts.map(txidOf)
      w.mine()
      // Bob claims nothing meanwhile.
      w.bob.handler = (effect) => effect.tag === 'broadcast'
      w.mine(blocks)
      expect(w.alice.state).toMatchObject({
        tag: blocks === 1 ? 'closing' : 'closed',
        onchain: { closing: { kind: 'future', txid: commitment } },
      })
      w.connect()
      w.deliver('alice')
      w.alice.broadcasts = []
      w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
      expect(found(w.alice)).toEqual(BOTH)
      expect(w.alice.broadcasts.flatMap((tx) => tx.inputs.map((i) => i.txid))).toContain(commitment)
      // CLN ends a connection with all of its channels for each such word.
      w.mine(6)
      w.disconnect()
      w.connect()
      expect([w.alice.outbox, w.bob.outbox]).toEqual([[], []])
    }
  })

  it('is told by a peer that is done with the channel to who asks for it, and taken however deep the close is', () => {
    const w = behind()
    ends(w)
    w.mine(250)
    expect(w.alice.state).toMatchObject({ tag: 'closed', irrevocable: true })
    expect(w.bob.state!.tag).toBe('closed')
    w.connect()
    const asked = closeRequest(w.alice.channel, w.alice.ctx.signer)
    if (asked.tag === 'send') w.receive('bob', asked.message)
    w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
    expect(found(w.alice)).toEqual(BOTH)
    w.settle()
    w.mine(7)
    expect(w.alice.state!.tag).toBe('closed')
    const { outputs } = (w.alice.state as ClosedState).onchain!
    expect(outputs.every((o) => o.spent)).toBe(true)
  })
})
