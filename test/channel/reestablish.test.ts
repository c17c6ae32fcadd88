import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { obscuringFactorOf } from '../../src/channel/commitments.ts'
import { rescue } from '../../src/channel/rescue.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage, MessageNamed } from '../../src/wire/registry.ts'
import { expectAgreement } from './checks.ts'
import { add, expectNext, faultsOf, preimageOf, reachNormal, sentBy, World } from './harness.ts'
import type { Side } from './side.ts'

type Reestablish = MessageNamed<'channel_reestablish'>

/** Cuts the connection, makes a new one, and takes both channel_reestablish off the wire. */
function again(w: World): { alice: Reestablish; bob: Reestablish } {
  w.disconnect()
  w.connect()
  return { alice: expectNext(w, 'alice', 'channel_reestablish'), bob: expectNext(w, 'bob', 'channel_reestablish') }
}
const answers = (side: Side): readonly ChannelMessage['type'][] => sentBy(side)
const paid = (count: number): World => {
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  for (let n = 0; n < count; n++) {
    w.alice.command(add(n, 5_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: BigInt(n), preimage: preimageOf(n) })
    w.settle()
  }
  return w
}

describe('BOLT 2 §message-retransmission: what each side says', () => {
  it('names the next commitment and revocation, and proves the last secret received', () => {
    const fresh = again(reachNormal())
    expect(fresh.alice).toMatchObject({ nextCommitmentNumber: 1n, nextRevocationNumber: 0n })
    expect(fresh.alice.yourLastPerCommitmentSecret).toEqual(new Uint8Array(32))
    const w = paid(2)
    const { alice } = again(w)
    const { number } = w.bob.channel.commitments.local
    expect(alice).toMatchObject({ nextCommitmentNumber: BigInt(number + 1), nextRevocationNumber: BigInt(number) })
    expect(alice.yourLastPerCommitmentSecret).toEqual(w.bob.ctx.signer.commitmentSecret(number - 1))
  })

  it('nothing else before the answer is there', () => {
    const w = reachNormal()
    w.disconnect()
    w.connect()
    w.alice.command(add(1, 1000))
    expect(w.alice.events.map((e) => e.tag)).toEqual(['rejected'])
    const { channelId } = w.alice.channel.params
    w.receive('alice', { type: 'update_fee', channelId, feeratePerKw: 1000 })
    w.receive('alice', {
      type: 'revoke_and_ack',
      channelId,
      perCommitmentSecret: new Uint8Array(32),
      nextPerCommitmentPoint: w.alice.ctx.signer.commitmentPoint(0),
    })
    expect([w.alice.state!.tag, sentBy(w.alice)]).toEqual(['syncing', ['channel_reestablish']])
  })
})

