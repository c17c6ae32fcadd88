import { describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { obscuringFactorOf } from '../../src/channel/commitments.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import type { MessageNamed } from '../../src/wire/registry.ts'
import { expectAgreement } from './checks.ts'
import { add, expectNext, faultsOf, preimageOf, reachNormal, secretsOf, type World } from './harness.ts'

/** commitment_signed of alice, with two HTLC signatures, is on its way. */
function signed(): { w: World; message: MessageNamed<'commitment_signed'> } {
  const w = reachNormal({ realSignatures: true })
  w.alice.command(add(1, 5_000_000), false)
  w.alice.command(add(2, 6_000_000))
  w.deliver('alice')
  w.deliver('alice')
  return { w, message: expectNext(w, 'alice', 'commitment_signed') }
}
const flipped = (b: Uint8Array): Uint8Array => b.map((x, i) => (i === 40 ? x ^ 1 : x))

describe('BOLT 2 §committing-updates-so-far: receiving node', () => {
  const verdict = (change: (m: MessageNamed<'commitment_signed'>) => MessageNamed<'commitment_signed'>) => {
    const { w, message } = signed()
    w.receive('bob', change(message))
    return { w, fault: faultsOf(w.bob)[0] }
  }
  it('answers with revoke_and_ack, then with its own signature', () => {
    const { w, fault } = verdict((m) => m)
    expect(fault).toBeUndefined()
    expect(w.bob.outbox.map((m) => m.type)).toEqual(['revoke_and_ack', 'commitment_signed'])
  })
  it('refuses a wrong signature, keeps its old commitment and recovers in a new connection', () => {
    const { w, fault } = verdict((m) => ({ ...m, signature: flipped(m.signature) }))
    expect(fault).toMatchObject({ code: 'BAD_SIGNATURE', response: 'warn-peer' })
    expect(w.bob.channel.commitments.local.number).toBe(0)
    expect(w.bob.revealed).toBe(-1)
    w.connect()
    w.settle()
    expect(w.bob.channel.commitments.local.number).toBeGreaterThan(0)
    expectAgreement(w)
  })
  it('refuses a signature with high S', () => {
    const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const { fault } = verdict((m) => {
      const s = n - BigInt(`0x${Buffer.from(m.signature.subarray(32)).toString('hex')}`)
      const high = Uint8Array.from(Buffer.from(s.toString(16).padStart(64, '0'), 'hex'))
      return { ...m, signature: Uint8Array.from([...m.signature.subarray(0, 32), ...high]) }
    })
    expect(fault).toMatchObject({ code: 'BAD_SIGNATURE' })
  })
  it('refuses a wrong HTLC signature, and a wrong number of them', () => {
    expect(
      verdict((m) => ({ ...m, htlcSignatures: [m.htlcSignatures[0]!, flipped(m.htlcSignatures[1]!)] })).fault,
    ).toMatchObject({ code: 'BAD_SIGNATURE' })
    expect(verdict((m) => ({ ...m, htlcSignatures: m.htlcSignatures.slice(1) })).fault).toMatchObject({
      code: 'BAD_SIGNATURE',
    })
    expect(verdict((m) => ({ ...m, htlcSignatures: [...m.htlcSignatures].reverse() })).fault).toMatchObject({
      code: 'BAD_SIGNATURE',
    })
  })
  it('refuses one for another funding transaction, and takes one that does not say', () => {
    expect(verdict((m) => ({ ...m, fundingTxid: 'ab'.repeat(32) as Txid })).fault).toMatchObject({
      code: 'PROTOCOL_VIOLATION',
    })
    const silent = verdict(({ fundingTxid: _, ...m }) => m)
    expect(silent.fault).toBeUndefined()
  })
  it('an HTLC reaches the payments only when the peer has revoked the commitment without it', () => {
    const { w, message } = signed()
    w.receive('bob', message)
    expect(w.bob.events).toEqual([])
    w.deliver('bob')
    w.deliver('bob')
    expect(w.alice.outbox.map((m) => m.type)).toEqual(['revoke_and_ack'])
    w.deliver('alice')
    expect(w.bob.events.map((e) => e.tag)).toEqual(['received', 'received'])
  })
})

describe('BOLT 2 §completing-the-transition: receiving node', () => {
  const verdict = (change: object) => {
    const { w, message } = signed()
    w.receive('bob', message)
    const revoke = expectNext(w, 'bob', 'revoke_and_ack')
    w.receive('alice', { ...revoke, ...change })
    return { w, fault: faultsOf(w.alice)[0] }
  }
  it('fails the channel on a secret that is not of the previous point', () => {
    for (const perCommitmentSecret of [new Uint8Array(32).fill(7), new Uint8Array(32), new Uint8Array(32).fill(0xff)]) {
      const { w, fault } = verdict({ perCommitmentSecret })
      expect(fault).toMatchObject({ code: 'BAD_REVOCATION', response: 'fail-channel' })
      expect(w.alice.state!.tag).toBe('closing')
      expect(w.alice.outbox.map((m) => m.type)).toEqual(['error'])
      const n = commitmentNumberOf(w.alice.broadcasts[0]!, obscuringFactorOf(w.alice.channel.params))
      expect(n).toBe(0)
    }
  })
  it('fails the channel on secrets that are not all from one seed', () => {
    const w = reachNormal()
    for (let n = 0; n < 3; n++) {
      w.alice.command(add(n, 5_000_000))
      w.settle()
    }
    // A store in which an earlier secret was another: the next one cannot derive it.
    const { state } = w.alice
    if (state?.tag !== 'normal') throw new Error('not normal')
    const { commitments } = state.channel
    const secrets = { ...commitments.secrets, secrets: commitments.secrets.secrets.map((b) => b ^ 1) }
    w.alice.state = { ...state, channel: { ...state.channel, commitments: { ...commitments, secrets } } }
    w.alice.command(add(9, 5_000_000))
    w.settle()
    w.alice.command(add(10, 5_000_000))
    w.settle()
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'BAD_REVOCATION', response: 'fail-channel' }])
  })
  it('refuses a next point that is not on the curve', () => {
    const { w, fault } = verdict({
      nextPerCommitmentPoint: Uint8Array.from({ length: 33 }, (_, i) => (i === 0 ? 2 : i === 32 ? 5 : 0)),
    })
    expect(fault).toMatchObject({ code: 'PROTOCOL_VIOLATION' })
    expect(w.connected).toBe(false)
  })
  it('refuses one that answers nothing', () => {
    const w = reachNormal()
    const secret = w.bob.ctx.signer.commitmentSecret(0)
    const point = w.bob.ctx.signer.commitmentPoint(2)
    w.receive('alice', {
      type: 'revoke_and_ack',
      channelId: w.alice.channel.params.channelId,
      perCommitmentSecret: secret,
      nextPerCommitmentPoint: point,
    })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
    expect(w.alice.channel.commitments.remote.number).toBe(0)
  })
})

