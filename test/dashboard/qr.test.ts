import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Level, type Modules, qrCode } from '../../src/dashboard/qr.ts'
import { readQr } from './readQr.ts'

const QUIET = 4
const SCALE = 3

/** As a camera would see it: pixels with a quiet zone. */
function pixels(modules: Modules): { data: Uint8ClampedArray; width: number } {
  const width = (modules.length + 2 * QUIET) * SCALE
  const data = new Uint8ClampedArray(width * width * 4).fill(255)
  for (let y = 0; y < width; y++) {
    for (let x = 0; x < width; x++) {
      const dark = modules[Math.floor(y / SCALE) - QUIET]?.[Math.floor(x / SCALE) - QUIET]
      if (dark) data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3)
    }
  }
  return { data, width }
}

const read = (modules: Modules): string | null => {
  const { data, width } = pixels(modules)
  return readQr(data, width, width)
}

describe('QR codes', () => {
  it('texts of any kind come back from an independent reader', () => {
    const alphanumeric = fc.string({
      unit: fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:%$'),
      maxLength: 600,
    })
    const text = fc.oneof(alphanumeric, fc.string({ unit: 'grapheme', maxLength: 120 })).filter((t) => t.length > 0)
    fc.assert(
      fc.property(text, fc.constantFrom<Level>('L', 'M'), (t, level) => {
        expect(read(qrCode(t, level))).toBe(t)
      }),
      { numRuns: 40 },
    )
  })

  it('the sizes of all versions are those of the standard', () => {
    // ISO/IEC 18004, table 7: alphanumeric characters that fit.
    const fits: readonly (readonly [number, Level, number])[] = [
      ...([
        [1, 'L', 25],
        [1, 'M', 20],
        [6, 'M', 154],
        [7, 'L', 224],
        [10, 'L', 395],
        [14, 'M', 528],
      ] as const),
      ...([
        [21, 'L', 1352],
        [27, 'M', 1637],
        [32, 'L', 2840],
        [40, 'L', 4296],
        [40, 'M', 3391],
      ] as const),
    ]
    for (const [version, level, characters] of fits) {
      expect(qrCode('A'.repeat(characters), level)).toHaveLength(4 * version + 17)
      if (version === 40) expect(() => qrCode('A'.repeat(characters + 1), level)).toThrow(RangeError)
      else expect(qrCode('A'.repeat(characters + 1), level)).toHaveLength(4 * version + 21)
    }
  })

  it('a long invoice is read, on a large code', () => {
    const invoice = `LNBCRT${'1QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L'.repeat(36)}`
    expect(read(qrCode(invoice))).toBe(invoice)
  })
})
