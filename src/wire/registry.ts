import { WireReader } from './buffer.ts'
import { WireError } from './errors.ts'
import type { MessageOf } from './message.ts'
import * as close from './messages/close.ts'
import * as commitment from './messages/commitment.ts'
import * as control from './messages/control.ts'
import * as gossip from './messages/gossip.ts'
import * as htlc from './messages/htlc.ts'
import * as interactive from './messages/interactive.ts'
import * as onion from './messages/onion.ts'
import * as open from './messages/open.ts'
import * as splice from './messages/splice.ts'

/** Every message that we know, in the order of its number. */
export const definitions = [
  control.warning,
  commitment.stfu,
  control.peerStorage,
  control.peerStorageRetrieval,
  control.init,
  control.error,
  control.ping,
  control.pong,
  open.openChannel,
  open.acceptChannel,
  open.fundingCreated,
  open.fundingSigned,
  open.channelReady,
  close.shutdown,
  close.closingSigned,
  close.closingComplete,
  close.closingSig,
  open.openChannel2,
  open.acceptChannel2,
  interactive.txAddInput,
  interactive.txAddOutput,
  interactive.txRemoveInput,
  interactive.txRemoveOutput,
  interactive.txComplete,
  interactive.txSignatures,
  interactive.txInitRbf,
  interactive.txAckRbf,
  interactive.txAbort,
  splice.spliceLocked,
  splice.spliceInit,
  splice.spliceAck,
  commitment.startBatch,
  htlc.updateAddHtlc,
  htlc.updateFulfillHtlc,
  htlc.updateFailHtlc,
  commitment.commitmentSigned,
  commitment.revokeAndAck,
  htlc.updateFee,
  htlc.updateFailMalformedHtlc,
  commitment.channelReestablish,
  gossip.channelAnnouncement,
  gossip.nodeAnnouncement,
  gossip.channelUpdate,
  gossip.announcementSignatures,
  gossip.queryShortChannelIds,
  gossip.replyShortChannelIdsEnd,
  gossip.queryChannelRange,
  gossip.replyChannelRange,
  gossip.gossipTimestampFilter,
  onion.onionMessage,
] as const

export type Message = MessageOf<(typeof definitions)[number]>
export type MessageName = Message['type']
export type MessageNamed<N extends MessageName> = Extract<Message, { readonly type: N }>

/**
 * Who handles a message. `channel`: the channel that its channel id names (for error and warning, with an id of zeros, every
 * channel of the peer). A message without an entry does not compile.
 */
export const route = {
  init: 'session',
  ping: 'session',
  pong: 'session',
  peer_storage: 'session',
  peer_storage_retrieval: 'session',
  onion_message: 'session',

  error: 'channel',
  warning: 'channel',
  stfu: 'channel',
  open_channel: 'channel',
  accept_channel: 'channel',
  funding_created: 'channel',
  funding_signed: 'channel',
  channel_ready: 'channel',
  shutdown: 'channel',
  closing_signed: 'channel',
  closing_complete: 'channel',
  closing_sig: 'channel',
  open_channel2: 'channel',
  accept_channel2: 'channel',
  tx_add_input: 'channel',
  tx_add_output: 'channel',
  tx_remove_input: 'channel',
  tx_remove_output: 'channel',
  tx_complete: 'channel',
  tx_signatures: 'channel',
  tx_init_rbf: 'channel',
  tx_ack_rbf: 'channel',
  tx_abort: 'channel',
  splice_init: 'channel',
  splice_ack: 'channel',
  splice_locked: 'channel',
  start_batch: 'channel',
  update_add_htlc: 'channel',
  update_fulfill_htlc: 'channel',
  update_fail_htlc: 'channel',
  update_fail_malformed_htlc: 'channel',
  update_fee: 'channel',
  commitment_signed: 'channel',
  revoke_and_ack: 'channel',
  channel_reestablish: 'channel',
  announcement_signatures: 'channel',

  channel_announcement: 'gossip',
  node_announcement: 'gossip',
  channel_update: 'gossip',
  query_short_channel_ids: 'gossip',
  reply_short_channel_ids_end: 'gossip',
  query_channel_range: 'gossip',
  reply_channel_range: 'gossip',
  gossip_timestamp_filter: 'gossip',
} as const satisfies { readonly [N in MessageName]: 'channel' | 'gossip' | 'session' }

type RoutedTo<Owner> = { [N in MessageName]: (typeof route)[N] extends Owner ? N : never }[MessageName]
export type ChannelMessage = MessageNamed<RoutedTo<'channel'>>
export type GossipMessage = MessageNamed<RoutedTo<'gossip'>>
export type SessionMessage = MessageNamed<RoutedTo<'session'>>

export const isChannelMessage = (m: Message): m is ChannelMessage => route[m.type] === 'channel'
export const isGossipMessage = (m: Message): m is GossipMessage => route[m.type] === 'gossip'
export const isSessionMessage = (m: Message): m is SessionMessage => route[m.type] === 'session'

/** A message of an odd type that we do not know: to be ignored (BOLT 1 §lightning-message-format). */
export interface UnknownMessage {
  readonly type: 'unknown'
  readonly typeNumber: number
  /** Copied; without the type. */
  readonly payload: Uint8Array
}
export type Decoded = Message | UnknownMessage

interface AnyDefinition {
  readonly typeNumber: number
  readonly name: string
  encode(message: Message): Uint8Array
  decode(r: WireReader): Message
}
const all: readonly AnyDefinition[] = definitions as unknown as readonly AnyDefinition[]
const byName = new Map(all.map((d) => [d.name, d]))
const byNumber = new Map(all.map((d) => [d.typeNumber, d]))

/**
 * The bytes of a message, type first, as they go into one BOLT 8 frame.
 * @throws WireError ('unencodable') when a field does not fit its place or the whole exceeds 65,535 bytes
 */
export const encodeMessage = (m: Message): Uint8Array => byName.get(m.type)!.encode(m)

/**
 * The message in one decrypted frame. Nothing in it aliases the input.
 * @throws WireError when it is cut short, malformed, or of an unknown even type: the connection is to be closed
 * @source BOLT 1 §lightning-message-format
 */
export function decodeMessage(bytes: Uint8Array): Decoded {
  const r = new WireReader(bytes)
  if (r.remaining < 2) throw new WireError('truncated', `a message has at least 2 bytes, not ${r.remaining}`)
  const typeNumber = r.u16()
  const definition = byNumber.get(typeNumber)
  if (definition) return definition.decode(r)
  if (typeNumber % 2 === 0) throw new WireError('unknown-type', `unknown message of even type ${typeNumber}`)
  return { type: 'unknown', typeNumber, payload: r.bytes(r.remaining) }
}

/** BOLT 1 §lightning-message-format. */
export const typeNumberOf = (name: MessageName): number => byName.get(name)!.typeNumber
