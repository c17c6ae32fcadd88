import { concatBytes, fromHex, u16be } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'
import type { OnionFailure } from '../onion/failure.ts'
import { type EdgePolicy, type Graph, policyOf } from '../routing/graph.ts'
import { relayFee } from '../routing/links.ts'
import { type DirectedChannel, directedChannel, type RouteHop } from '../routing/types.ts'
import { WireReader } from '../wire/buffer.ts'
import { WireError } from '../wire/errors.ts'
import { type ChannelUpdate, channelUpdate, signedBytes } from '../wire/messages/gossip.ts'

/**
 * What a direction really asks, as the node that failed an HTLC of ours said in its failure. It serves this payment's own routes
 * and goes nowhere else: in the graph or in gossip it would show who had paid (BOLT 4 §receiving-failure-codes).
 */
export interface LearnedPolicy {
  readonly key: DirectedChannel
  readonly policy: EdgePolicy
}

/** The hop that failed, with the HTLC that it got, and the one that it did not send on. */
export interface FailedHop {
  readonly from: RouteHop
  readonly to: RouteHop
}

/** An HTLC asks more of a direction than its policy allows. */
function breaks({ from, to }: FailedHop, p: EdgePolicy): boolean {
  const amount = Number(to.amountMsat)
  return (
    amount < p.htlcMinimumMsat ||
    amount > p.htlcMaximumMsat ||
    Number(from.amountMsat) - amount < relayFee(p, amount) ||
    from.cltvExpiry - to.cltvExpiry < p.cltvExpiryDelta
  )
}

/**
 * What a failure teaches about the channel that it names. `known`: sent before the payment learned what it knows now, so nothing
 * is new and the channel not to blame. Null: the channel is to be left alone. Each direction teaches once, and what is sent from
 * then on keeps to that, so a node that goes on refusing is not asked again.
 * @param learned by this payment so far
 * @source BOLT 4 §receiving-failure-codes
 */
export function lessonOf(
  failure: OnionFailure | null,
  hop: FailedHop,
  { learned, graph }: { readonly learned: readonly LearnedPolicy[]; readonly graph: Pick<Graph, 'channel'> },
): LearnedPolicy | 'known' | null {
  const key = directedChannel(hop.to.shortChannelId, hop.from.nodeId, hop.to.nodeId)
  const earlier = learned.find((l) => l.key === key)
  if (earlier) return breaks(hop, earlier.policy) ? 'known' : null
  const update = failure !== null && 'channelUpdate' in failure ? decodeUpdate(failure.channelUpdate) : null
  if (update === null || keyOf(update) !== key) return null
  const channel = graph.channel(update.shortChannelId)
  const policy = policyOf(update, channel?.capacitySat ?? null)
  const isNews = policy.timestamp >= (channel?.policies[update.channelFlags & 1]?.timestamp ?? 0)
  if (!isNews || !policy.enabled || !breaks(hop, policy)) return null
  return isSignedBy(update, hop.from.nodeId) ? { key, policy } : null
}

const keyOf = (u: ChannelUpdate): DirectedChannel => `${u.shortChannelId}/${u.channelFlags & 1}`

/** The chain does not matter: who signed the failure signed this, too. */
const isSignedBy = (u: ChannelUpdate, nodeId: RouteHop['nodeId']): boolean =>
  crypto.ecdsaVerify(u.signature, crypto.sha256d(signedBytes(u)), fromHex(nodeId))

const TYPE = u16be(channelUpdate.typeNumber)

/** Some nodes leave out the message's type. Null for anything else. */
function decodeUpdate(bytes: Uint8Array): ChannelUpdate | null {
  const typed = bytes[0] === TYPE[0] && bytes[1] === TYPE[1] ? bytes : concatBytes(TYPE, bytes)
  try {
    return channelUpdate.decode(new WireReader(typed.subarray(TYPE.length)))
  } catch (e) {
    if (e instanceof WireError) return null
    throw e
  }
}
