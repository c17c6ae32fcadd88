import { type Outpoint, outpointKey } from '../base/ids.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import { ChainError } from '../chain/errors.ts'
import { channelOf, watches } from '../channel/describe.ts'
import { classifySpend } from '../channel/onchain/classify.ts'
import type { ChannelState } from '../channel/state.ts'
import type { ChannelEntry } from './channels.ts'
import type { Node } from './node.ts'

/** How long the blocks that the backend has are waited for; they come within seconds once all before them are here. */
const REACH_MS = 60_000

/** The funding output of a channel by whose records nothing in the chain spends it, and the height that it has there; null for others. */
function unspentFunding(state: ChannelState): { readonly outpoint: Outpoint; readonly height: number } | null {
  const channel = channelOf(state)
  const confirmed = channel?.funding.confirmed
  if (!channel || !confirmed || state.tag === 'closed') return null
  if (state.tag === 'closing' && state.onchain.closing.height !== null) return null
  return { outpoint: channel.commitments.active[0]!.funding, height: confirmed.height }
}

/**
 * Looks for the closes that a start has to find, once; to be called with every block that leaves nothing to catch up with, since it is done
 * again where the backend goes away meanwhile.
 */
export function closeFinder(node: Node): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    findUnseenCloses(node)
      .catch((err: unknown) => {
        if (!(err instanceof ChainError)) node.log.error({ err }, 'a bug: closes were not looked for')
        return false
      })
      .then((done) => {
        isDone = done
      })
  }
}

/**
 * The records of one channel may be older than the place in the chain, as a damaged disk leaves them, and no block tells of its close again:
 * where the chain has spent what the records take for unspent, older blocks are looked through for that. Asked for once all blocks are here.
 * @returns false where the newest block did not come, as when the backend goes away: to be asked again
 * @throws ChainError when the backend does not answer
 */
async function findUnseenCloses({ channels, chain, source, reactor, logs }: Node): Promise<boolean> {
  const suspects: ChannelEntry[] = []
  for (const entry of channels.all()) {
    const funding = unspentFunding(entry.state)
    if (funding !== null && (await source.utxo(funding.outpoint)) === null) suspects.push(entry)
  }
  if (suspects.length === 0) return true
  // A block that came just now may tell of it.
  const { height } = await source.tip()
  await chain.reach(height, REACH_MS)
  if (chain.height < height) return false
  await reactor.run((scope) => {
    for (const { state, meta } of suspects.flatMap((e) => channels.get(e.meta.localId) ?? [])) {
      const funding = unspentFunding(state)
      if (funding === null) continue
      const message = 'its funding output is spent in a block that its records do not know of: it is looked for'
      logs.of('chain').warn({ channel: meta.localId, fromHeight: funding.height }, message)
      chain.lookBack(meta.localId, watches(state), scope, funding.height)
    }
  })
  return true
}

/** An open channel's funding output; null for others. */
const openFunding = ({ state }: ChannelEntry): Outpoint | null =>
  'from' in state ? state.from.channel.commitments.active[0]!.funding : null
/** There are no more commitments, ours is the last. */
const isNegotiating = ({ state }: ChannelEntry): boolean => 'from' in state && state.from.tag === 'negotiating'

type Verdict = 'close' | 'behind' | 'hold'

/**
 * What a transaction in the mempool that spends it says of the records. Ours ends the channel by what they know, or they lack what both have
 * signed since. Any other may have taken the place of ours there, which the peer has still: none of our commitments is revoked any more.
 */
function verdictOn({ state, signer }: ChannelEntry, tx: Transaction): Verdict | null {
  const phase = 'from' in state ? state.from : null
  if (phase === null) return null
  const { channel } = phase
  const mutual = channel.closings?.includes(txidOf(tx)) === true
  const found = classifySpend(channel, { tx, mutual }, signer)
  if (found.kind === 'local') return 'close'
  // The close that is negotiated may not be noted.
  if (phase.tag === 'negotiating' || found.kind === 'mutual') return null
  const isOurs = found.kind === 'local-old' && found.commitmentNumber >= channel.commitments.local.number
  return isOurs || found.kind === 'future' || found.kind === 'unknown' ? 'behind' : 'hold'
}

/** Channels whose funding output is spent in a block that is still to come, or that their records do not know of. */
async function spentInBlocks({ chain, source }: Node, open: readonly ChannelEntry[]): Promise<readonly ChannelEntry[]> {
  // One that has fewer blocks than there were knows nothing yet.
  if ((await source.tip()).height < chain.height) return []
  const isSpent = async (entry: ChannelEntry): Promise<boolean> => {
    const funding = unspentFunding(entry.state)
    if (funding === null || isNegotiating(entry) || (await source.utxo(funding.outpoint)) !== null) return false
    // A reorganisation may have put it back into the mempool.
    return (await source.locate(funding.outpoint.txid))?.confirmations !== 0
  }
  // Peers wait for the answers.
  const are = await Promise.all(open.map(isSpent))
  return open.filter((_, i) => are[i])
}

const WORDS: Record<Verdict, string> = {
  close: 'its commitment waits in the mempool, which its records do not know of: it closes',
  behind: 'a newer close waits in the mempool, which its records do not know of: it closes',
  hold: 'something spends its funding output that its records do not know of: it goes on no more',
}

/**
 * Writes that a disk has lost may have been of a close by force. Our commitment waits in the mempool then, or is in a block that is still to
 * come, and a channel that went on would revoke it. What is ours in the mempool closes the channel once more. Where the mempool has what the
 * records do not know, a close that was agreed for one, ours may be revoked, and is not published: the peer is waited for. Whatever else
 * spends the channel holds it. To be called before any peer is heard.
 */
export async function closeOnceMore(node: Node): Promise<void> {
  const { channels, source, reactor, logs } = node
  const log = logs.of('chain')
  const open = channels.all().filter((e) => openFunding(e) !== null)
  try {
    const spends = await source.mempoolSpends(open.flatMap((e) => openFunding(e) ?? []))
    const verdicts = new Map<ChannelEntry, Verdict | null>()
    for (const entry of await spentInBlocks(node, open)) verdicts.set(entry, 'hold')
    for (const entry of open) {
      const funding = openFunding(entry)
      const tx = spends.find((t) => t.inputs.some((i) => funding && outpointKey(i) === outpointKey(funding)))
      if (tx) verdicts.set(entry, verdictOn(entry, tx))
    }
    if (verdicts.size === 0) return
    await reactor.run((scope) => {
      for (const [entry, verdict] of verdicts) {
        if (verdict === null) continue
        // As when a peer has closed while the node was away.
        log[verdict === 'hold' ? 'info' : 'warn']({ channel: entry.meta.localId }, WORDS[verdict])
        if (verdict === 'behind') channels.deliver(entry, { tag: 'doubted', isLate: true })
        else if (verdict === 'hold') channels.deliver(entry, { tag: 'doubted', isSpent: true })
        else channels.command(entry, { tag: 'forceClose', requestId: NOBODY, evenIfRevoked: true })
      }
      channels.drain(scope)
    })
  } catch (err) {
    log.error({ err }, 'it could not be looked whether commitments of ours wait in the mempool')
  }
}
/** No caller waits for the answer. */
const NOBODY = -1
