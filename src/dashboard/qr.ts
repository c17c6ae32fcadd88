/* QR codes: alphanumeric and byte mode, error correction L or M, versions 1 to 40. @source ISO/IEC 18004 */

export type Level = 'L' | 'M'

/** Dark modules, row by row. */
export type Modules = readonly (readonly boolean[])[]

const ALPHANUMERIC = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:'
const FORMAT_BITS: Readonly<Record<Level, number>> = { L: 1, M: 0 }

// By version: correction bytes of each block, and number of blocks (ISO/IEC 18004, table 9).
const CORRECTION: Readonly<Record<Level, string>> = {
  L: '7 10 15 20 26 18 20 24 30 18 20 24 26 30 22 24 28 30 28 28 28 28 30 30 26 28 30 30 30 30 30 30 30 30 30 30 30 30 30 30',
  M: '10 16 26 18 24 16 18 22 22 26 30 22 22 24 24 28 28 26 26 26 26 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28',
}
const BLOCKS: Readonly<Record<Level, string>> = {
  L: '1 1 1 1 1 2 2 2 2 4 4 4 4 4 6 6 6 6 7 8 8 9 9 10 12 12 12 13 14 15 16 17 18 19 19 20 21 22 24 25',
  M: '1 1 1 2 2 4 4 4 5 5 5 8 9 9 10 10 11 13 14 16 17 17 18 20 21 23 25 26 28 29 31 33 35 37 38 40 43 45 47 49',
}
const at = (table: string, version: number): number => Number(table.split(' ')[version - 1])

interface Shape {
  readonly version: number
  readonly dataBytes: number
  readonly correctionBytes: number
  readonly blocks: number
}

/**
 * The modules of a code without its quiet zone.
 * @throws RangeError when the text is too long for the largest code
 */
export function qrCode(text: string, level: Level = 'L'): Modules {
  const { mode, count, widths, data } = contentOf(text)
  for (let version = 1; version <= 40; version++) {
    const shape = shapeOf(version, level)
    const width = widths[version < 10 ? 0 : version < 27 ? 1 : 2]
    if (4 + width + data.length > shape.dataBytes * 8) continue
    return drawn(shape, level, codewords([...bitsOf(mode, 4), ...bitsOf(count, width), ...data], shape))
  }
  throw new RangeError('the text is too long for a QR code')
}

function shapeOf(version: number, level: Level): Shape {
  const blocks = at(BLOCKS[level], version)
  const correctionBytes = at(CORRECTION[level], version)
  return {
    version,
    blocks,
    correctionBytes,
    dataBytes: Math.floor(dataModules(version) / 8) - blocks * correctionBytes,
  }
}

/** Modules that are left for data and correction. */
function dataModules(version: number): number {
  const size = 4 * version + 17
  const aligned = alignments(version).length
  const functions = 3 * 64 + 31 + 2 * (size - 16) // finders, format, timing
  const alignment = version === 1 ? 0 : 25 * (aligned ** 2 - 3) - 10 * (aligned - 2)
  return size * size - functions - alignment - (version >= 7 ? 36 : 0)
}

/** Centres of the alignment patterns along one side. */
function alignments(version: number): number[] {
  if (version === 1) return []
  const count = Math.floor(version / 7) + 2
  const last = 4 * version + 10
  const step = version === 32 ? 26 : 2 * Math.ceil((last - 6) / (2 * (count - 1)))
  return [6, ...Array.from({ length: count - 1 }, (_, i) => last - step * (count - 2 - i))]
}

const bitsOf = (value: number, length: number): number[] =>
  Array.from({ length }, (_, i) => (value >>> (length - 1 - i)) & 1)

interface Content {
  readonly mode: number
  /** Characters, or bytes. */
  readonly count: number
  /** Bits of the count, in small, middle and large codes. */
  readonly widths: readonly [number, number, number]
  readonly data: readonly number[]
}

function contentOf(text: string): Content {
  const values = [...text].map((c) => ALPHANUMERIC.indexOf(c))
  if (values.includes(-1)) {
    const bytes = [...new TextEncoder().encode(text)]
    return { mode: 4, count: bytes.length, widths: [8, 16, 16], data: bytes.flatMap((byte) => bitsOf(byte, 8)) }
  }
  const pairs = values.flatMap((first, i) => {
    const second = values[i + 1]
    if (i % 2 === 1) return []
    return second === undefined ? bitsOf(first, 6) : bitsOf(first * 45 + second, 11)
  })
  return { mode: 2, count: values.length, widths: [9, 11, 13], data: pairs }
}

/** Padded, cut into blocks, each with its correction, interleaved. */
function codewords(bits: number[], { dataBytes, blocks, correctionBytes }: Shape): number[] {
  const padded = [...bits, ...Array(Math.min(4, dataBytes * 8 - bits.length)).fill(0)]
  while (padded.length % 8) padded.push(0)
  const data = Array.from({ length: padded.length / 8 }, (_, i) =>
    padded.slice(8 * i, 8 * i + 8).reduce((byte, bit) => 2 * byte + bit, 0),
  )
  for (let pad = 0xec; data.length < dataBytes; pad ^= 0xec ^ 0x11) data.push(pad)
  const short = Math.floor(dataBytes / blocks)
  const shortBlocks = blocks - (dataBytes % blocks)
  const generator = generatorOf(correctionBytes)
  const cut = Array.from({ length: blocks }, (_, i) => {
    const from = i * short + Math.max(0, i - shortBlocks)
    return data.slice(from, from + short + (i < shortBlocks ? 0 : 1))
  })
  return [...interleaved(cut), ...interleaved(cut.map((block) => remainder(block, generator)))]
}

