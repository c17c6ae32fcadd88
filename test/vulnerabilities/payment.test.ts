import { describe, expect, it, vi } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { buildErrorPacket, openErrorPacket, relayErrorPacket } from '../../src/onion/errorPacket.ts'
import type { OnionFailure } from '../../src/onion/failure.ts'
import { blame } from '../../src/payment/blame.ts'
import { newInvoice, receiveHtlc, tickInvoice } from '../../src/payment/incoming.ts'
import { onPaymentInput } from '../../src/payment/outgoing.ts'
import type { FinalOnion } from '../../src/payment/peel.ts'
import type { InvoiceRecord, PaymentEffect } from '../../src/payment/types.ts'
import { directedChannel } from '../../src/routing/types.ts'
import { context, start, target } from '../payment/mesh.ts'
import { FINAL_DELTA, failureFrom, HEIGHT, hashOf, IDS, preimageOf } from '../payment/world.ts'
import { channelId } from '../routing/network.ts'

const ctx = { now: 1_000_000, blockHeight: HEIGHT, acceptKeysend: true, minFinalCltvExpiryDelta: FINAL_DELTA }
const AMOUNT = 1_000_000n
const secretOf = (n: number): Uint8Array => new Uint8Array(32).fill(0x50 + n)
const invoice = (n: number): InvoiceRecord =>
  newInvoice({
    paymentHash: hashOf(preimageOf(n)),
    preimage: preimageOf(n),
    paymentSecret: secretOf(n),
    amountMsat: msat(AMOUNT),
    minFinalCltvExpiryDelta: FINAL_DELTA,
    bolt11: null,
    description: null,
    createdAt: ctx.now,
    expiresAt: ctx.now + 3_600_000,
  })

/** An HTLC of one invoice's hash with another's secret, and what its onion says of the whole. */
function receive(record: InvoiceRecord, id: bigint, amount: bigint, more: Partial<FinalOnion> = {}) {
  const htlc = {
    channelId: channelId(1),
    id,
    amountMsat: msat(amount),
    paymentHash: record.paymentHash,
    cltvExpiry: HEIGHT + FINAL_DELTA,
    onion: new Uint8Array(0),
  }
  const onion: FinalOnion = {
    tag: 'final',
    sharedSecret: new Uint8Array(32).fill(9),
    amtToForward: msat(amount),
    outgoingCltvValue: HEIGHT + FINAL_DELTA,
    paymentSecret: record.paymentSecret,
    totalMsat: msat(AMOUNT),
    paymentMetadata: null,
    keysendPreimage: null,
    ...more,
  }
  const turn = receiveHtlc(record, htlc, onion, ctx)
  return { record: turn.record ?? record, effects: turn.effects }
}
const gives = (effects: readonly PaymentEffect[]): boolean =>
  effects.some((e) => e.tag === 'command' && e.command.tag === 'fulfillHtlc')

describe('mixed-up parts (Electrum GHSA-8r85-vp7r-hjxf): parts of different payments taken for one', () => {
  it('hashes and secrets of two invoices crossed over give no preimage for less than the amount', () => {
    let one = invoice(1)
    const first = receive(one, 0n, AMOUNT / 10n)
    one = first.record
    const crossed = receive(invoice(2), 1n, (AMOUNT * 9n) / 10n, { paymentSecret: secretOf(1) })
    expect([gives(first.effects), gives(crossed.effects)]).toEqual([false, false])
    const after = tickInvoice(one, { ...ctx, now: ctx.now + 120_000 })
    expect(gives(after.effects)).toBe(false)
    expect(after.record.htlcs).toEqual([])
  })
  it('a total that is less than the invoice asks for is no total', () => {
    const { record, effects } = receive(invoice(1), 0n, AMOUNT / 10n, { totalMsat: msat(AMOUNT / 10n) })
    expect(gives(effects)).toBe(false)
    expect(record.status).toBe('open')
  })
  it('parts that say different totals are no payment, in whichever order', () => {
    for (const totals of [
      [AMOUNT, AMOUNT * 2n],
      [AMOUNT * 2n, AMOUNT],
    ]) {
      let record = invoice(1)
      for (const [id, total] of totals.entries()) {
        const turn = receive(record, BigInt(id), AMOUNT / 2n, { totalMsat: msat(total) })
        expect(gives(turn.effects)).toBe(false)
        record = turn.record
      }
    }
  })
})

