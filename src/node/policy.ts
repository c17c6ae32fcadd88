import { msat, sat } from '../base/units.ts'
import type { Network } from '../bitcoin/networks.ts'
import type { ChannelPolicy, RelayPolicy } from '../channel/types.ts'
import type { NodeConfig } from './config.ts'
import { DEFAULT_MARGINS } from './margins.ts'

/** Confirmations of a channel that a peer opens: of one below 2^24 sat, and of larger ones at least. */
export const DEFAULT_DEPTH = { small: 3, large: 6 }
/** A channel carries all that it has. */
export const DEFAULT_IN_FLIGHT_PERCENT = 100

const depthOf = (
  network: Network,
  chosen: number | undefined,
): Pick<ChannelPolicy, 'minimumDepth' | 'largeMinimumDepth'> => {
  // Blocks cost nothing there.
  if (network === 'regtest') return { minimumDepth: chosen ?? 1 }
  return { minimumDepth: chosen ?? DEFAULT_DEPTH.small, largeMinimumDepth: DEFAULT_DEPTH.large }
}

type Chosen = Pick<NodeConfig, 'minimumDepth' | 'maxHtlcValueInFlightPercent'>

/**
 * Our limits for channels: what we propose and what we accept.
 * @param chosen what the operator chose
 */
export const channelPolicy = (
  network: Network,
  { closeBeforeExpiry, htlcFailDepth } = DEFAULT_MARGINS,
  { minimumDepth, maxHtlcValueInFlightPercent = DEFAULT_IN_FLIGHT_PERCENT }: Chosen = {},
): ChannelPolicy => ({
  /** Of a P2WSH output at the standard dust feerate is 330; 354 also suits any later segwit version (BOLT 3 §dust-limits). */
  dustLimitSat: sat(354),
  maxHtlcValueInFlightMillionths: maxHtlcValueInFlightPercent * 10_000,
  htlcMinimumMsat: msat(1),
  toSelfDelay: 144,
  maxToSelfDelay: 2016,
  maxAcceptedHtlcs: 483,
  ...depthOf(network, minimumDepth),
  reserveMillionths: 10_000,
  minFundingSat: sat(20_000),
  maxFundingSat: sat(100_000_000_000n),
  feerateTolerancePercent: { low: 25, high: 2_000 },
  closeBeforeExpiry,
  htlcFailDepth,
  maxDustExposureMsat: msat(200_000_000),
})

/** What forwarding over a channel costs until the operator says otherwise. */
export const relayPolicy = (capacityMsat: bigint, { cltvExpiryDelta } = DEFAULT_MARGINS): RelayPolicy => ({
  feeBaseMsat: 1_000,
  feeProportionalMillionths: 100,
  cltvExpiryDelta,
  htlcMinimumMsat: msat(1),
  htlcMaximumMsat: msat(capacityMsat),
})
