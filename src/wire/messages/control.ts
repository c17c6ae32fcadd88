import { address } from '../address.ts'
import { bytesU16, chainHash, channelId, listRest, u16 } from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 1 §the-init-message: the first message of a connection, from both sides. */
export const init = message(
  16,
  'init',
  {
    globalFeatures: bytesU16,
    features: bytesU16,
  },
  {
    networks: [1n, listRest(chainHash)],
    /** The receiver's own address as the sender sees it. */
    remoteAddress: [3n, address],
  },
)
export type Init = MessageOf<typeof init>

/** BOLT 1 §the-error-and-warning-messages: the channel, or with an id of zeros every channel, has failed. */
export const error = message(17, 'error', {
  channelId,
  data: bytesU16,
})
export type ErrorMessage = MessageOf<typeof error>

/** BOLT 1 §the-error-and-warning-messages: something is wrong, and no channel fails for it. */
export const warning = message(1, 'warning', {
  channelId,
  data: bytesU16,
})
export type Warning = MessageOf<typeof warning>

/** BOLT 1 §the-ping-and-pong-messages. */
export const ping = message(18, 'ping', {
  numPongBytes: u16, // 65,532 and above ask for no answer
  ignored: bytesU16,
})
export type Ping = MessageOf<typeof ping>

/** BOLT 1 §the-ping-and-pong-messages. */
export const pong = message(19, 'pong', {
  ignored: bytesU16,
})
export type Pong = MessageOf<typeof pong>

/** BOLT 1 §peer-storage: asks the peer to keep a blob for us. */
export const peerStorage = message(7, 'peer_storage', {
  blob: bytesU16, // up to 65,531 B
})
export type PeerStorage = MessageOf<typeof peerStorage>

/** BOLT 1 §peer-storage: the blob last stored, given back after init. */
export const peerStorageRetrieval = message(9, 'peer_storage_retrieval', {
  blob: bytesU16,
})
export type PeerStorageRetrieval = MessageOf<typeof peerStorageRetrieval>
