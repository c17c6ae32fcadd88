import { GRACE } from '../channel/deadlines.ts'

/** How many blocks lie between the deadlines of HTLCs: too few lose money when blocks come fast or fees rise. */
export interface ExpiryMargins {
  /** Between the expiry of what comes in and that of what we forward for it, until the operator sets another for a channel. */
  readonly cltvExpiryDelta: number
  /** Before the expiry of an HTLC that we have the preimage of, at which we go on chain for it. */
  readonly closeBeforeExpiry: number
  /** That an HTLC which ends here must have left when it comes: `min_final_cltv_expiry_delta` of our invoices. */
  readonly minFinalCltvExpiryDelta: number
  /** On top of the end of an HTLC on chain, after which its failure goes back to where it came from. */
  readonly htlcFailDepth: number
}

/** @source BOLT 11 §tagged-fields: payers assume 18 where an invoice does not say */
export const DEFAULT_MARGINS: ExpiryMargins = {
  cltvExpiryDelta: 40,
  closeBeforeExpiry: 12,
  minFinalCltvExpiryDelta: 18,
  htlcFailDepth: 6,
}

/** For a commitment and the claim after it, with blocks that come in quick succession. @source BOLT 2 §cltv_expiry_delta-selection */
const LEAST_CLOSE_BEFORE = 7
/** For the peer to take our preimage and sign, though it may be away for an hour. */
const PEER_BLOCKS = 6
/** From the expiry of what we forwarded: for our own close, its claim, and a preimage that the peer shows by then. */
const CHAIN_BLOCKS = 6
/** A reorganisation of one block is nothing unusual; one of more than a day's worth is not prepared for. */
const FAIL_DEPTHS = { least: 1, most: 144 }

/** The least delta with which a forward can be enforced on chain before what it came by must be. */
export const leastDelta = (m: Pick<ExpiryMargins, 'closeBeforeExpiry' | 'htlcFailDepth'>): number =>
  m.closeBeforeExpiry + GRACE + CHAIN_BLOCKS + m.htlcFailDepth

/** Why a combination would lose money, naming the options; null when it is safe. */
export function unsafeMargins(m: ExpiryMargins): string | null {
  const { cltvExpiryDelta, closeBeforeExpiry, minFinalCltvExpiryDelta, htlcFailDepth } = m
  if (htlcFailDepth < FAIL_DEPTHS.least || htlcFailDepth > FAIL_DEPTHS.most) {
    return `htlc-fail-depth: ${htlcFailDepth} is not from ${FAIL_DEPTHS.least} to ${FAIL_DEPTHS.most} blocks`
  }
  if (closeBeforeExpiry < LEAST_CLOSE_BEFORE) {
    return `close-before-expiry: ${closeBeforeExpiry} blocks are too few to claim an HTLC on chain; at least ${LEAST_CLOSE_BEFORE}`
  }
  if (cltvExpiryDelta < leastDelta(m)) {
    return `cltv-expiry-delta: ${cltvExpiryDelta} blocks leave no time to enforce a forward on chain; with close-before-expiry ${closeBeforeExpiry} and htlc-fail-depth ${htlcFailDepth} at least ${leastDelta(m)}`
  }
  if (minFinalCltvExpiryDelta < closeBeforeExpiry + PEER_BLOCKS) {
    return `min-final-cltv-expiry-delta: ${minFinalCltvExpiryDelta} blocks would have payments to us close channels; with close-before-expiry ${closeBeforeExpiry} at least ${closeBeforeExpiry + PEER_BLOCKS}`
  }
  return null
}
