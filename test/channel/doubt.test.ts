import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { HELD_BACK_BLOCKS } from '../../src/channel/heldBack.ts'
import { reestablished } from '../../src/channel/reestablish.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import { doubting, falseReestablish, isUnproven } from './doubting.ts'
import { add, expectNext, reachNormal, sentBy, World } from './harness.ts'

describe('a channel whose store lost a write (docs/architecture.md §Store): a restored old state', () => {
  it('is not closed by force before the peer has shown where it stands: the operator is told why', () => {
    const w = doubting()
    w.alice.command({ tag: 'forceClose', requestId: 9 })
    expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 9, result: { code: 'DATA_LOSS' } })
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['offline', []])
  })

  it('lets a deadline pass rather than publish what may be revoked, and meets it once that is known', () => {
    const w = doubting()
    const height = w.alice.ctx.blockHeight + 500
    w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
    w.alice.step({ tag: 'chain', event: { tag: 'block', height } })
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['offline', []])
    w.connect()
    w.settle()
    w.alice.step({ tag: 'chain', event: { tag: 'block', height } })
    expect(w.alice.state!.tag).toBe('closing')
    expect(w.alice.broadcasts.length).toBeGreaterThan(0)
  })

  it('is still in doubt after another restart', () => {
    const w = doubting()
    w.alice.crash()
    expect(isUnproven(w.alice)).toBe(true)
  })

  it('goes on as ever once both agree', () => {
    const w = doubting()
    w.connect()
    w.settle()
    expect([isUnproven(w.alice), w.alice.state!.tag]).toEqual([false, 'normal'])
    w.alice.command({ tag: 'forceClose', requestId: 9 })
    expect(w.alice.broadcasts.length).toBe(1)
  })

  it('asks the peer to close when the peer fails it', () => {
    const w = doubting()
    w.connect()
    const { channelId } = w.alice.channel.params
    w.receive('alice', { type: 'error', channelId, data: utf8('sync error') })
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['waiting-for-peer', []])
    expect(sentBy(w.alice).at(-1)).toBe('error')
  })

  it('lets the peer say first where the channel stands: one that has heard it need only agree', () => {
    const w = doubting()
    w.connect()
    expect([w.alice.state!.tag, sentBy(w.alice)]).toEqual(['syncing', []])
    w.deliver('bob')
    expect(sentBy(w.alice)[0]).toBe('channel_reestablish')
  })

  it('begins anew with a peer that it has told where it stands, when the doubt comes after that', () => {
    const w = doubting()
    w.disconnect()
    const { unproven: _, ...channel } = w.alice.channel
    const { from } = w.alice.state as Extract<ChannelState, { tag: 'offline' }>
    w.alice.begin({ state: { tag: 'syncing', from: { ...from, channel }, peerBehind: false }, effects: [] })
    w.alice.step({ tag: 'doubted' })
    expect([w.alice.state!.tag, w.alice.wantsDisconnect, isUnproven(w.alice)]).toEqual(['offline', true, true])
  })

  it('takes nothing for a proof that a peer says of its own loss, and asks it to close', () => {
    const w = doubting()
    w.connect()
    const { channelId } = w.alice.channel.params
    w.receive('alice', falseReestablish(w, 1n))
    w.receive('alice', { type: 'error', channelId, data: utf8('please close') })
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['waiting-for-peer', []])
  })

  it('is never published from once the peer has proved that it is old, not after a reorganisation either', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    const revoked = signedLocal(w.bob.channel, w.bob.channel.commitments.active[0]!, w.bob.ctx)
    for (const n of [1, 2]) w.bob.command(add(n, 5_000_000))
    w.settle()
    const old = new Map(w.alice.records)
    w.bob.command(add(3, 5_000_000))
    w.settle()
    w.disconnect()
    w.alice.records.clear()
    for (const [key, value] of old) w.alice.records.set(key, value)
    w.alice.crash()
    w.connect()
    w.settle()
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    const { height } = w
    w.bob.broadcasts = [revoked]
    w.mine()
    expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { how: 'revoked' } })
    w.alice.broadcasts = []
    w.reorg(height)
    expect(w.alice.broadcasts).toEqual([])
  })

  it('is not taken for one that was never funded: the block that funded it may be forgotten, and is looked for', () => {
    const w = new World().open()
    w.disconnect()
    w.bob.crash()
    w.bob.step({ tag: 'doubted' })
    const height = w.bob.channel.params.openedAt + 5000
    w.bob.ctx = { ...w.bob.ctx, blockHeight: height }
    w.bob.step({ tag: 'chain', event: { tag: 'block', height } })
    expect(w.bob.state!.tag).toBe('offline')
  })

  it('asks the peer to close when what the peer says does not fit', () => {
    const w = doubting()
    w.connect()
    w.receive('alice', falseReestablish(w, 90n))
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['waiting-for-peer', []])
  })

  it.each([
    ['the peer’s signature of another commitment', 'signatures'],
    ['fewer secrets than revocations', 'secret'],
    ['an HTLC too few', 'stages'],
  ])('is given up at once when the records contradict each other: %s', (_, record) => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    const old = new Map(w.alice.records)
    w.alice.command(add(1, 50_000_000))
    w.settle()
    w.disconnect()
    if (record === 'secret') {
      const state = w.alice.state as Extract<ChannelState, { tag: 'offline' }>
      const { commitments } = state.from.channel
      const secrets = { ...commitments.secrets, count: commitments.secrets.count - 1 }
      const channel = { ...state.from.channel, commitments: { ...commitments, secrets } }
      w.alice.begin({ state: { ...state, from: { ...state.from, channel } }, effects: [] })
    } else {
      for (const [key, value] of old) if (key === record) w.alice.records.set(key, value)
      w.alice.crash()
    }
    w.alice.step({ tag: 'doubted' })
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    expect(w.alice.notices.at(-1)).toMatchObject({ tag: 'fault', fault: { code: 'DATA_LOSS' } })
  })
})

