import { fromHex, isHex, toHex } from '../../../base/bytes.ts'
import type { BlockHash, Txid } from '../../../base/ids.ts'
import { decodeAddress } from '../../../bitcoin/address.ts'
import { decodeBlock } from '../../../bitcoin/block.ts'
import { decodeTransaction, encodeTransaction } from '../../../bitcoin/transaction.ts'
import { RPC_ERROR } from '../../rpcErrors.ts'
import { type BlockNode, forkOf } from '../blockNode.ts'
import type { EmbeddedChain } from '../chain.ts'
import { decodeHex } from './args.ts'
import { RpcError } from './errors.ts'
import type { Methods } from './methods.ts'
import {
  blockHex,
  blockJson,
  chainworkText,
  headerHex,
  headerJson,
  type Json,
  scriptJson,
  targetJson,
  toBtc,
  transactionJson,
} from './shapes.ts'

const tipJson = ({ state }: EmbeddedChain): Json => ({ hash: state.tip.hash, height: state.height })

function nodeAt(chain: EmbeddedChain, hash: string): BlockNode {
  const node = chain.state.node(hash as BlockHash)
  if (!node) throw new RpcError(RPC_ERROR.INVALID_ADDRESS_OR_KEY, 'Block not found')
  return node
}

function blockchainInfo(chain: EmbeddedChain): Json {
  const { tip } = chain.state
  return {
    chain: 'regtest',
    blocks: tip.height,
    headers: tip.height,
    bestblockhash: tip.hash,
    ...targetJson(tip.block.header.bits),
    time: tip.block.header.time,
    mediantime: tip.medianTimePast,
    verificationprogress: 1,
    initialblockdownload: false,
    chainwork: chainworkText(tip),
    size_on_disk: 0,
    pruned: false,
    warnings: [],
  }
}

function rawTransaction(chain: EmbeddedChain, id: Txid, verbosity: number, inBlock: BlockNode | null): unknown {
  const at = inBlock?.txids.indexOf(id) ?? -1
  const found = inBlock ? at >= 0 && { tx: inBlock.block.transactions[at]!, node: inBlock } : chain.findTransaction(id)
  if (!found) {
    const where = inBlock ? 'found in the provided block' : 'mempool or blockchain transaction'
    throw new RpcError(
      RPC_ERROR.INVALID_ADDRESS_OR_KEY,
      inBlock ? `No such transaction ${where}.` : `No such ${where}. Use gettransaction for wallet transactions.`,
    )
  }
  const { tx, node } = found
  if (verbosity === 0) return toHex(encodeTransaction(tx))
  const index = node?.txids.indexOf(id) ?? -1
  const coins = node ? node.undo?.[index] : chain.mempool.get(id)?.coins
  const json = transactionJson(tx, { coins: verbosity > 1 ? coins : undefined, prevouts: verbosity > 1 })
  if (!node) return json
  const active = chain.state.isActive(node)
  return {
    ...(inBlock && { in_active_chain: active }),
    ...json,
    blockhash: node.hash,
    confirmations: active ? chain.state.height - node.height + 1 : 0,
    ...(active && { time: node.block.header.time, blocktime: node.block.header.time }),
  }
}

function txOut(chain: EmbeddedChain, id: Txid, index: number, withMempool: boolean): Json | null {
  const key = `${id}:${index}`
  if (withMempool && chain.mempool.spender(key)) return null
  const waiting = withMempool ? chain.mempool.get(id)?.tx.outputs[index] : undefined
  const coin = chain.state.coin(key)
  const output = waiting ?? coin?.output
  if (!output) return null
  return {
    bestblock: chain.state.tip.hash,
    confirmations: waiting || !coin ? 0 : chain.state.height - coin.height + 1,
    value: toBtc(output.amountSat),
    scriptPubKey: scriptJson(output.scriptPubKey),
    coinbase: !waiting && coin?.coinbase === true,
  }
}

