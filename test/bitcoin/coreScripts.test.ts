import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { EMPTY, fromHex } from '../../src/base/bytes.ts'
import { type Txid, txid } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { checkTransaction } from '../../src/bitcoin/checkTransaction.ts'
import { SCRIPT_ERRORS } from '../../src/bitcoin/scriptError.ts'
import { decodeTransaction, type Transaction, type TxOutput, txidOf } from '../../src/bitcoin/transaction.ts'
import { verifyInput, verifyTransaction } from '../../src/bitcoin/verify.ts'
import { VERIFY } from '../../src/bitcoin/verifyFlags.ts'
import { parseFlags, parseScriptText } from './scriptText.ts'

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../vectors/fixtures/${name}.json`, import.meta.url), 'utf8'))

type SpendRow = [string, string, string, string, string[], number, string]
type TransactionRow = [[string, number, string, number?][], string, string]

/** How Core's script tests pay to a script and spend it. */
function creditAndSpend(scriptSig: Uint8Array, witness: Uint8Array[], output: TxOutput): Transaction {
  const base = { version: 1, lockTime: 0 }
  const input = { sequence: 0xffffffff, index: 0xffffffff, witness: [] }
  const credit: Transaction = {
    ...base,
    inputs: [{ ...input, txid: '00'.repeat(32) as Txid, scriptSig: Uint8Array.of(0, 0) }],
    outputs: [output],
  }
  return {
    ...base,
    inputs: [{ ...input, txid: txidOf(credit), index: 0, scriptSig, witness }],
    outputs: [{ amountSat: output.amountSat, scriptPubKey: EMPTY }],
  }
}

describe('Bitcoin Core script_tests: the verdict on every script, with its error code', () => {
  const rows = fixture('core-scripts').spends as SpendRow[]
  const known = rows.filter((r) => !r[2].includes('TAPROOT'))

  it('leaves out only what needs taproot, which is not validated yet', () => {
    expect(rows.length).toBe(1222)
    expect(rows.length - known.length).toBe(5)
  })

  it.each(known)('%s | %s | %s is %s', (sig, pubkey, flags, verdict, witness, amount) => {
    const prevout = { amountSat: BigInt(amount) as Sat, scriptPubKey: parseScriptText(pubkey) }
    const tx = creditAndSpend(parseScriptText(sig), witness.map(fromHex), prevout)
    const result = verifyInput(tx, 0, prevout, parseFlags(flags))
    expect(result.ok ? 'OK' : result.error).toBe(verdict)
    if (!result.ok) expect(result.detail).toBe(SCRIPT_ERRORS[result.error])
  })
})

const prevoutsOf = (tx: Transaction, rows: TransactionRow[0]): TxOutput[] =>
  tx.inputs.map((input) => {
    const row = rows.find((r) => txid(r[0]) === input.txid && r[1] >>> 0 === input.index)
    if (!row) throw new Error('the vector lacks a spent output')
    return { scriptPubKey: parseScriptText(row[2]), amountSat: BigInt(row[3] ?? 0) as Sat }
  })

/** Flags of policy that this interpreter has no use for before taproot. */
const UNKNOWN = [
  'TAPROOT',
  'DISCOURAGE_UPGRADABLE_TAPROOT_VERSION',
  'DISCOURAGE_OP_SUCCESS',
  'DISCOURAGE_UPGRADABLE_PUBKEYTYPE',
]

const ALL = Object.values(VERIFY).reduce((a, b) => a | b, 0)

/** Some flags mean nothing without others. */
function trim(flags: number): number {
  let f = flags
  if (!(f & VERIFY.P2SH)) f &= ~VERIFY.WITNESS
  if (!(f & VERIFY.WITNESS)) f &= ~VERIFY.CLEANSTACK
  return f
}

describe('Bitcoin Core tx_valid: valid under every rule but the excluded ones, and with any further rule off (CVE-2024-38365)', () => {
  it.each(fixture('core-transactions').valid as TransactionRow[])('%#: %j', (rows, hex, excluded) => {
    const tx = decodeTransaction(fromHex(hex))
    expect(checkTransaction(tx)).toBe(null)
    const flags = trim(ALL & ~parseFlags(excluded, UNKNOWN))
    const prevouts = prevoutsOf(tx, rows)
    expect(verifyTransaction(tx, prevouts, flags)).toEqual({ ok: true })
    for (const flag of Object.values(VERIFY)) {
      expect(verifyTransaction(tx, prevouts, trim(flags & ~flag))).toEqual({ ok: true })
    }
  })
})

describe('Bitcoin Core tx_invalid: refused under the given rules, and with any further rule on', () => {
  it.each(fixture('core-transactions').invalid as TransactionRow[])('%#: %j', (rows, hex, text) => {
    if (text === 'BADTX') {
      expect(() => {
        const reason = checkTransaction(decodeTransaction(fromHex(hex)))
        if (reason !== null) throw new Error(reason)
      }).toThrow()
      return
    }
    const tx = decodeTransaction(fromHex(hex))
    const flags = parseFlags(text, UNKNOWN)
    const prevouts = prevoutsOf(tx, rows)
    expect(verifyTransaction(tx, prevouts, flags).ok).toBe(false)
    for (const flag of Object.values(VERIFY)) {
      const more = trim(flags | flag | (flag & (VERIFY.WITNESS | VERIFY.CLEANSTACK) ? VERIFY.P2SH | VERIFY.WITNESS : 0))
      expect(verifyTransaction(tx, prevouts, more).ok).toBe(false)
    }
  })
})