describe('BOLT 2 §message-retransmission: what was lost is sent again', () => {
  it('channel_ready, as long as no commitment followed', () => {
    const w = new World().open()
    w.mine(3)
    expect([sentBy(w.alice), sentBy(w.bob)]).toEqual([['channel_ready'], ['channel_ready']])
    w.reconnect()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
    const said = again(w)
    w.receive('bob', said.alice)
    expect(answers(w.bob)).toEqual(['channel_ready'])
    const later = paid(1)
    const { alice } = again(later)
    later.receive('bob', alice)
    expect(answers(later.bob)).toEqual([])
  })

  it('updates that were never signed are forgotten by both', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000), false)
    w.deliver('alice', false)
    w.reconnect()
    expect([w.alice.channel.commitments.outgoing.size, w.bob.channel.commitments.incoming.size]).toEqual([0, 0])
    w.alice.command(add(2, 5_000_000))
    w.settle()
    expect(w.bob.events).toMatchObject([{ tag: 'received', htlc: { id: 0n } }])
  })

  it('our settlements that were not signed are made again', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) }, false)
    w.reconnect()
    w.bob.step({ tag: 'sign' })
    w.settle()
    expect(w.alice.events.map((e) => e.tag)).toEqual(['fulfilled'])
    expectAgreement(w)
  })

  it('settlements decided while the peer was away reach it', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    w.disconnect()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    expect(w.bob.outbox).toEqual([])
    w.bob.crash()
    w.connect()
    w.settle()
    expect(w.alice.events.map((e) => e.tag)).toEqual(['fulfilled'])
    expect(w.alice.channel.commitments.outgoing.size).toBe(0)
  })

  it('a settlement that was noted while the channel was set aside after a bug', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    const command = { tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) } as const
    w.bob.state = rescue(w.bob.state!, { tag: 'command', command }, w.bob.ctx).state
    expect(w.bob.outbox).toEqual([])
    w.bob.flush()
    w.bob.crash()
    w.disconnect()
    w.connect()
    w.settle()
    w.bob.step({ tag: 'sign' })
    w.settle()
    expect(w.alice.events.map((e) => e.tag)).toEqual(['fulfilled'])
    expectAgreement(w)
  })

  it('the updates and the commitment_signed, when those were lost', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000), false)
    w.alice.command({ tag: 'updateFee', feeratePerKw: 1500 }, false)
    w.alice.command(add(2, 6_000_000))
    const said = again(w)
    w.receive('alice', said.bob)
    expect(answers(w.alice)).toEqual([
      'channel_ready',
      'update_fee',
      'update_add_htlc',
      'update_add_htlc',
      'commitment_signed',
    ])
    w.receive('bob', said.alice)
    w.settle()
    expect(w.bob.events.map((e) => e.tag)).toEqual(['received', 'received'])
    expectAgreement(w)
  })

  it('the revoke_and_ack, when that was lost', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.deliver('alice', false)
    w.deliver('alice', false)
    expect(sentBy(w.bob)).toEqual(['revoke_and_ack'])
    const said = again(w)
    expect(said.bob.nextCommitmentNumber).toBe(2n)
    w.receive('bob', said.alice)
    expect(answers(w.bob)).toEqual(['revoke_and_ack', 'commitment_signed'])
    w.receive('alice', said.bob)
    expect(answers(w.alice)).toEqual([])
    w.settle()
    expectAgreement(w)
  })

  it('revoke_and_ack before commitment_signed, when they were sent in that order', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.deliver('alice')
    w.deliver('alice')
    expect(sentBy(w.bob)).toEqual(['revoke_and_ack', 'commitment_signed'])
    const said = again(w)
    w.receive('bob', said.alice)
    expect(answers(w.bob)).toEqual(['revoke_and_ack', 'commitment_signed'])
    w.receive('alice', said.bob)
    w.settle()
    expectAgreement(w)
  })

  it('commitment_signed before revoke_and_ack, when they were sent in that order', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    w.alice.command(add(1, 5_000_000))
    w.bob.command(add(2, 6_000_000))
    w.deliver('alice')
    w.deliver('alice')
    expect(sentBy(w.bob)).toEqual(['update_add_htlc', 'commitment_signed', 'revoke_and_ack'])
    const said = again(w)
    w.receive('bob', said.alice)
    expect(answers(w.bob)).toEqual(['update_add_htlc', 'commitment_signed', 'revoke_and_ack'])
    w.receive('alice', said.bob)
    w.settle()
    expect([w.alice, w.bob].map((s) => s.events.map((e) => e.tag))).toEqual([['received'], ['received']])
    expectAgreement(w)
  })

  it('settlements with their commitment_signed', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.alice.command(add(2, 5_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) }, false)
    w.bob.command({ tag: 'failHtlc', id: 1n, reason: new Uint8Array(2) })
    const said = again(w)
    w.receive('bob', said.alice)
    expect(answers(w.bob)).toEqual(['update_fulfill_htlc', 'update_fail_htlc', 'commitment_signed'])
    w.receive('alice', said.bob)
    w.settle()
    expect(w.alice.events.map((e) => e.tag)).toEqual(['fulfilled', 'failed'])
    expectAgreement(w)
  })

  it('shutdown, until the closing fee is agreed', () => {
    const w = reachNormal()
    w.alice.command({ tag: 'close', requestId: 5 })
    const said = again(w)
    w.receive('alice', said.bob)
    expect(answers(w.alice)).toEqual(['channel_ready', 'shutdown'])
    w.receive('bob', said.alice)
    w.settle()
    expect(w.alice.phase.tag).toBe('negotiating')
  })

  it('closing_signed: the negotiation begins anew', () => {
    const w = reachNormal()
    w.alice.command({ tag: 'close', requestId: 5 })
    while (w.alice.phase.tag !== 'negotiating') w.deliver('alice') || w.deliver('bob')
    expect(sentBy(w.alice)).toContain('closing_signed')
    w.reconnect()
    expect(w.alice.broadcasts.length).toBeGreaterThan(0)
    expect(w.bob.broadcasts).toEqual(w.alice.broadcasts)
  })
})