/** `raw(HEX)` or `addr(ADDRESS)`, with or without a checksum behind it: all that a scan by script needs. */
export function descriptorScript(descriptor: string): Uint8Array {
  const m = /^(raw|addr)\(([0-9A-Za-z]*)\)(?:#[0-9a-z]{8})?$/.exec(descriptor)
  try {
    if (m?.[1] === 'addr') return decodeAddress(m[2]!, 'regtest')
    if (m && isHex(m[2]!)) return fromHex(m[2]!)
  } catch {
    // Said below, as for every other descriptor.
  }
  throw new RpcError(
    RPC_ERROR.INVALID_ADDRESS_OR_KEY,
    `'${descriptor.slice(0, 100)}' is not a descriptor that this chain knows: use raw(HEX) or addr(ADDRESS)`,
  )
}

function scanTxOutSet(chain: EmbeddedChain, scanObjects: readonly unknown[]): Json {
  const wanted = new Set(
    scanObjects.map((o) => {
      const descriptor = typeof o === 'string' ? o : (o as { desc?: unknown } | null)?.desc
      if (typeof descriptor !== 'string') throw new RpcError(RPC_ERROR.INVALID_PARAMETER, 'Scan object needs a "desc"')
      return toHex(descriptorScript(descriptor))
    }),
  )
  let sum = 0n
  const unspents: Json[] = []
  for (const [key, { output, height, coinbase }] of chain.state.coins) {
    const scriptPubKey = toHex(output.scriptPubKey)
    if (!wanted.has(scriptPubKey)) continue
    sum += output.amountSat
    unspents.push({
      txid: key.slice(0, 64),
      vout: Number(key.slice(65)),
      scriptPubKey,
      desc: `raw(${scriptPubKey})`,
      amount: toBtc(output.amountSat),
      coinbase,
      height,
      blockhash: chain.state.at(height)!.hash,
      confirmations: chain.state.height - height + 1,
    })
  }
  const { size } = chain.state.coins
  return {
    success: true,
    txouts: size,
    height: chain.state.height,
    bestblock: chain.state.tip.hash,
    unspents,
    total_amount: toBtc(sum),
  }
}

function chainTips(chain: EmbeddedChain): Json[] {
  const { tip } = chain.state
  return chain.state
    .leaves()
    .concat(chain.state.leaves().includes(tip) ? [] : [tip])
    .sort((a, b) => b.height - a.height)
    .map((leaf) => ({
      height: leaf.height,
      hash: leaf.hash,
      branchlen: leaf.height - forkOf(leaf, tip).height,
      status: leaf === tip ? 'active' : leaf.failed ? 'invalid' : 'valid-fork',
    }))
}

/** null when the block became the tip, otherwise why it did not. */
function submitBlock(chain: EmbeddedChain, hex: string): string | null {
  const block = decodeHex(hex, decodeBlock, 'Block decode failed')
  const result = chain.submitBlock(block)
  if (!result.ok) return result.error.reason
  return chain.state.isActive(result.value) ? null : 'inconclusive'
}

export const CHAIN_METHODS: Methods = {
  getblockchaininfo: { params: [], run: (_, { chain }) => blockchainInfo(chain) },
  getbestblockhash: { params: [], run: (_, { chain }) => chain.state.tip.hash },
  getblockcount: { params: [], run: (_, { chain }) => chain.state.height },
  getchaintips: { params: [], run: (_, { chain }) => chainTips(chain) },
  getblockhash: {
    params: ['height'],
    run(args, { chain }) {
      const node = chain.state.at(args.integer(0))
      if (!node) throw new RpcError(RPC_ERROR.INVALID_PARAMETER, 'Block height out of range')
      return node.hash
    },
  },
  getblock: {
    params: ['blockhash', 'verbosity'],
    run(args, { chain }) {
      const node = nodeAt(chain, args.hash(0))
      const verbosity = args.verbosity(1, 1)
      return verbosity <= 0 ? blockHex(node) : blockJson(chain, node, verbosity)
    },
  },
  getblockheader: {
    params: ['blockhash', 'verbose'],
    run(args, { chain }) {
      const node = nodeAt(chain, args.hash(0, 'hash'))
      return args.boolean(1, true) ? headerJson(chain, node) : headerHex(node)
    },
  },
  getrawtransaction: {
    params: ['txid', 'verbosity', 'blockhash'],
    run(args, { chain }) {
      const inBlock = args.has(2) ? nodeAt(chain, args.hash(2)) : null
      return rawTransaction(chain, args.hash(0) as Txid, args.verbosity(1, 0), inBlock)
    },
  },
  decoderawtransaction: {
    params: ['hexstring', 'iswitness'],
    run(args) {
      const { hex: _, ...json } = transactionJson(decodeHex(args.string(0), decodeTransaction, 'TX decode failed'))
      return json
    },
  },
  gettxout: {
    params: ['txid', 'n', 'include_mempool'],
    run: (args, { chain }) => txOut(chain, args.hash(0) as Txid, args.integer(1), args.boolean(2, true)),
  },
  scantxoutset: {
    params: ['action', 'scanobjects'],
    run(args, { chain }) {
      const action = args.string(0)
      if (action === 'start') return scanTxOutSet(chain, args.list(1))
      if (action === 'status') return null
      if (action === 'abort') return false
      throw new RpcError(RPC_ERROR.INVALID_PARAMETER, `Invalid action '${action}'`)
    },
  },
  invalidateblock: {
    params: ['blockhash'],
    run(args, { chain }) {
      chain.invalidate(nodeAt(chain, args.hash(0)))
      return null
    },
  },
  reconsiderblock: {
    params: ['blockhash'],
    run(args, { chain }) {
      chain.reconsider(nodeAt(chain, args.hash(0)))
      return null
    },
  },
  submitblock: { params: ['hexdata', 'dummy'], run: (args, { chain }) => submitBlock(chain, args.string(0)) },
  waitfornewblock: {
    params: ['timeout', 'current_tip'],
    async run(args, { chain, signal }) {
      const known = args.has(1) ? args.hash(1) : chain.state.tip.hash
      await chain.waitFor(() => chain.state.tip.hash !== known, args.integer(0, 0), signal)
      return tipJson(chain)
    },
  },
  waitforblock: {
    params: ['blockhash', 'timeout'],
    async run(args, { chain, signal }) {
      const wanted = args.hash(0)
      await chain.waitFor(() => chain.state.tip.hash === wanted, args.integer(1, 0), signal)
      return tipJson(chain)
    },
  },
  waitforblockheight: {
    params: ['height', 'timeout'],
    async run(args, { chain, signal }) {
      const wanted = args.integer(0)
      await chain.waitFor(() => chain.state.height >= wanted, args.integer(1, 0), signal)
      return tipJson(chain)
    },
  },
}
