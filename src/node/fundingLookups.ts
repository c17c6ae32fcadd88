import { type NodeId, scidParts } from '../base/ids.ts'
import type { ChainSource } from '../chain/source.ts'
import { type FundingOutput, fundingOutputOf } from '../gossip/validate.ts'
import type { ChannelAnnouncement } from '../wire/messages/gossip.ts'
import { PeerBudget } from './peerBudget.ts'

/** The backend has other things to do, and reads a block from its disk for each. */
const AT_ONCE = 4
/** That wait, of all strangers and of one peer. */
const MOST = 5_000
const MOST_OF_PEER = 1_000
/**
 * Announcements that come to nothing, beyond one for each that did not: each costs four signatures and a block's worth of ids. Of
 * channels that have closed, honest peers tell for half a day, and those without a Bitcoin node for two weeks: a tenth of all.
 */
const IN_VAIN = { perPeer: { burst: 500, refillMs: 10_000 }, total: { burst: 2_000, refillMs: 1_000 } }

/**
 * Looks announced channels up in the chain, a few at a time. Whoever connects can announce what is not there, as much as finds room and as
 * often: peers that the operator chose come first, and have room of their own.
 */
export class FundingLookups {
  readonly #source: ChainSource
  readonly #isChosen: (peer: NodeId) => boolean
  /** Of chosen peers, of others. */
  readonly #waiting: readonly [(() => void)[], (() => void)[]] = [[], []]
  readonly #ofPeer = new Map<NodeId, number>()
  readonly #inVain: PeerBudget
  #count = 0
  #running = 0

  /** @param now milliseconds of a clock that never goes back */
  constructor(source: ChainSource, isChosen: (peer: NodeId) => boolean, now = () => performance.now()) {
    this.#source = source
    this.#isChosen = isChosen
    this.#inVain = new PeerBudget(IN_VAIN, now)
  }

  /** Whether so many more that a peer announces may wait. */
  hasRoom(from: NodeId, more: number): boolean {
    if ((this.#ofPeer.get(from) ?? 0) + more > MOST_OF_PEER || !this.#isHeard(from)) return false
    return this.#count + more <= MOST || this.#isChosen(from)
  }

  /**
   * The announced funding output when it exists, pays to the announced keys and is unspent; else null, as for a peer that has announced
   * too much in vain.
   * @param isGenuine asked before the chain is: what costs time is done in its turn
   * @throws ChainError when the backend is away
   */
  async find(from: NodeId, m: ChannelAnnouncement, isGenuine = () => true): Promise<FundingOutput | null> {
    this.#add(from, 1)
    const waiting = this.#waiting[this.#isChosen(from) ? 0 : 1]
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve))
    else this.#running++
    try {
      if (!this.#isHeard(from)) return null
      const found = isGenuine() ? await lookUp(this.#source, m) : null
      if (found === null) this.#inVain.take(from, this.#isChosen(from))
      else this.#inVain.giveBack(from, this.#isChosen(from))
      return found
    } finally {
      this.#add(from, -1)
      const next = this.#waiting[0].shift() ?? this.#waiting[1].shift() // takes this one's place
      if (next) next()
      else this.#running--
    }
  }

  #isHeard(from: NodeId): boolean {
    return this.#inVain.has(from, this.#isChosen(from))
  }

  #add(from: NodeId, change: 1 | -1): void {
    this.#count += change
    const left = (this.#ofPeer.get(from) ?? 0) + change
    if (left > 0) this.#ofPeer.set(from, left)
    else this.#ofPeer.delete(from)
  }
}

/** Not by the block itself: a peer may announce channels in every block that there is, and whole ones are megabytes to fetch and check. */
async function lookUp(source: ChainSource, m: ChannelAnnouncement): Promise<FundingOutput | null> {
  const { blockHeight, txIndex, outputIndex } = scidParts(m.shortChannelId)
  const txid = (await source.txids(await source.blockHash(blockHeight)))[txIndex]
  const unspent = txid && (await source.utxo({ txid, index: outputIndex }))
  if (!unspent) return null
  const found = fundingOutputOf(m, { [txIndex]: { txid, tx: { outputs: { [outputIndex]: unspent.output } } } })
  return found.ok ? found.value : null
}
