import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import type { HtlcFailure } from '../../src/channel/types.ts'
import type { OnionFailure } from '../../src/onion/failure.ts'
import { blame } from '../../src/payment/blame.ts'
import {
  MAX_ATTEMPTS,
  onPaymentInput,
  type PaymentContext,
  type PaymentInput,
  paymentFee,
  startPayment,
} from '../../src/payment/outgoing.ts'
import { recoverPayment } from '../../src/payment/recovery.ts'
import type { PaymentAttempt, PaymentRecord, PaymentTurn } from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import { directedChannel } from '../../src/routing/types.ts'
import { channelId } from '../routing/network.ts'
import { context, fault, HASH, local, M, PREIMAGE, start, target } from './mesh.ts'
import { failureFrom, IDS, NOW } from './world.ts'

// ---------------------------------------------------------------- model

type Step =
  | { readonly tag: 'fulfil' }
  | { readonly tag: 'fail'; readonly hop: number; readonly failure: OnionFailure }
  | { readonly tag: 'garbled' | 'malformed' | 'onchain' | 'reject' | 'cancel' | 'late' | 'restart' }
const failures: fc.Arbitrary<OnionFailure> = fc.constantFrom<OnionFailure>(
  { name: 'temporary_channel_failure', channelUpdate: new Uint8Array(0) },
  { name: 'fee_insufficient', htlcMsat: msat(1n), channelUpdate: new Uint8Array(0) },
  { name: 'temporary_node_failure' },
  { name: 'unknown_next_peer' },
  { name: 'mpp_timeout' },
  { name: 'invalid_onion_payload', type: 2n, offset: 0 },
  { name: 'final_incorrect_cltv_expiry', cltvExpiry: 4 },
)
const step: fc.Arbitrary<{ at: number; step: Step }> = fc.record({
  at: fc.nat(7),
  step: fc.oneof(
    { weight: 12, arbitrary: fc.record({ tag: fc.constant('fail' as const), hop: fc.nat(4), failure: failures }) },
    { weight: 2, arbitrary: fc.constant<Step>({ tag: 'fulfil' }) },
    {
      weight: 5,
      arbitrary: fc.constantFrom<Step>({ tag: 'garbled' }, { tag: 'malformed' }, { tag: 'onchain' }, { tag: 'reject' }),
    },
    { weight: 1, arbitrary: fc.constantFrom<Step>({ tag: 'cancel' }, { tag: 'late' }, { tag: 'restart' }) },
  ),
})

function inputFor(s: Step, index: number, attempt: PaymentAttempt): PaymentInput {
  const failed = (failure: HtlcFailure): PaymentInput => ({ tag: 'failed', attempt: index, failure })
  switch (s.tag) {
    case 'fulfil':
      return { tag: 'fulfilled', attempt: index, preimage: PREIMAGE }
    case 'fail':
      return failed(failureFrom(attempt, s.hop % attempt.hops.length, s.failure))
    case 'garbled':
      return failed({ tag: 'onion', reason: new Uint8Array(292) })
    case 'malformed':
      return failed({ tag: 'malformed', failureCode: 0xc006, sha256OfOnion: new Uint8Array(32) })
    case 'onchain':
    case 'late':
      return failed({ tag: 'onchain' })
    case 'reject':
      return { tag: 'rejected', attempt: index, fault }
    default:
      return { tag: 'cancel' }
  }
}

const pendingOf = (r: PaymentRecord): number[] => r.attempts.flatMap((a, i) => (a.status === 'pending' ? [i] : []))

/** Everything that must hold after every turn, whatever came before. */
function checkTurn(before: PaymentRecord, turn: PaymentTurn<PaymentRecord>, offered: Set<number>): void {
  const { record, effects } = turn
  const { amountMsat, maxFeeMsat, maxParts } = record.target
  const good = record.attempts.filter((a) => a.status !== 'failed')
  expect(good.reduce((s, a) => s + a.amountMsat, 0n)).toBeLessThanOrEqual(amountMsat)
  expect(paymentFee(record)).toBeLessThanOrEqual(maxFeeMsat)
  expect(pendingOf(record).length).toBeLessThanOrEqual(maxParts)
  expect(record.attempts.length).toBeLessThanOrEqual(MAX_ATTEMPTS)
  for (const e of effects) {
    if (e.tag !== 'command' || e.command.tag !== 'addHtlc') continue
    expect(before.preimage).toBeNull()
    expect(before.failure).toBeNull()
    const { origin } = e.command
    if (origin.tag !== 'payment') throw new Error('origin')
    expect(offered.has(origin.attempt)).toBe(false)
    offered.add(origin.attempt)
    const attempt = record.attempts[origin.attempt]!
    expect(attempt).toMatchObject({ status: 'pending', channelId: e.channelId })
    expect(e.command.amountMsat).toBe(attempt.amountMsat + attempt.feeMsat)
  }
  if (record.status === 'pending' && record.failure === null) {
    expect(good.reduce((s, a) => s + a.amountMsat, 0n)).toBe(amountMsat)
  }
  if (record.status === 'failed') expect(pendingOf(record)).toEqual([])
  expect(isDeepStrictEqual(unpack(pack(record)), record)).toBe(true)
}

