import { describe, expect, it } from 'vitest'
import { fromHex, utf8 } from '../../src/base/bytes.ts'
import { crc32c, updateChecksum } from '../../src/gossip/checksum.ts'
import type { ChannelUpdate } from '../../src/wire/messages/gossip.ts'
import { decodeMessage } from '../../src/wire/registry.ts'

const CHAIN = '06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f'
/** channel_update messages with the checksums that Eclair and Core Lightning agree on. */
const UPDATES = [
  {
    signature:
      '76df7e70c63cc2b63ef1c062b99c6d934a80ef2fd4dae9e1d86d277f47674af3255a97fa52ade7f129263f591ed784996eba6383135896cc117a438c80293282',
    rest: '00006700000100005d50f933010000900000000000000000000003e80000000a000000000ee6b280',
    checksum: 0xeb8277a6,
  },
  {
    signature:
      '06737e9e18d3e4d0ab4066ccaecdcc10e648c5f1c5413f1610747e0d463fa7fa39c1b02ea2fd694275ecfefe4fe9631f24afd182ab75b805e16cd550941f858c',
    rest: '00006d00000100005d50f935010000300000000000000000000000640000000b00000000000186a0',
    checksum: 0xf32ce968,
  },
] as const

describe('BOLT 7 §the-query_channel_range-and-reply_channel_range-messages: checksums', () => {
  it('CRC32C is that of RFC 3720', () => {
    expect(crc32c(utf8('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  })

  it.each(UPDATES)(
    'of a channel_update leaves out signature and timestamp: $checksum',
    ({ signature, rest, checksum }) => {
      const update = decodeMessage(fromHex(`0102${signature}${CHAIN}${rest}`)) as ChannelUpdate
      expect(updateChecksum(update)).toBe(checksum)
      expect(updateChecksum({ ...update, timestamp: 1, signature: new Uint8Array(64) })).toBe(checksum)
      expect(updateChecksum({ ...update, feeBaseMsat: 1 })).not.toBe(checksum)
    },
  )
})
