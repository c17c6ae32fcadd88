/**
 * Rewrites a WASM module so that it reports every branch it takes and every address it touches: two runs whose reports are equal
 * have executed the same instructions on the same memory. The module must not import functions or use indirect calls.
 */
export interface Instrumented {
  readonly bytes: Uint8Array
  /** What each site is, by its number. */
  readonly sites: readonly Site[]
}
export interface Site {
  readonly kind: 'branch' | 'select' | 'load' | 'store' | 'bulk' | 'division'
  /** Index of the function, and where in the file. */
  readonly at: string
}

class Reader {
  readonly bytes: Uint8Array
  at: number
  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.at = at
  }
  byte(): number {
    return this.bytes[this.at++]!
  }
  /** LEB128 of at most 32 bits. */
  u32(): number {
    let [value, shift] = [0, 0]
    for (;;) {
      const b = this.byte()
      value += (b & 127) * 2 ** shift
      if (b < 128) return value
      shift += 7
    }
  }
  skip(bytes: number): void {
    this.at += bytes
  }
  skipLeb(): void {
    while (this.byte() >= 128) {}
  }
}

function leb(n: number): number[] {
  const out: number[] = []
  do {
    const rest = Math.floor(n / 128)
    out.push((n % 128) + (rest > 0 ? 128 : 0))
    n = rest
  } while (n > 0)
  return out
}
/** Signed LEB128, for i32.const. */
const sleb = (n: number): number[] => (n < 64 ? [n] : [(n & 127) | 128, ...sleb(n >> 7)])

const section = (id: number, body: readonly number[]): number[] => [id, ...leb(body.length), ...body]
const I32 = 0x7f
const V128 = 0x7b
const I64 = 0x7e

/** Value types on the stack above the address of a store, by opcode. */
const STORED: Readonly<Record<number, number>> = {
  54: I32, 55: I64, 56: 0x7d, 57: 0x7c, 58: I32, 59: I32, 60: I64, 61: I64, 62: I64,
} // biome-ignore format: one line

/** Skips what follows an opcode. @throws Error for one that is not known */
function skipImmediates(r: Reader, op: number): void {
  if (op === 0x02 || op === 0x03 || op === 0x04 || op === 0x0c || op === 0x0d || op === 0x10) return r.skipLeb()
  if (op === 0x0e) {
    for (let n = r.u32() + 1; n > 0; n--) r.skipLeb()
    return
  }
  if ((op >= 0x20 && op <= 0x24) || op === 0x3f || op === 0x40 || op === 0x41 || op === 0x42) return r.skipLeb()
  if (op >= 0x28 && op <= 0x3e) {
    r.skipLeb()
    return r.skipLeb()
  }
  const none = op <= 0x01 || op === 0x05 || op === 0x0b || op === 0x0f || op === 0x1a || op === 0x1b
  if (none || (op >= 0x45 && op <= 0xc4)) return
  throw new Error(`opcode 0x${op.toString(16)} is not known`)
}
/** The same for the opcodes behind 0xfd; says what the opcode does to memory. */
function skipVectorImmediates(r: Reader, op: number): 'load' | 'store' | null {
  if (op <= 11 || op === 92 || op === 93) {
    r.skipLeb()
    r.skipLeb()
    return op === 11 ? 'store' : 'load'
  }
  if (op === 12 || op === 13) r.at += 16
  else if (op >= 21 && op <= 34) r.at++
  else if (op >= 84 && op <= 91) throw new Error('loads and stores of lanes are not known')
  return null
}

interface Rewriting {
  readonly sites: Site[]
  readonly parametersOf: readonly number[]
}

