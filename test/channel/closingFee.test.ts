import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Sat, sat } from '../../src/base/units.ts'
import type { FeeProposal } from '../../src/channel/closeTerms.ts'
import { answerFee, type FeePreference } from '../../src/channel/closingFee.ts'

describe('BOLT 2 §legacy-closing-negotiation: the fee', () => {
  const pref = (idealSat: number, minSat: number, maxSat: number): FeePreference => ({
    idealSat: sat(idealSat),
    minSat: sat(minSat),
    maxSat: sat(maxSat),
  })
  const offer = (fee: number, range: readonly [number, number] | null = null): FeeProposal => ({
    feeSat: sat(fee),
    range: range && { minSat: sat(range[0]), maxSat: sat(range[1]) },
  })
  const ask = (talk: Partial<Parameters<typeof answerFee>[0]>) => {
    const answer = answerFee({
      isOpener: false,
      preference: pref(500, 200, 1000),
      sent: null,
      before: null,
      received: offer(500),
      ...talk,
    })
    return answer.tag === 'fault' ? answer.fault.response : answer
  }

  it('agrees to its own fee without a word, and tells the peer when it takes another in its range', () => {
    expect(ask({ sent: offer(500, [200, 1000]), received: offer(500) })).toEqual({ tag: 'agree', tell: false })
    expect(ask({ isOpener: true, sent: offer(500, [200, 1000]), received: offer(900, [100, 2000]) })).toEqual({
      tag: 'agree',
      tell: true,
    })
  })
  it('the accepter chooses a fee in the overlap of both ranges', () => {
    expect(ask({ received: offer(300, [250, 600]) })).toEqual({ tag: 'agree', tell: true })
    expect(ask({ received: offer(150, [150, 400]) })).toEqual({ tag: 'propose', feeSat: 400n })
    expect(ask({ received: offer(2000, [800, 2000]) })).toEqual({ tag: 'propose', feeSat: 800n })
  })
  it('warns when the ranges do not overlap', () => {
    expect(ask({ received: offer(3000, [2000, 4000]) })).toBe('warn-peer')
  })
  it('the opener fails the channel when the fee lies outside of the overlap', () => {
    expect(ask({ isOpener: true, sent: offer(500, [200, 1000]), received: offer(1500, [300, 2000]) })).toBe(
      'fail-channel',
    )
  })
  it('the accepter fails the channel when the opener does not take the fee that it chose', () => {
    expect(ask({ sent: offer(400, null), received: offer(300, [250, 600]) })).toBe('fail-channel')
  })
  it('without ranges each fee lies strictly between the last two', () => {
    expect(ask({ sent: offer(500), before: offer(100), received: offer(100) })).toBe('warn-peer')
    expect(ask({ sent: offer(500), before: offer(100), received: offer(600) })).toBe('warn-peer')
    expect(ask({ sent: offer(500), before: offer(100), received: offer(300) })).toEqual({ tag: 'agree', tell: true })
    expect(ask({ isOpener: true, sent: offer(500), received: offer(100) })).toEqual({ tag: 'propose', feeSat: 300n })
  })
  it('a peer that wants far more and comes down by a tenth at a time is waited for, as LND is', () => {
    const wishes = fc.record({
      ideal: fc.integer({ min: 200, max: 5_000 }),
      /** Above our wish: nothing where the operator chose the feerate. */
      more: fc.constantFrom(0, 1, 2),
      times: fc.integer({ min: 1, max: 30 }),
    })
    fc.assert(
      fc.property(wishes, ({ ideal, more, times }) => {
        const preference = pref(ideal, Math.ceil(ideal / 4), ideal * (1 + more))
        let sent = offer(ideal)
        let before: FeeProposal | null = null
        /** Its own wish at first, then a tenth less each time, until ours is less than a third below. */
        for (let theirs = ideal * times; ; theirs -= Math.floor(theirs / 10)) {
          const received = Number(sent.feeSat) * 10 >= theirs * 7 ? sent : offer(theirs)
          const answer = answerFee({ isOpener: true, preference, sent, before, received })
          if (answer.tag === 'agree') return
          if (answer.tag === 'fault') throw new Error(answer.fault.detail)
          expect(answer.feeSat).toBeGreaterThan(sent.feeSat)
          expect(answer.feeSat).toBeLessThanOrEqual(preference.maxSat + 32n)
          before = received
          sent = { feeSat: answer.feeSat, range: null }
        }
      }),
    )
  })
  it('two sides without ranges come to an end, by a fee both accept or by a fault', () => {
    const range = fc.tuple(fc.integer({ min: 100, max: 3000 }), fc.integer({ min: 0, max: 3000 }))
    fc.assert(
      fc.property(range, range, fc.nat(3000), fc.nat(3000), ([lowA, widthA], [lowB, widthB], a, b) => {
        const preference = [
          pref(lowA + (a % (widthA + 1)), lowA, lowA + widthA),
          pref(lowB + (b % (widthB + 1)), lowB, lowB + widthB),
        ] as const
        const sent: (FeeProposal | null)[] = [{ feeSat: preference[0].idealSat, range: null }, null]
        const heard: (FeeProposal | null)[] = [null, null]
        for (let turn = 1; turn < 100; turn++) {
          const me = turn % 2
          const received = sent[1 - me]!
          const answer = answerFee({
            isOpener: me === 0,
            preference: preference[me]!,
            sent: sent[me]!,
            before: heard[me]!,
            received,
          })
          heard[me] = received
          if (answer.tag === 'fault') return
          if (answer.tag === 'agree') {
            const fee = received.feeSat
            expect((fee >= preference[me]!.minSat && fee <= preference[me]!.maxSat) || fee === sent[me]?.feeSat).toBe(
              true,
            )
            return
          }
          sent[me] = { feeSat: answer.feeSat as Sat, range: null }
        }
        throw new Error('no end')
      }),
    )
  })
})