describe('BOLT 2 §message-retransmission: what does not fit', () => {
  const verdict = (w: World, change: Partial<Reestablish>) => {
    const { bob } = again(w)
    w.receive('alice', { ...bob, ...change })
    return { tag: w.alice.state!.tag, fault: faultsOf(w.alice)[0], sent: sentBy(w.alice) }
  }
  it('next_commitment_number 0 fails the channel and publishes the newest commitment', () => {
    const w = paid(1)
    expect(verdict(w, { nextCommitmentNumber: 0n })).toMatchObject({
      tag: 'closing',
      fault: { response: 'fail-channel' },
      sent: ['error'],
    })
    const n = commitmentNumberOf(w.alice.broadcasts[0]!, obscuringFactorOf(w.alice.channel.params))
    expect(n).toBe(w.alice.channel.commitments.local.number)
  })
  it('a next_commitment_number beyond what we signed fails the channel: the peer may publish first', () => {
    expect(verdict(paid(1), { nextCommitmentNumber: 9n })).toMatchObject({
      tag: 'waiting-for-peer',
      fault: { code: 'PROTOCOL_VIOLATION' },
      sent: ['error'],
    })
    expect(verdict(paid(1), { nextCommitmentNumber: 2n ** 64n - 1n })).toMatchObject({ tag: 'waiting-for-peer' })
  })
  it('a wrong last secret fails the channel', () => {
    expect(verdict(paid(1), { yourLastPerCommitmentSecret: new Uint8Array(32).fill(3) })).toMatchObject({
      tag: 'closing',
    })
    expect(verdict(reachNormal(), { yourLastPerCommitmentSecret: new Uint8Array(32).fill(3) })).toMatchObject({
      tag: 'closing',
    })
  })
  it('a next_revocation_number beyond ours without the secret that proves it fails the channel', () => {
    expect(verdict(paid(1), { nextRevocationNumber: 9n })).toMatchObject({
      tag: 'closing',
      fault: { code: 'PROTOCOL_VIOLATION' },
    })
  })
  it('a peer that lost data gets a warning and time; its error then closes the channel', () => {
    const w = paid(3)
    const { bob } = again(w)
    const old = w.alice.ctx.signer.commitmentSecret(1)
    w.receive('alice', { ...bob, nextCommitmentNumber: 3n, nextRevocationNumber: 2n, yourLastPerCommitmentSecret: old })
    expect([w.alice.state!.tag, sentBy(w.alice)]).toEqual(['syncing', ['warning']])
    expect(w.alice.broadcasts).toEqual([])
    w.receive('alice', { type: 'error', channelId: bob.channelId, data: new Uint8Array(0) })
    expect(w.alice.state!.tag).toBe('closing')
    expect(w.alice.broadcasts.length).toBe(1)
  })
  it('whoever lost data never publishes, asks the peer to close, and gets its money', () => {
    const w = paid(1)
    const backup = new Map(w.alice.records)
    w.alice.command(add(5, 5_000_000))
    w.settle()
    w.alice.records.clear()
    for (const [key, value] of backup) w.alice.records.set(key, value)
    w.alice.crash()
    w.disconnect()
    w.connect()
    w.settle()
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    expect(w.alice.broadcasts).toEqual([])
    w.alice.command({ tag: 'forceClose', requestId: 8 })
    expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 8, result: { code: 'DATA_LOSS' } })
    w.alice.step({ tag: 'connected', theirFeatures: ourInitFeatures() })
    expect(sentBy(w.alice)).toEqual(['channel_reestablish', 'error'])
    expect(w.bob.state!.tag).toBe('closing')
    expect(w.bob.broadcasts.length).toBe(1)
    w.mine()
    expect(w.alice.state).toMatchObject({
      tag: 'closing',
      onchain: { how: 'remote-force', closing: { kind: 'future' } },
    })
    w.mine(2)
    expect(w.alice.broadcasts.length + w.mined.size).toBeGreaterThan(2)
  })
})