describe('payment probing without the secret (before BOLT 11 required payment_secret)', () => {
  it('whoever knows the hash alone learns no preimage, and cannot tell an invoice from none', () => {
    const known = receive(invoice(1), 0n, AMOUNT, { paymentSecret: new Uint8Array(32) })
    const none = receive(invoice(1), 0n, AMOUNT, { paymentSecret: null })
    expect(gives(known.effects) || gives(none.effects)).toBe(false)
    expect(known.effects).toEqual(none.effects)
  })
})

// BOLT 4 §payload-format
describe('probing by a hop (LDK before 0.0.115, 2023-04): it asks whether the next one is the payee, by more than it was told to send', () => {
  it('an HTLC that is larger or later than its onion says is taken, as any node on the way would pass it on', () => {
    for (const [amount, outgoingCltvValue] of [
      [AMOUNT + 1n, HEIGHT + FINAL_DELTA],
      [2n * AMOUNT, HEIGHT + FINAL_DELTA],
      [AMOUNT, HEIGHT + FINAL_DELTA - 1],
      [2n * AMOUNT, HEIGHT],
    ] as const) {
      const { record, effects } = receive(invoice(1), 0n, amount, { amtToForward: msat(AMOUNT), outgoingCltvValue })
      expect([record.status, gives(effects)]).toEqual(['settled', true])
    }
  })
})

// BOLT 4 §returning-errors
describe('failure timing (CLN before 26.06): the time in which a failure is opened tells how far away it was made', () => {
  it('as much is computed wherever it was, and where it was nobody’s', () => {
    const secrets = Array.from({ length: 20 }, (_, n) => secretOf(n))
    const packetOf = (hop: number): Uint8Array =>
      secrets.slice(0, hop).reduceRight((packet, secret) => relayErrorPacket(secret, packet), madeBy(hop))
    const madeBy = (hop: number): Uint8Array => buildErrorPacket(secrets[hop]!, { name: 'mpp_timeout' })
    const hashed = vi.spyOn(crypto, 'hmacSha256')
    const cost = (route: readonly Uint8Array[], packet: Uint8Array): number => {
      hashed.mockClear()
      openErrorPacket(route, packet)
      return hashed.mock.calls.length
    }
    const packets = [0, 1, 10, 19].map(packetOf)
    expect(packets.map((p) => openErrorPacket(secrets, p)?.hop)).toEqual([0, 1, 10, 19])
    const costs = [...packets, new Uint8Array(292)].map((p) => cost(secrets, p))
    // Short routes as well.
    costs.push(cost(secrets.slice(0, 1), packets[0]!), cost(secrets.slice(0, 2), packets[1]!))
    hashed.mockRestore()
    expect(new Set(costs).size).toBe(1)
    expect(costs[0]).toBeGreaterThan(secrets.length)
  })
})

// BOLT 4 §receiving-failure-codes
describe('misattributed failure (Eclair 0.14.1, 2026): the payee says that a hop behind it failed', () => {
  const failures: readonly OnionFailure[] = [
    { name: 'temporary_node_failure' },
    { name: 'permanent_node_failure' },
    { name: 'permanent_channel_failure' },
    { name: 'unknown_next_peer' },
    { name: 'temporary_channel_failure', channelUpdate: new Uint8Array(200) },
    { name: 'fee_insufficient', htlcMsat: msat(1n), channelUpdate: new Uint8Array(0) },
    { name: 'channel_disabled', disabledFlags: 1, channelUpdate: new Uint8Array(0) },
    { name: 'invalid_onion_blinding', sha256OfOnion: new Uint8Array(32) },
    { name: 'mpp_timeout' },
  ]
  it.each([IDS[1]!, IDS[5]!])(
    'none of them blames what is not on the route, nor goes on for ever: %s is paid',
    (payee) => {
      for (const failure of failures) {
        let { record } = start(target({ payee, amountMsat: msat(10_000n) }))
        for (let tries = 0; record.status === 'pending'; tries++) {
          expect(tries).toBeLessThan(50)
          const index = record.attempts.findIndex((a) => a.status === 'pending')
          const attempt = record.attempts[index]!
          const told = failureFrom(attempt, attempt.hops.length - 1, failure)
          const { nodes, channels, local } = blame(attempt, told)
          const on = attempt.hops.map((h) => h.nodeId)
          const ways = attempt.hops.slice(1).map((h, i) => directedChannel(h.shortChannelId, on[i]!, h.nodeId))
          expect(nodes.filter((n) => !on.includes(n))).toEqual([])
          expect(channels.filter((c) => !ways.includes(c))).toEqual([])
          expect(local.filter((c) => c !== attempt.channelId)).toEqual([])
          record = onPaymentInput(record, { tag: 'failed', attempt: index, failure: told }, context()).record
        }
        expect(record.status).toBe('failed')
      }
    },
  )
})
