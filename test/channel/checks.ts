import { expect } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import {
  buildLocal,
  buildRemote,
  fundingScriptOf,
  type HtlcCommitment,
  signedLocal,
} from '../../src/channel/commitments.ts'
import { isHtlcStage, signHtlcTx } from '../../src/channel/onchain/claims.ts'
import { localOutputs } from '../../src/channel/onchain/outputs.ts'
import type { Channel } from '../../src/channel/state.ts'
import { localMsat, recount, remoteMsat } from '../../src/channel/totals.ts'
import type { World } from './harness.ts'
import type { Side } from './side.ts'

/** Both sides' views of both commitments are the same transactions: what holds whenever nothing is under way. */
export function expectAgreement(w: World): void {
  for (const [mine, theirs] of [
    [w.alice, w.bob],
    [w.bob, w.alice],
  ] as const) {
    const held = buildLocal(mine.channel, mine.channel.commitments.active[0]!, mine.ctx.signer)
    const signed = buildRemote(theirs.channel, theirs.channel.commitments.active[0]!)
    expect(signed.txid).toBe(held.txid)
  }
}

/** No money is made or lost in any commitment that a side knows of, and the running sums are what the records say. */
export function expectConserved(channel: Channel): void {
  const { commitments, params } = channel
  const base = commitments.active[0]!
  expect(base.baseLocalMsat + base.baseRemoteMsat).toBe(base.capacitySat * 1000n)
  expect(commitments.next).toEqual(recount(params, commitments))
  for (const t of [commitments.next.local, commitments.next.remote]) {
    expect(localMsat(base, t)).toBeGreaterThanOrEqual(0n)
    expect(remoteMsat(base, t)).toBeGreaterThanOrEqual(0n)
    expect(localMsat(base, t) + remoteMsat(base, t) + t.outMsat + t.inMsat).toBe(base.capacitySat * 1000n)
  }
}

function expectFeePaid(built: HtlcCommitment): void {
  expect(built.feeSat).toBeGreaterThanOrEqual(0n)
}

/** What a side holds can be published and claimed: every script is run with the signatures that it has. */
export function expectEnforceable(side: Side, preimages: ReadonlyMap<PaymentHash, Uint8Array>): void {
  const { channel, ctx } = side
  const commitment = channel.commitments.active[0]!
  const { capacitySat } = commitment
  const funding = { amountSat: capacitySat, scriptPubKey: fundingScriptOf(channel.params.local, channel.params.remote) }
  const tx = signedLocal(channel, commitment, ctx)
  expect(verifyTransaction(tx, [funding])).toEqual({ ok: true })
  const built = buildLocal(channel, commitment, ctx.signer)
  expectFeePaid(built)
  for (const output of localOutputs(built, commitment)) {
    if (!isHtlcStage(output.spend)) continue
    const preimage = output.spend.tag === 'htlc-success' ? preimages.get(output.htlc!.paymentHash)! : null
    const stage = signHtlcTx(output.spend.tx, output.spend, preimage, ctx.signer)
    expect(verifyTransaction(stage, [{ amountSat: output.amountSat, scriptPubKey: output.scriptPubKey }])).toEqual({
      ok: true,
    })
  }
}
