import { fromHex } from '../../src/base/bytes.ts'
import { msat, sat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { ClaimRoom } from '../../src/node/claimRoom.ts'
import { Forwards } from '../../src/node/forwards.ts'
import { isBack, lateForward, undecidedIncoming, wantsPreimage } from '../../src/node/holdings.ts'
import { encodePayload } from '../../src/onion/payload.ts'
import { buildOnion } from '../../src/onion/sphinx.ts'
import { add, hashOf, reachNormal } from '../channel/harness.ts'
import { NEXT } from '../payment/onions.ts'

const NODE_SECRET = new Uint8Array(32).fill(1)
const ONION = buildOnion({
  hops: [
    { nodeKey: crypto.publicKey(NODE_SECRET), payload: encodePayload(NEXT) },
    { nodeKey: crypto.publicKey(new Uint8Array(32).fill(2)), payload: encodePayload(NEXT) },
  ],
  sessionKey: new Uint8Array(32).fill(3),
  associatedData: fromHex(hashOf(1)),
}).packet

/** What forwards HTLCs for bob, whose channel with alice has one of 50,000 sat that went on elsewhere: its preimage is `preimageOf(1)`. */
export function forwardsOfBob() {
  const w = reachNormal()
  w.alice.command(add(1, 50_000_000, { onion: ONION }))
  w.settle()
  const { channelId } = w.bob.channel.params
  const origin = { tag: 'forward', channelId, htlcId: 0n } as const
  const channels = { byChannelId: () => ({ state: w.bob.state! }), all: () => [] } as never
  const about = { looks: 0 }
  const forwards = new Forwards({
    nodeSecret: NODE_SECRET,
    blockHeight: () => w.height,
    claims: new ClaimRoom({
      stateOf: () => w.bob.state!,
      feerates: () => w.bob.ctx.feerates,
      coinsSat: () => sat(1_000_000),
      exposureMsat: msat(0),
      onShort: () => {},
    }),
    channelsTo: () => [],
    incomingHtlc: (channel, id) => undecidedIncoming(w.bob.state!, channel, id),
    wantsPreimage: (_, id) => wantsPreimage(w.bob.state!, id),
    isBack: (_, id) => isBack(w.bob.state!, id),
    lateForward: (from) => {
      about.looks++
      return lateForward({ channels }, from)
    },
    hasLost: () => false,
    tryPreimage: () => false,
    standings: () => ({ isSound: true, incoming: 'current', outgoing: [] }),
    staysOpen: () => true,
  })
  return { w, origin, forwards, about }
}
