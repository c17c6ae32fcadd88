import { acceptChannel, openChannel } from '../../src/channel/advance.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import type { OpenChannel } from '../../src/wire/messages/open.ts'
import { expectNext, openParams, RELAY, World, type WorldOptions } from './harness.ts'
import { nodeIds } from './side.ts'

/** A world in which open_channel is on its way. */
export function asked(options: WorldOptions = {}): { w: World; open: OpenChannel } {
  const w = new World(options)
  w.alice.begin(openChannel(openParams('alice', options), w.alice.ctx))
  return { w, open: expectNext(w, 'alice', 'open_channel') }
}

/** What bob makes of it. */
export const accept = (w: World, open: OpenChannel) =>
  acceptChannel(
    open,
    { remoteNodeId: nodeIds.alice, theirFeatures: ourInitFeatures(), relay: RELAY, keyIndex: 0 },
    w.bob.ctx,
  )
