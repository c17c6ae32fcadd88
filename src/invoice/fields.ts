import { concatBytes, fromHex, toHex, u16be, u32be, u64be, utf8Decode } from '../base/bytes.ts'
import type { NodeId, PaymentHash, ShortChannelId } from '../base/ids.ts'
import { compileScript, isP2pkh, isP2sh, p2pkh, p2sh, witnessProgram } from '../bitcoin/script.ts'
import { crypto } from '../crypto/crypto.ts'
import { InvoiceError } from './errors.ts'
import { bitFieldFromWords, fromWords, minimalInteger, toWords } from './words.ts'

/** BOLT 11 §tagged-fields: the 5-bit types. */
export const TAGS = {
  paymentHash: 1, // p
  routeHint: 3, // r
  features: 5, // 9
  expiry: 6, // x
  fallback: 9, // f
  description: 13, // d
  paymentSecret: 16, // s
  payee: 19, // n
  descriptionHash: 23, // h
  minFinalCltv: 24, // c
  metadata: 27, // m
} as const

/** Lengths that tell a usable field from one of another version, which is skipped. */
const HASH_WORDS = 52
const PAYEE_WORDS = 53
const HOP_BYTES = 51

/** One channel on the way to the payee: from nodeId to the next hop's node, or to the payee. */
export interface RouteHintHop {
  readonly nodeId: NodeId
  readonly shortChannelId: ShortChannelId
  readonly feeBaseMsat: number
  readonly feeProportionalMillionths: number
  readonly cltvExpiryDelta: number
}
export type RouteHint = readonly RouteHintHop[]

/** The fields found; for each the first usable one. */
export interface InvoiceFields {
  paymentHash?: PaymentHash
  paymentSecret?: Uint8Array
  description?: string
  descriptionHash?: Uint8Array
  payee?: Uint8Array
  expirySeconds?: number
  minFinalCltvExpiryDelta?: number
  features?: Uint8Array
  metadata?: Uint8Array
  routeHints: RouteHint[]
  fallbackScripts: Uint8Array[]
}

/** @throws InvoiceError when a field runs past the end or is not what its tag promises */
export function readFields(words: readonly number[]): InvoiceFields {
  const fields: InvoiceFields = { routeHints: [], fallbackScripts: [] }
  for (let at = 0; at < words.length; ) {
    const length = (words[at + 1] ?? 0) * 32 + (words[at + 2] ?? 0)
    if (at + 3 + length > words.length) throw new InvoiceError('truncated', 'the last field is cut off')
    readField(fields, words[at]!, words.slice(at + 3, at + 3 + length))
    at += 3 + length
  }
  return fields
}

function readField(f: InvoiceFields, tag: number, data: readonly number[]): void {
  switch (tag) {
    case TAGS.paymentHash:
      if (data.length === HASH_WORDS) f.paymentHash ??= toHex(fromWords(data, 'the payment hash (p)')) as PaymentHash
      return
    case TAGS.paymentSecret:
      if (data.length === HASH_WORDS) f.paymentSecret ??= fromWords(data, 'the payment secret (s)')
      return
    case TAGS.descriptionHash:
      if (data.length === HASH_WORDS) f.descriptionHash ??= fromWords(data, 'the description hash (h)')
      return
    case TAGS.payee:
      if (data.length === PAYEE_WORDS) f.payee ??= fromWords(data, 'the payee (n)')
      return
    case TAGS.description:
      f.description ??= text(fromWords(data, 'the description (d)'))
      return
    case TAGS.metadata:
      f.metadata ??= fromWords(data, 'the metadata (m)')
      return
    case TAGS.expiry:
      f.expirySeconds ??= minimalInteger(data, 'the expiry (x)', Number.MAX_SAFE_INTEGER)
      return
    case TAGS.minFinalCltv:
      f.minFinalCltvExpiryDelta ??= minimalInteger(data, 'min_final_cltv_expiry_delta (c)', 0xffff_ffff)
      return
    case TAGS.features:
      if (data[0] === 0) throw new InvoiceError('field', 'the features (9) start with zeros, which BOLT 11 forbids')
      f.features ??= bitFieldFromWords(data)
      return
    case TAGS.routeHint:
      f.routeHints.push(readRouteHint(fromWords(data, 'a route hint (r)')))
      return
    case TAGS.fallback: {
      const script = fallbackScript(data)
      if (script) f.fallbackScripts.push(script)
      return
    }
  }
}

function text(bytes: Uint8Array): string {
  try {
    return utf8Decode(bytes)
  } catch (e) {
    throw new InvoiceError('field', 'the description (d) is not UTF-8', { cause: e })
  }
}

// ---------------------------------------------------------------- route hints

function readRouteHint(bytes: Uint8Array): RouteHint {
  if (bytes.length === 0 || bytes.length % HOP_BYTES !== 0) {
    throw new InvoiceError(
      'field',
      `a route hint (r) of ${bytes.length} bytes is not made of hops of ${HOP_BYTES} bytes`,
    )
  }
  const view = new DataView(bytes.buffer)
  const hops: RouteHintHop[] = []
  for (let at = 0; at < bytes.length; at += HOP_BYTES) {
    const key = bytes.subarray(at, at + 33)
    if (!crypto.isValidPublicKey(key))
      throw new InvoiceError('field', 'a route hint (r) names a node id that is no public key')
    hops.push({
      nodeId: toHex(key) as NodeId,
      shortChannelId: view.getBigUint64(at + 33) as ShortChannelId,
      feeBaseMsat: view.getUint32(at + 41),
      feeProportionalMillionths: view.getUint32(at + 45),
      cltvExpiryDelta: view.getUint16(at + 49),
    })
  }
  return hops
}

export const routeHintWords = (hint: RouteHint): number[] =>
  toWords(
    concatBytes(
      ...hint.flatMap((h) => [
        fromHex(h.nodeId),
        u64be(h.shortChannelId),
        u32be(h.feeBaseMsat),
        u32be(h.feeProportionalMillionths),
        u16be(h.cltvExpiryDelta),
      ]),
    ),
  )

// ---------------------------------------------------------------- fallback addresses

const PUBKEY_HASH = 17
const SCRIPT_HASH = 18

/** The output script, or null for a version or a length that we do not know. */
function fallbackScript(data: readonly number[]): Uint8Array | null {
  const version = data[0]
  if (version === undefined || version > SCRIPT_HASH) return null
  const program = fromWords(data.slice(1), 'a fallback address (f)')
  if (version >= PUBKEY_HASH) {
    if (program.length !== 20) return null
    return version === PUBKEY_HASH ? p2pkh(program) : p2sh(program)
  }
  const script = compileScript([BigInt(version), program])
  const witness = witnessProgram(script)
  return witness === null || (version === 0 && program.length !== 20 && program.length !== 32) ? null : script
}

/** @throws InvoiceError ('unencodable') for a script that has no fallback form */
export function fallbackWords(script: Uint8Array): number[] {
  const witness = witnessProgram(script)
  if (witness) return [witness.version, ...toWords(witness.program)]
  if (isP2pkh(script)) return [PUBKEY_HASH, ...toWords(script.subarray(3, 23))]
  if (isP2sh(script)) return [SCRIPT_HASH, ...toWords(script.subarray(2, 22))]
  throw new InvoiceError('unencodable', `no fallback address stands for the script ${toHex(script)}`)
}
