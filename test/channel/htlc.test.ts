import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { receivableMsat, sendableMsat } from '../../src/channel/describe.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import { expectAgreement } from './checks.ts'
import { add, expectNext, faultsOf, hashOf, reachNormal, type World } from './harness.ts'
import type { Name } from './side.ts'

const rejection = (w: World, who: Name = 'alice') => {
  const event = w.side(who).events.at(-1)
  return event?.tag === 'rejected' ? event.fault.code : null
}

describe('BOLT 2 §adding-an-htlc: sending node', () => {
  it('numbers HTLCs from 0 upwards without gaps, in each direction', () => {
    const w = reachNormal({ pushMsat: msat(300_000_000) })
    for (let n = 0; n < 3; n++) w.alice.command(add(n, 1000), false)
    for (let n = 3; n < 5; n++) w.bob.command(add(n, 1000), false)
    expect(w.alice.outbox.map((m) => m.type === 'update_add_htlc' && m.id)).toEqual([0n, 1n, 2n])
    expect(w.bob.outbox.map((m) => m.type === 'update_add_htlc' && m.id)).toEqual([0n, 1n])
  })

  it('signs everything that waits in one commitment_signed, naming the funding', () => {
    const w = reachNormal()
    for (let n = 0; n < 3; n++) w.alice.command(add(n, 5_000_000), n === 2)
    const signed = w.alice.outbox.filter((m) => m.type === 'commitment_signed')
    expect(signed.length).toBe(1)
    expect(signed[0]).toMatchObject({ fundingTxid: w.alice.channel.commitments.active[0]!.funding.txid })
    expect(signed[0]!.type === 'commitment_signed' && signed[0]!.htlcSignatures.length).toBe(3)
  })

  it('has one unrevoked commitment of the peer at most', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.alice.command(add(2, 5_000_000))
    expect(w.alice.outbox.map((m) => m.type)).toEqual(['update_add_htlc', 'commitment_signed', 'update_add_htlc'])
    w.settle()
    expect(w.alice.channel.commitments.local.number).toBe(2)
    expectAgreement(w)
  })

  it('never signs without a change', () => {
    const w = reachNormal()
    w.alice.step({ tag: 'sign' })
    expect(w.alice.outbox).toEqual([])
  })

  it('offers more than 0 and at least htlc_minimum_msat', () => {
    const w = reachNormal({ bobPolicy: { htlcMinimumMsat: msat(1000) } })
    w.alice.command(add(1, 0))
    expect(rejection(w)).toBe('HTLC_LIMIT')
    w.alice.command(add(1, 999))
    expect(rejection(w)).toBe('HTLC_LIMIT')
    w.alice.command(add(1, 1000))
    expect(w.alice.outbox.length).toBe(2)
  })

  it('sets an expiry that is a height and lies ahead', () => {
    const w = reachNormal()
    w.alice.command(add(1, 1000, { cltvExpiry: 500_000_000 }))
    expect(rejection(w)).toBe('HTLC_LIMIT')
    w.alice.command(add(1, 1000, { cltvExpiry: w.height }))
    expect(rejection(w)).toBe('EXPIRY_TOO_SOON')
  })

  it('keeps to max_accepted_htlcs and max_htlc_value_in_flight_msat of the peer, which bound channel jamming', () => {
    const w = reachNormal({ bobPolicy: { maxAcceptedHtlcs: 2, maxHtlcValueInFlightMillionths: 10_000 } })
    w.alice.command(add(1, 10_000_001))
    expect(rejection(w)).toBe('HTLC_LIMIT')
    w.alice.command(add(1, 9_000_000))
    w.alice.command(add(2, 1_000_000))
    w.alice.command(add(3, 1))
    expect(rejection(w)).toBe('TOO_MANY_HTLCS')
    expect(faultsOf(w.settle().bob)).toEqual([])
  })

  it('keeps its reserve, the fee at twice the feerate with two more HTLCs, and both anchors', () => {
    const w = reachNormal()
    const most = 1_000_000_000n - 10_000_000n - 1000n * ((2000n * (1124n + 2n * 172n)) / 1000n + 660n)
    expect(sendableMsat(w.alice.channel)).toBe(most)
    w.alice.command(add(1, Number(most) + 1))
    expect(rejection(w)).toBe('INSUFFICIENT_BALANCE')
    w.alice.command(add(1, Number(most)))
    expect(faultsOf(w.settle().bob)).toEqual([])
    expectAgreement(w)
  })

  it('counts for the fee what has an output in either commitment', () => {
    for (const [own, theirs] of [
      [354, 1000],
      [1000, 354],
    ] as const) {
      const w = reachNormal({ policy: { dustLimitSat: sat(own) }, bobPolicy: { dustLimitSat: sat(theirs) } })
      const before = sendableMsat(w.alice.channel)
      w.alice.command(add(1, 500_000))
      w.settle()
      expect(before - sendableMsat(w.alice.channel)).toBe(500_000n + 172n * 2000n)
    }
  })

  it('without the duty to pay the fee, keeps its reserve and lets the opener keep its own', () => {
    const w = reachNormal({ pushMsat: msat(985_000_000) })
    expect(sendableMsat(w.bob.channel)).toBe(975_000_000n)
    const tight = reachNormal({ pushMsat: msat(988_100_000) })
    tight.bob.command(add(1, 5_000_000))
    expect(rejection(tight, 'bob')).toBe('INSUFFICIENT_BALANCE')
    tight.bob.command(add(2, 100_000))
    expect(faultsOf(tight.settle().alice)).toEqual([])
    expect(tight.alice.events.map((e) => e.tag)).toEqual(['received'])
  })

  it('lets the opener keep its own by either commitment: an HTLC may have an output in one of the two alone', () => {
    const sent = (alices: number, bobs: number) => {
      const limits = { policy: { dustLimitSat: sat(alices) }, bobPolicy: { dustLimitSat: sat(bobs) } }
      const w = reachNormal({ ...limits, pushMsat: msat(988_100_000) })
      w.bob.command(add(1, 700_000))
      return rejection(w, 'bob')
    }
    const refused = 'INSUFFICIENT_BALANCE'
    expect([sent(354, 354), sent(354, 1000), sent(1000, 354)]).toEqual([refused, refused, refused])
    const w = reachNormal({ policy: { dustLimitSat: sat(1000) }, pushMsat: msat(988_100_000) })
    w.bob.command(add(1, 700_000))
    expect(faultsOf(w.settle().alice)).toEqual([])
    expect(w.alice.events.map((e) => e.tag)).toEqual(['received'])
  })

  it('BOLT 2 §bounding-exposure: keeps HTLCs without output below its limit', () => {
    const w = reachNormal({ policy: { maxDustExposureMsat: msat(500_000) } })
    w.alice.command(add(1, 300_000))
    w.alice.command(add(2, 200_001))
    expect(rejection(w)).toBe('DUST_EXPOSURE')
    w.alice.command(add(2, 200_000))
    w.alice.command(add(3, 354_000))
    expect(w.settle().bob.events.map((e) => e.tag)).toEqual(['received', 'received', 'received'])
  })

  it('is refused while the peer is away, and taken back when it leaves before the HTLC is signed for', () => {
    const w = reachNormal()
    w.alice.command(add(1, 1000), false)
    w.disconnect()
    expect(rejection(w)).toBe('PEER_OFFLINE')
    w.alice.command(add(2, 1000))
    expect(w.alice.events.length).toBe(2)
    expect(w.alice.channel.commitments.nextOutgoingId).toBe(0n)
  })
})