describe('a database that turns out to be an old copy when its peers have heard where it stands', () => {
  /** Alice runs on a copy of four payments ago, and has told bob so. He says no more than that it is so. */
  function told(isKnown: boolean): World {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    for (const n of [1, 2]) w.bob.command(add(n, 5_000_000))
    w.settle()
    const old = new Map(w.alice.records)
    for (const n of [3, 4]) w.bob.command(add(n, 5_000_000))
    w.settle()
    w.disconnect()
    w.alice.records.clear()
    for (const [key, value] of old) w.alice.records.set(key, value)
    w.alice.crash()
    w.connect()
    const said = w.take('alice')
    if (said?.type !== 'channel_reestablish') throw new Error('alice has not spoken first')
    if (isKnown) w.alice.step({ tag: 'doubted', isLate: true })
    w.disconnect()
    w.connect()
    const { signer } = w.alice.ctx
    const number = Number(said.nextCommitmentNumber) - 1
    w.receive('alice', {
      ...said,
      nextCommitmentNumber: said.nextRevocationNumber + 1n,
      nextRevocationNumber: BigInt(number),
      yourLastPerCommitmentSecret: signer.commitmentSecret(number - 1),
    })
    return w
  }

  it('takes no agreement for a proof: the peer is asked to close', () => {
    const w = told(true)
    w.alice.command({ tag: 'forceClose', requestId: 9 })
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['waiting-for-peer', []])
    expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 9, result: { code: 'DATA_LOSS' } })
    expect(sentBy(w.alice).at(-1)).toBe('error')
  })

  it('asks again in every connection by numbers that have nothing to go on from, since some peers close for no error', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    w.bob.command(add(1, 5_000_000))
    w.settle()
    w.alice.step({ tag: 'doubted', isLate: true })
    for (let n = 0; n < 2; n++) {
      w.disconnect()
      w.alice.crash()
      w.connect()
      expect(sentBy(w.alice)).toEqual(['channel_reestablish', 'error'])
    }
    w.receive('bob', expectNext(w, 'alice', 'channel_reestablish'))
    expect([w.bob.state!.tag, w.bob.broadcasts.length]).toEqual(['closing', 1])
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['waiting-for-peer', []])
  })

  it('would publish what is revoked without that', () => {
    const w = told(false)
    expect(() => w.alice.command({ tag: 'forceClose', requestId: 9 })).toThrow('publishes its revoked commitment')
  })

  it('goes on with a close that is negotiated, since no commitment comes after that', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    w.alice.command({ tag: 'close', requestId: 1 })
    while (w.alice.state!.tag !== 'negotiating') w.deliver('alice') || w.deliver('bob')
    w.alice.step({ tag: 'doubted', isLate: true })
    w.reconnect()
    expect(w.alice.broadcasts.length).toBeGreaterThan(0)
    w.mine(10)
    expect(w.sides.map((s) => s.state)).toMatchObject([{ reason: 'cooperative' }, { reason: 'cooperative' }])
  })

  it('lets go of HTLCs that it had not signed for', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.take('alice')
    w.alice.command(add(2, 5_000_000))
    w.alice.step({ tag: 'doubted', isLate: true })
    expect(w.alice.events).toMatchObject([{ tag: 'rejected', origin: { attempt: 2 } }])
  })
})

