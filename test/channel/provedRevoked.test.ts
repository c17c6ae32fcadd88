import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { rebroadcasts } from '../../src/channel/describe.ts'
import { add, expectNext, reachNormal, type World } from './harness.ts'
import type { Side } from './side.ts'

/** Alice has lost a revocation. */
function behind(w = reachNormal({ pushMsat: msat(400_000_000) })) {
  const stored = new Map(w.alice.records)
  w.alice.command(add(1, 50_000_000))
  w.settle()
  w.disconnect()
  w.alice.records.clear()
  for (const [key, value] of stored) w.alice.records.set(key, value)
  w.alice.crash()
  const sent: Transaction[] = []
  w.alice.handler = (effect) => effect.tag === 'broadcast' && sent.push(effect.tx) > 0
  return { w, sent }
}
/** And has published what it revokes. */
function published(atRisk = false, from?: World) {
  const { w, sent } = behind(from)
  if (atRisk) {
    w.alice.step({ tag: 'doubted' })
    w.alice.command({ tag: 'forceClose', requestId: 1, evenIfRevoked: true })
  } else w.alice.command({ tag: 'forceClose', requestId: 1 })
  expect(w.alice.state!.tag).toBe('closing')
  const [ours] = sent.splice(0)
  return { w, ours: ours!, sent }
}
/** Since, and at a start. */
const handedOut = (w: World, sent: Transaction[]) =>
  [...sent, ...rebroadcasts(w.alice.state!, w.alice.ctx).flatMap((e) => (e.tag === 'broadcast' ? [e.tx] : []))].map(
    txidOf,
  )
const prove = (w: World) => {
  w.connect()
  w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
  w.disconnect()
}

describe('a commitment of ours that is published, and that the peer proves to be revoked, is not handed out again', () => {
  it('when it confirmed all the same, and a reorganisation undoes it', () => {
    const { w, ours, sent } = published()
    prove(w)
    expect(w.alice.state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
    w.alice.broadcasts = [ours]
    w.mine()
    expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { closing: { kind: 'local' } } })
    sent.splice(0)
    w.reorg(w.height - 1)
    expect(handedOut(w, sent)).not.toContain(txidOf(ours))
  })
  it('when that is proved once more after it', () => {
    const { w, ours, sent } = published()
    prove(w)
    w.alice.broadcasts = [ours]
    w.mine()
    w.reorg(w.height - 1)
    prove(w)
    sent.splice(0)
    w.alice.crash()
    w.mine()
    expect(handedOut(w, sent)).not.toContain(txidOf(ours))
  })
  it('when the proof came while it was in a block, and a reorganisation undoes it', () => {
    const { w, ours, sent } = published()
    w.alice.broadcasts = [ours]
    w.mine()
    prove(w)
    sent.splice(0)
    w.reorg(w.height - 1)
    expect(handedOut(w, sent)).not.toContain(txidOf(ours))
  })
  it.each([0, 6])('when the proof came %i blocks after it, and a reorganisation undoes that and more', (later) => {
    const { w, ours, sent } = published()
    w.alice.broadcasts = [ours]
    const before = w.height
    w.mine()
    w.connect()
    const proof = expectNext(w, 'bob', 'channel_reestablish')
    w.mine(later)
    w.receive('alice', proof)
    w.disconnect()
    w.mine(6 - later)
    expect(w.alice.state!.tag).toBe('closed')
    w.alice.crash()
    sent.splice(0)
    w.reorg(before)
    expect(handedOut(w, sent)).not.toContain(txidOf(ours))
    expect(w.alice.state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
  })
  it.each(['before', 'after'])('when an HTLC in it had gone back, and the proof came %s a reorganisation', (when) => {
    const from = reachNormal({ pushMsat: msat(400_000_000) })
    from.alice.command(add(2, 200_000))
    const { w, ours, sent } = published(false, from.settle())
    w.alice.broadcasts = [ours]
    const before = w.height
    w.mine()
    w.connect()
    const proof = expectNext(w, 'bob', 'channel_reestablish')
    if (when === 'before') w.receive('alice', proof)
    w.disconnect()
    w.mine(7)
    expect(w.alice.state).toMatchObject({ onchain: { failed: [0n] } })
    sent.splice(0)
    w.reorg(before)
    if (when === 'after') {
      expect(handedOut(w, sent.splice(0))).toContain(txidOf(ours))
      prove(w)
    }
    w.alice.crash()
    expect(handedOut(w, sent)).not.toContain(txidOf(ours))
    w.alice.broadcasts = []
    w.mine()
    expect(handedOut(w, sent)).not.toContain(txidOf(ours))
    // The peer's newest has come in, and what was told of the HTLC stays so.
    const ends = { closing: { kind: 'future', height: expect.any(Number) }, failed: [0n] }
    expect(w.alice.state).toMatchObject({ tag: 'closing', isOld: true, onchain: ends })
  })
  it('when the operator had it published at that risk', () => {
    const { w, ours, sent } = published(true)
    prove(w)
    sent.splice(0)
    expect(handedOut(w, sent)).not.toContain(txidOf(ours))
  })
  it('when the proof came while one that the peer had revoked was in a block, and a reorganisation undoes that', () => {
    const from = reachNormal({ pushMsat: msat(400_000_000) })
    const commitmentOf = ({ channel, ctx }: Side) => signedLocal(channel, channel.commitments.active[0]!, ctx)
    const revoked = commitmentOf(from.bob)
    from.alice.command(add(2, 20_000_000))
    const { w, sent } = behind(from.settle())
    w.bob.broadcasts = [revoked]
    w.mine()
    expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { closing: { kind: 'revoked' } } })
    prove(w)
    sent.splice(0)
    w.reorg(w.height - 1)
    expect(handedOut(w, sent)).not.toContain(txidOf(commitmentOf(w.alice)))
  })
})
