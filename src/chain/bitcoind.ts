import { equalBytes, toHex } from '../base/bytes.ts'
import { type BlockHash, type Outpoint, type Txid, txid, txidFromBytes } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { encodeAddress } from '../bitcoin/address.ts'
import { blockHashOf, decodeBlock, merkleTree } from '../bitcoin/block.ts'
import { type Network, networkParams } from '../bitcoin/networks.ts'
import {
  decodeTransaction,
  encodeTransactionStripped,
  type Transaction,
  type TxOutput,
} from '../bitcoin/transaction.ts'
import { crypto } from '../crypto/crypto.ts'
import { btcToSat, decoded, hash, hex, integer, list, record, text } from './answers.ts'
import { Broadcaster } from './broadcaster.ts'
import { backOff, type Clock, realClock } from './clock.ts'
import { ChainError } from './errors.ts'
import { fetchAgain } from './prunedBlocks.ts'
import type { CallOptions, RpcTransport } from './rpc.ts'
import { hasRpcCode, RPC_ERROR } from './rpcErrors.ts'
import type { BroadcastResult, ChainBlock, ChainSource, ChainTip, UnspentOutput } from './source.ts'

const TIMEOUT_MS = 30_000
const SLOW_TIMEOUT_MS = 120_000
/** A scan of the whole unspent set takes minutes on bitcoin. */
const SCAN_TIMEOUT_MS = 3_600_000
const POLL_MS = 500
/** Headers beyond the last block that are nothing unusual: it is being downloaded, or one branch has outrun another. */
const FEW_BLOCKS = 3
const TRIES = 4

export interface BitcoindOptions {
  readonly transport: RpcTransport
  readonly network: Network
  readonly clock?: Clock
}

/** Bitcoin Core, or anything that serves its JSON-RPC: a real node over HTTP or the embedded chain in this process. */
export class BitcoindSource implements ChainSource {
  readonly #transport: RpcTransport
  readonly #network: Network
  readonly #clock: Clock
  #checked: Promise<void> | null = null
  readonly #broadcaster: Broadcaster
  /** false once the backend has turned out not to have waitfornewblock. */
  #longPoll = true
  #isAway = false
  #onBack: () => void = () => {}

