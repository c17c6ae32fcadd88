import { describe, expect, it } from 'vitest'
import { EMPTY } from '../../../src/base/bytes.ts'
import type { Sat } from '../../../src/base/units.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../../src/bitcoin/sighash.ts'
import { type Transaction, unsignedInput, weightOf, withWitness } from '../../../src/bitcoin/transaction.ts'
import { inputWeight, type SweepSpend, signHtlcTx } from '../../../src/channel/onchain/claims.ts'
import { anchorScript, toRemoteAnchorsScript } from '../../../src/channel/tx/scripts.ts'
import { commitmentWeight } from '../../../src/channel/tx/weights.ts'
import type { ChannelSigner } from '../../../src/channel/types.ts'
import {
  alice,
  bob,
  DELAY,
  delayedSpend,
  fundingOutput,
  htlc,
  NUMBER,
  outpoint,
  SWEEP_SCRIPT,
  scene,
  signStage,
  stageOf,
  verdict,
} from './fixture.ts'
import { claim, find, penalty, prevout, sweep, types } from './sweeps.ts'

const EXPIRY = 700
const holders: readonly (readonly [string, ChannelSigner])[] = [
  ['the opener', alice],
  ['the accepter', bob],
]
const htlcs = { offered: [htlc(11, 20_000, EXPIRY)], received: [htlc(12, 30_000, EXPIRY + 1)] }
const other = new Uint8Array(32).fill(77)

