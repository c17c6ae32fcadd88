import { getHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import type { ClosedOutput } from './types.ts'

/** The preimage of an HTLC that the peer offered, once we have fulfilled it. */
export function preimageFor(channel: Channel, output: ClosedOutput): Uint8Array | null {
  if (output.htlc?.direction !== 'in' || output.htlc.id === null) return null
  const removal = getHtlc(channel.commitments.incoming, output.htlc.id)?.removal
  return removal?.tag === 'fulfilled' ? removal.preimage : null
}