function interleaved(blocks: readonly (readonly number[])[]): number[] {
  const longest = Math.max(...blocks.map((b) => b.length))
  return Array.from({ length: longest }, (_, i) => blocks.flatMap((block) => block[i] ?? [])).flat()
}

/** In GF(256) over 0x11d. */
function times(a: number, b: number): number {
  let product = 0
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ ((product >>> 7) * 0x11d)
    product ^= ((b >>> bit) & 1) * a
  }
  return product
}

/** Coefficients of (x − 1)(x − 2)(x − 4)…, without the first, which is 1. */
function generatorOf(degree: number): number[] {
  let polynomial = [...Array(degree - 1).fill(0), 1] as number[]
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2)) {
    polynomial = polynomial.map((c, j) => times(c, root) ^ (polynomial[j + 1] ?? 0))
  }
  return polynomial
}

function remainder(data: readonly number[], generator: readonly number[]): number[] {
  const rest = Array(generator.length).fill(0) as number[]
  for (const byte of data) {
    const factor = byte ^ rest.shift()!
    rest.push(0)
    for (const [i, coefficient] of generator.entries()) rest[i]! ^= times(coefficient, factor)
  }
  return rest
}

const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
]

/** With the mask that is easiest to read. */
function drawn(shape: Shape, level: Level, words: readonly number[]): Modules {
  const candidates = MASKS.map((_, mask) => {
    const grid = functionPatterns(shape.version)
    drawFormat(grid, (FORMAT_BITS[level] << 3) | mask)
    drawData(grid, words, MASKS[mask]!)
    return grid.map((row) => row.map(Boolean))
  })
  return candidates.reduce((best, one) => (penalty(one) < penalty(best) ? one : best))
}

/** null: for data. */
type Grid = (boolean | null)[][]

function functionPatterns(version: number): Grid {
  const size = 4 * version + 17
  const grid: Grid = Array.from({ length: size }, () => Array(size).fill(null))
  const square = (cx: number, cy: number, radius: number, light: readonly number[]): void => {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        const row = grid[cy + dy]
        if (row && row[cx + dx] !== undefined) row[cx + dx] = !light.includes(Math.max(Math.abs(dx), Math.abs(dy)))
      }
    }
  }
  for (let i = 0; i < size; i++) grid[6]![i] = grid[i]![6] = i % 2 === 0
  for (const [x, y] of [
    [3, 3],
    [size - 4, 3],
    [3, size - 4],
  ] as const) {
    square(x, y, 4, [2, 4])
  }
  const centres = alignments(version)
  const last = centres.at(-1)
  for (const x of centres) {
    for (const y of centres) {
      const isFinder = (x === 6 && y === 6) || (x === 6 && y === last) || (x === last && y === 6)
      if (!isFinder) square(x, y, 2, [1])
    }
  }
  if (version >= 7) drawVersion(grid, version)
  return grid
}

/** @param poly of `degree`; the remainder of value·x^degree follows the value. */
function withCheck(value: number, poly: number, degree: number): number {
  let rest = value
  for (let i = 0; i < degree; i++) rest = (rest << 1) ^ ((rest >>> (degree - 1)) * poly)
  return (value << degree) | rest
}

function drawVersion(grid: Grid, version: number): void {
  const bits = withCheck(version, 0x1f25, 12)
  for (let i = 0; i < 18; i++) {
    const [a, b] = [grid.length - 11 + (i % 3), Math.floor(i / 3)]
    grid[a]![b] = grid[b]![a] = ((bits >>> i) & 1) === 1
  }
}

function drawFormat(grid: Grid, data: number): void {
  const bits = withCheck(data, 0x537, 10) ^ 0x5412
  const size = grid.length
  for (let i = 0; i < 15; i++) {
    const dark = ((bits >>> i) & 1) === 1
    // Beside the first finder, skipping the timing patterns; and split between the other two.
    const [x, y] = i < 8 ? [8, i < 6 ? i : i + 1] : [i === 8 ? 7 : 14 - i, 8]
    grid[y]![x] = dark
    if (i < 8) grid[8]![size - 1 - i] = dark
    else grid[size - 15 + i]![8] = dark
  }
  grid[size - 8]![8] = true
}

/** In columns of two from the right, upwards and downwards in turn. */
function drawData(grid: Grid, words: readonly number[], mask: (x: number, y: number) => boolean): void {
  const size = grid.length
  let bit = 0
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5
    for (let step = 0; step < size; step++) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - step : step
      for (const x of [right, right - 1]) {
        if (grid[y]![x] !== null) continue
        const dark = (((words[bit >>> 3] ?? 0) >>> (7 - (bit & 7))) & 1) === 1
        grid[y]![x] = dark !== mask(x, y)
        bit++
      }
    }
  }
}

/** ISO/IEC 18004 §7.8.3: runs, squares, patterns that look like finders, and imbalance. */
function penalty(grid: Modules): number {
  const size = grid.length
  let sum = 0
  const lines = [...grid, ...grid.map((_, x) => grid.map((row) => row[x]!))]
  for (const line of lines) {
    const text = line.map((dark) => (dark ? '1' : '0')).join('')
    for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2
    for (const _ of text.matchAll(/(?=00001011101|10111010000)/g)) sum += 40
  }
  let darks = 0
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const dark = grid[y]![x]
      if (dark) darks++
      if (dark === grid[y]![x + 1] && dark === grid[y + 1]?.[x] && dark === grid[y + 1]?.[x + 1]) sum += 3
    }
  }
  return sum + 10 * Math.floor(Math.abs((darks * 20) / (size * size) - 10))
}
