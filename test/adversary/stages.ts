import type { Sat } from '../../src/base/units.ts'
import { type Transaction, type TxOutput, unsignedInput } from '../../src/bitcoin/transaction.ts'
import { type HtlcStage, signHtlcTx } from '../../src/channel/onchain/claims.ts'
import type { Hostile } from './hostile.ts'
import { LOOT, type Purse, SEQUENCE, signCoin } from './loot.ts'

/** The HTLC of one commitment in an HTLC transaction. */
export interface Part {
  readonly from: Hostile
  readonly stage: HtlcStage
  /** Of HTLC-success alone. */
  readonly preimage: Uint8Array | null
}

/** What the other side's signature leaves open with anchors: what stands before and behind the HTLCs. */
export interface Dress {
  /** One for each coin of the attacker's that comes first, to which its money goes. */
  readonly ahead: readonly Uint8Array[]
  readonly behind: readonly TxOutput[]
  /** Of the attacker's coins. */
  readonly sequence: number
}
const PLAIN: Dress = { ahead: [LOOT], behind: [], sequence: SEQUENCE }

/** One HTLC transaction for HTLCs of one lock time; without anchors it is of one HTLC, and as both have signed it. */
export function stageTx(
  parts: readonly Part[],
  { coins, fee, dress = PLAIN }: { readonly coins: Purse; readonly fee: bigint; readonly dress?: Dress },
): Transaction {
  const { stage } = parts[0]!
  const free = stage.channelType === 'anchors' ? dress.ahead.flatMap((to) => ({ to, coin: coins.next() })) : []
  const ahead = free.flatMap(({ to, coin }) => (coin ? [{ ...coin, to }] : []))
  const behind = ahead.length > 0 ? dress.behind : []
  const spent = behind.reduce((sum, o) => sum + o.amountSat, fee)
  let tx: Transaction = {
    version: 2,
    inputs: [
      ...ahead.map((c) => unsignedInput(c.outpoint, dress.sequence)),
      ...parts.map((p) => p.stage.tx.inputs[0]!),
    ],
    outputs: [
      ...ahead.map(({ amountSat, to }, i) => ({
        amountSat: (i === 0 ? amountSat - spent : amountSat) as Sat,
        scriptPubKey: to,
      })),
      ...parts.map((p) => p.stage.tx.outputs[0]!),
      ...behind,
    ],
    lockTime: stage.tx.lockTime,
  }
  for (const { from, stage: s, preimage } of parts) tx = signHtlcTx(tx, s, preimage, from.signer)
  ahead.forEach((c, i) => {
    tx = signCoin(tx, i, c.amountSat)
  })
  parts.forEach((p, i) => void p.from.noteStage(tx, p.stage, ahead.length + i))
  return tx
}