  constructor({ transport, network, clock = realClock }: BitcoindOptions) {
    this.#transport = transport
    this.#network = network
    this.#clock = clock
    this.#broadcaster = new Broadcaster({
      read: (method, params) => this.#read(method, params),
      waiting: async (outpoint) => ((await this.utxo(outpoint)) === null ? this.transaction(outpoint.txid) : null),
    })
  }

  check(): Promise<void> {
    this.#checked ??= this.#checkNetwork().catch((e: unknown) => {
      this.#checked = null
      throw e
    })
    return this.#checked
  }

  async tip(): Promise<ChainTip> {
    const info = record(await this.#read('getblockchaininfo'), 'getblockchaininfo')
    const height = integer(info.blocks, 'blocks')
    // After hours away it knows of more blocks than it has, and does not call that an initial download.
    const isBehind = typeof info.headers === 'number' && info.headers - height > FEW_BLOCKS
    const tip = { hash: hash(info.bestblockhash), height }
    // A regtest chain that nobody mined on for a day would count as syncing for ever.
    if (this.#network === 'regtest') return { ...tip, syncing: false }
    const syncing = info.initialblockdownload === true || isBehind
    return { ...tip, syncing, ...(info.time !== undefined && { time: integer(info.time, 'time') }) }
  }

  async blockHash(height: number): Promise<BlockHash> {
    try {
      return hash(await this.#read('getblockhash', [height]))
    } catch (e) {
      if (!hasRpcCode(e, RPC_ERROR.INVALID_PARAMETER)) throw e
      throw new ChainError('NOT_FOUND', `the Bitcoin node has no block at height ${height} yet`, { cause: e })
    }
  }

  async block(blockId: BlockHash): Promise<ChainBlock> {
    const get = (): Promise<ChainBlock> =>
      ofBlock(blockId, async () => {
        const [header, raw] = await Promise.all([
          this.#read('getblockheader', [blockId, true]),
          this.#read('getblock', [blockId, 0], SLOW_TIMEOUT_MS),
        ])
        return checkedBlock(blockId, integer(record(header, 'getblockheader').height, 'height'), hex(raw, 'getblock'))
      })
    try {
      return await get()
    } catch (e) {
      if (!hasCode(e, 'PRUNED')) throw e
      const read = (method: string, params: readonly unknown[]): Promise<unknown> => this.#read(method, params)
      const found = await fetchAgain(blockId, get, { read, clock: this.#clock })
      if (found === null) throw e
      return found
    }
  }

  txids(blockId: BlockHash): Promise<readonly Txid[]> {
    return ofBlock(blockId, async () => {
      const block = record(await this.#read('getblock', [blockId, 1], SLOW_TIMEOUT_MS), 'getblock')
      return list(block.tx, 'tx').map((id) => decoded('getblock', () => txid(text(id, 'tx'))))
    })
  }

  async transaction(id: Txid): Promise<Transaction | null> {
    try {
      const raw = hex(await this.#read('getrawtransaction', [id, 0]), 'getrawtransaction')
      return decoded('getrawtransaction', () => decodeTransaction(raw))
    } catch (e) {
      if (hasRpcCode(e, RPC_ERROR.INVALID_ADDRESS_OR_KEY)) return null
      throw e
    }
  }

  async locate(id: Txid): ReturnType<ChainSource['locate']> {
    try {
      const found = record(await this.#read('getrawtransaction', [id, true]), 'getrawtransaction')
      const raw = hex(found.hex, 'hex')
      const confirmations = found.confirmations === undefined ? 0 : integer(found.confirmations, 'confirmations')
      return { tx: decoded('getrawtransaction', () => decodeTransaction(raw)), confirmations }
    } catch (e) {
      if (hasRpcCode(e, RPC_ERROR.INVALID_ADDRESS_OR_KEY)) return null
      throw e
    }
  }

  async utxo(outpoint: Outpoint): Promise<{ output: TxOutput; confirmations: number } | null> {
    const found = await this.#read('gettxout', [outpoint.txid, outpoint.index, false])
    if (found === null) return null
    const out = record(found, 'gettxout')
    return {
      output: {
        amountSat: btcToSat(out.value, 'value'),
        scriptPubKey: hex(record(out.scriptPubKey, 'scriptPubKey').hex, 'scriptPubKey'),
      },
      confirmations: integer(out.confirmations, 'confirmations'),
    }
  }

  async mempoolSpends(outpoints: readonly Outpoint[]): Promise<readonly Transaction[]> {
    if (outpoints.length === 0) return []
    const asked = outpoints.map((o) => ({ txid: o.txid, vout: o.index }))
    try {
      const answer = list(await this.#read('gettxspendingprevout', [asked]), 'gettxspendingprevout')
      const spenders = answer.flatMap((a) => {
        const { spendingtxid } = record(a, 'gettxspendingprevout')
        return spendingtxid === undefined ? [] : [txid(text(spendingtxid, 'spendingtxid'))]
      })
      const txs = await Promise.all([...new Set(spenders)].map((id) => this.transaction(id)))
      return txs.filter((tx) => tx !== null)
    } catch (e) {
      if (hasRpcCode(e, RPC_ERROR.METHOD_NOT_FOUND)) return [] // Before Core 24.
      throw e
    }
  }

  async scanUnspent(scripts: readonly Uint8Array[]): ReturnType<ChainSource['scanUnspent']> {
    const descriptors = scripts.map((s) => `raw(${toHex(s)})`)
    const scan = record(await this.#read('scantxoutset', ['start', descriptors], SCAN_TIMEOUT_MS), 'scantxoutset')
    if (scan.success !== true) throw new ChainError('RPC_ERROR', 'scantxoutset: the scan was broken off; try again')
    const outputs = list(scan.unspents, 'unspents').map((item): UnspentOutput => {
      const u = record(item, 'unspents')
      return {
        outpoint: { txid: txid(text(u.txid, 'txid')), index: integer(u.vout, 'vout') },
        output: { amountSat: btcToSat(u.amount, 'amount'), scriptPubKey: hex(u.scriptPubKey, 'scriptPubKey') },
        height: integer(u.height, 'height'),
        coinbase: u.coinbase === true,
      }
    })
    return { tip: { hash: hash(scan.bestblock), height: integer(scan.height, 'height') }, outputs }
  }

  broadcast(tx: Transaction): Promise<BroadcastResult> {
    return this.#broadcaster.send([tx])
  }

  broadcastPackage(txs: readonly Transaction[]): Promise<BroadcastResult> {
    return this.#broadcaster.send(txs)
  }

  async estimateFeerate(blocks: number): Promise<number | null> {
    const { feerate } = record(await this.#read('estimatesmartfee', [blocks]), 'estimatesmartfee')
    // Nothing at all is an estimate of nothing.
    return feerate === undefined || feerate === 0 ? null : perKw(btcToSat(feerate, 'feerate'))
  }

  async mempoolMinFeerate(): Promise<number> {
    const info = record(await this.#read('getmempoolinfo'), 'getmempoolinfo')
    return Math.max(
      perKw(btcToSat(info.mempoolminfee, 'mempoolminfee')),
      perKw(btcToSat(info.minrelaytxfee, 'minrelaytxfee')),
    )
  }

  async mine(blocks: number, scriptPubKey: Uint8Array): Promise<readonly BlockHash[]> {
    if (this.#network !== 'regtest') throw new ChainError('NOT_SUPPORTED', 'blocks can be mined on regtest alone')
    const address = encodeAddress(scriptPubKey, this.#network)
    if (address === null) throw new ChainError('NOT_SUPPORTED', 'mining needs a script that has an address')
    await this.check()
    // Not repeated on failure: it may have mined.
    const mined = await this.#call('generatetoaddress', [blocks, address], { timeoutMs: SLOW_TIMEOUT_MS })
    return list(mined, 'generatetoaddress').map(hash)
  }

  async waitForChange(known: BlockHash, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#longPoll) {
      await this.check()
      try {
        const params = [timeoutMs, known]
        await this.#call('waitfornewblock', params, { timeoutMs: timeoutMs + TIMEOUT_MS, signal })
        return
      } catch (e) {
        if (e instanceof ChainError && e.code === 'ABORTED') return
        // Older nodes know no `current_tip`, and could miss a block between our look and theirs; others have no such method.
        if (!(e instanceof ChainError) || e.code !== 'RPC_ERROR') throw e
        this.#longPoll = false
      }
    }
    for (let waited = 0; waited < timeoutMs && !signal.aborted; waited += POLL_MS) {
      if (hash(await this.#read('getbestblockhash')) !== known) return
      await this.#clock.sleep(Math.min(POLL_MS, timeoutMs - waited), signal)
    }
  }

  onBack(listener: () => void): void {
    this.#onBack = listener
  }

  async close(): Promise<void> {
    this.#transport.close()
  }

  async #checkNetwork(): Promise<void> {
    const { genesisHash } = networkParams(this.#network)
    const found = hash(await this.#retry('getblockhash', [0]))
    if (found === genesisHash) return
    throw new ChainError(
      'WRONG_NETWORK',
      `the Bitcoin node follows another chain than ${this.#network}: its first block is ${found}, expected ${genesisHash}`,
    )
  }

  /** For calls that may be repeated. */
  async #read(method: string, params: readonly unknown[] = [], timeoutMs = TIMEOUT_MS): Promise<unknown> {
    await this.check()
    return this.#retry(method, params, timeoutMs)
  }

  /** Every restart breaks a call off, or fails the next, be it that a later try is answered: somebody always waits for a block. */
  async #call(method: string, params: readonly unknown[], options: CallOptions): Promise<unknown> {
    try {
      const answer = await this.#transport.call(method, params, options)
      this.#answered()
      return answer
    } catch (e) {
      if (hasCode(e, 'UNAVAILABLE') || hasCode(e, 'WARMUP')) {
        this.#isAway = true
        // Another may answer in its place, of another network.
        this.#checked = null
      } else if (hasCode(e, 'RPC_ERROR')) this.#answered()
      throw e
    }
  }

  #answered(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#onBack()
  }

  async #retry(method: string, params: readonly unknown[], timeoutMs = TIMEOUT_MS): Promise<unknown> {
    for (let n = 0; ; n++) {
      try {
        return await this.#call(method, params, { timeoutMs })
      } catch (e) {
        if (!(e instanceof ChainError) || e.code !== 'UNAVAILABLE' || n + 1 === TRIES) throw e
        await this.#clock.sleep(backOff(n, 100, 2_000))
      }
    }
  }
}

/** What the backend answers where it does not have the block, in our words. */
async function ofBlock<T>(blockId: BlockHash, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (e) {
    if (hasRpcCode(e, RPC_ERROR.INVALID_ADDRESS_OR_KEY)) {
      throw new ChainError('NOT_FOUND', `the Bitcoin node does not know block ${blockId}`, { cause: e })
    }
    if (hasRpcCode(e, RPC_ERROR.MISC) && /pruned/i.test((e as Error).message)) {
      const what =
        'which is needed, and none of its peers sent it again: connect it to one that keeps all blocks, or run it with -prune=0'
      throw new ChainError('PRUNED', `the Bitcoin node no longer has block ${blockId}, ${what}`, { cause: e })
    }
    throw e
  }
}

/** Decodes a block and makes sure that it is the one that was asked for, with exactly its transactions. */
function checkedBlock(id: BlockHash, height: number, raw: Uint8Array): ChainBlock {
  const { header, transactions } = decoded('getblock', () => decodeBlock(raw))
  const ids = transactions.map((tx) => crypto.sha256d(encodeTransactionStripped(tx)))
  if (blockHashOf(header) !== id || !equalBytes(merkleTree(ids).root, header.merkleRoot)) {
    throw new ChainError('BAD_RESPONSE', `getblock: what came is not block ${id}`)
  }
  return {
    hash: id,
    previousHash: header.previousHash,
    height,
    time: header.time,
    transactions,
    txids: ids.map(txidFromBytes),
  }
}

const hasCode = (e: unknown, code: ChainError['code']): boolean => e instanceof ChainError && e.code === code

/** sat per 1,000 weight units from sat per 1,000 vbytes, rounded up. */
const perKw = (satPerKvb: Sat): number => Math.ceil(Number(satPerKvb) / 4)
