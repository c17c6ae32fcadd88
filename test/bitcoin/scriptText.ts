import { concatBytes, fromHex, utf8 } from '../../src/base/bytes.ts'
import { OP } from '../../src/bitcoin/opcodes.ts'
import { pushData } from '../../src/bitcoin/script.ts'
import { encodeScriptNumber } from '../../src/bitcoin/scriptNumber.ts'
import { VERIFY, type VerifyFlag } from '../../src/bitcoin/verifyFlags.ts'

const CODES: ReadonlyMap<string, number> = new Map<string, number>([
  ...Object.entries(OP).filter(([name]) => !/^\d+$/.test(name)),
  ['NOP2', OP.CHECKLOCKTIMEVERIFY],
  ['NOP3', OP.CHECKSEQUENCEVERIFY],
])

/** Bitcoin Core's script notation in its test data: opcodes, decimal numbers, 'text' to push, raw 0xbytes. */
export function parseScriptText(text: string): Uint8Array {
  const words = text.split(/\s+/).filter((w) => w !== '')
  return concatBytes(
    ...words.map((word) => {
      if (word.startsWith('0x')) return fromHex(word.slice(2))
      if (word.startsWith("'")) return pushData(utf8(word.slice(1, -1)))
      if (/^-?\d+$/.test(word)) return pushData(encodeScriptNumber(BigInt(word)))
      const code = CODES.get(word.replace(/^OP_/, ''))
      if (code === undefined) throw new Error(`unknown word ${word}`)
      return Uint8Array.of(code)
    }),
  )
}

/** `P2SH,WITNESS` as bits. Flags that Core has and this interpreter does not count as 0. */
export function parseFlags(text: string, unknown: readonly string[] = []): number {
  let flags = 0
  for (const name of text.split(',')) {
    if (name === '' || name === 'NONE' || unknown.includes(name)) continue
    const flag = VERIFY[name as VerifyFlag]
    if (flag === undefined) throw new Error(`unknown flag ${name}`)
    flags |= flag
  }
  return flags
}
