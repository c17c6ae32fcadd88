import { channelOf, expiryOf, letGoOf } from '../channel/describe.ts'
import type { ChannelContext } from '../channel/types.ts'
import type { Channels } from './channels.ts'

/** Read when a channel asks: what there is of a node while it is made is not all of it. */
interface Others {
  readonly channels: Pick<Channels, 'all' | 'byChannelId'>
  readonly chain: { readonly height: number }
}

/** What the decisions of one channel depend on in others. */
export const acrossChannels = (
  node: Others,
): Required<Pick<ChannelContext, 'isTaken' | 'incomingExpiry' | 'letGoElsewhere'>> => ({
  isTaken: (id) => node.channels.byChannelId(id) !== undefined,
  incomingExpiry(id, htlcId) {
    const entry = node.channels.byChannelId(id)
    return entry ? expiryOf(entry.state, htlcId, node.chain.height) : null
  },
  letGoElsewhere(cameBy, but) {
    const others = node.channels.all().filter(({ state }) => channelOf(state)?.params.channelId !== but)
    return others.reduce((sum, { state }) => sum + letGoOf(state, cameBy), 0n)
  },
})
