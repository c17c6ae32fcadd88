import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex, toHex, u16be, u64be } from '../../src/base/bytes.ts'
import { channelId, paymentHash, txid } from '../../src/base/ids.ts'
import { MAX_MSAT, MAX_SAT, msat } from '../../src/base/units.ts'
import { WireError } from '../../src/wire/errors.ts'
import {
  decodeMessage,
  definitions,
  encodeMessage,
  isChannelMessage,
  isGossipMessage,
  isSessionMessage,
  type Message,
  type MessageNamed,
  typeNumberOf,
} from '../../src/wire/registry.ts'
import { encodeTlvRecords, parseTlvRecords } from '../../src/wire/tlv.ts'
import { anyMessage, messageNamed } from '../arbitraries.ts'

const add: MessageNamed<'update_add_htlc'> = {
  type: 'update_add_htlc',
  channelId: channelId('11'.repeat(32)),
  id: 7n,
  amountMsat: msat(5_000_000n),
  paymentHash: paymentHash('22'.repeat(32)),
  cltvExpiry: 500_000,
  onionRoutingPacket: new Uint8Array(1366).fill(0x33),
}
const addHex = `0080${'11'.repeat(32)}0000000000000007${'00000000004c4b40'}${'22'.repeat(32)}0007a120${'33'.repeat(1366)}`

const reasonOf = (f: () => unknown): string | undefined => {
  try {
    f()
    return undefined
  } catch (e) {
    expect(e).toBeInstanceOf(WireError)
    return (e as WireError).reason
  }
}
const messageOf = (f: () => unknown): string => {
  try {
    f()
    return ''
  } catch (e) {
    return (e as Error).message
  }
}

describe('wire messages, byte by byte', () => {
  it('update_add_htlc', () => {
    expect(toHex(encodeMessage(add))).toBe(addHex)
    expect(decodeMessage(fromHex(addHex))).toEqual(add)
    const blinded = { ...add, pathKey: fromHex(`02${'44'.repeat(32)}`) }
    expect(toHex(encodeMessage(blinded))).toBe(`${addHex}002102${'44'.repeat(32)}`)
  })

  it('commitment_signed: a transaction id is reversed on the wire', () => {
    const m: Message = {
      type: 'commitment_signed',
      channelId: add.channelId,
      signature: new Uint8Array(64).fill(1),
      htlcSignatures: [new Uint8Array(64).fill(2), new Uint8Array(64).fill(3)],
      fundingTxid: txid(`aa${'00'.repeat(30)}bb`),
    }
    const hex = `0084${'11'.repeat(32)}${'01'.repeat(64)}0002${'02'.repeat(64)}${'03'.repeat(64)}0120bb${'00'.repeat(30)}aa`
    expect(toHex(encodeMessage(m))).toBe(hex)
    expect(decodeMessage(fromHex(hex))).toEqual(m)
  })

  it('a TLV longer than 252 bytes has its length in three bytes', () => {
    const attributionData = { htlcHoldTimes: new Uint8Array(80).fill(1), truncatedHmacs: new Uint8Array(840).fill(2) }
    const m: Message = {
      type: 'update_fail_htlc',
      channelId: add.channelId,
      id: 1n,
      reason: fromHex('aabb'),
      attributionData,
    }
    const hex = `0083${'11'.repeat(32)}00000000000000010002aabb01fd0398${'01'.repeat(80)}${'02'.repeat(840)}`
    expect(toHex(encodeMessage(m))).toBe(hex)
    expect(decodeMessage(fromHex(hex))).toEqual(m)
  })
})

describe('BOLT 1 §type-length-value-format: lengths', () => {
  it.each([0, 252, 253, 254, 255, 256, 60_000])('a value of %i bytes has the shortest length in front', (n) => {
    const value = new Uint8Array(n).fill(9)
    const open = {
      ...fc.sample(messageNamed('open_channel'), 1)[0]!,
      upfrontShutdownScript: value,
      channelType: fromHex('1000'),
    }
    const tlvs = encodeTlvRecords([
      { type: 0n, value },
      { type: 1n, value: fromHex('1000') },
    ])
    expect(toHex(encodeMessage(open)).endsWith(toHex(tlvs))).toBe(true)
    expect(decodeMessage(encodeMessage(open))).toEqual(open)
  })
})

describe('BOLT 1 §fundamental-types: amounts', () => {
  const at = (offset: number, value: bigint): Uint8Array => {
    const bytes = fromHex(addHex)
    bytes.set(u64be(value), offset)
    return bytes
  }

  it('more than 21 million BTC is refused', () => {
    expect(decodeMessage(at(42, MAX_MSAT))).toMatchObject({ amountMsat: MAX_MSAT })
    expect(reasonOf(() => decodeMessage(at(42, MAX_MSAT + 1n)))).toBe('value')
    fc.assert(
      fc.property(messageNamed('open_channel'), fc.bigInt({ min: MAX_SAT + 1n, max: 2n ** 64n - 1n }), (m, tooMuch) => {
        const bytes = encodeMessage(m)
        bytes.set(u64be(tooMuch), 2 + 32 + 32)
        expect(reasonOf(() => decodeMessage(bytes))).toBe('value')
      }),
    )
  })

  it('a limit of 2^64 − 1 on HTLCs in flight, as some nodes send it, reads as all bitcoin', () => {
    fc.assert(
      fc.property(messageNamed('accept_channel'), (m) => {
        const bytes = encodeMessage(m)
        bytes.set(u64be(2n ** 64n - 1n), 2 + 32 + 8)
        expect(decodeMessage(bytes)).toEqual({ ...m, maxHtlcValueInFlightMsat: MAX_MSAT })
      }),
      { numRuns: 20 },
    )
  })
})

