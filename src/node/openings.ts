import type { NodeId } from '../base/ids.ts'
import { channelOf } from '../channel/describe.ts'
import type { MessageNamed } from '../wire/registry.ts'
import type { ChannelEntry, Channels } from './channels.ts'
import { PeerBudget } from './peerBudget.ts'

/** Channels that a peer may have in the making, and that all strangers may: each holds memory, disk and a place in the watcher. */
export const MAX_PENDING_PER_PEER = 4
export const MAX_PENDING = 100

/** What is asked for and comes to nothing costs little, but not nothing. */
const ATTEMPTS = {
  perPeer: { burst: 50, refillMs: 10_000 },
  total: { burst: 200, refillMs: 1_000 },
}

const isConfirmed = ({ state }: ChannelEntry): boolean => (channelOf(state)?.funding.confirmed ?? null) !== null

/**
 * In the making, whether or not the peer is here: who hangs up does not get room for more, nor does who closes a channel that was never
 * funded. Channels from a backup are another matter.
 */
const isPending = (entry: ChannelEntry): boolean =>
  entry.state.tag !== 'closed' && !isConfirmed(entry) && channelOf(entry.state)?.restored !== true

export interface OpeningsOptions {
  readonly channels: Pick<Channels, 'all' | 'ofPeer' | 'ofPeerById'>
  readonly storageLow: () => boolean
  /** Whether the height is that of now: from an old one, a channel would look as if its funding had never come. */
  readonly isCurrent: () => boolean
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

/** Whether a peer may open one more channel. */
export class Openings {
  readonly #options: OpeningsOptions
  readonly #attempts: PeerBudget

  constructor(options: OpeningsOptions) {
    this.#options = options
    this.#attempts = new PeerBudget(ATTEMPTS, options.now)
  }

  /** What the peer is told when it may not; null when it may. */
  refusal(peer: NodeId, open: MessageNamed<'open_channel'>): string | null {
    const { channels, storageLow, isCurrent } = this.#options
    const own = channels.ofPeer(peer)
    const isKnown = own.some(isConfirmed)
    if (!this.#attempts.take(peer, isKnown)) return 'too many attempts to open a channel: try again later'
    if (!isCurrent()) return 'this node is catching up with the chain: try again later'
    const pending = own.filter(isPending).length
    if (pending >= MAX_PENDING_PER_PEER) {
      return `you have ${pending} channels waiting to be opened: let them confirm first`
    }
    if (storageLow() || (!isKnown && this.#strangersPending() >= MAX_PENDING)) {
      return 'this node cannot take more channels at the moment'
    }
    return channels.ofPeerById(peer, open.temporaryChannelId) ? 'this temporary_channel_id is in use' : null
  }

  /** In the making with peers that have no other channel with us: those who have put money in are not kept out by them. */
  #strangersPending(): number {
    const all = this.#options.channels.all()
    const known = new Set(all.filter(isConfirmed).map((c) => c.meta.peer))
    return all.filter((c) => isPending(c) && !known.has(c.meta.peer)).length
  }
}
