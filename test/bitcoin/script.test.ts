import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { BitcoinFormatError } from '../../src/bitcoin/errors.ts'
import { OP, opName } from '../../src/bitcoin/opcodes.ts'
import {
  compileScript,
  isPushOnly,
  lastPush,
  multisig,
  outputType,
  p2pkh,
  p2sh,
  p2tr,
  p2wpkh,
  p2wsh,
  parseScript,
  pushData,
  scriptAsm,
  witnessProgram,
} from '../../src/bitcoin/script.ts'
import { decodeScriptNumber, encodeScriptNumber, isMinimalNumber } from '../../src/bitcoin/scriptNumber.ts'

const KEY = fromHex(`02${'11'.repeat(32)}`)

describe('BIP 62 rule 3: pushes in their shortest form', () => {
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), '00'],
    ['1', Uint8Array.of(1), '51'],
    ['16', Uint8Array.of(16), '60'],
    ['17', Uint8Array.of(17), '0111'],
    ['0', Uint8Array.of(0), '0100'],
    ['−1', Uint8Array.of(0x81), '4f'],
    ['75 bytes', new Uint8Array(75), `4b${'00'.repeat(75)}`],
    ['76 bytes', new Uint8Array(76), `4c4c${'00'.repeat(76)}`],
    ['255 bytes', new Uint8Array(255), `4cff${'00'.repeat(255)}`],
    ['256 bytes', new Uint8Array(256), `4d0001${'00'.repeat(256)}`],
    ['65,536 bytes', new Uint8Array(65_536), `4e00000100${'00'.repeat(65_536)}`],
  ])('%s', (_name, data, script) => {
    expect(toHex(pushData(data))).toBe(script)
    expect(lastPush(fromHex(script))).toEqual(data)
  })

  it('what is compiled parses to what went in', () => {
    const part = fc.oneof(fc.uint8Array({ minLength: 2, maxLength: 300 }), fc.integer({ min: 0x61, max: 0xff }))
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const ops = parseScript(compileScript(parts))
        expect(ops.map((op) => op.data ?? op.code)).toEqual(parts)
      }),
    )
  })

  it('any bytes parse or are refused with BitcoinFormatError', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (script) => {
        try {
          parseScript(script)
        } catch (e) {
          expect(e).toBeInstanceOf(BitcoinFormatError)
        }
        expect(typeof scriptAsm(script)).toBe('string')
        expect(typeof outputType(script)).toBe('string')
        expect(typeof isPushOnly(script)).toBe('boolean')
      }),
    )
  })

  it('an opcode outside a byte is refused', () => {
    expect(() => compileScript([256])).toThrow(RangeError)
  })
})

describe('script numbers', () => {
  it.each<[number, string]>([
    [0, ''],
    [1, '01'],
    [-1, '81'],
    [127, '7f'],
    [128, '8000'],
    [-128, '8080'],
    [144, '9000'],
    [500_000, '20a107'],
    [2_147_483_648, '0000008000'],
    [-2_147_483_647, 'ffffffff'],
  ])('%d is %s', (n, hex) => {
    expect(toHex(encodeScriptNumber(n))).toBe(hex)
    expect(decodeScriptNumber(fromHex(hex))).toBe(n)
  })

  it('every encoding is minimal and comes back; with a byte more it is the same number and not minimal', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1 - 2 ** 39, max: 2 ** 39 - 1 }), (n) => {
        const bytes = encodeScriptNumber(n)
        expect(isMinimalNumber(bytes)).toBe(true)
        expect(decodeScriptNumber(bytes)).toBe(n)
        const padded = Uint8Array.of(...bytes, 0)
        if (n < 0) {
          padded[bytes.length - 1]! &= 0x7f
          padded[bytes.length] = 0x80
        }
        expect(decodeScriptNumber(padded)).toBe(n)
        expect(isMinimalNumber(padded)).toBe(false)
      }),
    )
  })
})

describe('standard outputs', () => {
  it.each<[string, Uint8Array]>([
    ['witness_v0_keyhash', p2wpkh(new Uint8Array(20))],
    ['witness_v0_scripthash', p2wsh(Uint8Array.of(OP[1]))],
    ['witness_v1_taproot', p2tr(new Uint8Array(32))],
    ['anchor', fromHex('51024e73')],
    ['witness_unknown', fromHex('5202abcd')],
    ['nonstandard', fromHex('0002abcd')],
    ['pubkeyhash', p2pkh(new Uint8Array(20))],
    ['scripthash', p2sh(new Uint8Array(20))],
    ['pubkey', compileScript([KEY, OP.CHECKSIG])],
    ['multisig', multisig(2, [KEY, KEY])],
    ['nulldata', fromHex('6a03010203')],
    ['nonstandard', fromHex('6a61')],
    ['nonstandard', new Uint8Array(0)],
    ['nonstandard', compileScript([2n, KEY, 2n, OP.CHECKMULTISIG])],
    ['nonstandard', compileScript([KEY, KEY, OP.CHECKMULTISIG])],
  ])('%s (%#)', (type, script) => {
    expect(outputType(script)).toBe(type)
  })

  it('BIP 141: a witness program has a version and 2 – 40 bytes in one direct push', () => {
    expect(witnessProgram(fromHex(`60${'28'}${'00'.repeat(40)}`))).toEqual({ version: 16, program: new Uint8Array(40) })
    for (const hex of ['5101aa', `5129${'00'.repeat(41)}`, '514c02abcd', '5102abcd00', '4f02abcd']) {
      expect(witnessProgram(fromHex(hex))).toBe(null)
    }
  })

  it('hashes, keys and counts of the wrong size are refused', () => {
    expect(() => p2wpkh(new Uint8Array(32))).toThrow(RangeError)
    expect(() => p2tr(new Uint8Array(33))).toThrow(RangeError)
    expect(() => multisig(3, [KEY, KEY])).toThrow(RangeError)
  })

  it('asm as Bitcoin Core writes it', () => {
    const script = compileScript([OP.IF, -1n, 16n, 144n, OP.CHECKSEQUENCEVERIFY, KEY, OP.ENDIF])
    expect(scriptAsm(script)).toBe(`OP_IF -1 16 144 OP_CHECKSEQUENCEVERIFY ${toHex(KEY)} OP_ENDIF`)
    expect(scriptAsm(Uint8Array.of(5, 1))).toBe('[error]')
    expect([opName(0x4b), opName(0xff)]).toEqual(['OP_PUSHBYTES_75', 'OP_UNKNOWN_0xff'])
  })
})
