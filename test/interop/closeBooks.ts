import { outpointKey, type Txid } from '../../src/base/ids.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import type { ChannelView } from '../../src/node/service.ts'
import type { World } from './world.ts'

/** What the chain has of some channels that are over, in sat. */
export interface CloseBooks {
  /** Fees of what our node published, but for the transactions that closed the channels. */
  readonly ownFees: bigint
  /** Of the capacities, what is in no output of the transactions that closed the channels: fees, and what has no output. */
  readonly notPaidOut: bigint
  /** Of each output of the channels that nobody took. */
  readonly untaken: readonly bigint[]
  /** Transactions of our node that were refused although nobody else has taken what they spend: why, and which. */
  readonly refused: readonly string[]
}

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)

/** @param since before the closes: the height, and how many verdicts there were */
export function closeBooks(
  { ground }: World,
  channels: readonly ChannelView[],
  since: { readonly height: number; readonly verdicts: number },
): CloseBooks {
  const { state } = ground.chain
  const mined: { readonly txid: Txid; readonly tx: Transaction }[] = []
  for (let height = since.height + 1; height <= state.height; height++) {
    const { txids, block } = state.at(height)!
    for (const [i, tx] of block.transactions.entries()) if (i > 0) mined.push({ txid: txids[i]!, tx })
  }
  const spent = new Set(mined.flatMap(({ tx }) => tx.inputs.map((i) => outpointKey(i))))
  const verdicts = ground.verdicts.slice(since.verdicts).filter((v) => v.from === 'fulmen')
  const fundings = new Set(channels.map((c) => outpointKey(c.funding!)))
  const spends = (outpoints: ReadonlySet<string>) =>
    mined.filter(({ tx }) => tx.inputs.some((i) => outpoints.has(outpointKey(i))))
  const paidOut = ({ tx }: (typeof mined)[0]) => sum(tx.outputs.map((o) => o.amountSat))
  const fee = (m: (typeof mined)[0]) =>
    sum(m.tx.inputs.map((o) => ground.chain.findTransaction(o.txid)!.tx.outputs[o.index]!.amountSat)) - paidOut(m)

  const closings = spends(fundings)
  const closed = new Set(closings.map((c) => c.txid))
  const ours = new Set(verdicts.flatMap((v) => (v.refused === null ? [v.txid] : [])))
  const taken = new Set(
    mined.filter((m) => !ours.has(m.txid)).flatMap(({ tx }) => tx.inputs.map((i) => outpointKey(i))),
  )
  const seen = new Map(verdicts.map((v) => [v.txid, v.tx]))
  /** Somebody else has taken what it spends, or what another one spends that it builds on. */
  const isOvertaken = (tx: Transaction): boolean =>
    tx.inputs.some((i) => {
      const parent = ground.chain.findTransaction(i.txid) ? undefined : seen.get(i.txid)
      return taken.has(outpointKey(i)) || (parent !== undefined && isOvertaken(parent))
    })
  const refusals = verdicts.filter((v) => v.refused !== null && !ground.chain.findTransaction(v.txid))
  const outputs = closings.flatMap(({ tx, txid }) =>
    tx.outputs.map((o, index) => ({ ...o, key: outpointKey({ txid, index }) })),
  )
  return {
    ownFees: sum(mined.filter(({ txid }) => ours.has(txid) && !closed.has(txid)).map(fee)),
    notPaidOut: sum(closings.map(fee)),
    untaken: outputs.filter((o) => o.scriptPubKey.length === P2WSH && !spent.has(o.key)).map((o) => o.amountSat),
    refused: refusals
      .filter(({ tx }) => !isOvertaken(tx))
      .map((v) => `${v.refused} (${v.txid}: ${v.tx.inputs.map(outpointKey)})`),
  }
}

/** Bytes of a script that pays to the hash of a script. */
const P2WSH = 34
