import { toHex } from '../../../base/bytes.ts'
import { encodeAddress } from '../../../bitcoin/address.ts'
import { blockSizes, encodeBlock, encodeHeader, targetOfBits } from '../../../bitcoin/block.ts'
import { isCoinbase } from '../../../bitcoin/checkTransaction.ts'
import { outputType, scriptAsm } from '../../../bitcoin/script.ts'
import { encodeTransaction, type Transaction, type TxInput, type TxOutput } from '../../../bitcoin/transaction.ts'
import type { BlockNode } from '../blockNode.ts'
import type { EmbeddedChain } from '../chain.ts'
import type { Coin } from '../coins.ts'
import { ancestorsOf, type MempoolEntry, mempoolTx, totals, withDescendants } from '../mempoolEntry.ts'

export type Json = { readonly [name: string]: unknown }

/** sat as the JSON number of BTC that rounds back to it. */
export const toBtc = (amount: bigint): number => Number(amount) / 1e8

const hex32 = (n: number): string => (n >>> 0).toString(16).padStart(8, '0')
const hex256 = (n: bigint): string => n.toString(16).padStart(64, '0')

/** How much harder than the easiest target of the main chain; Core prints 16 digits. */
function difficulty(bits: number): number {
  const shift = 29 - (bits >>> 24)
  return Number(((0xffff / (bits & 0xffffff)) * 256 ** shift).toPrecision(16))
}

export const targetJson = (bits: number): Json => ({
  bits: hex32(bits),
  target: hex256(targetOfBits(bits)!),
  difficulty: difficulty(bits),
})

export const chainworkText = (node: BlockNode): string => hex256(node.chainWork)

export function headerJson(chain: EmbeddedChain, node: BlockNode): Json {
  const { header, transactions } = node.block
  const active = chain.state.isActive(node)
  const next = active ? chain.state.at(node.height + 1) : undefined
  return {
    hash: node.hash,
    confirmations: active ? chain.state.height - node.height + 1 : -1,
    height: node.height,
    version: header.version,
    versionHex: hex32(header.version),
    merkleroot: toHex(header.merkleRoot.slice().reverse()),
    time: header.time,
    mediantime: node.medianTimePast,
    nonce: header.nonce,
    ...targetJson(header.bits),
    chainwork: chainworkText(node),
    nTx: transactions.length,
    ...(node.parent && { previousblockhash: node.parent.hash }),
    ...(next && { nextblockhash: next.hash }),
  }
}

export const headerHex = (node: BlockNode): string => toHex(encodeHeader(node.block.header))
export const blockHex = (node: BlockNode): string => toHex(encodeBlock(node.block))

/** @param verbosity 1: ids of transactions; 2: transactions with fees; 3: with what they spent too */
export function blockJson(chain: EmbeddedChain, node: BlockNode, verbosity: number): Json {
  const { transactions } = node.block
  const { stripped, full } = blockSizes(node.block)
  return {
    ...headerJson(chain, node),
    strippedsize: stripped,
    size: full,
    weight: 3 * stripped + full,
    tx:
      verbosity === 1
        ? node.txids
        : transactions.map((tx, i) => transactionJson(tx, { coins: node.undo?.[i], prevouts: verbosity > 2 })),
  }
}

interface TransactionView {
  /** What it spent, when known. */
  readonly coins?: readonly Coin[] | undefined
  /** Whether to show that. */
  readonly prevouts?: boolean
}

export function transactionJson(tx: Transaction, { coins, prevouts = false }: TransactionView = {}): Json {
  const bytes = encodeTransaction(tx)
  const { txid, wtxid, vsize, weight } = mempoolTx(tx)
  const generated = isCoinbase(tx)
  return {
    txid,
    hash: wtxid,
    version: tx.version >>> 0,
    size: bytes.length,
    vsize,
    weight,
    locktime: tx.lockTime,
    vin: tx.inputs.map((input, i) => inputJson(input, generated, prevouts ? coins?.[i] : undefined)),
    vout: tx.outputs.map((o, n) => ({ value: toBtc(o.amountSat), n, scriptPubKey: scriptJson(o.scriptPubKey) })),
    ...(coins && !generated && { fee: toBtc(feeOf(tx, coins)) }),
    hex: toHex(bytes),
  }
}

const total = (outputs: readonly TxOutput[]): bigint => outputs.reduce((sum, o) => sum + o.amountSat, 0n)

const feeOf = (tx: Transaction, coins: readonly Coin[]): bigint => total(coins.map((c) => c.output)) - total(tx.outputs)

function inputJson(input: TxInput, generated: boolean, coin: Coin | undefined): Json {
  const witness = input.witness.length > 0 ? { txinwitness: input.witness.map(toHex) } : {}
  const { sequence } = input
  if (generated) return { coinbase: toHex(input.scriptSig), ...witness, sequence }
  return {
    txid: input.txid,
    vout: input.index,
    scriptSig: { asm: scriptAsm(input.scriptSig), hex: toHex(input.scriptSig) },
    ...witness,
    ...(coin && { prevout: coinJson(coin) }),
    sequence,
  }
}

const coinJson = (coin: Coin): Json => ({
  generated: coin.coinbase,
  height: coin.height,
  value: toBtc(coin.output.amountSat),
  scriptPubKey: scriptJson(coin.output.scriptPubKey),
})

export function scriptJson(script: Uint8Array): Json {
  const type = outputType(script)
  const address = type === 'pubkey' ? null : encodeAddress(script, 'regtest')
  return { asm: scriptAsm(script), hex: toHex(script), ...(address && { address }), type }
}

export function mempoolEntryJson(e: MempoolEntry): Json {
  const above = totals([...ancestorsOf(e.parents), e])
  const below = totals(withDescendants([e]))
  const ids = (entries: Iterable<MempoolEntry>): string[] => [...entries].map((other) => other.txid)
  return {
    vsize: e.vsize,
    weight: e.weight,
    time: e.time,
    height: e.height,
    descendantcount: below.count,
    descendantsize: below.vsize,
    ancestorcount: above.count,
    ancestorsize: above.vsize,
    wtxid: e.wtxid,
    fees: { base: toBtc(e.fee), modified: toBtc(e.fee), ancestor: toBtc(above.fee), descendant: toBtc(below.fee) },
    depends: ids(e.parents),
    spentby: ids(e.children),
    'bip125-replaceable': true,
    unbroadcast: false,
  }
}
