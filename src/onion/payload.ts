import type { ShortChannelId } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { Msat } from '../base/units.ts'
import { bytes32, type Codec, decodeWith, encodeWith, point, rest, scid, struct, tu32, tuMsat } from '../wire/codec.ts'
import { WireError } from '../wire/errors.ts'
import { encodeTlvRecords, parseTlvRecords, type TlvRecord } from '../wire/tlv.ts'

/** BOLT 4 §payload-format: what one hop of a payment reads. Absent records are absent properties. */
export interface OnionPayload {
  readonly amtToForward?: Msat
  readonly outgoingCltvValue?: number
  readonly shortChannelId?: ShortChannelId
  readonly paymentData?: { readonly paymentSecret: Uint8Array; readonly totalMsat: Msat }
  readonly encryptedRecipientData?: Uint8Array
  readonly currentPathKey?: Uint8Array
  readonly paymentMetadata?: Uint8Array
  readonly totalAmountMsat?: Msat
  /** 32 B: a payment without an invoice carries its own preimage (bLIP 3). */
  readonly keysendPreimage?: Uint8Array
  /** Odd records that we do not know, in rising order. */
  readonly unknown?: readonly TlvRecord[]
}

/** The record that made a payload invalid; type 0 when the stream itself is malformed. */
export interface PayloadFault {
  readonly type: bigint
  /** Of the record in the payload, in bytes. */
  readonly offset: number
}

type Known = Exclude<keyof OnionPayload, 'unknown'>
const RECORDS: { readonly [K in Known]: readonly [bigint, Codec<NonNullable<OnionPayload[K]>>] } = {
  amtToForward: [2n, tuMsat],
  outgoingCltvValue: [4n, tu32],
  shortChannelId: [6n, scid],
  paymentData: [8n, struct({ paymentSecret: bytes32, totalMsat: tuMsat })],
  encryptedRecipientData: [10n, rest],
  currentPathKey: [12n, point],
  paymentMetadata: [16n, rest],
  totalAmountMsat: [18n, tuMsat],
  keysendPreimage: [5482373484n, bytes32],
}
const entries = Object.entries(RECORDS) as [Known, readonly [bigint, Codec<unknown>]][]
const byType = new Map(entries.map(([name, [type, codec]]) => [type, { name, codec }]))

/** @throws WireError ('unencodable') for a value that its record cannot carry */
export function encodePayload(payload: OnionPayload): Uint8Array {
  const records: TlvRecord[] = []
  for (const [name, [type, codec]] of entries) {
    if (payload[name] !== undefined) records.push({ type, value: encodeWith(codec, payload[name]) })
  }
  if (payload.unknown !== undefined) {
    records.push(...payload.unknown)
    records.sort((a, b) => (a.type < b.type ? -1 : 1))
  }
  return encodeTlvRecords(records)
}

const bigsizeLength = (n: bigint): number => (n < 0xfdn ? 1 : n <= 0xffffn ? 3 : n <= 0xffff_ffffn ? 5 : 9)
const recordLength = (r: TlvRecord): number =>
  bigsizeLength(r.type) + bigsizeLength(BigInt(r.value.length)) + r.value.length

/** @returns a fault for a malformed stream, a malformed record or an unknown even type; never throws */
export function decodePayload(bytes: Uint8Array): Result<OnionPayload, PayloadFault> {
  let type = 0n
  let offset = 0
  try {
    const payload: Record<string, unknown> = {}
    const unknown: TlvRecord[] = []
    for (const record of parseTlvRecords(bytes)) {
      type = record.type
      const known = byType.get(type)
      if (known !== undefined) payload[known.name] = decodeWith(known.codec, record.value)
      else if (type % 2n === 0n) return err({ type, offset })
      else unknown.push(record)
      offset += recordLength(record)
    }
    if (unknown.length > 0) payload.unknown = unknown
    return ok(payload as OnionPayload)
  } catch (e) {
    if (e instanceof WireError) return err({ type, offset })
    throw e
  }
}
