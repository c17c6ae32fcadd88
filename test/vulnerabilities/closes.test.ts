import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { p2pkh, p2sh, p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, weightOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { fundingScriptOf } from '../../src/channel/commitments.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { reachNormal, type World } from '../channel/harness.ts'
import { opReturn } from '../channel/simpleClose.ts'

const CAPACITY = 1_000_000n
const program = (version: number, length: number): Uint8Array =>
  Uint8Array.of(version, length, ...new Uint8Array(length).fill(5))

/** Forms whose dust is more than the limit of our commitments. */
const old = [p2pkh(new Uint8Array(20).fill(1)), p2sh(new Uint8Array(20).fill(2))]
/** Scripts that a peer may want to be paid to, and the amounts below which no node relays their output (Bitcoin Core's table). */
const scripts: readonly (readonly [Uint8Array, bigint])[] = [
  [old[0]!, 546n],
  [old[1]!, 540n],
  [p2wpkh(new Uint8Array(20).fill(3)), 294n],
  [p2wsh(new Uint8Array(32).fill(4)), 330n],
  [program(0x51, 32), 330n],
  [program(0x51, 2), 240n],
  [program(0x60, 40), 354n],
  [program(0x52, 3), 240n],
  [opReturn(6), 0n],
  [opReturn(80), 0n],
]
/** And what none may be paid to. */
const none = [new Uint8Array(0), new Uint8Array(25), program(0, 21), program(0x51, 41), opReturn(81), opReturn(5)]

function closingsOf(w: World): readonly Transaction[] {
  return w.alice.broadcasts.filter((tx) => commitmentNumberOf(tx, 0) === null)
}

/** What a miner takes: it pays for itself, its scripts are right, no output is dust. */
function expectMineable(w: World, tx: Transaction): void {
  const { params } = w.alice.channel
  const funding = { amountSat: CAPACITY, scriptPubKey: fundingScriptOf(params.local, params.remote) }
  expect(verifyTransaction(tx, [funding as never])).toEqual({ ok: true })
  const paid = tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)
  expect(paid).toBeLessThanOrEqual(CAPACITY)
  expect(Number(CAPACITY - paid) * 1_000).toBeGreaterThanOrEqual(250 * weightOf(tx) - 1_000)
  expect(tx.outputs.length).toBeGreaterThan(0)
  for (const { amountSat, scriptPubKey } of tx.outputs) {
    const [, dust] = scripts.find(([script]) => equalBytes(script, scriptPubKey)) ?? [null, 294n]
    expect(amountSat).toBeGreaterThanOrEqual(dust)
    for (const script of none) expect(equalBytes(script, scriptPubKey)).toBe(false)
  }
}

// BOLT 2 §closing-negotiation, §legacy-closing-negotiation
describe('invalid close (LDK 0.1.14 and 0.2.8, 2026): a close by both that no miner takes', () => {
  it('is not published, nor taken for the end, whatever script, fee and balance the peer has', () => {
    let closed = 0
    const amount = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(239, 240, 293, 294, 329, 330, 353, 354, 400, 539, 540, 545, 546) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 2_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 900_000 }) },
    )
    const script = fc.oneof(
      { weight: 1, arbitrary: fc.constantFrom(...old) },
      { weight: 2, arbitrary: fc.constantFrom(...scripts.map(([s]) => s), ...none) },
    )
    fc.assert(
      fc.property(
        fc.boolean(),
        amount,
        script,
        fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 500_000 })),
        fc.boolean(),
        (simpleClose, bobSat, sweepScriptPubKey, feerate, bobAsks) => {
          const w = reachNormal({ simpleClose, realSignatures: true, pushMsat: msat(bobSat * 1_000) })
          w.alice.broadcasts = []
          const { ctx } = w.bob
          w.bob.ctx = {
            ...ctx,
            sweepScriptPubKey,
            feerates: { ...ctx.feerates, closing: feerate, claim: feerate },
          }
          w.side(bobAsks ? 'bob' : 'alice').command({ tag: 'close', requestId: 5 })
          w.settle()
          for (const tx of closingsOf(w)) expectMineable(w, tx)
          if (closingsOf(w).length > 0) closed++
          else expect(w.alice.state!.tag === 'closing' && w.alice.state.onchain.how).not.toBe('cooperative')
        },
      ),
      { numRuns: 200 },
    )
    expect(closed).toBeGreaterThan(20)
  })
})
