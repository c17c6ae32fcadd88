import type { Sat } from '../base/units.ts'

/* What the two sides say about a close that they agree on (BOLT 2 §channel-close). */

/** How far option_simple_close has come with the closing transactions that we pay for. */
export interface SimpleClose {
  /** The peer's shutdown is here in this connection: its script is known, so that closing_complete may go out. */
  readonly ready: boolean
  /** Our newest closing_complete, of this connection or an earlier one. */
  readonly offer: ClosingOffer | null
  /** Height at which it went out in this connection, until closing_sig comes; else null. */
  readonly awaitsSince: number | null
}

/** What a closing_complete says, but for its signatures. */
export interface ClosingOffer {
  readonly closerScript: Uint8Array
  readonly closeeScript: Uint8Array
  readonly feeSat: Sat
  readonly lockTime: number
  /** Height at which it was first made: how long it has not confirmed. */
  readonly since: number
}

export interface CloseRequest {
  readonly scriptPubKey: Uint8Array
  /** What the operator chose, or null for our estimate. */
  readonly feeratePerKw: number | null
}

export interface FeeProposal {
  readonly feeSat: Sat
  readonly range: { readonly minSat: Sat; readonly maxSat: Sat } | null
}