describe('sendable and receivable amounts', () => {
  for (const channelType of ['anchors', 'static_remotekey'] as const) {
    it(`${channelType}: are what the other side takes, to the millisatoshi`, () => {
      for (const pushed of [0, 200_000_000, 980_000_000]) {
        for (const who of ['alice', 'bob'] as const) {
          const w = reachNormal({ channelType, pushMsat: msat(pushed) })
          const most = sendableMsat(w.side(who).channel)
          const peer = receivableMsat(w.side(who === 'alice' ? 'bob' : 'alice').channel)
          expect(peer).toBe(most)
          if (most === 0n) continue
          w.side(who).command(add(1, Number(most)))
          expect(faultsOf(w.settle().side(who === 'alice' ? 'bob' : 'alice'))).toEqual([])
          expectAgreement(w)
          const again = reachNormal({ channelType, pushMsat: msat(pushed) })
          again.side(who).command(add(1, Number(most) + 1))
          expect(rejection(again, who)).not.toBeNull()
        }
      }
    })
  }

  for (const dust of [
    [354, 354],
    [354, 1000],
    [1000, 354],
  ] as const) {
    it(`are less than gets an output where the opener cannot pay for one: dust limits of ${dust.join(' and ')} sat`, () => {
      const [own, theirs] = dust
      const limits = { policy: { dustLimitSat: sat(own) }, bobPolicy: { dustLimitSat: sat(theirs) } }
      const opened = () => reachNormal({ ...limits, pushMsat: msat(988_100_000) })
      const w = opened()
      const most = sendableMsat(w.bob.channel)
      expect([most, receivableMsat(w.alice.channel)]).toEqual([354_000n - 1n, most])
      w.bob.command(add(1, Number(most)))
      expect(faultsOf(w.settle().alice)).toEqual([])
      expect(w.alice.events.map((e) => e.tag)).toEqual(['received'])
      const again = opened()
      again.bob.command(add(1, Number(most) + 1))
      expect(rejection(again, 'bob')).toBe('INSUFFICIENT_BALANCE')
    })
  }
})

