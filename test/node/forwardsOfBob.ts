import { Forwards } from '../../src/node/forwards.ts'
import { undecidedIncoming, wantsPreimage } from '../../src/node/holdings.ts'
import { add, reachNormal } from '../channel/harness.ts'

/** What forwards HTLCs for bob, whose channel with alice has one of 50,000 sat that went on elsewhere: its preimage is `preimageOf(1)`. */
export function forwardsOfBob() {
  const w = reachNormal()
  w.alice.command(add(1, 50_000_000))
  w.settle()
  const { channelId } = w.bob.channel.params
  const origin = { tag: 'forward', channelId, htlcId: 0n } as const
  const forwards = new Forwards({
    nodeSecret: new Uint8Array(32).fill(1),
    blockHeight: () => w.height,
    channelsTo: () => [],
    incomingHtlc: (channel, id) => undecidedIncoming(w.bob.state!, channel, id),
    wantsPreimage: (_, id) => wantsPreimage(w.bob.state!, id),
    lateForward: () => null,
    hasLost: () => false,
    tryPreimage: () => false,
    standings: () => ({ isSound: true, incoming: 'current', outgoing: [] }),
    staysOpen: () => true,
  })
  return { w, origin, forwards }
}