describe('an outgoing payment, whatever becomes of its attempts', () => {
  it('never sends more than the amount or after the end, ends once all is in, and takes repeats for nothing', () => {
    const ends = new Set<string>()
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 5n * M - 100_000n }),
        fc.array(step, { maxLength: 60 }),
        (amount, steps) => {
          const offered = new Set<number>()
          const t = target({ amountMsat: amount as Msat })
          const started = startPayment(undefined, { paymentHash: HASH, target: t }, context())
          if (!started.ok) return
          let { record } = started.value
          checkTurn({ ...record, attempts: [] }, started.value, offered)
          let ctx = context()
          let notified = 0
          for (const { at, step: s } of [...steps, ...Array(200).fill({ at: 0, step: { tag: 'onchain' } })]) {
            const pending = pendingOf(record)
            if (pending.length === 0) break
            const index = pending[at % pending.length]!
            if (s.tag === 'late') ctx = context({ now: NOW + 60_000 })
            const turn =
              s.tag === 'restart'
                ? recoverPayment(
                    record,
                    pending.filter((i) => i !== index).map((i) => ({ attempt: i, ...record.attempts[i]! })),
                    ctx,
                  )
                : onPaymentInput(record, inputFor(s, index, record.attempts[index]!), ctx)
            checkTurn(record, turn, offered)
            notified += turn.effects.filter((e) => e.tag === 'notify').length
            const again =
              s.tag === 'restart'
                ? turn
                : onPaymentInput(turn.record, inputFor(s, index, turn.record.attempts[index]!), ctx)
            if (s.tag !== 'restart') expect([again.record === turn.record, again.effects]).toEqual([true, []])
            record = turn.record
          }
          expect(pendingOf(record)).toEqual([])
          expect(record.status).not.toBe('pending')
          expect(notified).toBe(1)
          ends.add(record.failure?.code ?? record.status)
        },
      ),
      { numRuns: 120 },
    )
    expect(ends.size).toBeGreaterThan(2)
  })
})

describe('BOLT 4 §receiving-failure-codes: the origin, of no misattributed failure (Eclair, 2026)', () => {
  const { record } = start(target({ amountMsat: msat(10_000n) }), context({ localChannels: [local(1, 1, M)] }))
  const attempt = record.attempts[0]!
  const last = attempt.hops.length - 1
  const blameOf = (hop: number, failure: OnionFailure) => blame(attempt, failureFrom(attempt, hop, failure))
  const noUpdate = new Uint8Array(0)
  const key = directedChannel(attempt.hops[1]!.shortChannelId, attempt.hops[0]!.nodeId, attempt.hops[1]!.nodeId)

  it('keeps away from the channel that failed, in that direction', () => {
    const b = blameOf(0, { name: 'temporary_channel_failure', channelUpdate: noUpdate })
    expect(b).toMatchObject({ final: false, channels: [key], nodes: [], local: [] })
    expect(b.detail).toBe(`temporary_channel_failure at ${IDS[1]}`)
  })
  it('keeps away from the node when the NODE bit is set', () => {
    expect(blameOf(0, { name: 'temporary_node_failure' })).toMatchObject({
      final: false,
      channels: [],
      nodes: [IDS[1]],
    })
  })
  it('gives up when the payee refuses', () => {
    const refusal: OnionFailure = { name: 'incorrect_or_unknown_payment_details', htlcMsat: msat(1n), height: 1 }
    expect(blameOf(last, refusal)).toMatchObject({ final: true })
    expect(blameOf(last, { name: 'temporary_node_failure' })).toMatchObject({ final: true })
  })
  it('does not take the refusal of the payee from a node on the way', () => {
    const refusal: OnionFailure = { name: 'incorrect_or_unknown_payment_details', htlcMsat: msat(1n), height: 1 }
    expect(blameOf(0, refusal)).toMatchObject({ final: false, nodes: [IDS[1]] })
  })
  it('tries again when the payee has waited for parts in vain', () => {
    expect(blameOf(last, { name: 'mpp_timeout' })).toMatchObject({ final: false, channels: [], nodes: [] })
  })
  it('blames the channel into the payee when amount or expiry were cut on the way', () => {
    const b = blameOf(last, { name: 'final_incorrect_htlc_amount', incomingHtlcAmt: msat(1n) })
    expect(b).toMatchObject({ final: false, channels: [key] })
  })
  it('tries another way when the payee says that the channel by which it came could not carry it, as LDK and eclair do', () => {
    const failure: OnionFailure = { name: 'temporary_channel_failure', channelUpdate: noUpdate }
    expect(blameOf(last, failure)).toMatchObject({ final: false, channels: [key], local: [] })
    const direct = target({ payee: IDS[1]!, amountMsat: msat(10_000n) })
    let { record: r } = start(direct, context({ localChannels: [local(1, 1, M), local(2, 1, M)] }))
    const ctx = context({ localChannels: [local(1, 1, M), local(2, 1, M)] })
    for (const at of [0, 1]) {
      expect(r.attempts.map((a) => a.hops.length)).toEqual([1, 1].slice(0, at + 1))
      r = onPaymentInput(
        r,
        { tag: 'failed', attempt: at, failure: failureFrom(r.attempts[at]!, 0, failure) },
        ctx,
      ).record
    }
    expect(new Set(r.attempts.map((a) => a.channelId)).size).toBe(2)
    expect(r.failure?.code).not.toBe('REJECTED_BY_PAYEE')
    expect(r).toMatchObject({ status: 'failed', failure: { detail: expect.stringContaining(`at ${IDS[1]}`) } })
  })
  it('uses none of a route again whose failure nobody signed', () => {
    expect(blame(attempt, { tag: 'onion', reason: new Uint8Array(100) }).channels).toEqual([key])
  })
  it('keeps away from our own channel when it timed out on chain', () => {
    expect(blame(attempt, { tag: 'onchain' })).toMatchObject({ local: [channelId(1)] })
  })
})

