import { type Outpoint, outpointKey, type Txid } from '../../base/ids.ts'
import { type Msat, type Sat, satToMsat } from '../../base/units.ts'
import { ANCHOR_SAT } from '../../channel/tx/weights.ts'

/** What a node says that it has. */
export interface Funds {
  readonly name: string
  /** Confirmed and not. */
  readonly onchainSat: Sat
  /** In outputs of closed channels that are on their way to the wallet. */
  readonly closingSat: Sat
  /** Our side of all channels, with what is in flight. */
  readonly channelMsat: Msat
}

/** A confirmed transaction, other than a coinbase. */
export interface Spending {
  readonly txid: Txid
  /** What it was for, in words. */
  readonly kind: string
  /** A commitment transaction: the only kind that has anchors. */
  readonly commitment: boolean
  readonly inputs: readonly { readonly outpoint: Outpoint; readonly amountSat: Sat }[]
  readonly outputs: readonly Sat[]
}

/** Everything that the account is drawn up from. Mining rewards are in no part of it. */
export interface Facts {
  readonly before: readonly Funds[]
  readonly after: readonly Funds[]
  /** All transactions that confirmed in between. Nobody but the nodes used the chain. */
  readonly spendings: readonly Spending[]
  /** Outpoints of all coins that the nodes' wallets have afterwards. */
  readonly owned: ReadonlySet<string>
}

export interface NodeLine {
  readonly name: string
  readonly beforeMsat: Msat
  readonly afterMsat: Msat
  readonly changeMsat: bigint
}
export interface FeeLine {
  readonly txid: Txid
  readonly kind: string
  readonly feeSat: bigint
}
export interface OutputLine {
  readonly outpoint: Outpoint
  readonly kind: string
  readonly amountSat: Sat
  readonly anchor: boolean
}

export interface Account {
  readonly nodes: readonly NodeLine[]
  readonly fees: readonly FeeLine[]
  /** Anchor outputs that nobody spent. */
  readonly anchors: readonly OutputLine[]
  /** Unspent outputs of these transactions that are neither in a wallet nor an anchor: lost, as far as we can see. */
  readonly strays: readonly OutputLine[]
  readonly sumBeforeMsat: bigint
  readonly sumAfterMsat: bigint
  /** What is missing from the sum once fees and anchors are taken into account; 0 when all is well. */
  readonly missingMsat: bigint
  readonly conserved: boolean
}

/**
 * Draws up the account from two sources that do not know of each other: the nodes' own words on their balances, and the
 * transactions on the chain. It is conserved when the sum of the balances went down by the fees and the unclaimed anchors, and by
 * nothing else, and when every coin made on the way is in a wallet or is such an anchor.
 */
export function drawUp(facts: Facts): Account {
  const nodes = facts.before.map((before) => lineOf(before, fundsOf(facts.after, before.name)))
  const fees = facts.spendings.map((tx) => ({ txid: tx.txid, kind: tx.kind, feeSat: feeOf(tx) }))
  const unclaimed = unclaimedOutputs(facts)
  const anchors = unclaimed.filter((output) => output.anchor)
  const strays = unclaimed.filter((output) => !output.anchor)
  const sumBeforeMsat = sum(nodes.map((node) => node.beforeMsat))
  const sumAfterMsat = sum(nodes.map((node) => node.afterMsat))
  const spentSat = sum(fees.map((fee) => fee.feeSat)) + sum(anchors.map((anchor) => anchor.amountSat))
  const missingMsat = sumBeforeMsat - sumAfterMsat - spentSat * 1000n
  const conserved = missingMsat === 0n && strays.length === 0
  return { nodes, fees, anchors, strays, sumBeforeMsat, sumAfterMsat, missingMsat, conserved }
}

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)

const totalMsat = (funds: Funds): Msat =>
  (satToMsat(funds.onchainSat) + satToMsat(funds.closingSat) + funds.channelMsat) as Msat

function fundsOf(list: readonly Funds[], name: string): Funds {
  const found = list.find((funds) => funds.name === name)
  if (!found) throw new TypeError(`no funds of ${name}`)
  return found
}

function lineOf(before: Funds, after: Funds): NodeLine {
  const beforeMsat = totalMsat(before)
  const afterMsat = totalMsat(after)
  return { name: before.name, beforeMsat, afterMsat, changeMsat: afterMsat - beforeMsat }
}

const feeOf = (tx: Spending): bigint => sum(tx.inputs.map((input) => input.amountSat)) - sum(tx.outputs)

function unclaimedOutputs({ spendings, owned }: Facts): OutputLine[] {
  const spent = new Set(spendings.flatMap((tx) => tx.inputs.map((input) => outpointKey(input.outpoint))))
  return spendings.flatMap(({ txid, kind, commitment, outputs }) =>
    outputs.flatMap((amountSat, index) => {
      const outpoint = { txid, index }
      const key = outpointKey(outpoint)
      const anchor = commitment && amountSat === ANCHOR_SAT
      return spent.has(key) || owned.has(key) ? [] : [{ outpoint, kind, amountSat, anchor }]
    }),
  )
}