for (const type of types) {
  for (const [who, holder] of holders) {
    const s = scene(type, holder, htlcs)
    const { commitment: c } = s

    describe(`BOLT 3: ${type}, commitment of ${who}, in the script interpreter`, () => {
      it('spends the funding output with both signatures, and not with one twice', () => {
        expect(verdict(s.signed, fundingOutput)).toBe('ok')
        const [, a] = s.signed.inputs[0]!.witness
        expect(verdict(withWitness(c.tx, 0, [EMPTY, a!, a!, s.signed.inputs[0]!.witness[3]!]), fundingOutput)).not.toBe(
          'ok',
        )
      })

      it('weighs no more than its fee was computed for', () => {
        const expected = commitmentWeight(c.htlcs.length, type)
        expect(weightOf(s.signed)).toBeLessThanOrEqual(expected)
        expect(weightOf(s.signed)).toBeGreaterThan(expected - 16)
      })

      it('pays to_local to its holder after the delay, no earlier, to nobody else', () => {
        const to = c.toHolder!
        const spend = delayedSpend(s)
        expect(verdict(sweep(c.tx, to, spend, s.holder), prevout(s, to))).toBe('ok')
        expect(verdict(sweep(c.tx, to, { ...spend, delay: DELAY - 1 }, s.holder), prevout(s, to))).toBe(
          'UNSATISFIED_LOCKTIME',
        )
        expect(verdict(sweep(c.tx, to, spend, s.counterparty), prevout(s, to))).not.toBe('ok')
      })

      it('gives to_local to the counterparty at once when it is revoked, only with the right secret', () => {
        const to = c.toHolder!
        expect(verdict(sweep(c.tx, to, penalty(s, c.delayedScript!, false), s.counterparty), prevout(s, to))).toBe('ok')
        const wrong = penalty(s, c.delayedScript!, false, s.holder.commitmentSecret(NUMBER - 1))
        expect(verdict(sweep(c.tx, to, wrong, s.counterparty), prevout(s, to))).not.toBe('ok')
      })

      it('pays to_remote to the counterparty, with anchors after one block', () => {
        const to = c.toCounterparty!
        const script = type === 'anchors' ? toRemoteAnchorsScript(s.counterparty.basepoints.paymentBasepoint) : null
        const tx = sweep(c.tx, to, { tag: 'to-remote', witnessScript: script }, s.counterparty)
        expect(verdict(tx, prevout(s, to))).toBe('ok')
        expect(tx.inputs[0]!.sequence).toBe(type === 'anchors' ? 1 : 0xfffffffd)
        if (script) {
          const early = { ...tx, inputs: [unsignedInput(tx.inputs[0]!, 0)] }
          const digest = sighashV0(
            early,
            { index: 0, scriptCode: script, amountSat: prevout(s, to).amountSat },
            SIGHASH_ALL,
          )
          const witness = [derSignature(s.counterparty.signPayment(digest), SIGHASH_ALL), script]
          expect(verdict(withWitness(early, 0, witness), prevout(s, to))).toBe('UNSATISFIED_LOCKTIME')
        }
      })

      it('lets the holder time out what it offered by the second stage, and nobody earlier', () => {
        const o = find(s, true)
        const tx = signStage(s, o)
        expect(tx.lockTime).toBe(o.htlc.cltvExpiry)
        expect(verdict(tx, prevout(s, o.index))).toBe('ok')
        const stage = stageOf(s, o)
        const early = signHtlcTx({ ...stage.tx, lockTime: o.htlc.cltvExpiry - 1 }, stage, null, s.holder)
        expect(verdict(early, prevout(s, o.index))).not.toBe('ok')
      })

      it('lets the holder claim what it received by the second stage, with the preimage alone', () => {
        const o = find(s, false)
        expect(verdict(signStage(s, o), prevout(s, o.index))).toBe('ok')
        const stage = stageOf(s, o)
        expect(verdict(signHtlcTx(stage.tx, stage, other, s.holder), prevout(s, o.index))).toBe('EQUALVERIFY')
      })

      it('delays the output of each second stage, and lets it be punished', () => {
        for (const o of c.htlcs) {
          const second = signStage(s, o)
          const spend = delayedSpend(s)
          expect(verdict(sweep(second, 0, spend, s.holder), second.outputs[0]!)).toBe('ok')
          const early = sweep(second, 0, { ...spend, delay: DELAY - 1 }, s.holder)
          expect(verdict(early, second.outputs[0]!)).toBe('UNSATISFIED_LOCKTIME')
          const punished = sweep(second, 0, penalty(s, c.delayedScript!, false), s.counterparty)
          expect(verdict(punished, second.outputs[0]!)).toBe('ok')
        }
      })

      it('lets the counterparty take what the holder offered with the preimage, and with no other', () => {
        const o = find(s, true)
        const tx = sweep(c.tx, o.index, claim(s, o, 'claim-preimage'), s.counterparty, o.htlc.preimage)
        expect(verdict(tx, prevout(s, o.index))).toBe('ok')
        const wrong = sweep(c.tx, o.index, claim(s, o, 'claim-preimage'), s.counterparty, other)
        expect(verdict(wrong, prevout(s, o.index))).toBe('EQUALVERIFY')
        expect(
          verdict(sweep(c.tx, o.index, claim(s, o, 'claim-timeout'), s.counterparty), prevout(s, o.index)),
        ).not.toBe('ok')
      })

      it('lets the counterparty take back what it offered after the expiry, no earlier', () => {
        const o = find(s, false)
        const spend = claim(s, o, 'claim-timeout')
        expect(verdict(sweep(c.tx, o.index, spend, s.counterparty), prevout(s, o.index))).toBe('ok')
        const early = sweep(c.tx, o.index, { ...spend, cltvExpiry: o.htlc.cltvExpiry - 1 }, s.counterparty)
        expect(verdict(early, prevout(s, o.index))).toBe('UNSATISFIED_LOCKTIME')
      })

      it('gives every HTLC output to the counterparty at once when it is revoked', () => {
        for (const o of c.htlcs) {
          const tx = sweep(c.tx, o.index, penalty(s, o.witnessScript, true), s.counterparty)
          expect(verdict(tx, prevout(s, o.index))).toBe('ok')
          const wrong = penalty(s, o.witnessScript, true, s.holder.commitmentSecret(NUMBER - 1))
          expect(verdict(sweep(c.tx, o.index, wrong, s.counterparty), prevout(s, o.index))).not.toBe('ok')
        }
      })

      it('makes sweeps that weigh no more than they pay for, by 10 units at most', () => {
        const spends: [number, SweepSpend, ChannelSigner][] = [
          [c.toHolder!, delayedSpend(s), s.holder],
          [c.toHolder!, penalty(s, c.delayedScript!, false), s.counterparty],
          ...c.htlcs.flatMap((o): [number, SweepSpend, ChannelSigner][] => [
            [o.index, claim(s, o, o.offered ? 'claim-preimage' : 'claim-timeout'), s.counterparty],
            [o.index, penalty(s, o.witnessScript, true), s.counterparty],
          ]),
        ]
        for (const [index, spend, signer] of spends) {
          const tx = sweep(c.tx, index, spend, signer, new Uint8Array(32))
          const weight = 4 * (10 + 9 + SWEEP_SCRIPT.length) + 2 + inputWeight(spend)
          expect(weightOf(tx)).toBeLessThanOrEqual(weight)
          expect(weightOf(tx)).toBeGreaterThan(weight - 10)
        }
      })
    })
  }
}

