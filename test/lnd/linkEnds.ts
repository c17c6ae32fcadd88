import type { ChannelView, NodeEvent } from '../../src/node/service.ts'
import type { Lnd } from './lnd.ts'
import { outpointText } from './world.ts'

/**
 * LND settles an HTLC once more, in every connection from then on, that it has settled before it was killed, and fails the link over it with
 * an error to us (htlcswitch/link.go, processRemoteAdds; as in lnd#1642): it never uses that channel again. Only a force close helps.
 */
export const SETTLES_TWICE =
  /failing link: unable to settle htlc: (No HTLC with ID|HTLC with ID \d+ has already been settled)/

/** It stops, or closes the channel, as it signs or passes on (htlcswitch/link.go, updateCommitTxOrFail, resolveFwdPkgs). A new connection helps. */
const STOPS = /failing link: unable to (update commitment|resolve fwd pkgs): (link shutting down|received quit signal)/

/**
 * HTLCs of its own have crossed a rise of the feerate by us, the opener, for which we have not enough beside them. We take it back at once,
 * but LND signs for both before it has heard that (lnwallet/channel.go, validateCommitmentSanity). A new connection helps: it starts with ours.
 */
const CROSSES_A_RISE =
  /failing link: unable to update commitment: commitment transaction dips peer below chan reserve: their balance/

const OWN_ENDS = [SETTLES_TWICE, STOPS, CROSSES_A_RISE]

/** Whether an alert is what LND says of a link of that channel which it has ended by itself: its log has these reasons, and no other. */
export function isOfOwnEnd(lnd: Lnd, c: ChannelView, { data }: NodeEvent): boolean {
  if (data.code !== 'PEER_ERROR' || data.id !== c.id || !/internal error$/.test(String(data.message))) return false
  const link = `ChannelLink(${outpointText(c)}): failing link: `
  const reasons = lnd
    .log()
    .split('\n')
    .filter((line) => line.includes(link) && /with error: internal error$/.test(line))
  return reasons.length > 0 && reasons.every((line) => OWN_ENDS.some((end) => end.test(line)))
}
