import { fromHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { IncomingHtlc, RelayPolicy } from '../../src/channel/types.ts'
import { openErrorPacket } from '../../src/onion/errorPacket.ts'
import { encodePayload, type OnionPayload } from '../../src/onion/payload.ts'
import { buildOnion } from '../../src/onion/sphinx.ts'
import { type ForwardOnion, peelIncoming } from '../../src/payment/peel.ts'
import {
  DEFAULT_FORWARD_LIMITS,
  type ForwardContext,
  type HtlcCommand,
  type OutgoingChannel,
  type PaymentEffect,
} from '../../src/payment/types.ts'
import { channelId, scid } from '../routing/network.ts'
import { HEIGHT, IDS, SECRETS } from './world.ts'

export const HASH = '42'.repeat(32) as PaymentHash
export const SESSION = new Uint8Array(32).fill(0x11)
export const NEXT: OnionPayload = {
  amtToForward: msat(100_000n),
  outgoingCltvValue: HEIGHT + 60,
  shortChannelId: scid(77),
}
export const LAST: OnionPayload = { amtToForward: msat(100_000n), outgoingCltvValue: HEIGHT + 18 }

/** An HTLC that node 1 gets, with an onion of these payloads for nodes 1, 2 … */
export function incoming(payloads: readonly (OnionPayload | Uint8Array)[], more: Partial<IncomingHtlc> = {}) {
  const hops = payloads.map((p, i) => ({
    nodeKey: fromHex(IDS[i + 1]!),
    payload: p instanceof Uint8Array ? p : encodePayload(p),
  }))
  const { packet, sharedSecrets } = buildOnion({ hops, sessionKey: SESSION, associatedData: fromHex(HASH) })
  const htlc: IncomingHtlc = {
    channelId: channelId(1),
    id: 5n,
    amountMsat: msat(101_010n),
    paymentHash: HASH,
    cltvExpiry: HEIGHT + 100,
    onion: packet,
    ...more,
  }
  return { htlc, sharedSecrets, onion: peelIncoming(htlc, SECRETS[1]!) }
}
export const relay: RelayPolicy = {
  feeBaseMsat: 1000,
  feeProportionalMillionths: 100,
  cltvExpiryDelta: 40,
  htlcMinimumMsat: msat(1n),
  htlcMaximumMsat: msat(10n ** 9n),
}
export const outgoing = (more: Partial<OutgoingChannel> = {}): OutgoingChannel => ({
  channelId: channelId(2),
  remoteNodeId: IDS[2]!,
  status: 'usable',
  relay,
  sendableMsat: msat(10n ** 9n),
  ...more,
})
export const context = (channels: readonly OutgoingChannel[], more: Partial<ForwardContext> = {}): ForwardContext => ({
  blockHeight: HEIGHT,
  channelsTo: () => channels,
  limits: DEFAULT_FORWARD_LIMITS,
  ...more,
})
export const asForward = (o: ReturnType<typeof peelIncoming>): ForwardOnion => {
  if (o.tag !== 'forward') throw new Error(o.tag)
  return o
}
export const commandOf = (effects: readonly PaymentEffect[]): { channelId: string; command: HtlcCommand } => {
  const found = effects.find((e) => e.tag === 'command')
  if (!found) throw new Error('no command')
  return found
}
/** What the origin reads from a command that fails an HTLC. */
export const readBack = (secrets: readonly Uint8Array[], command: HtlcCommand) =>
  command.tag === 'failHtlc' ? openErrorPacket(secrets, command.reason) : null
