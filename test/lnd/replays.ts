import type { Payment } from '../interop/life.ts'
import type { Lnd } from './lnd.ts'

const REFUSAL = /unable to decode onion hop iterator for htlc\(id=\d+, hash=([0-9a-f]{64})\): InvalidOnionVersion/g

/**
 * LND takes HTLCs for replays that it had when it was killed or lost the connection, and fails them as malformed, though it has settled their
 * invoices or still does (htlcswitch/link.go, processRemoteAdds: the state of the forwarding package is written last). What it shows as
 * received it does not have: the payment has failed, or its preimage counts and the amount is back.
 */
export function takenForReplays(lnds: readonly Lnd[], payments: readonly Payment[]): readonly Payment[] {
  const hashes = new Set(lnds.flatMap((lnd) => [...lnd.log().matchAll(REFUSAL)].map(([, hash]) => hash!)))
  return payments.filter((p) => hashes.has(p.hash))
}