describe('bad messages', () => {
  it('the error names message, field and what is wrong', () => {
    const cut = fromHex(addHex).subarray(0, 80)
    expect(messageOf(() => decodeMessage(cut))).toBe('update_add_htlc.paymentHash: 2 bytes missing at the end')
    expect(messageOf(() => decodeMessage(fromHex(`${addHex}0021${'04'.repeat(33)}`)))).toBe(
      'update_add_htlc.tlvs: TLV pathKey: a compressed point starts with 02 or 03, not 04',
    )
    expect(messageOf(() => decodeMessage(fromHex('03e8')))).toBe('unknown message of even type 1000')
    expect(messageOf(() => decodeMessage(fromHex('03')))).toBe('a message has at least 2 bytes, not 1')
  })

  it('a count of more items than there are bytes is refused before memory is taken for it', () => {
    const head = concatBytes(u16be(132), new Uint8Array(32 + 64))
    expect(messageOf(() => decodeMessage(concatBytes(head, u16be(65535))))).toBe(
      'commitment_signed.htlcSignatures: 65535 items do not fit the 0 bytes left',
    )
  })

  it('a TLV whose value is shorter or longer than its type is refused', () => {
    const withValidRecordInside = `0023${'02'.repeat(33)}2100`
    for (const tail of ['00200200', `0022${'02'.repeat(34)}`, '0000', withValidRecordInside]) {
      expect(reasonOf(() => decodeMessage(fromHex(addHex + tail)))).toBe('tlv')
    }
  })

  it('the decoder goes on working after an error inside a TLV', () => {
    expect(reasonOf(() => decodeMessage(fromHex(`${addHex}0021${'04'.repeat(33)}`)))).toBe('tlv')
    expect(decodeMessage(fromHex(addHex))).toEqual(add)
  })

  it('what a field cannot hold is not encoded, and the encoder goes on working', () => {
    const bad: Partial<Record<keyof typeof add | 'pathKey', unknown>>[] = [
      { id: -1n },
      { id: 2n ** 64n },
      { amountMsat: 2n ** 64n },
      { cltvExpiry: -1 },
      { cltvExpiry: 2 ** 32 },
      { cltvExpiry: 1.5 },
      { onionRoutingPacket: new Uint8Array(1365) },
      { pathKey: new Uint8Array(32) },
      { channelId: '11'.repeat(31) },
    ]
    for (const field of bad) {
      expect(reasonOf(() => encodeMessage({ ...add, ...field } as Message))).toBe('unencodable')
      expect(toHex(encodeMessage(add))).toBe(addHex)
    }
  })

  it('a message of 65,535 bytes is encoded, one more byte is not', () => {
    const pong = (n: number): Message => ({ type: 'pong', ignored: new Uint8Array(n) })
    expect(encodeMessage(pong(65531)).length).toBe(65535)
    expect(reasonOf(() => encodeMessage(pong(65532)))).toBe('unencodable')
    const onion: Message = {
      type: 'onion_message',
      pathKey: new Uint8Array(33).fill(2),
      onionMessagePacket: new Uint8Array(70000),
    }
    expect(reasonOf(() => encodeMessage(onion))).toBe('unencodable')
  })
})

describe('the registry', () => {
  it('no type number is used twice', () => {
    expect(new Set(definitions.map((d) => d.typeNumber)).size).toBe(definitions.length)
    expect(typeNumberOf('update_add_htlc')).toBe(128)
  })

  it('every message has one owner', () => {
    fc.assert(
      fc.property(anyMessage, (m) => {
        expect([isChannelMessage(m), isGossipMessage(m), isSessionMessage(m)].filter(Boolean)).toHaveLength(1)
        if (isChannelMessage(m)) expect('channelId' in m || 'temporaryChannelId' in m).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('TLV records as they are', () => {
  const records = fc
    .uniqueArray(fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.uint8Array({ maxLength: 300 })), {
      selector: ([t]) => t,
      maxLength: 8,
    })
    .map((list) => list.map(([type, value]) => ({ type, value })).sort((a, b) => (a.type < b.type ? -1 : 1)))

  it('parse to what was encoded, and truncated streams fail or are a prefix of the records', () => {
    fc.assert(
      fc.property(records, fc.nat(), (list, cut) => {
        const bytes = encodeTlvRecords(list)
        expect(parseTlvRecords(bytes)).toEqual(list)
        const prefix = bytes.subarray(0, cut % (bytes.length + 1))
        let parsed: ReturnType<typeof parseTlvRecords>
        try {
          parsed = parseTlvRecords(prefix)
        } catch (e) {
          expect(e).toBeInstanceOf(WireError)
          return
        }
        expect(parsed).toEqual(list.slice(0, parsed.length))
      }),
    )
  })

  it('out of order they are not encoded', () => {
    const value = new Uint8Array(1)
    expect(
      reasonOf(() =>
        encodeTlvRecords([
          { type: 2n, value },
          { type: 1n, value },
        ]),
      ),
    ).toBe('unencodable')
    expect(
      reasonOf(() =>
        encodeTlvRecords([
          { type: 2n, value },
          { type: 2n, value },
        ]),
      ),
    ).toBe('unencodable')
  })
})
