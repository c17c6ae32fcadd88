import { describe, expect, it } from 'vitest'
import type { Sat } from '../../src/base/units.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { knownResults } from '../../src/channel/describe.ts'
import { localBalance } from '../../src/channel/limits.ts'
import type { ChannelCommand } from '../../src/channel/types.ts'
import { expectAgreement, expectConserved } from './checks.ts'
import { Ending } from './ending.ts'
import { add, faultsOf, preimageOf, reachNormal, type World, type WorldOptions } from './harness.ts'
import type { Side } from './side.ts'

const AMOUNT_SAT = 50_000n as Sat
const preimage = preimageOf(1)
const ORIGIN = { tag: 'forward', channelId: 'ee'.repeat(32) as never, htlcId: 3n } as const
const FAILURES: readonly Extract<ChannelCommand, { tag: 'failHtlc' | 'failMalformedHtlc' }>[] = [
  { tag: 'failHtlc', id: 0n, reason: new Uint8Array(292).fill(9) },
  { tag: 'failMalformedHtlc', id: 0n, sha256OfOnion: new Uint8Array(32), failureCode: 0xc005 },
]
const [fail] = FAILURES

/** The only HTLC that alice has offered. */
const offer = (w: World) => w.alice.channel.commitments.outgoing.chunks.flat()[0]
const balance = ({ channel }: Side): bigint => localBalance(channel, channel.commitments.next.local)
const told = (w: World): readonly string[] => w.alice.events.map((e) => e.tag)

/** Alice has heard the preimage of her HTLC, for which bob has not signed; he forgets it with the connection, and both are back. */
function takenBack(amountMsat = Number(AMOUNT_SAT) * 1000, options: WorldOptions = {}): World {
  const w = reachNormal(options)
  w.alice.command(add(1, amountMsat, { cltvExpiry: 200, origin: ORIGIN }))
  w.settle()
  reveal(w)
  w.connect()
  return w.settle()
}

/** In a connection that ends with it. */
function reveal(w: World): void {
  const before = w.bob.state
  w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage }, false)
  expect(w.deliver('bob', false)).toBe(true)
  w.bob.state = before
  w.disconnect()
}

describe('BOLT 2 §message-retransmission: a peer reverses its fulfillment, and fails the HTLC', () => {
  it.each(FAILURES)('the channel goes on with the amount back, and the preimage alone counts: $tag', (failure) => {
    const w = takenBack()
    expect(told(w)).toEqual(['fulfilled'])
    const before = balance(w.alice)
    w.bob.command(failure)
    w.settle()
    expect([w.alice, w.bob].map((s) => [s.state!.tag, faultsOf(s)])).toEqual([
      ['normal', []],
      ['normal', []],
    ])
    expect(w.alice.channel.commitments.outgoing.size).toBe(0)
    expect(balance(w.alice)).toBe(before + AMOUNT_SAT * 1000n)
    expectAgreement(w)
    for (const side of w.sides) expectConserved(side.channel)
    // Whoever the HTLC was offered for has heard of the preimage, and of nothing else.
    expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', origin: ORIGIN, preimage }])
    w.alice.command(add(2, 1_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 1n, preimage: preimageOf(2) })
    w.settle()
    expect(told(w)).toEqual(['fulfilled', 'fulfilled'])
    expectAgreement(w)
  })

  it('also of one without an output', () => {
    const w = takenBack(200_000)
    w.bob.command(fail!)
    w.settle()
    expect([told(w), w.alice.channel.commitments.outgoing.size, w.alice.state!.tag]).toEqual([
      ['fulfilled'],
      0,
      'normal',
    ])
    expectAgreement(w)
    for (const side of w.sides) expectConserved(side.channel)
  })

  it.each([0, 1, 2, 3, 4])('a start after %i messages of that knows of the preimage alone', (messages) => {
    const w = takenBack()
    w.bob.command(fail!)
    for (let n = 0; n < messages; n++) expect(w.deliver('bob') || w.deliver('alice')).toBe(true)
    w.disconnect()
    w.alice.crash()
    const results = () => knownResults(w.alice.state!)
    if (offer(w)) expect(results()).toMatchObject([{ tag: 'fulfilled', origin: ORIGIN, preimage }])
    w.connect()
    w.settle()
    w.bob.step({ tag: 'sign' })
    w.settle()
    expect([told(w), w.alice.channel.commitments.outgoing.size, results()]).toEqual([['fulfilled'], 0, []])
    expectAgreement(w)
    for (const side of w.sides) expectConserved(side.channel)
  })

  it('the failure is reversed in its turn, and the HTLC fulfilled after all', () => {
    const w = takenBack()
    const before = w.bob.state
    const left = balance(w.alice)
    w.bob.command(fail!, false)
    w.deliver('bob', false)
    expect(offer(w)).toMatchObject({ stage: 'removing', removal: { tag: 'failed', shown: preimage } })
    w.bob.state = before
    w.disconnect()
    expect(offer(w)).toMatchObject({ stage: 'committed', removal: { tag: 'fulfilled', preimage } })
    w.connect()
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage })
    w.settle()
    expect([w.alice.channel.commitments.outgoing.size, balance(w.alice), faultsOf(w.alice)]).toEqual([0, left, []])
    expect(new Set(told(w))).toEqual(new Set(['fulfilled']))
    expectAgreement(w)
  })

  it.each([
    ['within one connection', false],
    ['once it is signed for, in another one', true],
  ])('is a violation %s', (_, isSigned) => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage }, false)
    if (isSigned) {
      w.bob.step({ tag: 'sign' })
      w.deliver('bob')
      w.deliver('bob')
      expect(offer(w)).toMatchObject({ stage: 'removalSigned' })
      w.disconnect()
      w.connect()
      w.deliver('alice')
      w.deliver('bob')
    } else w.deliver('bob', false)
    const { channelId } = w.bob.channel.params
    const was = offer(w)
    w.receive('alice', { type: 'update_fail_htlc', channelId, id: 0n, reason: new Uint8Array(292) })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'UNKNOWN_HTLC', response: 'warn-peer' }])
    if (isSigned) expect(offer(w)).toEqual(was)
    expect(told(w)).toEqual(['fulfilled'])
  })
})