/** One function body, with calls of the report in it. The report is function 0, all others move up by one. */
function rewriteBody(r: Reader, end: number, index: number, { sites, parametersOf }: Rewriting): number[] {
  const start = r.at
  let locals = parametersOf[index]!
  const groups = r.u32()
  for (let i = 0; i < groups; i++) {
    locals += r.u32()
    r.at++
  }
  const declared = [...r.bytes.subarray(start, r.at)].slice(leb(groups).length)
  const out = [...leb(groups + 4), ...declared, 1, I32, 1, I32, 1, I64, 1, V128]
  const temporary: Readonly<Record<number, number>> = { [I32]: locals, [I64]: locals + 2, [V128]: locals + 3 }
  const report = (kind: Site['kind']): void => {
    sites.push({ kind, at: `function ${index} at ${r.at}` })
    out.push(0x41, ...sleb(sites.length - 1), 0x10, 0)
  }
  /** Reports the address below a value of the given type. */
  const reportBelow = (type: number): void => {
    out.push(0x21, ...leb(temporary[type]!))
    report('store')
    out.push(0x20, ...leb(temporary[type]!))
  }
  /** Reports the three operands of memory.fill and memory.copy but the byte that fills. */
  const reportBulk = (fill: boolean): void => {
    report('bulk')
    out.push(0x21, ...leb(locals))
    if (!fill) report('bulk')
    out.push(0x21, ...leb(locals + 1))
    report('bulk')
    out.push(0x20, ...leb(locals + 1), 0x20, ...leb(locals))
  }
  while (r.at < end) {
    const from = r.at
    const op = r.byte()
    if (op === 0xfc) {
      const sub = r.u32()
      if (sub !== 10 && sub !== 11 && sub > 7) throw new Error(`opcode 0xfc ${sub} is not known`)
      if (sub === 10 || sub === 11) reportBulk(sub === 11)
      for (let n = sub === 10 ? 2 : sub === 11 ? 1 : 0; n > 0; n--) r.skipLeb()
    } else if (op === 0xfd) {
      const access = skipVectorImmediates(r, r.u32())
      if (access === 'load') report('load')
      if (access === 'store') reportBelow(V128)
    } else {
      if (op === 0x04 || op === 0x0d || op === 0x0e) report('branch')
      if (op === 0x1b) report('select')
      if (op >= 0x28 && op <= 0x35) report('load')
      if (STORED[op] !== undefined) reportBelow(STORED[op])
      if ((op >= 0x6d && op <= 0x70) || (op >= 0x7f && op <= 0x82))
        throw new Error(`a division, whose time depends on its operands, in function ${index}`)
      skipImmediates(r, op)
      if (op === 0x10) {
        out.push(op, ...leb(new Reader(r.bytes, from + 1).u32() + 1))
        continue
      }
    }
    for (let i = from; i < r.at; i++) out.push(r.bytes[i]!)
  }
  return [...leb(out.length), ...out]
}

/** @throws Error for what the rewriting does not know */
export function instrument(wasm: Uint8Array): Instrumented {
  const r = new Reader(wasm, 8)
  const out: number[] = [...wasm.subarray(0, 8)]
  const sites: Site[] = []
  const parameters: number[] = []
  const parametersOf: number[] = []
  let imported = false
  while (r.at < wasm.length) {
    const id = r.byte()
    const size = r.u32()
    const end = r.at + size
    const count = id === 0 ? 0 : new Reader(wasm, r.at).u32()
    if (id === 2) throw new Error('the module imports something')
    if (id > 1 && !imported) {
      out.push(...section(2, [1, 1, 101, 1, 102, 0, ...leb(parameters.length)])) // function "e" "f"
      imported = true
    }
    if (id === 1) {
      r.u32()
      for (let i = 0; i < count; i++) {
        r.at++
        parameters.push(r.u32())
        r.skip(parameters.at(-1)!)
        r.skip(r.u32())
      }
      const types = [...wasm.subarray(end - size + leb(count).length, end)]
      out.push(...section(1, [...leb(count + 1), ...types, 0x60, 2, I32, I32, 1, I32]))
    } else if (id === 3) {
      r.u32()
      for (let i = 0; i < count; i++) parametersOf.push(parameters[r.u32()]!)
      out.push(id, ...leb(size), ...wasm.subarray(end - size, end))
    } else if (id === 7) {
      out.push(...section(7, rewriteExports(r, count)))
    } else if (id === 10) {
      r.u32()
      const bodies: number[] = []
      for (let i = 0; i < count; i++) {
        const length = r.u32()
        bodies.push(...rewriteBody(r, r.at + length, i, { sites, parametersOf }))
      }
      out.push(...section(10, [...leb(count), ...bodies]))
    } else if (id === 8 || id === 9) {
      throw new Error('the module has a start function or a table')
    } else if (id !== 0) {
      out.push(id, ...leb(size), ...wasm.subarray(end - size, end))
    }
    r.at = end
  }
  return { bytes: Uint8Array.from(out), sites }
}

function rewriteExports(r: Reader, count: number): number[] {
  const out = leb(count)
  r.u32()
  for (let i = 0; i < count; i++) {
    const from = r.at
    r.skip(r.u32())
    const kind = r.byte()
    for (let at = from; at < r.at; at++) out.push(r.bytes[at]!)
    out.push(...leb(r.u32() + (kind === 0 ? 1 : 0)))
  }
  return out
}
