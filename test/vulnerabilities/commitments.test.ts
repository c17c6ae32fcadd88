import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { p2wpkhOfKey } from '../../src/bitcoin/script.ts'
import { txidOf, unsignedInput } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { reestablishMessage } from '../../src/channel/reestablish.ts'
import type { MessageNamed } from '../../src/wire/registry.ts'
import { add, preimageOf, reachNormal, type World } from '../channel/harness.ts'
import type { Side } from '../channel/side.ts'

const published = ({ channel, ctx }: Side) => signedLocal(channel, channel.commitments.active[0]!, ctx)

// BOLT 2 §message-retransmission
describe('denied commitment (LDK 0.2.7, 2026-10): a peer acknowledges a commitment, and says in a new connection that it never got it', () => {
  /** What alice signs, by the number of bob's commitment: two that differ could both be published. */
  function listen(w: World): Map<number, Set<string>> {
    const signed = new Map<number, Set<string>>()
    w.alice.handler = (effect) => {
      if (effect.tag === 'send' && effect.message.type === 'commitment_signed') {
        const { number } = w.alice.channel.commitments.remoteSigned!
        signed.set(number, (signed.get(number) ?? new Set()).add(toHex(effect.message.signature)))
      }
      return false
    }
    return signed
  }
  /** Both add, one settles: stopped after so many messages. */
  function cutAfter(messages: number): { readonly w: World; readonly signed: Map<number, Set<string>> } {
    const w = reachNormal({ pushMsat: msat(300_000_000) })
    const signed = listen(w)
    for (const n of [1, 2]) w.alice.command(add(n, 20_000_000))
    w.bob.command(add(3, 20_000_000))
    const moved = (): boolean => w.deliver('alice') || w.deliver('bob')
    let left = messages
    while (left > 0 && moved()) left--
    if (left > 0) w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    while (left > 0 && moved()) left--
    return { w, signed }
  }

  it('no two commitments are signed with one number, whatever it says and whenever', () => {
    let [asked, numbers] = [0, 0]
    const lies = [
      [-1n, 0n],
      [0n, 0n],
      [-2n, -1n],
      [1n, 0n],
    ] as const
    for (let messages = 0; messages < 14; messages++) {
      for (const [commitment, revocation] of messages % 4 === 3 ? lies : lies.slice(0, 2)) {
        const { w, signed } = cutAfter(messages)
        w.disconnect()
        const sent = reestablishMessage(w.bob.channel, w.bob.ctx.signer)
        const honest = (sent.tag === 'send' ? sent.message : null) as MessageNamed<'channel_reestablish'>
        const nextCommitmentNumber = honest.nextCommitmentNumber + commitment
        const nextRevocationNumber = honest.nextRevocationNumber + revocation
        if (nextRevocationNumber < 0n || nextCommitmentNumber < 0n) continue
        const known = Number(nextRevocationNumber)
        const { signer } = w.alice.ctx
        const yourLastPerCommitmentSecret = known === 0 ? new Uint8Array(32) : signer.commitmentSecret(known - 1)
        w.connect()
        w.receive('alice', { ...honest, nextCommitmentNumber, nextRevocationNumber, yourLastPerCommitmentSecret })
        // Then there is more to sign, as far as she goes on.
        w.alice.command(add(9, 7_000_000))
        asked++
        numbers = Math.max(numbers, signed.size)
        for (const [number, all] of signed) expect([messages, number, all.size]).toEqual([messages, number, 1])
      }
    }
    expect(asked).toBeGreaterThan(25)
    expect(numbers).toBeGreaterThan(2)
  })
})

// BOLT 2 §forwarding-htlcs
describe('overtaken preimage (CLN 26.06.7, 2026-09): an HTLC whose failure is under way when its preimage shows on chain', () => {
  for (const [who, isSigned] of [
    ['said', false],
    ['signed', true],
  ] as const) {
    it(`is paid upstream, though the peer had ${who} that it fails`, () => {
      const w = reachNormal({ realSignatures: true })
      w.alice.command(add(1, 50_000_000))
      w.settle()
      const commitment = published(w.bob)
      w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(292) }, isSigned)
      while (w.deliver('bob'));
      w.disconnect()
      w.bob.broadcasts = [commitment]
      w.alice.broadcasts = []
      w.mine()
      const index = commitment.outputs.findIndex((o) => o.amountSat === 50_000n)
      const claim = {
        ...commitment,
        inputs: [{ ...unsignedInput({ txid: txidOf(commitment), index }), witness: [preimageOf(1)] }],
        lockTime: 0,
      }
      w.bob.broadcasts = [claim]
      w.alice.broadcasts = []
      w.mine(12)
      expect(w.alice.events.map((e) => e.tag)).toEqual(['fulfilled'])
    })
  }
})

// BOLT 5 §revoked-transaction-close-handling
describe('disguised commitment (CLN 26.06.7, 2026-09): a revoked commitment that pays the script of our shutdown', () => {
  for (const simpleClose of [false, true]) {
    it(`is no close that we agreed to: ${simpleClose ? 'closing_complete' : 'closing_signed'}`, () => {
      const w = reachNormal({
        ...{ channelType: 'static_remotekey', opener: 'bob', realSignatures: true, simpleClose },
        pushMsat: msat(400_000_000),
      })
      const revoked = published(w.bob)
      w.bob.command(add(1, 100_000_000))
      w.settle()
      w.alice.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
      w.settle()
      const scriptPubKey = p2wpkhOfKey(w.alice.ctx.signer.basepoints.paymentBasepoint)
      w.alice.command({ tag: 'close', requestId: 5, scriptPubKey })
      w.settle()
      expect(revoked.outputs.map((o) => toHex(o.scriptPubKey))).toContain(toHex(scriptPubKey))
      w.bob.broadcasts = [revoked]
      w.alice.broadcasts = []
      w.mine()
      expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { how: 'revoked' } })
    })
  }
})
