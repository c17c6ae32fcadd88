import type { Txid } from '../../src/base/ids.ts'
import type { Transaction, TxInput } from '../../src/bitcoin/transaction.ts'

/** What an input of a transaction does, as anybody can tell from the chain. */
export type Kind =
  | 'wallet'
  | 'commitment'
  | 'mutual close'
  | 'anchor'
  | 'HTLC-success'
  | 'HTLC-timeout'
  | 'claim by preimage'
  | 'claim by timeout'
  | 'to_local'
  | 'second-stage output'
  | 'to_remote'
  | 'penalty of to_local'
  | 'penalty of an HTLC'
  | 'penalty of a second stage'

const OP = { IF: 0x63, DUP: 0x76, TWO: 0x52, CHECKSIG: 0xac, CHECKSIGVERIFY: 0xad } as const

/**
 * The kinds of a transaction's inputs, from their witnesses alone.
 * @param known kinds of transactions seen before, of which some are needed to tell stages apart
 * @source BOLT 3
 */
export const kindsOf = (tx: Transaction, known: ReadonlyMap<Txid, ReadonlySet<Kind>>): ReadonlySet<Kind> =>
  new Set(tx.inputs.map((input) => kindOf(tx, input, known.get(input.txid) ?? new Set())))

function kindOf(tx: Transaction, { witness, sequence }: TxInput, parent: ReadonlySet<Kind>): Kind {
  const script = witness.at(-1)!
  const argument = witness.at(-2)!
  const isSecond = parent.has('HTLC-success') || parent.has('HTLC-timeout')
  switch (script[0]) {
    case OP.TWO:
      return sequence >>> 24 === 0x80 && tx.lockTime >>> 24 === 0x20 ? 'commitment' : 'mutual close'
    case OP.IF:
      if (argument.length === 1) return isSecond ? 'penalty of a second stage' : 'penalty of to_local'
      return isSecond ? 'second-stage output' : 'to_local'
    case OP.DUP:
      if (witness.length === 5) return argument.length === 32 ? 'HTLC-success' : 'HTLC-timeout'
      if (argument.length === 33) return 'penalty of an HTLC'
      return argument.length === 32 ? 'claim by preimage' : 'claim by timeout'
    default:
      if (script[34] === OP.CHECKSIGVERIFY) return 'to_remote'
      if (script[34] === OP.CHECKSIG) return 'anchor'
      return parent.has('commitment') ? 'to_remote' : 'wallet'
  }
}