describe('BOLT 2 §message-retransmission: whatever a peer says of what it has lost', () => {
  const said = fc.oneof(
    fc.record({
      tag: fc.constant('reestablish' as const),
      /** How far from what alice knows; null for what a peer without any records says. */
      commitment: fc.option(fc.integer({ min: -3, max: 3 })),
      revocation: fc.option(fc.integer({ min: -3, max: 0 })),
      shows: fc.constantFrom('the secret' as const, 'nothing' as const),
    }),
    fc.record({ tag: fc.constantFrom('error' as const, 'reconnect' as const, 'restart' as const, 'block' as const) }),
  )

  it('a channel in doubt is published for none of it, as long as the peer does not agree with what we know', () => {
    fc.assert(
      fc.property(fc.array(said, { maxLength: 8 }), (steps) => {
        const w = doubting()
        w.connect()
        const { commitments, params } = w.alice.channel
        const [local, remote] = [commitments.local.number, commitments.remote.number]
        for (const s of steps) {
          if (s.tag === 'error')
            w.receive('alice', { type: 'error', channelId: params.channelId, data: utf8('please close') })
          else if (s.tag === 'reestablish') {
            const revoked = s.revocation === null ? 0 : Math.max(0, local + s.revocation)
            const message = {
              ...falseReestablish(w, s.commitment === null ? 0n : BigInt(Math.max(0, remote + 1 + s.commitment))),
              nextRevocationNumber: BigInt(revoked),
              ...(s.shows === 'the secret' &&
                revoked > 0 && { yourLastPerCommitmentSecret: w.alice.ctx.signer.commitmentSecret(revoked - 1) }),
            }
            const judged = reestablished(w.alice.channel, message, w.alice.ctx.signer)
            if (!judged.ok || judged.value.tag !== 'resume') w.receive('alice', message)
          } else if (s.tag === 'block') {
            const height = w.alice.ctx.blockHeight + HELD_BACK_BLOCKS + 1
            w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
            w.alice.step({ tag: 'chain', event: { tag: 'block', height } })
          } else {
            w.disconnect()
            if (s.tag === 'restart') w.alice.crash()
            w.connect()
          }
          expect(w.alice.broadcasts).toEqual([])
        }
      }),
      { numRuns: 60 },
    )
  })

  it('one of which nothing says that it is old is published as soon as the peer that has lost its own asks for it', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    for (const n of [1, 2]) w.bob.command(add(n, 5_000_000))
    w.settle()
    w.disconnect()
    w.connect()
    w.receive('alice', falseReestablish(w, 1n))
    expect([w.alice.state!.tag, w.alice.broadcasts.length]).toEqual(['syncing', 0])
    w.receive('alice', { type: 'error', channelId: w.alice.channel.params.channelId, data: utf8('please close') })
    expect([w.alice.state!.tag, w.alice.broadcasts.length]).toEqual(['closing', 1])
  })
})
