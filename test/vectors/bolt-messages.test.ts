import { describe, expect, it } from 'vitest'
import type { Codec, Shape } from '../../src/wire/codec.ts'
import { definitions } from '../../src/wire/registry.ts'
import spec from './fixtures/bolt-messages.json' with { type: 'json' }

/**
 * The BOLTs' own tables of messages against our declarations. Both are brought to one form: a number is a field of so many bytes,
 * 'u16+bytes' is length-prefixed, 'u16×…' a counted list, 'rest' reaches to the end.
 */
type Layout = readonly (number | string)[]
type SpecField = readonly string[]

const WIDTH: Readonly<Record<string, number>> = {
  byte: 1,
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  s64: 8,
  short_channel_id: 8,
  'sha256[..4]': 4,
  sha256: 32,
  chain_hash: 32,
  channel_id: 32,
  point: 33,
  signature: 64,
}
const subtypes: Readonly<Record<string, readonly SpecField[]>> = spec.subtypes

function specLayout(fields: readonly SpecField[]): Layout {
  const out: (number | string)[] = []
  fields.forEach(([name, type, count], i) => {
    const width = WIDTH[type!]
    const isCountOfNext = type === 'u16' && fields[i + 1]?.[2] === name
    if (isCountOfNext) return
    if (count === undefined) out.push(width ?? type!)
    else if (count === '...') out.push('rest')
    else if (/^\d+$/.test(count)) out.push(width! * Number(count))
    else if (type === 'byte') out.push('u16+bytes')
    else out.push(`u16×${width ?? specLayout(subtypes[type!]!).join()}`)
  })
  return out
}

const SCALAR_WIDTH: Readonly<Record<string, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  s64: 8,
  sat: 8,
  msat: 8,
  scid: 8,
  point: 33,
  nodeId: 33,
  channelId: 32,
  txid: 32,
  paymentHash: 32,
}
function ourLayout(shape: Shape): Layout {
  switch (shape.kind) {
    case 'bytes':
      return [shape.length]
    case 'bytesU16':
    case 'prefixedU16':
      return ['u16+bytes']
    case 'listU16':
      return [`u16×${ourLayout(shape.item).join()}`]
    case 'rest':
    case 'listRest':
    case 'address':
      return ['rest']
    case 'uncompressed':
      return [1, ...ourLayout(shape.inner)]
    case 'struct':
      return Object.values(shape.fields).flatMap(ourLayout)
    case 'flag':
      return []
    default:
      return [SCALAR_WIDTH[shape.kind] ?? shape.kind]
  }
}

/** Names are the BOLTs' own but for case and these. */
const RENAMED: Readonly<Record<string, string>> = {
  htlc_signature: 'htlcSignatures', // plural: a list
  encoded_short_ids: 'shortChannelIds', // decoded
  onionmessage_packet: 'onionMessagePacket',
  blinded_path: 'pathKey', // a TLV and its only field have one name with us
  query_option: 'queryOptionFlags',
  timestamps_tlv: 'timestamps',
  checksums_tlv: 'checksums',
  remote_addr: 'remoteAddress',
}
const plain = (name: string): string => (RENAMED[name] ?? name).replaceAll('_', '').toLowerCase()

describe('BOLTs 1, 2, 4, 7: messages', () => {
  const ours = new Map(definitions.map((d) => [d.name as string, d]))

  it('all are declared, and no others', () => {
    expect([...ours.keys()].sort()).toEqual(spec.messages.map((m) => m.name).sort())
  })

  it.each(spec.messages)('$name has its number, fields and TLVs', (m) => {
    const definition = ours.get(m.name)!
    const fields = Object.entries(definition.fields as Record<string, Codec<unknown>>).filter(
      ([f]) => f !== 'extension',
    )
    const counts = new Set(m.fields.map((f) => f[2]))
    expect(definition.typeNumber).toBe(m.type)
    expect(fields.flatMap(([, c]) => ourLayout(c.shape))).toEqual(specLayout(m.fields))
    expect(fields.map(([f]) => f.toLowerCase())).toEqual(
      m.fields.filter((f) => !counts.has(f[0]!)).map((f) => plain(f[0]!)),
    )

    const tlvs = Object.entries(definition.tlvs as Record<string, readonly [bigint, Codec<unknown>]>)
    expect(tlvs.map(([t, [type, c]]) => [t.toLowerCase(), type, ourLayout(c.shape)])).toEqual(
      m.tlvs.map((t) => [plain(t.name), BigInt(t.type), specLayout(t.fields)]),
    )
  })
})
