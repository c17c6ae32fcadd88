import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { parseScid } from '../../src/base/ids.ts'
import { decodeMessage, encodeMessage, type Message } from '../../src/wire/registry.ts'
import vectors from './fixtures/bolt07-queries.json' with { type: 'json' }

type Vector = (typeof vectors.messages)[number]

/** The message that a vector describes. */
function described(v: Vector): Message {
  const chainHash = fromHex(v.chainHash)
  const shortChannelIds = (v.shortChannelIds ?? []).map(parseScid)
  const blocks = { firstBlocknum: v.firstBlockNum!, numberOfBlocks: v.numberOfBlocks! }
  switch (v.type) {
    case 'query_channel_range':
      return { type: v.type, chainHash, ...blocks, ...(v.tlv && { queryOptionFlags: BigInt(v.tlv as number) }) }
    case 'query_short_channel_ids':
      return { type: v.type, chainHash, shortChannelIds }
    case 'reply_channel_range':
      return {
        type: v.type,
        chainHash,
        ...blocks,
        syncComplete: v.complete!,
        shortChannelIds,
        ...(v.timestamps && { timestamps: v.timestamps.map(([a, b]) => ({ timestamp1: a!, timestamp2: b! })) }),
        ...(v.checksums && { checksums: v.checksums.map(([a, b]) => ({ checksum1: a!, checksum2: b! })) }),
      }
    default:
      throw new Error(`a vector of an unexpected type: ${v.type}`)
  }
}

describe('BOLT 7 §query-messages', () => {
  const plain = vectors.messages.filter((v) => !v.zlib)
  const zlib = vectors.messages.filter((v) => v.zlib)

  it('the vectors are of both kinds', () => {
    expect([plain.length, zlib.length]).toEqual([5, 5])
  })

  it.each(plain)('decodes and encodes $type $bytes', (v) => {
    expect(decodeMessage(fromHex(v.bytes))).toEqual(described(v))
    expect(toHex(encodeMessage(described(v)))).toBe(v.bytes)
  })

  it.each(zlib)('refuses the zlib encoding, which must not be used any more: $type $bytes', (v) => {
    expect(() => decodeMessage(fromHex(v.bytes))).toThrow(/encoding 1 is not known/)
  })
})
