import fc from 'fast-check'
import { toHex } from '../src/base/bytes.ts'
import { MAX_MSAT, MAX_SAT } from '../src/base/units.ts'
import { networkAddress } from '../src/wire/address.ts'
import type { Codec, ScalarKind, Shape } from '../src/wire/codec.ts'
import { definitions, type Message, type MessageName, type MessageNamed } from '../src/wire/registry.ts'

/** Values for tests, made from the same declarations that the codecs come from. */

export const bytesOf = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const hexOf = (length: number): fc.Arbitrary<string> => bytesOf(length).map(toHex)
/** Has the form of a compressed point; seldom on the curve. */
const pointLike: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.constantFrom(2, 3), bytesOf(32))
  .map(([prefix, x]) => Uint8Array.of(prefix, ...x))

/** Small values and the edges as often as those in between. */
const integer = (min: number, max: number): fc.Arbitrary<number> =>
  fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max), fc.integer({ min, max: Math.min(max, min + 300) }))
const bigint = (min: bigint, max: bigint): fc.Arbitrary<bigint> =>
  fc.oneof(fc.bigInt({ min, max }), fc.constantFrom(min, max, 0n), fc.bigInt({ min: 0n, max: 70_000n }))
const U64 = 2n ** 64n - 1n

const wireAddress = fc.oneof(
  fc.tuple(fc.ipV4(), integer(0, 65535)).map(([host, port]) => networkAddress(host, port)),
  fc.tuple(bytesOf(16), integer(0, 65535)).map(([b, port]) => networkAddress(toHex(b).match(/.{4}/g)!.join(':'), port)),
  fc.tuple(fc.domain(), integer(0, 65535)).map(([host, port]) => networkAddress(host, port)),
)

const scalars: Readonly<Record<ScalarKind, fc.Arbitrary<unknown>>> = {
  u8: integer(0, 0xff),
  u16: integer(0, 0xffff),
  u32: integer(0, 0xffffffff),
  u64: bigint(0n, U64),
  s8: integer(-0x80, 0x7f),
  s16: integer(-0x8000, 0x7fff),
  s32: integer(-0x80000000, 0x7fffffff),
  s64: bigint(-(2n ** 63n), 2n ** 63n - 1n),
  tu16: integer(0, 0xffff),
  tu32: integer(0, 0xffffffff),
  tu64: bigint(0n, U64),
  bigsize: bigint(0n, U64),
  sat: bigint(0n, MAX_SAT),
  msat: bigint(0n, MAX_MSAT),
  point: pointLike,
  nodeId: pointLike.map(toHex),
  channelId: hexOf(32),
  txid: hexOf(32),
  paymentHash: hexOf(32),
  scid: bigint(0n, U64),
  flag: fc.constant(true),
  address: wireAddress,
}

/** Values that a codec of this shape can carry. */
function valueOfShape(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'bytes':
      return bytesOf(shape.length)
    case 'bytesU16':
    case 'rest':
      return fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 400 }))
    case 'listU16':
    case 'listRest':
      return fc.array(valueOfShape(shape.item), { maxLength: 5 })
    case 'prefixedU16':
    case 'uncompressed':
      return valueOfShape(shape.inner)
    case 'struct':
      return fc.record(Object.fromEntries(Object.entries(shape.fields).map(([name, s]) => [name, valueOfShape(s)])))
    default:
      return scalars[shape.kind]
  }
}

/** Any message of that name; each TLV is there or not. */
export function messageNamed<N extends MessageName>(name: N): fc.Arbitrary<MessageNamed<N>> {
  const definition = definitions.find((d) => d.name === name)!
  const fields = Object.entries(definition.fields as Record<string, Codec<unknown>>)
  const tlvs = Object.entries(definition.tlvs as Record<string, readonly [bigint, Codec<unknown>]>)
  return fc.record(
    {
      type: fc.constant(name),
      ...Object.fromEntries(fields.map(([field, codec]) => [field, valueOfShape(codec.shape)])),
      ...Object.fromEntries(tlvs.map(([tlv, [, codec]]) => [tlv, valueOfShape(codec.shape)])),
    },
    { requiredKeys: ['type', ...fields.map(([field]) => field)] as never[], noNullPrototype: true },
  ) as unknown as fc.Arbitrary<MessageNamed<N>>
}

export const anyMessage: fc.Arbitrary<Message> = fc.oneof(...definitions.map((d) => messageNamed(d.name)))
