import { FulmenError } from '../base/errors.ts'

export type WireErrorReason =
  /** Ends before its contents do. */
  | 'truncated'
  /** Bytes left over inside something of known length. */
  | 'excess'
  /** A TLV stream out of order, not minimal, or with an unknown even type. */
  | 'tlv'
  /** A message of an unknown even type. */
  | 'unknown-type'
  /** A value that its field cannot hold: an amount over 21 million BTC, a point with a wrong prefix. */
  | 'value'
  /** An array encoding that is not known (BOLT 7: zlib among them). */
  | 'encoding'
  /** Ours: a message longer than 65,535 bytes, or a value that its field cannot carry. */
  | 'unencodable'

/** Bytes that are not what the BOLTs say. BOLT 1 answers most of these by closing the connection. */
export class WireError extends FulmenError {
  readonly reason: WireErrorReason
  constructor(reason: WireErrorReason, message: string) {
    super('WIRE', message)
    this.reason = reason
  }
}

/** The same error, with the place in front: `update_add_htlc.onionRoutingPacket: 12 bytes missing`. */
export function wireErrorAt(place: string, e: unknown): unknown {
  return e instanceof WireError ? new WireError(e.reason, `${place}: ${e.message}`) : e
}