describe('an outgoing payment', () => {
  it('to a node with metadata carries it, and finds only routes that leave room for it', () => {
    const metadata = new Uint8Array(600).fill(7)
    const turn = start(target({ paymentMetadata: metadata }))
    const command = turn.effects.find((e) => e.tag === 'command')!.command
    expect(command.tag === 'addHtlc' && command.onion.length).toBe(1366)
  })

  it('of which the payee misses a part, though one HTLC brought it all, is not sent again and again', () => {
    let r = start().record
    expect(r.attempts.length).toBe(1)
    for (let i = 0; i < 3 && r.status === 'pending'; i++) {
      const at = r.attempts.length - 1
      const failure = failureFrom(r.attempts[at]!, r.attempts[at]!.hops.length - 1, { name: 'mpp_timeout' })
      r = onPaymentInput(r, { tag: 'failed', attempt: at, failure }, context()).record
    }
    expect([r.failure?.code, r.attempts.length]).toEqual(['REJECTED_BY_PAYEE', 1])
  })

  it('is stopped by the user: what is out decides', () => {
    const { record } = start()
    const cancelled = onPaymentInput(record, { tag: 'cancel' }, context())
    expect(cancelled).toMatchObject({ record: { status: 'pending', failure: { code: 'CANCELLED' } }, effects: [] })
    const paid = onPaymentInput(cancelled.record, { tag: 'fulfilled', attempt: 0, preimage: PREIMAGE }, context())
    expect(paid.record).toMatchObject({ status: 'succeeded', failure: null })
    const failed = onPaymentInput(cancelled.record, { tag: 'rejected', attempt: 0, fault }, context())
    expect(failed.record).toMatchObject({ status: 'failed', failure: { code: 'CANCELLED' } })
  })

  it('says why it cannot start, and stores nothing', () => {
    const begin = (more: Partial<PaymentContext>, t = target()) =>
      startPayment(undefined, { paymentHash: HASH, target: t }, context(more))
    expect(begin({ localChannels: [] })).toMatchObject({ ok: false, error: { code: 'NO_ROUTE' } })
    expect(begin({ graph: new Graph() })).toMatchObject({ ok: false, error: { code: 'NO_ROUTE' } })
    expect(begin({}, target({ payee: IDS[0]! }))).toMatchObject({ ok: false, error: { code: 'NO_ROUTE' } })
  })

  it('uses a session key of its own for every attempt', () => {
    const { record } = start(target({ amountMsat: msat(4n * M) }))
    const keys = new Set(record.attempts.map((a) => a.sessionKey.join()))
    expect(record.attempts.length).toBeGreaterThan(1)
    expect(keys.size).toBe(record.attempts.length)
  })
})
