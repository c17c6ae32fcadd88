import { bytesU16, point } from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 4 §the-onion_message-message. */
export const onionMessage = message(513, 'onion_message', {
  pathKey: point,
  onionMessagePacket: bytesU16, // 1,366 or 32,834 B as a rule
})
export type OnionMessage = MessageOf<typeof onionMessage>