describe('what is kept to punish', () => {
  it('every secret, and one record for each HTLC that could have had an output', () => {
    const w = reachNormal()
    for (let n = 0; n < 6; n++) {
      w.alice.command(add(n, n % 2 === 0 ? 5_000_000 : 100_000))
      w.settle()
      w.bob.command({ tag: 'fulfillHtlc', id: BigInt(n), preimage: preimageOf(n) })
      w.settle()
    }
    for (const side of w.sides) {
      const { secrets, remote } = side.channel.commitments
      expect(secrets.count).toBe(remote.number)
      for (let n = 0; n < remote.number; n++)
        expect(secretsOf(side, n)).toEqual(
          w.side(side.name === 'alice' ? 'bob' : 'alice').ctx.signer.commitmentSecret(n),
        )
      const records = side.revokedRecords()
      expect(records.length).toBe(3)
      for (const r of records) {
        expect(r.amountMsat).toBe(5_000_000n)
        expect(r.direction).toBe(side.name === 'alice' ? 'out' : 'in')
        expect(r.remoteTo).toBe(r.remoteFrom + 1)
      }
    }
  })
})

describe('both sides at once', () => {
  it('HTLCs and settlements that cross end in the same commitments', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    for (let round = 0; round < 4; round++) {
      w.alice.command(add(10 * round, 3_000_000))
      w.bob.command(add(10 * round + 1, 4_000_000))
      w.alice.command({ tag: 'updateFee', feeratePerKw: 1000 + 100 * round })
      w.settle()
      expectAgreement(w)
      w.alice.command({ tag: 'fulfillHtlc', id: BigInt(round), preimage: preimageOf(10 * round + 1) })
      w.bob.command({ tag: 'failHtlc', id: BigInt(round), reason: new Uint8Array(3) })
      w.settle()
      expectAgreement(w)
    }
    expect(w.alice.channel.commitments.local.shiftMsat).toBe(16_000_000n)
    expect(w.alice.channel.commitments.outgoing.size + w.alice.channel.commitments.incoming.size).toBe(0)
  })
})