describe('BOLT 2 §adding-an-htlc: receiving node', () => {
  /** What bob makes of an update_add_htlc of alice that was changed on the way. */
  const verdict = (change: object, options: Parameters<typeof reachNormal>[0] = {}) => {
    const w = reachNormal(options)
    w.alice.command(add(1, 1_000_000))
    const message = expectNext(w, 'alice', 'update_add_htlc')
    w.receive('bob', { ...message, ...change })
    return { w, fault: faultsOf(w.bob)[0] }
  }
  it('closes the connection with a warning, forgets the HTLC and goes on afterwards', () => {
    const { w, fault } = verdict({ amountMsat: msat(0) })
    expect(fault).toMatchObject({ code: 'HTLC_LIMIT', response: 'warn-peer' })
    expect(w.connected).toBe(false)
    expect(w.bob.channel.commitments.incoming.size).toBe(0)
    w.connect()
    w.settle()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
    expect(w.bob.events.map((e) => e.tag)).toEqual(['received'])
  })
  it('refuses an amount below htlc_minimum_msat', () => {
    const options = { bobPolicy: { htlcMinimumMsat: msat(1000) } }
    expect(verdict({ amountMsat: msat(999) }, options).fault).toMatchObject({ code: 'HTLC_LIMIT' })
  })
  it('refuses an expiry of 500000000 or more', () => {
    expect(verdict({ cltvExpiry: 500_000_000 }).fault).toMatchObject({ code: 'PROTOCOL_VIOLATION' })
    expect(verdict({ cltvExpiry: 499_999_999 }).fault).toBeUndefined()
  })
  it('refuses an id that is not the next', () => {
    expect(verdict({ id: 1n }).fault).toMatchObject({ code: 'PROTOCOL_VIOLATION' })
  })
  it('refuses more in flight than max_htlc_value_in_flight_msat', () => {
    const options = { bobPolicy: { maxHtlcValueInFlightMillionths: 10_000 } }
    expect(verdict({ amountMsat: msat(10_000_001) }, options).fault).toMatchObject({ code: 'HTLC_LIMIT' })
    expect(verdict({ amountMsat: msat(10_000_000) }, options).fault).toBeUndefined()
  })
  it('refuses more than max_accepted_htlcs', () => {
    const w = reachNormal({ bobPolicy: { maxAcceptedHtlcs: 1 } })
    w.alice.command(add(1, 1000))
    const first = w.alice.outbox[0]!
    w.settle()
    w.receive('bob', { ...first, id: 1n } as ChannelMessage)
    expect(faultsOf(w.bob)).toMatchObject([{ code: 'TOO_MANY_HTLCS' }])
  })
  it('refuses what the sender cannot pay beside its reserve, the fee and the anchors', () => {
    const most = 1_000_000_000n - 10_000_000n - 1000n * ((1000n * (1124n + 172n)) / 1000n + 660n)
    expect(verdict({ amountMsat: msat(most + 1n) }).fault).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
    expect(verdict({ amountMsat: msat(most) }).fault).toBeUndefined()
  })
  it('allows several HTLCs with the same payment hash', () => {
    const w = reachNormal()
    for (let n = 0; n < 3; n++) w.alice.command(add(7, 2_000_000))
    expect(w.settle().bob.events.length).toBe(3)
    expectAgreement(w)
    expect(w.bob.channel.commitments.active[0]!.htlcSignatures.length).toBe(3)
  })
  it('BOLT 2 §bounding-exposure: marks an HTLC over its limit on dust, to be failed', () => {
    const w = reachNormal({ bobPolicy: { maxDustExposureMsat: msat(300_000) } })
    w.alice.command(add(1, 200_000))
    w.alice.command(add(2, 200_000))
    w.settle()
    const marks = w.bob.events.map((e) => e.tag === 'received' && (e.htlc.excessDust ?? false))
    expect(marks).toEqual([false, true])
  })
})

describe('an HTLC as it is passed on', () => {
  it('carries everything that the payment machine needs', () => {
    const w = reachNormal()
    const pathKey = w.alice.ctx.signer.commitmentPoint(5)
    w.alice.command(add(1, 1_000_000, { pathKey }))
    w.settle()
    expect(w.bob.events).toEqual([
      {
        tag: 'received',
        htlc: {
          channelId: w.bob.channel.params.channelId,
          id: 0n,
          amountMsat: 1_000_000n,
          paymentHash: hashOf(1),
          cltvExpiry: 600,
          onion: new Uint8Array(1366).fill(1),
          pathKey,
        },
      },
    ])
  })
})
