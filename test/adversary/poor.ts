import type { Txid } from '../../src/base/ids.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import { spends } from '../../src/channel/onchain/classify.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import {
  COMMITMENT_WEIGHT,
  feeOf,
  HTLC_OUTPUT_WEIGHT,
  HTLC_SUCCESS_WEIGHT,
  htlcSuccessFee,
} from '../../src/channel/tx/weights.ts'
import type { Arena, Lane } from './arena.ts'

/** The highest feerates of the time in which a channel came to its end, sat per 1,000 weight units. */
export interface Dearest {
  /** By the estimates, and of commitments that wait though they pay more. */
  readonly claim: number
  /** Of those who filled the blocks. */
  readonly crowd: number
}

/** Notes what a block costs, for each channel that is about to end, or that fees may keep from it. */
export function noteFeerates(arena: Arena): void {
  for (const lane of arena.lanes) {
    if (!arena.honest.some((n) => isEnding(n.channels.get(lane)?.state, n.height))) continue
    const { claim, crowd } = arena.dearest.get(lane) ?? NONE
    const estimate = Math.max(...arena.honest.map((n) => n.feerates.claim))
    const waiting = [...arena.held.keys()].map((id) => waitsAt(arena, id))
    arena.dearest.set(lane, { claim: Math.max(claim, estimate, ...waiting), crowd: Math.max(crowd, arena.crowd) })
  }
}
/**
 * Of a commitment that waits though it pays more than the estimates: they are too low, blocks cost more than that, and nobody honest adds to it
 * before it is due. 0 for any other.
 */
export function waitsAt(arena: Arena, id: Txid): number {
  const entry = arena.chain.mempool.get(id)
  if (!entry || ![...arena.hostiles.values()].some((h) => spends(entry.tx, h.funding))) return 0
  const feerate = (Number(entry.fee) * 1000) / entry.weight
  return feerate > arena.hal.feerates.claim * NEAR ? Math.ceil(feerate) : 0
}

/** A feerate is no higher than another that it is this many times, rounding included. */
const NEAR = 1.05

/** HTLCs that are not worth a close by the estimates are left to the peer (worthClosing.ts), whatever fees are later. */
function isEnding(state: ChannelState | undefined, height: number): boolean {
  if (state?.tag === 'closing') return true
  const c = state && state.tag !== 'closed' ? channelOf(state)?.commitments : null
  const tables = c ? [c.incoming, c.outgoing] : []
  return tables.some((t) => [...eachHtlc(t)].some((h) => h.add.cltvExpiry - height <= DUE_BLOCKS))
}
/** Within so many blocks of an expiry a channel closes over an HTLC. */
const DUE_BLOCKS = 18
const NONE: Dearest = { claim: 253, crowd: 0 }

/** An HTLC below this may have no output, or none that is worth its claim by the highest feerate that there was. */
export function poorSat(arena: Arena, lane: Lane): bigint {
  const { channelType } = arena.setting
  const { claim, crowd } = arena.dearest.get(lane) ?? NONE
  const states = arena.honest.flatMap((n) => n.channels.get(lane)?.state ?? [])
  const channels = states.flatMap((s) => channelOf(s) ?? [])
  const feerates = channels.flatMap(({ commitments: c }) => [c.local, c.remote, c.remoteSigned ?? c.remote])
  const committed = Math.max(...feerates.map((n) => n.feeratePerKw))
  const dust = Math.max(...channels.flatMap(({ params: p }) => [p.local, p.remote].map((s) => Number(s.dustLimitSat))))
  const stage = channelType === 'anchors' ? HTLC_SUCCESS_WEIGHT.anchors + WALLET_WEIGHT : 0
  const claimWeight = stage + SWEEP_WEIGHT
  const htlcs = Math.max(...channels.map(({ commitments: c }) => c.outgoing.size + c.incoming.size))
  const closeWeight = COMMITMENT_WEIGHT.anchors + CHILD_WEIGHT + htlcs * HTLC_OUTPUT_WEIGHT
  // Half of what it holds pays for its claim; where blocks are full, for that of the commitment before, too.
  const crowded = 2n * feeOf(claimWeight + closeWeight, crowd)
  const dear = (feeOf(claimWeight, claim) * 5n) / 4n
  const bound = BigInt(dust) + htlcSuccessFee(committed, channelType) + LEFT_SAT + (dear > crowded ? dear : crowded)
  return bound < MOST_SAT ? bound : MOST_SAT
}
/** An input and a change output of the wallet. */
const WALLET_WEIGHT = 396
/** Of one HTLC output or of what an HTLC transaction makes of one, by itself. */
const SWEEP_WEIGHT = 600
/** That pays for the commitment. */
const CHILD_WEIGHT = 800
/** Below which a sweep leaves nothing that is relayed. */
const LEFT_SAT = 330n
/** No feerate of any schedule makes more than this poor. */
const MOST_SAT = 20_000n
