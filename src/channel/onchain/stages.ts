import type { Sat } from '../../base/units.ts'
import { shownPreimage } from '../htlc.ts'
import { getHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import { feeOf, HTLC_SUCCESS_WEIGHT, HTLC_TIMEOUT_WEIGHT } from '../tx/weights.ts'
import type { ChannelContext } from '../types.ts'
import { type HtlcStage, isHtlcStage } from './claims.ts'
import { preimageFor } from './preimages.ts'
import type { ClosedOutput } from './types.ts'

/** What a wallet adds to pay for an HTLC transaction with anchors: one P2WPKH input and a change output. */
const WALLET_WEIGHT = 272 + 124

/** Of an HTLC transaction with what a wallet adds to it, with anchors; without, nothing is added. */
export function stageWeight({ tag, channelType }: Pick<HtlcStage, 'tag' | 'channelType'>): number {
  const weights = tag === 'htlc-timeout' ? HTLC_TIMEOUT_WEIGHT : HTLC_SUCCESS_WEIGHT
  return weights[channelType] + (channelType === 'anchors' ? WALLET_WEIGHT : 0)
}

/** An HTLC of the peer's that we have the preimage of, or one of ours that the peer has shown no preimage of. */
export function isAtStake(channel: Channel, output: ClosedOutput): boolean {
  const { htlc } = output
  if (htlc === null || htlc.id === null) return false
  if (htlc.direction === 'in') return preimageFor(channel, output) !== null
  const offer = getHtlc(channel.commitments.outgoing, htlc.id)
  return !offer || shownPreimage(offer) === null
}

/**
 * What the wallet needs for the HTLC transactions of these outputs, by the estimate of now: whatever comes before them must not take
 * the last coins.
 */
export function stagesFee(
  channel: Channel,
  outputs: readonly ClosedOutput[],
  ctx: Pick<ChannelContext, 'feerates'>,
): Sat {
  let sum = 0n
  for (const output of outputs) {
    const { spend, spent } = output
    if (spent || !isHtlcStage(spend) || spend.channelType !== 'anchors' || !isAtStake(channel, output)) continue
    sum += feeOf(stageWeight(spend), ctx.feerates.claim)
  }
  return sum as Sat
}
