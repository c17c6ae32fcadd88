import { toHex } from '../base/bytes.ts'
import type { Msat } from '../base/units.ts'
import { WireReader, type WireWriter, written } from '../wire/buffer.ts'
import { bigsize, bytes32, bytesU16, type Codec, u16, u32, u64 } from '../wire/codec.ts'
import { WireError } from '../wire/errors.ts'

/** The flags in a failure code's top byte. @source BOLT 4 §failure-messages */
export const BADONION = 0x8000
export const PERM = 0x4000
export const NODE = 0x2000
export const UPDATE = 0x1000

/** A failure with nothing to add. */
type Plain<Name extends string> = { readonly name: Name }
/** channelUpdate is a whole BOLT 7 message, or empty as nodes now send it. */
type WithUpdate<Name extends string, More = unknown> = {
  readonly name: Name
  readonly channelUpdate: Uint8Array
} & More
type BadOnion<Name extends string> = { readonly name: Name; readonly sha256OfOnion: Uint8Array }

/** BOLT 4 §failure-messages: why a hop did not pass a payment on, or the last node did not take it. */
export type OnionFailure =
  | Plain<
      | 'temporary_node_failure'
      | 'permanent_node_failure'
      | 'required_node_feature_missing'
      | 'permanent_channel_failure'
      | 'required_channel_feature_missing'
      | 'unknown_next_peer'
      | 'expiry_too_far'
      | 'mpp_timeout'
    >
  | BadOnion<'invalid_onion_version' | 'invalid_onion_hmac' | 'invalid_onion_key' | 'invalid_onion_blinding'>
  | WithUpdate<'temporary_channel_failure' | 'expiry_too_soon'>
  | WithUpdate<'amount_below_minimum' | 'fee_insufficient', { readonly htlcMsat: Msat }>
  | WithUpdate<'incorrect_cltv_expiry', { readonly cltvExpiry: number }>
  | WithUpdate<'channel_disabled', { readonly disabledFlags: number }>
  | { readonly name: 'incorrect_or_unknown_payment_details'; readonly htlcMsat: Msat; readonly height: number }
  | { readonly name: 'final_incorrect_cltv_expiry'; readonly cltvExpiry: number }
  | { readonly name: 'final_incorrect_htlc_amount'; readonly incomingHtlcAmt: Msat }
  | { readonly name: 'invalid_onion_payload'; readonly type: bigint; readonly offset: number }

export type FailureName = OnionFailure['name']

/** A failure as it was received: understood, or a code with data that we do not know or cannot read. */
export type ReceivedFailure =
  | { readonly code: number; readonly failure: OnionFailure }
  | { readonly code: number; readonly failure: null }

type FieldsOf<Name extends FailureName> = Omit<Extract<OnionFailure, { name: Name }>, 'name'>
type Layout = readonly (readonly [string, Codec<unknown>])[]
const update = ['channelUpdate', bytesU16] as const
const sha256OfOnion = ['sha256OfOnion', bytes32] as const
const htlcMsat = ['htlcMsat', u64] as const
const cltvExpiry = ['cltvExpiry', u32] as const

/** Code and fields of every failure, in the order of the wire. */
const FAILURES: { readonly [Name in FailureName]: readonly [number, ...(readonly [keyof FieldsOf<Name>, unknown])[]] } =
  {
    temporary_node_failure: [NODE | 2],
    permanent_node_failure: [PERM | NODE | 2],
    required_node_feature_missing: [PERM | NODE | 3],
    invalid_onion_version: [BADONION | PERM | 4, sha256OfOnion],
    invalid_onion_hmac: [BADONION | PERM | 5, sha256OfOnion],
    invalid_onion_key: [BADONION | PERM | 6, sha256OfOnion],
    temporary_channel_failure: [UPDATE | 7, update],
    permanent_channel_failure: [PERM | 8],
    required_channel_feature_missing: [PERM | 9],
    unknown_next_peer: [PERM | 10],
    amount_below_minimum: [UPDATE | 11, htlcMsat, update],
    fee_insufficient: [UPDATE | 12, htlcMsat, update],
    incorrect_cltv_expiry: [UPDATE | 13, cltvExpiry, update],
    expiry_too_soon: [UPDATE | 14, update],
    incorrect_or_unknown_payment_details: [PERM | 15, htlcMsat, ['height', u32]],
    final_incorrect_cltv_expiry: [18, cltvExpiry],
    final_incorrect_htlc_amount: [19, ['incomingHtlcAmt', u64]],
    channel_disabled: [UPDATE | 20, ['disabledFlags', u16], update],
    expiry_too_far: [21],
    invalid_onion_payload: [PERM | 22, ['type', bigsize], ['offset', u16]],
    mpp_timeout: [23],
    invalid_onion_blinding: [BADONION | PERM | 24, sha256OfOnion],
  }
const layoutOf = (name: FailureName): Layout => FAILURES[name].slice(1) as unknown as Layout
const byCode = new Map((Object.keys(FAILURES) as FailureName[]).map((name) => [FAILURES[name][0], name]))

/** @source BOLT 4 §failure-messages */
export const failureCode = (name: FailureName): number => FAILURES[name][0]
/** undefined for a code that the BOLT does not list. */
export const failureName = (code: number): FailureName | undefined => byCode.get(code)

/** The code, then its data. @throws WireError ('unencodable') */
export const encodeFailure = (failure: OnionFailure): Uint8Array =>
  written((w: WireWriter) => {
    w.u16(failureCode(failure.name))
    const values = failure as unknown as Record<string, unknown>
    for (const [field, codec] of layoutOf(failure.name)) codec.encode(w, values[field])
  })

/**
 * Extra bytes after the data are ignored, as the origin must.
 * @returns null when there is not even a code
 * @source BOLT 4 §receiving-failure-codes
 */
export function decodeFailure(message: Uint8Array): ReceivedFailure | null {
  if (message.length < 2) return null
  const r = new WireReader(message)
  const code = r.u16()
  const name = byCode.get(code)
  if (name === undefined) return { code, failure: null }
  try {
    const values: Record<string, unknown> = { name }
    for (const [field, codec] of layoutOf(name)) values[field] = codec.decode(r)
    return { code, failure: values as unknown as OnionFailure }
  } catch (e) {
    if (e instanceof WireError) return { code, failure: null }
    throw e
  }
}

/** For people: `fee_insufficient`, or the code where we do not know it. */
export const describeFailure = (f: ReceivedFailure): string =>
  f.failure?.name ?? byCode.get(f.code) ?? `unknown failure 0x${toHex(Uint8Array.of(f.code >>> 8, f.code & 0xff))}`