describe('BOLT 3 §to_local_anchor-and-to_remote_anchor-output-option_anchors', () => {
  const s = scene('anchors', alice, htlcs)
  const anchors = [
    [s.commitment.holderAnchor!, s.holder],
    [s.commitment.counterpartyAnchor!, s.counterparty],
  ] as const
  const bare = (index: number, sequence: number): Transaction => ({
    version: 2,
    inputs: [unsignedInput(outpoint(s.commitment.txid, index), sequence)],
    outputs: [{ amountSat: 200n as Sat, scriptPubKey: SWEEP_SCRIPT }],
    lockTime: 0,
  })

  it('is spent by its own side at once and by the other never', () => {
    for (const [index, signer] of anchors) {
      const script = anchorScript(signer.basepoints.fundingPubkey)
      const tx = bare(index, 0xfffffffd)
      const digest = sighashV0(tx, { index: 0, scriptCode: script, amountSat: 330n as Sat }, SIGHASH_ALL)
      const witness = (by: ChannelSigner) => [derSignature(by.signFunding(digest), SIGHASH_ALL), script]
      const notOwner = signer === alice ? bob : alice
      expect(verdict(withWitness(tx, 0, witness(signer)), prevout(s, index))).toBe('ok')
      expect(verdict(withWitness(tx, 0, witness(notOwner)), prevout(s, index))).not.toBe('ok')
    }
  })

  it('is spent by anyone after 16 blocks, not after 15', () => {
    for (const [index, signer] of anchors) {
      const witness = [EMPTY, anchorScript(signer.basepoints.fundingPubkey)]
      expect(verdict(withWitness(bare(index, 16), 0, witness), prevout(s, index))).toBe('ok')
      expect(verdict(withWitness(bare(index, 15), 0, witness), prevout(s, index))).toBe('UNSATISFIED_LOCKTIME')
    }
  })
})

describe('BOLT 5 §generation-of-htlc-transactions', () => {
  const s = scene('anchors', alice, htlcs)
  /** As the wallet does: an input and a change output behind the HTLC's own. */
  const funded = (tx: Transaction): Transaction => ({
    ...tx,
    inputs: [...tx.inputs, unsignedInput(outpoint('cd'.repeat(32) as never, 3))],
    outputs: [...tx.outputs, { amountSat: 5000n as Sat, scriptPubKey: SWEEP_SCRIPT }],
  })

  it('keeps the peer’s signature when fees are added, and needs ours anew', () => {
    for (const o of s.commitment.htlcs) {
      const signed = signStage(s, o)
      expect(verdict(funded(signed), prevout(s, o.index))).not.toBe('ok')
      const again = signHtlcTx(funded(signed), stageOf(s, o), o.offered ? null : o.htlc.preimage, s.holder)
      expect(verdict(again, prevout(s, o.index))).toBe('ok')
    }
  })

  it('refuses an addition without anchors', () => {
    const plain = scene('static_remotekey', alice, htlcs)
    for (const o of plain.commitment.htlcs) {
      const again = signHtlcTx(
        funded(signStage(plain, o)),
        stageOf(plain, o),
        o.offered ? null : o.htlc.preimage,
        plain.holder,
      )
      expect(verdict(again, prevout(plain, o.index))).not.toBe('ok')
    }
  })
})
