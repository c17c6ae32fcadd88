import { msat, sat } from '../base/units.ts'
import type { Network } from '../bitcoin/networks.ts'
import type { ChannelPolicy, RelayPolicy } from '../channel/types.ts'
import { DEFAULT_MARGINS } from './margins.ts'

/** Our limits for channels: what we propose and what we accept. */
export const channelPolicy = (
  network: Network,
  { closeBeforeExpiry, htlcFailDepth } = DEFAULT_MARGINS,
): ChannelPolicy => ({
  /** Of a P2WSH output at the standard dust feerate is 330; 354 also suits any later segwit version (BOLT 3 §dust-limits). */
  dustLimitSat: sat(354),
  maxHtlcValueInFlightMsat: msat(500_000_000_000n),
  htlcMinimumMsat: msat(1),
  toSelfDelay: 144,
  maxToSelfDelay: 2016,
  maxAcceptedHtlcs: 483,
  minimumDepth: network === 'regtest' ? 1 : 3,
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
