import { describe, expect, it } from 'vitest'
import { sat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { encodeMessage } from '../../src/wire/registry.ts'
import { expectAgreement, expectEnforceable } from '../channel/checks.ts'
import { add, expectNext, faultsOf, hashOf, preimageOf, reachNormal } from '../channel/harness.ts'
import { channelOf as channelWith, type HtlcSpec, START, settled } from '../channel/onchain/fixture.ts'
import { world } from '../channel/onchain/world.ts'

/** Order of secp256k1. */
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** The same signature with the other s: as valid by the curve, but transactions with it are not relayed. */
function highS(signature: Uint8Array): Uint8Array {
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`)
  const other = Buffer.from((N - s).toString(16).padStart(64, '0'), 'hex')
  return Uint8Array.of(...signature.subarray(0, 32), ...other)
}

describe('high-s signature (CVE-2020-26895): signatures that make a transaction non-standard', () => {
  for (const which of ['commitment', 'HTLC'] as const) {
    it(`a high s in the peer's ${which} signature is refused, and nothing is revoked for it`, () => {
      const w = reachNormal({ realSignatures: true })
      w.alice.command(add(1, 20_000_000))
      w.deliver('alice')
      const m = expectNext(w, 'alice', 'commitment_signed')
      const bad =
        which === 'commitment'
          ? { ...m, signature: highS(m.signature) }
          : { ...m, htlcSignatures: m.htlcSignatures.map(highS) }
      w.receive('bob', bad)
      expect(faultsOf(w.bob)).toMatchObject([{ code: 'BAD_SIGNATURE' }])
      expect(w.bob.channel.commitments.local.number).toBe(0)
      expect(w.bob.revealed).toBe(-1)
    })
  }
})

// BOLT 5 §htlc-output-handling-local-commitment-local-offers, §htlc-output-handling-remote-commitment-local-offers
describe('duplicate HTLCs (LDK 0.1.1 and 0.2.5): HTLCs of the same hash, amount and expiry', () => {
  const twins = (from: 'alice' | 'bob', knows: boolean): readonly HtlcSpec[] =>
    [0, 1, 2].map(() => ({ from, amountSat: 40_000, cltvExpiry: START + 40, n: 1, knows }))
  for (const type of ['anchors', 'static_remotekey'] as const) {
    for (const closer of ['alice', 'bob'] as const) {
      it(`each is settled by itself, and once: ${type}, ${closer} closes`, () => {
        for (const knows of [false, true]) {
          const w = world({ type, opener: 'alice', number: 3, htlcs: twins('alice', knows) })
          w[closer].forceClose()
          w.finish()
          const told = w.alice.events.map((e) => [e.tag, 'id' in e ? e.id : null])
          const tag = knows ? 'fulfilled' : 'failed'
          expect(told.sort()).toEqual([0n, 1n, 2n].map((id) => [tag, id]))
          expect([w.alice.refused, w.bob.refused]).toEqual([[], []])
        }
      })
    }
    it(`of a revoked commitment each is punished and failed back: ${type}`, () => {
      const old = { type, opener: 'alice', number: 3, htlcs: twins('alice', false) } as const
      const w = world({ type, opener: 'alice', number: 3, htlcs: twins('alice', false) })
      // Bob publishes number 3 when number 6 is the newest one, in which all three still stand.
      const newest = {
        type,
        opener: 'alice',
        number: 6,
        htlcs: twins('alice', false).map((h) => ({ ...h, since: 2 })),
      } as const
      w.alice.channel = channelWith('alice', newest)
      w.alice.revokedHtlcs = settled('alice', { ...old, htlcs: [] }, 5)
      w.bob.forceClose()
      w.finish()
      expect(w.alice.onchain!.how).toBe('revoked')
      const failed = w.alice.events.flatMap((e) => (e.tag === 'failed' ? [e.id] : []))
      expect([...failed].sort()).toEqual([0n, 1n, 2n])
    })
  }
})

describe('overdrawn opener (LDK 0.1.5 and 0.1.4): a commitment that its opener cannot pay for', () => {
  for (const channelType of ['anchors', 'static_remotekey'] as const) {
    it(`HTLCs just above the dust limit count towards the fee, the lowest reserve and the highest feerate included: ${channelType}`, () => {
      const w = reachNormal({ channelType, realSignatures: true, capacitySat: sat(100_000) })
      for (let n = 0; n < 60; n++) {
        w.alice.command(add(n, [354_000, 355_000, 1_057_000, 1_058_000][n % 4]!), n % 10 === 9)
        if (n % 10 === 9) w.settle()
      }
      // As high as both find reasonable: what is beyond estimates counts as dust.
      for (const side of w.sides) side.ctx = { ...side.ctx, feerates: { ...side.ctx.feerates, commitment: 9_000 } }
      w.alice.command({ tag: 'updateFee', feeratePerKw: 9_000 })
      w.settle()
      w.alice.command({ tag: 'updateFee', feeratePerKw: 3_000 })
      w.settle()
      expect(w.sides.flatMap(faultsOf)).toEqual([])
      expectAgreement(w)
      const preimages = new Map(Array.from({ length: 60 }, (_, n) => [hashOf(n), preimageOf(n)]))
      for (const side of w.sides) {
        expectEnforceable(side, preimages)
        const { commitments, params } = channelOf(side.state!)!
        const reserve = side.name === 'alice' ? params.remote.channelReserveSat : params.local.channelReserveSat
        const alices =
          side.name === 'alice' ? commitments.active[0]!.baseLocalMsat : commitments.active[0]!.baseRemoteMsat
        expect(alices - commitments.next.local.outMsat - commitments.next.local.inMsat).toBeGreaterThanOrEqual(
          reserve * 1000n,
        )
      }
    })
  }
})

describe('oversized messages (LDK 0.2.5): a failure packet as large as a message can be', () => {
  it('goes on upstream in a message that fits', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    const { channelId } = w.alice.channel.params
    const most = 65_535 - 2 - 32 - 8 - 2
    const message = { type: 'update_fail_htlc', channelId, id: 0n, reason: new Uint8Array(most).fill(7) } as const
    expect(encodeMessage(message).length).toBe(65_535)
    w.bob.command({ tag: 'failHtlc', id: 0n, reason: message.reason })
    w.settle()
    expect(w.sides.flatMap(faultsOf)).toEqual([])
    expect(w.alice.events.map((e) => e.tag)).toEqual(['failed'])
  })
})
