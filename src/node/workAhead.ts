import { deriveAheadOf } from '../channel/dance.ts'
import { incomingHtlc } from '../channel/htlc.ts'
import { peelAhead } from '../payment/peel.ts'
import type { ChannelEntry } from './channels.ts'

/**
 * What the next messages of these channels will need: the keys of the commitments to come, the onions of HTLCs on their way in. A
 * payment is a conversation of six turns, and each side has nothing to do while the other thinks. Nothing depends on it.
 */
export function workAhead(channels: readonly ChannelEntry[], nodeSecret: Uint8Array): void {
  for (const { state, signer, quarantined } of channels) {
    if (state.tag !== 'normal' || quarantined !== null) continue
    const { channel } = state
    deriveAheadOf(channel, signer)
    for (const chunk of channel.commitments.incoming.chunks) {
      for (const htlc of chunk) {
        const comes = htlc.stage === 'received' || htlc.stage === 'signed'
        if (comes) peelAhead(incomingHtlc(channel.params.channelId, htlc), nodeSecret)
      }
    }
  }
}
