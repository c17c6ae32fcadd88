import { describe, expect, it } from 'vitest'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import { expectAgreement, expectConserved } from './checks.ts'
import { add, faultsOf, preimageOf, reachNormal, type World } from './harness.ts'

describe('BOLT 2 §removing-an-htlc', () => {
  const withHtlc = (): World => {
    const w = reachNormal()
    w.alice.command(add(1, 1_000_000))
    return w.settle()
  }
  const removal = (change: object, type: 'fulfill' | 'malformed' = 'fulfill') => {
    const w = withHtlc()
    if (type === 'fulfill') w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    else w.bob.command({ tag: 'failMalformedHtlc', id: 0n, sha256OfOnion: new Uint8Array(32), failureCode: 0xc005 })
    const message = w.take('bob')!
    w.receive('alice', { ...message, ...change } as ChannelMessage)
    return { w, fault: faultsOf(w.alice)[0] }
  }

  it('the preimage is passed on as soon as it is there', () => {
    const { w } = removal({})
    expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', preimage: preimageOf(1) }])
  })
  it('refuses a wrong preimage', () => {
    const { w, fault } = removal({ paymentPreimage: preimageOf(2) })
    expect(fault).toMatchObject({ code: 'WRONG_PREIMAGE', response: 'warn-peer' })
    expect(w.alice.events).toEqual([])
  })
  it('refuses an id that is of no committed HTLC', () => {
    expect(removal({ id: 1n }).fault).toMatchObject({ code: 'UNKNOWN_HTLC' })
  })
  it('refuses a second removal', () => {
    const w = withHtlc()
    w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(1) })
    const message = w.bob.outbox[0]!
    w.deliver('bob')
    w.receive('alice', message)
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'UNKNOWN_HTLC' }])
  })
  it('refuses update_fail_malformed_htlc without the BADONION bit', () => {
    expect(removal({ failureCode: 0x4005 }, 'malformed').fault).toMatchObject({ code: 'PROTOCOL_VIOLATION' })
    expect(removal({}, 'malformed').fault).toBeUndefined()
  })
  it('fails upstream only once the HTLC is irrevocably removed', () => {
    const w = withHtlc()
    w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(5).fill(9) })
    w.deliver('bob')
    w.deliver('bob')
    w.deliver('alice')
    w.deliver('alice')
    expect(w.alice.events).toEqual([])
    w.settle()
    expect(w.alice.events).toMatchObject([
      { tag: 'failed', failure: { tag: 'onion', reason: new Uint8Array(5).fill(9) } },
    ])
  })
  it.each([
    ['heard', true],
    ['not heard', false],
  ])('a preimage takes the place of a failure that the peer, which is away, has %s unsigned', (_, isHeard) => {
    const w = withHtlc()
    const preimage = preimageOf(1)
    const fulfill = (of = preimage) => w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: of }, false)
    if (!isHeard) w.disconnect()
    w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(292) }, false)
    if (isHeard) {
      expect(w.deliver('bob')).toBe(true)
      // What is said in this connection stands.
      fulfill()
      expect(w.bob.channel.commitments.incoming.chunks.flat()).toMatchObject([{ removal: { tag: 'failed' } }])
      w.bob.outbox = []
      w.disconnect()
    }
    fulfill(preimageOf(2))
    expect(w.bob.channel.commitments.incoming.chunks.flat()).toMatchObject([{ removal: { tag: 'failed' } }])
    fulfill()
    expectConserved(w.bob.channel)
    w.reconnect()
    expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', preimage }])
    expect([w.alice, w.bob].map((s) => [s.state!.tag, faultsOf(s)])).toEqual([
      ['normal', []],
      ['normal', []],
    ])
    expectAgreement(w)
    expectConserved(w.bob.channel)
    expect(w.bob.channel.commitments.incoming.size).toBe(0)
  })
  it('reports a malformed failure as such', () => {
    const { w } = removal({}, 'malformed')
    w.settle()
    expect(w.alice.events).toMatchObject([{ tag: 'failed', failure: { tag: 'malformed', failureCode: 0xc005 } }])
  })
  it('remembers a preimage whose removal was lost with the connection', () => {
    const w = withHtlc()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) }, false)
    w.deliver('bob', false)
    w.disconnect()
    expect(w.alice.channel.commitments.outgoing.chunks[0]![0]).toMatchObject({
      stage: 'committed',
      removal: { tag: 'fulfilled' },
    })
  })
  it('commands that come again, or too early, change nothing', () => {
    const w = reachNormal()
    w.alice.command(add(1, 1_000_000))
    w.deliver('alice')
    const early = w.bob.state
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) }, false)
    w.bob.command({ tag: 'fulfillHtlc', id: 9n, preimage: preimageOf(1) }, false)
    expect(w.bob.state).toBe(early)
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(2) }, false)
    expect(w.bob.outbox).toEqual([])
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) }, false)
    const once = w.bob.state
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) }, false)
    w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(1) }, false)
    expect(w.bob.state).toBe(once)
    expect(w.bob.outbox.map((m) => m.type)).toEqual(['update_fulfill_htlc'])
  })
})