describe('a peer that shows a preimage, fails the HTLC and claims it on chain', () => {
  const options = { realSignatures: true, policy: { toSelfDelay: 10 } }
  /** Commitments and sweeps of the claims; alice pays for the channel's own commitment. */
  const FEES_SAT = 12_000n

  it.each([0, 1, 2, 3, 4])(
    'has no more than was its own, %i messages after it: by its newest commitment',
    (messages) => {
      const w = takenBack(undefined, options)
      const left = balance(w.alice) / 1000n
      w.bob.command(fail!)
      for (let n = 0; n < messages; n++) expect(w.deliver('bob') || w.deliver('alice')).toBe(true)
      w.disconnect()
      const end = new Ending(w)
      w.bob.command({ tag: 'forceClose', requestId: 1 })
      w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage })
      end.mine()
      end.finish()
      expect(end.refused).toEqual([])
      expect(new Set(told(w))).toEqual(new Set(['fulfilled']))
      expect(end.won('alice')).toBeGreaterThan(left - FEES_SAT)
      expect(end.won('bob')).toBeLessThanOrEqual(AMOUNT_SAT)
    },
  )

  it('loses everything by one that it has revoked', () => {
    const w = takenBack(undefined, options)
    const { channel, ctx } = w.bob
    const revoked = signedLocal(channel, channel.commitments.active[0]!, ctx)
    w.bob.command(fail!)
    w.settle()
    w.disconnect()
    const end = new Ending(w)
    end.broadcast('bob', revoked)
    end.mine()
    expect(end.onchain('alice').how).toBe('revoked')
    for (let n = 0; n < 150 && w.alice.state!.tag !== 'closed'; n++) end.mine()
    expect([end.refused, told(w)]).toEqual([[], ['fulfilled']])
    expect(end.won('alice')).toBeGreaterThan(channel.commitments.active[0]!.capacitySat - FEES_SAT)
  })

  it.each([0, 1, 2, 3])('and where it claims nothing: the amount comes back %i messages after it', (messages) => {
    const w = takenBack(undefined, options)
    const left = balance(w.alice) / 1000n
    w.bob.command(fail!)
    for (let n = 0; n < messages; n++) expect(w.deliver('bob') || w.deliver('alice')).toBe(true)
    w.disconnect()
    const end = new Ending(w)
    w.alice.command({ tag: 'forceClose', requestId: 1 })
    end.mine()
    end.finish()
    expect([end.refused, told(w)]).toEqual([[], ['fulfilled']])
    expect(end.won('alice')).toBeGreaterThan(left + AMOUNT_SAT - FEES_SAT)
    expect(knownResults(w.alice.state!).every((r) => r.tag === 'fulfilled')).toBe(true)
  })
})
