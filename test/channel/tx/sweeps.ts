import { type Transaction, type TxOutput, txidOf } from '../../../src/bitcoin/transaction.ts'
import { buildSweep, type SweepSpend } from '../../../src/channel/onchain/claims.ts'
import type { HtlcOutput } from '../../../src/channel/tx/commitment.ts'
import type { ChannelSigner, ChannelTypeName } from '../../../src/channel/types.ts'
import { NUMBER, outpoint, type Scene, SWEEP_SCRIPT, type TestHtlc } from './fixture.ts'

export const types: readonly ChannelTypeName[] = ['static_remotekey', 'anchors']

/** A sweep of one output of the scene's commitment (or of a transaction spending it), with changes before it is signed. */
export function sweep(
  tx: Transaction,
  index: number,
  spend: SweepSpend,
  signer: ChannelSigner,
  preimage: Uint8Array | null = null,
): Transaction {
  const input = { outpoint: outpoint(txidOf(tx), index), amountSat: tx.outputs[index]!.amountSat, spend, preimage }
  return buildSweep([input], { scriptPubKey: SWEEP_SCRIPT, feeratePerKw: 1000 }, signer)!.tx
}
export const penalty = (
  s: Scene,
  witnessScript: Uint8Array,
  htlcOutput: boolean,
  secret = s.holder.commitmentSecret(NUMBER),
) =>
  ({
    tag: 'penalty',
    witnessScript,
    commitmentSecret: secret,
    revocationKey: htlcOutput ? s.commitment.params.keys.revocation : null,
  }) as const
export const claim = (s: Scene, o: HtlcOutput<TestHtlc>, tag: 'claim-timeout' | 'claim-preimage') =>
  ({
    tag,
    witnessScript: o.witnessScript,
    commitmentPoint: s.point,
    channelType: s.type,
    cltvExpiry: o.htlc.cltvExpiry,
  }) as const
export const find = (s: Scene, offered: boolean): HtlcOutput<TestHtlc> =>
  s.commitment.htlcs.find((o) => o.offered === offered)!
export const prevout = (s: Scene, index: number): TxOutput => s.commitment.tx.outputs[index]!
