import { deriveAheadOf } from '../channel/dance.ts'
import { incomingHtlc } from '../channel/htlc.ts'
import { peelAhead } from '../payment/peel.ts'
import type { ChannelEntry } from './channels.ts'

/**
 * What the next messages of these channels will need: the keys of the commitments to come, the onions of HTLCs on their way in. A
 * payment is a conversation of six turns, and each side has nothing to do while the other thinks. Nothing depends on it.
 */
export function workAhead(channels: readonly ChannelEntry[], nodeSecret: Uint8Array): void {
  for (const entry of channels) {
    try {
      prepare(entry, nodeSecret)
    } catch {
      // A bug comes again where its result is needed, and there it stays with the channel.
    }
  }
}

function prepare({ state, signer, quarantined }: ChannelEntry, nodeSecret: Uint8Array): void {
  if (state.tag !== 'normal' || quarantined !== null) return
  const { channel } = state
  deriveAheadOf(channel, signer)
  for (const chunk of channel.commitments.incoming.chunks) {
    for (const htlc of chunk) {
      const comes = htlc.stage === 'received' || htlc.stage === 'signed'
      if (comes) peelAhead(incomingHtlc(channel.params.channelId, htlc), nodeSecret)
    }
  }
}
