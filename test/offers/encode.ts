import { createHash } from 'node:crypto'
import { bech32 } from '@scure/base'
import fc from 'fast-check'
import { concatBytes, fromHex, toHex } from '../../src/base/bytes.ts'
import type { NodeId, PaymentHash, ShortChannelId } from '../../src/base/ids.ts'
import { MAX_MSAT, type Msat } from '../../src/base/units.ts'
import { chainHash, NETWORKS } from '../../src/bitcoin/networks.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { type InvoiceFields, type InvoiceRequestFields, type OfferFields, STREAMS } from '../../src/offers/records.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import { encodeTlvRecords, encodeTlvs, parseTlvRecords, type TlvRecord, type TlvStream } from '../../src/wire/tlv.ts'

/* Writes BOLT 12 texts, right and wrong ones. The merkle tree is built from the top, by another hash than the node's. */

const PREFIX = { offer: 'lno', invoiceRequest: 'lnr', invoice: 'lni' } as const
type Kind = keyof typeof PREFIX
export type Fields = OfferFields & InvoiceRequestFields & InvoiceFields

export const SECRET = new Uint8Array(32).fill(0x41)
export const ISSUER = toHex(crypto.publicKey(SECRET)) as NodeId
export const PAYER = crypto.publicKey(new Uint8Array(32).fill(0x42))
export const OTHER = crypto.publicKey(new Uint8Array(32).fill(0x43))

export const textOf = (kind: Kind, bytes: Uint8Array): string =>
  bech32.encode(PREFIX[kind], bech32.toWords(bytes), false).slice(0, -6)

/** The records of the fields and others beside them, in order. */
export function recordsOf(kind: Kind, fields: Fields, others: readonly TlvRecord[] = []): readonly TlvRecord[] {
  const known = parseTlvRecords(encodeTlvs(STREAMS[kind] as TlvStream<Fields>, fields))
  return [...known, ...others].sort((a, b) => (a.type < b.type ? -1 : 1))
}
export const bytesOf = (kind: Kind, fields: Fields, others: readonly TlvRecord[] = []): Uint8Array =>
  encodeTlvRecords(recordsOf(kind, fields, others))
export const write = (kind: Kind, fields: Fields, others: readonly TlvRecord[] = []): string =>
  textOf(kind, bytesOf(kind, fields, others))

/** The same with a signature. */
export const writeSigned = (kind: Kind, fields: Fields, secret: Uint8Array, others?: readonly TlvRecord[]): string =>
  textOf(kind, signedStream(kind, bytesOf(kind, fields, others), secret))

/** A stream with its signature, whatever is in it. @throws WireError when it is none */
export function signedStream(kind: Kind, stream: Uint8Array, secret: Uint8Array): Uint8Array {
  const records = parseTlvRecords(stream)
  const tag = kind === 'invoice' ? 'lightninginvoicesignature' : 'lightninginvoice_requestsignature'
  const signature = crypto.schnorrSign(tagged(Buffer.from(tag), root(records)), secret, new Uint8Array(32))
  return encodeTlvRecords([...records, { type: 240n, value: signature }].sort((a, b) => (a.type < b.type ? -1 : 1)))
}

export const without = (fields: Fields, ...names: (keyof Fields)[]): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name as keyof Fields)))

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(
    createHash('sha256')
      .update(concatBytes(...parts))
      .digest(),
  )
const tagged = (tag: Uint8Array, message: Uint8Array): Uint8Array => sha256(sha256(tag), sha256(tag), message)

function root(records: readonly TlvRecord[]): Uint8Array {
  const first = encodeTlvRecords(records.slice(0, 1))
  const typeOf = (record: TlvRecord): Uint8Array => {
    const { length } = record.value
    return encodeTlvRecords([record]).slice(0, -length - (length < 253 ? 1 : 3))
  }
  const node = (a: Uint8Array, b: Uint8Array): Uint8Array =>
    tagged(Buffer.from('LnBranch'), toHex(a) < toHex(b) ? concatBytes(a, b) : concatBytes(b, a))
  const tree = (part: readonly TlvRecord[]): Uint8Array => {
    if (part.length === 1) {
      const nonce = tagged(concatBytes(Buffer.from('LnNonce'), first), typeOf(part[0]!))
      return node(tagged(Buffer.from('LnLeaf'), encodeTlvRecords(part)), nonce)
    }
    let left = 1
    while (left * 2 < part.length) left *= 2
    return node(tree(part.slice(0, left)), tree(part.slice(left)))
  }
  return tree(records)
}

// ---------------------------------------------------------------- any valid fields

