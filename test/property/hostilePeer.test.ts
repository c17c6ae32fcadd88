import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { p2wpkhOfKey } from '../../src/bitcoin/script.ts'
import { buildLocal, buildRemote, buildRemoteSigned } from '../../src/channel/commitments.ts'
import { committedIncoming } from '../../src/channel/describe.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import { messageNamed } from '../arbitraries.ts'
import { expectConserved } from '../channel/checks.ts'
import { add, featuresOf, hashOf, preimageOf, reachNormal, type World, type WorldOptions } from '../channel/harness.ts'
import { fake, type Name } from '../channel/side.ts'

/*
 * Alice's peer is no node: it says what it wants, in any order, with signatures and secrets that pass, so that it gets as deep as it can.
 */

/** Made up, all but the channel's id. */
const invented: fc.Arbitrary<ChannelMessage> = fc.oneof(
  messageNamed('update_add_htlc'),
  messageNamed('update_fail_malformed_htlc'),
  messageNamed('update_fee'),
  messageNamed('commitment_signed'),
  messageNamed('channel_ready'),
  messageNamed('shutdown'),
  messageNamed('closing_signed'),
  messageNamed('closing_complete'),
  messageNamed('closing_sig'),
  messageNamed('stfu'),
  messageNamed('announcement_signatures'),
)
const nat = fc.nat(12)
const amountMsat = fc.oneof(
  fc.integer({ min: 0, max: 2_000_000 }),
  fc.integer({ min: 1_000_000, max: 300_000_000 }),
  fc.integer({ min: 900_000_000, max: 1_000_000_000 }),
)
const feeratePerKw = fc.oneof(fc.integer({ min: 250, max: 3_000 }), fc.integer({ min: 250, max: 60_000 }))
const of = <T extends string, P extends object>(tag: T, parts: { [K in keyof P]: fc.Arbitrary<P[K]> }) =>
  fc.record({ tag: fc.constant(tag), ...parts }) as unknown as fc.Arbitrary<{ readonly tag: T } & Readonly<P>>
