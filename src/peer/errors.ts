import { FulmenError } from '../base/errors.ts'

/** Why there is no connection, or no more. */
export type PeerErrorCode =
  /** No TCP connection: refused, no route, no such host. */
  | 'UNREACHABLE'
  /** TCP, handshake or init took too long. */
  | 'TIMEOUT'
  /** Bytes that are no handshake, or whose tags are wrong. */
  | 'HANDSHAKE_FAILED'
  /** Hung up on act one, as a node does that has another node id. */
  | 'WRONG_KEY'
  /** It requires what we do not have, or leaves out what its own features need. */
  | 'INCOMPATIBLE_FEATURES'
  | 'WRONG_CHAIN'
  /** A message that BOLT 1 answers by closing: undecodable, of an unknown even type, or before init. */
  | 'PROTOCOL_VIOLATION'
  /** A frame whose tag is wrong: tampered with, or out of step. */
  | 'BAD_FRAME'
  | 'PING_FLOOD'
  /** No answer to a ping. */
  | 'UNRESPONSIVE'
  /** It does not read what we send. */
  | 'SLOW_READER'
  /** By the other side, or by the network. */
  | 'CLOSED'
  /** By our own node's wish. */
  | 'DISCONNECTED'
  /** A newer connection to the same node took over. */
  | 'REPLACED'
  /** The older connection to the same node stays. */
  | 'DUPLICATE'
  | 'TOO_MANY_CONNECTIONS'
  /** Our own node id. */
  | 'SELF'
  /** The caller's signal. */
  | 'ABORTED'
  | 'SHUTTING_DOWN'

/** A connection that failed or ended. Channels are never failed because of one. */
export class PeerError extends FulmenError {
  declare readonly code: PeerErrorCode
  constructor(code: PeerErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}
