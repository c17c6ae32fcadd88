import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { type Outpoint, outpointKey } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { stoodIn } from '../../src/channel/revokedRecord.ts'
import { add, preimageOf, reachNormal, type World } from '../channel/harness.ts'

/** A channel in which bob pays alice half of it, and the commitment with which he has all of it still. */
function paid(simpleClose: boolean): { readonly w: World; readonly revoked: Transaction } {
  const w = reachNormal({ opener: 'bob', realSignatures: true, simpleClose, policy: { toSelfDelay: 144 } })
  readRevoked(w)
  const revoked = signedLocal(w.bob.channel, w.bob.channel.commitments.active[0]!, w.bob.ctx)
  w.bob.command(add(1, 500_000_000))
  w.settle()
  w.alice.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
  w.settle()
  return { w, revoked }
}

/** What was kept to punish with, read when the channel asks for it. */
function readRevoked({ alice }: World): void {
  alice.handler = (effect) => {
    if (effect.tag !== 'loadRevokedHtlcs') return false
    const { commitmentNumber } = effect
    const htlcs = alice.revokedRecords().filter((r) => stoodIn(r, commitmentNumber))
    alice.step({ tag: 'revokedHtlcs', commitmentNumber, htlcs })
    return true
  }
}

/** The block after this holds what bob publishes alone; alice may be away for it, and starts again from her disk. */
function bobMines(w: World, tx: Transaction): void {
  w.disconnect()
  w.alice.crash()
  w.alice.broadcasts = []
  w.bob.broadcasts = [tx]
  w.mine()
}

/** What alice has of a transaction in the end, by her scripts. */
function takenByAlice(w: World, tx: Transaction): bigint {
  const spent = new Set(tx.outputs.map((_, index) => outpointKey({ txid: txidOf(tx), index } as Outpoint)))
  const theirs = [...w.mined.values()].map((m) => m.tx).filter((t) => t.inputs.some((i) => spent.has(outpointKey(i))))
  let sum = 0n
  for (const t of theirs) {
    expect(
      verifyTransaction(
        t,
        t.inputs.map((i) => tx.outputs[i.index]!),
      ),
    ).toEqual({ ok: true })
    for (const o of t.outputs) if (equalBytes(o.scriptPubKey, w.alice.ctx.sweepScriptPubKey)) sum += o.amountSat
  }
  return sum
}

// BOLT 5 §general-nomenclature
describe('forgotten close (LND before 0.20, 2026-08): a reorganisation undoes a close by both, and an old commitment takes its place', () => {
  for (const simpleClose of [false, true]) {
    for (const depth of [1, 6, 99]) {
      it(`is punished ${depth} blocks after a close by ${simpleClose ? 'closing_complete' : 'closing_signed'}`, () => {
        const { w, revoked } = paid(simpleClose)
        w.alice.command({ tag: 'close', requestId: 5 })
        w.settle()
        const { height } = w
        w.mine(depth)
        expect(w.alice.state!.tag).toBe(depth < 6 ? 'closing' : 'closed')
        w.alice.crash()
        w.reorg(height)
        bobMines(w, revoked)
        expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { how: 'revoked' } })
        w.mine(8)
        expect(w.alice.state!.tag).toBe('closed')
        // All that bob's old commitment gave him, less what it costs.
        expect(takenByAlice(w, revoked)).toBeGreaterThan(980_000n)
      })
    }
  }
})

describe('changed commitment (LDK 0.0.117, 2023-10): a reorganisation changes the commitment before the preimage is known', () => {
  for (const [first, second] of [
    ['alice', 'bob'],
    ['bob', 'alice'],
  ] as const) {
    it(`the HTLC is claimed of ${second}'s as it would have been of ${first}'s`, () => {
      const w = reachNormal({ realSignatures: true, pushMsat: msat(300_000_000) })
      w.bob.command(add(1, 50_000_000))
      w.settle()
      const commitments = {
        alice: signedLocal(w.alice.channel, w.alice.channel.commitments.active[0]!, w.alice.ctx),
        bob: signedLocal(w.bob.channel, w.bob.channel.commitments.active[0]!, w.bob.ctx),
      }
      w.disconnect()
      const { height } = w
      for (const who of [first, second]) {
        w.reorg(height)
        w.alice.broadcasts = []
        w.bob.broadcasts = [commitments[who]]
        w.mine()
        expect(w.alice.state!.tag).toBe('closing')
      }
      w.alice.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
      const tx = commitments[second]
      const index = tx.outputs.findIndex((o) => o.amountSat === 50_000n)
      w.mine()
      const claim = [...w.mined.values()].find((m) =>
        m.tx.inputs.some((i) => outpointKey(i) === outpointKey({ txid: txidOf(tx), index })),
      )
      expect(claim?.tx.inputs.some((i) => i.witness.some((x) => equalBytes(x, preimageOf(1))))).toBe(true)
      expect(
        verifyTransaction(
          claim!.tx,
          claim!.tx.inputs.map((i) => tx.outputs[i.index]!),
        ),
      ).toEqual({ ok: true })
    })
  }
})
