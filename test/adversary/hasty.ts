import { channelOf, onchainOf } from '../../src/channel/describe.ts'
import { getHtlc } from '../../src/channel/htlcTable.ts'
import type { ClosedOutput } from '../../src/channel/onchain/types.ts'
import { FAIL_UPSTREAM_BLOCKS } from '../../src/channel/onchain/urgency.ts'
import type { HtlcEvent } from '../../src/channel/types.ts'
import type { ChannelEntry } from '../../src/node/channels.ts'
import type { Honest } from './honest.ts'

/** Confirmations that do where what a forward came by expires soon. */
const LEAST_DEPTH = 3

interface GivenUp {
  /** Height of the block that it was failed for. */
  readonly endedAt: number
  /** What it came by. */
  readonly from: ChannelEntry
  readonly htlcId: bigint
}

/**
 * HTLCs that went back at fewer confirmations than usual, since what they came by was to expire within six blocks, and whose end a
 * reorganisation has undone: the peer may have its preimage in time after all. Known by channel and id.
 * @source docs/security.md, deadlines
 */
export class Hasty {
  readonly #node: Honest
  readonly #givenUp = new Map<string, GivenUp>()
  readonly #undone = new Set<string>()

  constructor(node: Honest) {
    this.#node = node
  }

  /** A channel tells that an HTLC has failed. */
  failed(entry: ChannelEntry, { id, origin }: HtlcEvent & { readonly tag: 'failed' }): void {
    const { height, channels, policy, till } = this.#node
    const key = `${entry.meta.localId}:${id}`
    const from = origin.tag === 'forward' ? channels.byChannelId(origin.channelId) : undefined
    const endedAt = endOf(entry, id)
    if (till.ledger.failed.has(key) || origin.tag !== 'forward' || !from || endedAt === null) return
    const cameBy = getHtlc(channelOf(from.state)!.commitments.incoming, origin.htlcId)
    const depth = height - endedAt + 1
    const isSoon = cameBy !== undefined && height >= cameBy.add.cltvExpiry - FAIL_UPSTREAM_BLOCKS
    if (isSoon && depth >= LEAST_DEPTH && depth <= policy.htlcFailDepth)
      this.#givenUp.set(key, { endedAt, from, htlcId: origin.htlcId })
  }

  /** Blocks above a height are undone. */
  reorg(height: number): void {
    for (const [key, { endedAt }] of this.#givenUp) if (endedAt > height) this.#undone.add(key)
  }

  isUndone(key: string): boolean {
    return this.#undone.has(key)
  }
  /** And what it came by was not claimed with the preimage all the same. */
  isLost(key: string): boolean {
    const known = this.isUndone(key) ? this.#givenUp.get(key) : undefined
    const spent = known && outputOf(known.from, 'in', known.htlcId)?.spent
    return known !== undefined && !(spent && this.#node.made.has(spent.txid))
  }
}

const outputOf = (entry: ChannelEntry, direction: 'in' | 'out', id: bigint): ClosedOutput | undefined =>
  onchainOf(entry.state)?.outputs.find((o) => o.htlc?.direction === direction && o.htlc.id === id)

/** Where an HTLC that was offered has come to its end: its output, or else its channel; null while it has not. */
function endOf(entry: ChannelEntry, id: bigint): number | null {
  const output = outputOf(entry, 'out', id)
  return output ? (output.spent?.height ?? null) : (onchainOf(entry.state)?.closing.height ?? null)
}