const bytes = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength })
const key = fc.constantFrom(PAYER, OTHER, fromHex(ISSUER))
const words = fc.string({ unit: 'grapheme', maxLength: 30 })
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const amount = fc.bigInt({ min: 1n, max: MAX_MSAT }) as fc.Arbitrary<Msat>
/** Odd ones: even ones ask for what nobody knows. */
const features = fc.subarray([1, 17, 99, 161]).map(featuresFromBits)
const optional = <T extends Record<string, fc.Arbitrary<unknown>>>(model: T) => fc.record(model, { requiredKeys: [] })
const path = fc.record({
  firstNode: fc.oneof(
    key.map((k) => toHex(k) as NodeId),
    fc.record({
      shortChannelId: u64 as fc.Arbitrary<ShortChannelId>,
      direction: fc.constantFrom(0 as const, 1 as const),
    }),
  ),
  firstPathKey: key,
  hops: fc.array(fc.record({ blindedNodeId: key, encryptedData: bytes(0, 60) }), { minLength: 1, maxLength: 3 }),
})
const paths = fc.array(path, { minLength: 1, maxLength: 3 })

/** Odd types of the ranges that are open to everyone, some beside known ones. */
export const others = (most: bigint): fc.Arbitrary<readonly TlvRecord[]> =>
  fc.uniqueArray(
    fc.record({
      type: fc.oneof(fc.bigInt(12n, 39n), fc.bigInt(500_000_000n, most)).map((n) => 2n * n + 1n),
      value: bytes(0, 20),
    }),
    { maxLength: 3, selector: ({ type }) => type },
  )

const price = fc.oneof(
  fc.record({ offerAmount: fc.bigInt({ min: 1n, max: MAX_MSAT / 7n }), offerDescription: words }),
  fc.record({
    offerAmount: u64.map((n) => n || 1n),
    offerCurrency: fc.constantFrom('USD', 'JPY'),
    offerDescription: words,
  }),
  optional({ offerDescription: words }),
)
const issuer = fc.oneof(
  fc.record({ offerIssuerId: fc.constant(ISSUER) }),
  fc.record({ offerPaths: paths }),
  fc.record({ offerIssuerId: fc.constant(ISSUER), offerPaths: paths }),
)
const merge = <T extends object[]>(parts: T): Fields => Object.assign({}, ...parts)
export const offer: fc.Arbitrary<Fields> = fc
  .tuple(
    price,
    issuer,
    optional({
      offerChains: fc.subarray(NETWORKS.map(chainHash), { minLength: 1 }),
      offerMetadata: bytes(0, 40),
      offerFeatures: features,
      offerAbsoluteExpiry: u64,
      offerIssuer: words,
      offerQuantityMax: fc.bigInt({ min: 0n, max: 5n }),
    }),
  )
  .map(merge)

const payer = fc
  .tuple(
    fc.record({ invreqMetadata: bytes(1, 40), invreqPayerId: fc.constant(PAYER) }),
    optional({
      invreqFeatures: features,
      invreqPayerNote: words,
      invreqPaths: paths,
      invreqBip353Name: fc.constant({ name: Buffer.from('a_b-C.9'), domain: Buffer.from('example.com') }).map((n) => ({
        name: Uint8Array.from(n.name),
        domain: Uint8Array.from(n.domain),
      })),
    }),
  )
  .map(merge)
/** The answer to an offer: enough is paid, for as many items as there are. */
export const response: fc.Arbitrary<Fields> = fc.tuple(offer, payer).map(([o, p]) => {
  const quantity = o.offerQuantityMax === undefined ? undefined : o.offerQuantityMax || 7n
  const asked = o.offerCurrency === undefined ? (o.offerAmount ?? 1n) * (quantity ?? 1n) : 1n
  return {
    ...o,
    ...p,
    ...(o.offerChains && { invreqChain: o.offerChains.at(-1)! }),
    invreqAmount: asked as Msat,
    ...(quantity !== undefined && { invreqQuantity: quantity }),
  }
})
export const unasked: fc.Arbitrary<Fields> = fc
  .tuple(
    payer,
    fc.record({ invreqAmount: amount, offerDescription: words }),
    optional({ offerIssuer: words, offerAbsoluteExpiry: u64 }),
  )
  .map(merge)

const terms = fc.record({
  feeBaseMsat: fc.nat(),
  feeProportionalMillionths: fc.nat(),
  cltvExpiryDelta: fc.nat(0xffff),
  htlcMinimumMsat: amount,
  htlcMaximumMsat: amount,
  features,
})
/** Of a response whose offer names its issuer, so that we have the key that signs. */
export const invoice: fc.Arbitrary<Fields> = fc
  .tuple(
    response,
    fc.array(fc.tuple(path, terms), { minLength: 1, maxLength: 3 }),
    fc.record({ invoiceCreatedAt: u64, invoicePaymentHash: bytes(32).map((b) => toHex(b) as PaymentHash) }),
    optional({
      invoiceRelativeExpiry: fc.nat(),
      invoiceFeatures: fc.subarray([16, 17, 99]).map(featuresFromBits),
      invoiceFallbacks: fc.array(fc.record({ version: fc.nat(20), program: bytes(0, 45) }), { maxLength: 3 }),
    }),
  )
  .map(([request, pairs, needed, more]) => ({
    ...request,
    ...needed,
    ...more,
    offerIssuerId: ISSUER,
    invoiceNodeId: ISSUER,
    invoiceAmount: request.invreqAmount ?? (1n as Msat),
    invoicePaths: pairs.map(([p]) => p),
    invoiceBlindedpay: pairs.map(([, t]) => t),
  }))
