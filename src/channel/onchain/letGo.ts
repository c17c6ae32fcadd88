import type { ChannelId } from '../../base/ids.ts'
import { type HtlcAdd, shownPreimage } from '../htlc.ts'
import { getHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import { commitmentWeight, feeOf } from '../tx/weights.ts'
import { CHILD_WEIGHT } from './anchor.ts'
import { type ClaimContext, isTooDear, RESOLVED_DEPTH } from './plan.ts'
import type { ClosedOutput, OnchainState } from './types.ts'
import { cameByExpiry, letGoAt } from './urgency.ts'

/** What the peer may take of HTLCs that have been failed upstream, and nobody will miss: at once, and in each day after. */
const LITTLE_SAT = 1_000n
const DAY_BLOCKS = 144

/**
 * HTLCs whose claim costs more than they hold, which are failed upstream though the peer can take them yet, or the channel that they came by
 * would have to be closed over them. That is decided by the newest block: one that is caught up with may be followed by a preimage. Fees may
 * fall before that channel's turn comes: until then only little is let go. Both sides may be one: so no more goes back by a channel, of
 * whichever channels with nodes behind us, than the close costs that this spares.
 */
export class LetGo {
  readonly #channel: Channel
  readonly #onchain: OnchainState
  readonly #ctx: ClaimContext
  /** Let go so far, sat, by the channel that it came by; null for payments of our own. */
  readonly #gone = new Map<ChannelId | null, bigint>()

  constructor(channel: Channel, onchain: OnchainState, ctx: ClaimContext) {
    this.#channel = channel
    this.#onchain = onchain
    this.#ctx = ctx
  }

  /** @returns whether it is let go, and counts it then */
  take(add: HtlcAdd, output: ClosedOutput): boolean {
    const ctx = this.#ctx
    // What others have let go is asked for last: there may be a thousand of them, and hundreds of HTLCs.
    if (output.spent || ctx.isBehind || ctx.blockHeight < add.cltvExpiry) return false
    if (!isTooDear(this.#channel, output, ctx)) return false
    const cameBy = cameByOf(add)
    const sumSat = this.#goneSat(cameBy) + output.amountSat
    const isLittle = sumSat <= LITTLE_SAT && ctx.blockHeight >= add.cltvExpiry + RESOLVED_DEPTH
    if (!isLittle && !isDue(this.#channel, { ...add, since: output.since }, sumSat, ctx)) return false
    this.#gone.set(cameBy, sumSat)
    return true
  }

  #goneSat(cameBy: ChannelId | null): bigint {
    const known = this.#gone.get(cameBy)
    if (known !== undefined) return known
    const { channelId } = this.#channel.params
    const elsewhere = cameBy === null ? 0n : (this.#ctx.letGoElsewhere?.(cameBy, channelId) ?? 0n)
    const goneSat = letGoSat(this.#channel, this.#onchain, cameBy) + elsewhere
    this.#gone.set(cameBy, goneSat)
    return goneSat
  }
}

const cameByOf = ({ origin }: HtlcAdd): ChannelId | null => (origin?.tag === 'forward' ? origin.channelId : null)

/** The others are left to the node before, which loses nothing by its claim; where what they came by is over, they wait for nothing. */
function isDue(
  channel: Channel,
  offer: HtlcAdd & Pick<ClosedOutput, 'since'>,
  sumSat: bigint,
  ctx: ClaimContext,
): boolean {
  const overdue = ctx.blockHeight - letGoAt(channel, offer, ctx)
  if (overdue < 0) return false
  if (cameByExpiry(offer, ctx) === null) return true
  const closeSat = feeOf(commitmentWeight(1, channel.params.channelType) + CHILD_WEIGHT, ctx.feerates.claim)
  const days = BigInt(Math.floor(overdue / DAY_BLOCKS))
  return sumSat <= (closeSat > LITTLE_SAT ? closeSat : LITTLE_SAT) + LITTLE_SAT * days
}

/** What a channel has let go of what came by another: the peer can take it, or has. */
export function letGoSat(
  { commitments }: Channel,
  { outputs, failed }: OnchainState,
  cameBy: ChannelId | null,
): bigint {
  if (failed.length === 0) return 0n
  const gone = new Set(failed)
  let sum = 0n
  for (const { htlc, spent, amountSat } of outputs) {
    if (htlc?.direction !== 'out' || htlc.id === null || !gone.has(htlc.id)) continue
    const offer = getHtlc(commitments.outgoing, htlc.id)
    if (!offer || cameByOf(offer.add) !== cameBy) continue
    if (!spent || shownPreimage(offer) !== null) sum += amountSat
  }
  return sum
}