const step = fc.oneof(
  { weight: 8, arbitrary: of('add', { amountMsat, cltvExpiry: fc.constantFrom(0, 101, 600, 499_999_999) }) },
  { weight: 6, arbitrary: of('remove', { id: nat, how: fc.constantFrom('fulfill', 'fail', 'malformed') }) },
  { weight: 10, arbitrary: of('commit', {}) },
  { weight: 10, arbitrary: of('revoke', {}) },
  { weight: 3, arbitrary: of('fee', { feeratePerKw }) },
  { weight: 1, arbitrary: of('shutdown', {}) },
  { weight: 3, arbitrary: of('cut', { commitLost: fc.boolean(), revocationLost: fc.boolean(), twice: fc.boolean() }) },
  { weight: 2, arbitrary: of('invent', { message: invented }) },
  { weight: 8, arbitrary: of('offer', { amountMsat }) },
  { weight: 5, arbitrary: of('settle', { pick: nat, fulfills: fc.boolean() }) },
  { weight: 2, arbitrary: of('setFee', { feeratePerKw }) },
  { weight: 1, arbitrary: of('close', {}) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

class Hostile {
  readonly w: World
  readonly #secrets = fake.bob
  #count = 0

  constructor(options: WorldOptions) {
    this.w = reachNormal(options)
    const { alice } = this.w
    alice.ctx = { ...alice.ctx, signer: { ...alice.ctx.signer, verify: () => true, verifyAll: () => -1 } }
  }

  get isOver(): boolean {
    return !/^(normal|shutdown|negotiating|offline|syncing)$/.test(this.w.alice.state!.tag)
  }

  step(s: Step): void {
    const { alice } = this.w
    const { commitments, params } = alice.channel
    const { channelId } = params
    switch (s.tag) {
      case 'add':
        return this.say({
          type: 'update_add_htlc',
          channelId,
          id: commitments.nextIncomingId,
          amountMsat: msat(s.amountMsat),
          paymentHash: hashOf(this.#count++),
          cltvExpiry: s.cltvExpiry,
          onionRoutingPacket: new Uint8Array(1366),
        })
      case 'remove':
        return this.say(this.#removal(BigInt(s.id), s.how))
      case 'commit': {
        const htlcSignatures = Array.from({ length: commitments.next.local.untrimmed }, () => new Uint8Array(64))
        return this.say({ type: 'commitment_signed', channelId, signature: new Uint8Array(64), htlcSignatures })
      }
      case 'revoke': {
        const { number } = commitments.remote
        const perCommitmentSecret = this.#secrets.commitmentSecret(number)
        const nextPerCommitmentPoint = this.#secrets.commitmentPoint(number + 2)
        return this.say({ type: 'revoke_and_ack', channelId, perCommitmentSecret, nextPerCommitmentPoint })
      }
      case 'fee':
        return this.say({ type: 'update_fee', channelId, feeratePerKw: s.feeratePerKw })
      case 'shutdown':
        return this.say({ type: 'shutdown', channelId, scriptPubKey: p2wpkhOfKey(crypto.publicKey(preimageOf(1))) })
      case 'cut':
        return this.#cut(s)
      case 'invent': {
        const { fundingTxid: _, ...message } = s.message as ChannelMessage & { fundingTxid?: unknown }
        return this.say({ ...message, channelId } as ChannelMessage)
      }
      case 'offer':
        return alice.command(add(this.#count++, s.amountMsat))
      case 'settle': {
        const open = committedIncoming(alice.state!)
        const htlc = open[s.pick % Math.max(1, open.length)]
        if (!htlc) return
        const { id } = htlc
        const preimage = Array.from({ length: this.#count }, (_, n) => n).find((n) => hashOf(n) === htlc.paymentHash)
        if (s.fulfills) return alice.command({ tag: 'fulfillHtlc', id, preimage: preimageOf(preimage!) })
        return alice.command({ tag: 'failHtlc', id, reason: new Uint8Array(292) })
      }
      case 'setFee':
        return alice.command({ tag: 'updateFee', feeratePerKw: s.feeratePerKw })
      case 'close':
        return alice.command({ tag: 'close', requestId: 9 })
    }
  }

  say(message: ChannelMessage): void {
    const { alice } = this.w
    alice.step({ tag: 'message', message })
    if (alice.wantsDisconnect && !this.isOver) this.#cut({ commitLost: false, revocationLost: false, twice: false })
  }

  #removal(id: bigint, how: string): ChannelMessage {
    const { channelId } = this.w.alice.channel.params
    const { outgoing } = this.w.alice.channel.commitments
    const hash = outgoing.chunks.flat().find((h) => h.add.id === id)?.add.paymentHash
    const n = Array.from({ length: this.#count }, (_, i) => i).find((i) => hashOf(i) === hash) ?? 0
    if (how === 'fulfill') return { type: 'update_fulfill_htlc', channelId, id, paymentPreimage: preimageOf(n) }
    if (how === 'fail') return { type: 'update_fail_htlc', channelId, id, reason: new Uint8Array(292) }
    const sha256OfOnion = new Uint8Array(32)
    return { type: 'update_fail_malformed_htlc', channelId, id, sha256OfOnion, failureCode: 0xc005 }
  }

  /** A new connection, in which it has lost what alice said last, or says so. */
  #cut({ commitLost, revocationLost, twice }: { commitLost: boolean; revocationLost: boolean; twice: boolean }): void {
    const { alice } = this.w
    alice.outbox = []
    alice.wantsDisconnect = false
    alice.step({ tag: 'disconnected' }, false)
    alice.step({ tag: 'connected', theirFeatures: featuresOf(this.w.options) }, false)
    const { commitments, params } = alice.channel
    const { remote, remoteSigned, local } = commitments
    const revocation = Math.max(0, local.number - (revocationLost ? 1 : 0))
    const message: ChannelMessage = {
      type: 'channel_reestablish',
      channelId: params.channelId,
      nextCommitmentNumber: BigInt(remoteSigned && !commitLost ? remoteSigned.number + 1 : remote.number + 1),
      nextRevocationNumber: BigInt(revocation),
      yourLastPerCommitmentSecret:
        revocation === 0 ? new Uint8Array(32) : alice.ctx.signer.commitmentSecret(revocation - 1),
      myCurrentPerCommitmentPoint: this.#secrets.commitmentPoint(remote.number),
    }
    for (let i = 0; i < (twice ? 2 : 1); i++) alice.step({ tag: 'message', message })
  }

  /** Every commitment that alice has or signed can be mined, and holds no more than she allows. */
  check(): void {
    const { channel, ctx } = this.w.alice
    const { commitments, params } = channel
    expectConserved(channel)
    const { local, remote } = commitments.next
    const { maxAcceptedHtlcs, maxHtlcValueInFlightMsat } = params.local
    expect(local.inCount <= maxAcceptedHtlcs && local.inMsat <= maxHtlcValueInFlightMsat).toBe(true)
    const theirs = params.remote
    expect(remote.outCount <= theirs.maxAcceptedHtlcs && remote.outMsat <= theirs.maxHtlcValueInFlightMsat).toBe(true)
    const [commitment] = commitments.active
    for (const built of [
      buildLocal(channel, commitment!, ctx.signer),
      buildRemote(channel, commitment!),
      buildRemoteSigned(channel, commitment!),
    ]) {
      if (built === null) continue
      expect(built.feeSat >= 0n && built.tx.outputs.length > 0).toBe(true)
      expect(built.tx.outputs.every((o) => o.amountSat >= 330n)).toBe(true)
    }
  }
}

describe('a peer that says what it wants, all of it well signed, early or repeated messages too', () => {
  it('never has the core throw, forget how to store itself, publish what is revoked or hold what cannot be mined', () => {
    fc.assert(
      fc.property(
        fc.record({
          channelType: fc.constantFrom('anchors' as const, 'static_remotekey' as const),
          opener: fc.constantFrom<Name>('alice', 'bob'),
          pushed: fc.constantFrom(0, 20_000_000, 400_000_000),
          simpleClose: fc.boolean(),
          steps: fc.array(step, { minLength: 30, maxLength: 120, size: 'max' }),
        }),
        ({ pushed, steps, ...options }) => {
          const run = new Hostile({ ...options, pushMsat: msat(pushed), policy: { maxAcceptedHtlcs: 5 } })
          for (const s of steps) {
            run.step(s)
            if (run.isOver) return
            run.check()
          }
        },
      ),
      { numRuns: Number(process.env.FULMEN_RUNS ?? 25) },
    )
  }, 3_600_000)
})
