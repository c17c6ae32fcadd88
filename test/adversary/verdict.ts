import { equalBytes, toHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { type TxOutput, txidOf } from '../../src/bitcoin/transaction.ts'
import { obscuringFactorOf } from '../../src/channel/commitments.ts'
import { channelOf, summary } from '../../src/channel/describe.ts'
import { oldLocalOutputs } from '../../src/channel/onchain/outputs.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { toRemoteScriptPubKey } from '../../src/channel/tx/scripts.ts'
import { ANCHOR_SAT } from '../../src/channel/tx/weights.ts'
import { allowedSat } from './allowance.ts'
import type { Arena, Lane } from './arena.ts'
import type { Honest } from './honest.ts'
import { START } from './keys.ts'
import { poorSat } from './poor.ts'
import type { Schedule } from './schedule.ts'

export interface Verdict {
  readonly problems: readonly string[]
  readonly lostSat: number
}

/** What the honest have in the end, against what they are owed. */
export function verdictOf(arena: Arena, { deep }: Schedule): Verdict {
  const problems: string[] = []
  let lostSat = 0
  const beyond = deep && arena.isBeyond
  const poorOf = (key: string): bigint => poorSat(arena, key.split(':')[0] as Lane)
  for (const node of arena.honest) {
    // After a deep reorganisation the mempools may have claims of ours that pay more than those that are planned now.
    const complaints = [...node.complaints, ...(beyond ? [] : node.heldUp)]
    problems.push(...complaints.map((c) => `${node.name}: ${c}`))
    if (!node.isDone()) {
      for (const e of node.channels.all())
        if (e.state.tag !== 'closed')
          problems.push(
            `${node.name}: ${e.meta.localId} is ${e.state.tag}, waits for ${summary(e.state, node.context(e)).waitsFor}`,
          )
    } else problems.push(...node.wealth.loose().map((l) => `${node.name}: ${l}`))
    const isExcused = (key: string): boolean => beyond || node.hasLost || node.hasty.isUndone(key)
    for (const [key, amountMsat] of node.till.ledger.failed)
      if (!isExcused(key) && amountMsat / 1000n >= poorOf(key) && node.till.ledger.paid.has(key))
        problems.push(`${node.name}: HTLC ${key} was given up, then paid`)
    if (!beyond) problems.push(...lootOf(arena, node).map((p) => `${node.name}: ${p}`))
    problems.push(...[...dustOf(arena, node), ...anchorsOf(arena, node)].map((p) => `${node.name}: ${p}`))
    const fees = feesOf(arena, node)
    problems.push(...fees.problems.map((p) => `${node.name}: ${p}`))
    const owed = node.hasLost ? owedToForgetful(arena, node) : owedSat(arena, node)
    const earned = node.wealth.earned(node.chain) - (node === arena.hal ? giftedSat(arena) : 0n)
    const short = owed - allowedSat(arena, node, beyond) - fees.paidSat - earned
    if (short > 0n) {
      lostSat += Number(short)
      problems.push(`${node.name}: has lost ${short} sat`)
    }
  }
  for (const { owner, complaints } of arena.hostiles.values())
    for (const c of complaints) problems.push(`${owner}: ${c}`)
  return { problems, lostSat }
}

const sum = (amounts: Iterable<bigint>): bigint => [...amounts].reduce((a, b) => a + b, 0n)

/** Its balance at the start, with every HTLC where its preimage says. */
const owedSat = (arena: Arena, node: Honest): bigint =>
  (arena.startMsat(node) - sum(node.till.ledger.paid.values()) + sum(node.till.ledger.owed.values())) / 1000n

/**
 * Who has lost data cannot know HTLCs that it lost: it is owed its main output of the commitment that confirmed, mostly the peer's, or
 * of the close that both had signed.
 */
function owedToForgetful({ chain }: Arena, node: Honest): bigint {
  let owed = 0n
  for (const entry of node.channels.all()) {
    const channel = channelOf(entry.state)!
    const tx = chain.spender(outpointKey(channel.commitments.active[0]!.funding))
    if (!tx) continue
    const { channelType, local } = channel.params
    const toRemote = toRemoteScriptPubKey(local.basepoints.paymentBasepoint, channelType)
    const number = commitmentNumberOf(tx, obscuringFactorOf(channel.params))
    const txid = txidOf(tx)
    // Of a peer that has our basepoints and points for its own, the scripts do not tell whose commitment it is.
    const isOurs = number !== null && node.made.has(txid)
    const ours = isOurs ? oldLocalOutputs(channel, { tx, txid, commitmentNumber: number }, entry.signer) : []
    // A peer may pay to our to_remote in our own commitment, by our payment_basepoint for its own, and in an agreed close.
    const isTheirs = number !== null && !isOurs
    const isMain = (o: TxOutput, index: number): boolean =>
      node.wallet.state.scripts.has(toHex(o.scriptPubKey)) ||
      (isTheirs ? equalBytes(o.scriptPubKey, toRemote) : ours.some((found) => found.outpoint.index === index))
    owed += sum(tx.outputs.filter(isMain).map((o) => o.amountSat))
  }
  return owed
}

/** What the attacker has paid to hal's wallet, in transactions that are in the chain. */
const giftedSat = ({ chain, gifts }: Arena): bigint =>
  sum(chain.from(START + 1).flatMap((b) => b.txids.map((id) => gifts.get(id) ?? 0n)))

/** What its own transactions paid, and whether that was within its rules. */
function feesOf(arena: Arena, node: Honest): { readonly paidSat: bigint; readonly problems: readonly string[] } {
  let paidSat = 0n
  const problems: string[] = []
  const scripts = node.wallet.state.scripts
  for (const block of arena.chain.from(START + 1)) {
    for (let i = 1; i < block.transactions.length; i++) {
      const made = node.made.get(block.txids[i]!)
      if (!made || made.kind === 'commitment' || made.kind === 'mutual-close') continue
      const tx = block.transactions[i]!
      const inSat = block.undo![i]!.reduce((s, c) => s + c.output.amountSat, 0n)
      const feeSat = inSat - tx.outputs.reduce((s, o) => s + o.amountSat, 0n)
      paidSat += feeSat
      const toWallet = tx.outputs.every((o) => scripts.has(toHex(o.scriptPubKey)))
      // Half of what is moved: of all inputs of a sweep, of the first one of an HTLC transaction that the wallet pays for.
      const claimSat = made.kind === 'htlc' && made.budgetSat !== null ? block.undo![i]![0]!.output.amountSat : null
      const movedSat = claimSat ?? (made.budgetSat === null && toWallet ? inSat : null)
      const most = movedSat !== null ? movedSat / 2n + 1n : made.budgetSat
      if (most !== null && feeSat > most + 330n)
        problems.push(`${made.kind} ${outpointKey(tx.inputs[0]!)} paid ${feeSat}, more than ${most}`)
    }
  }
  return { paidSat, problems }
}

const OURS: ReadonlySet<string> = new Set(['local', 'local-old'])

/** What passes for an anchor is one, of a commitment; and what somebody is known to have taken of them is spent in the chain. */
function anchorsOf({ chain }: Arena, node: Honest): readonly string[] {
  return node.channels.all().flatMap(({ state, meta }) => {
    const { closing, anchorsSpent = [] } = (state.tag === 'closed' && state.onchain) || {}
    if (!closing) return []
    const most = closing.kind === 'mutual' ? 0n : 2n * ANCHOR_SAT
    const many = closing.anchorsSat > most ? [`${closing.anchorsSat} sat of ${meta.localId} pass for anchors`] : []
    const open = anchorsSpent.filter(({ index }) => chain.has({ txid: closing.txid, index }))
    return [...many, ...open.map(({ index }) => `anchor ${index} of ${meta.localId} passes for spent`)]
  })
}

/** What is below its holder's limit has no output in a commitment. @source BOLT 3 §trimmed-outputs */
function dustOf({ hal, una, hostiles }: Arena, node: Honest): readonly string[] {
  return node.channels.all().flatMap(({ state, meta }) => {
    const closing = state.tag === 'closed' ? state.onchain?.closing : null
    if (!closing || closing.kind === 'mutual') return []
    const peer = hostiles.get(meta.localId as Lane) ?? (node === hal ? una! : hal)
    const { dustLimitSat } = (OURS.has(closing.kind) ? node : peer).policy
    const dust = closing.tx.outputs.filter((o) => o.amountSat < dustLimitSat && o.amountSat !== ANCHOR_SAT)
    return dust.map(
      (o) => `${o.amountSat} sat in a commitment of ${meta.localId} whose holder has none below ${dustLimitSat}`,
    )
  })
}

/**
 * What a cheat keeps of a revoked commitment, to_local and HTLCs alike: it must be nothing. HTLC transactions move an output on to one
 * of the same number, which is punished in turn.
 */
function lootOf(arena: Arena, node: Honest): readonly string[] {
  const problems: string[] = []
  for (const { state, meta } of node.channels.all()) {
    const onchain = state.tag === 'closed' ? state.onchain : null
    if (onchain?.how !== 'revoked') continue
    const { tx, txid } = onchain.closing
    const poor = poorSat(arena, meta.localId as Lane)
    const left = tx.outputs.map((o, index) => ({ txid, index, amountSat: o.amountSat, scriptPubKey: o.scriptPubKey }))
    for (let output = left.pop(); output; output = left.pop()) {
      if (output.amountSat < poor) continue
      const { txid, index } = output
      const by = arena.chain.spender(outpointKey(output))
      if (by !== null && node.made.has(txidOf(by))) continue
      if (by === null) {
        problems.push(`${output.amountSat} sat of ${meta.localId} are left to the cheat: ${txid}:${index}`)
        continue
      }
      const made = by.outputs[by.inputs.findIndex((i) => i.txid === txid && i.index === index)]
      if (made?.scriptPubKey.length === P2WSH_LENGTH) {
        left.push({ ...made, txid: txidOf(by), index: by.outputs.indexOf(made) })
      } else problems.push(`the cheat keeps ${output.amountSat} sat of ${meta.localId}: ${txid}:${index}`)
    }
  }
  return problems
}
const P2WSH_LENGTH = 34

/**
 * In the last blocks before the cheat may take what it made of a revoked commitment, none of it waits for anything else: what the cheat
 * itself does not spend in the mempool, a transaction of the node's that spends nothing else does.
 * @source BOLT 5 §revoked-transaction-close-handling (option_anchors)
 */
export function heldUp(arena: Arena, node: Honest): readonly string[] {
  const problems: string[] = []
  for (const { state, meta } of node.channels.all()) {
    if (state.tag !== 'closing' || state.onchain.how !== 'revoked') continue
    const poor = poorSat(arena, meta.localId as Lane)
    for (const { outpoint, amountSat, spend } of state.onchain.outputs) {
      const coin = arena.chain.coins().get(outpointKey(outpoint))
      if (!coin || spend.tag !== 'penalty' || amountSat < poor) continue
      if (coin.height + node.policy.toSelfDelay - arena.chain.height > LAST_BLOCKS) continue
      const by = arena.chain.mempool.spender(outpointKey(outpoint))
      if (by && (!arena.isHonest(by) || by.tx.inputs.length === 1)) continue
      problems.push(
        `${meta.localId}: the penalty on ${outpointKey(outpoint)} waits ${by ? 'with others' : 'unpublished'}`,
      )
    }
  }
  return problems
}
const LAST_BLOCKS = 18
