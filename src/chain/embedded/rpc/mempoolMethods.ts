import type { Txid } from '../../../base/ids.ts'
import { outpointKey } from '../../../base/ids.ts'
import { decodeTransaction, type Transaction } from '../../../bitcoin/transaction.ts'
import { RPC_ERROR } from '../../rpcErrors.ts'
import type { EmbeddedChain } from '../chain.ts'
import type { Candidate } from '../mempool.ts'
import { type MempoolEntry, type MempoolTx, mempoolTx } from '../mempoolEntry.ts'
import { isChildWithParents, MAX_PACKAGE, type PackageTxResult } from '../packages.ts'
import { type Rejection, rejectionText } from '../rejection.ts'
import { decodeHex } from './args.ts'
import { RpcError } from './errors.ts'
import type { Methods } from './methods.ts'
import { type Json, mempoolEntryJson, toBtc } from './shapes.ts'

/** BTC per 1,000 vbytes above which a fee is taken for a mistake, as in Core. */
const DEFAULT_MAX_FEERATE = '0.10'
/** Core's figures of its default policy: BTC per 1,000 vbytes. */
const RELAY_FEE = 0.00001
const DUST_RELAY_FEE = 0.00003
const MAX_MEMPOOL_BYTES = 300_000_000

const TX_COMPLAINT = 'TX decode failed. Make sure the tx has at least one input.'
const decode = (hex: unknown): Transaction => decodeHex(hex, decodeTransaction, TX_COMPLAINT)

/** @param maxFeerate sat per 1,000 vbytes; 0: no limit */
const isTooDear = (fee: bigint, vsize: number, maxFeerate: bigint): boolean =>
  maxFeerate > 0n && fee > (maxFeerate * BigInt(vsize) + 999n) / 1000n

/** sat per 1,000 vbytes of several together, as BTC. */
function effectiveFeerate(fee: bigint, vsize: number): number {
  return toBtc((fee * 1000n) / BigInt(vsize))
}

function sendRawTransaction(chain: EmbeddedChain, tx: Transaction, maxFeerate: bigint): Txid {
  const t = mempoolTx(tx)
  if (chain.mempool.get(t.txid)) return t.txid
  if (tx.outputs.some((_, index) => chain.state.coin(outpointKey({ txid: t.txid, index })))) {
    throw new RpcError(RPC_ERROR.VERIFY_ALREADY_IN_UTXO_SET, 'Transaction outputs already in utxo set')
  }
  const candidate = chain.mempool.test(t)
  if (!candidate.ok) throw refusal(candidate.error)
  if (isTooDear(candidate.value.fee, t.vsize, maxFeerate)) {
    throw new RpcError(RPC_ERROR.VERIFY, 'Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)')
  }
  chain.mempool.add(candidate.value)
  return t.txid
}

function refusal(r: Rejection): RpcError {
  const missing = r.reason === 'bad-txns-inputs-missingorspent'
  return new RpcError(missing ? RPC_ERROR.VERIFY : RPC_ERROR.VERIFY_REJECTED, rejectionText(r))
}

function testMempoolAccept(chain: EmbeddedChain, txs: readonly Transaction[], maxFeerate: bigint): Json[] {
  const added: { entry: MempoolEntry; candidate: Candidate }[] = []
  try {
    return txs.map(mempoolTx).map((t) => {
      const ids = { txid: t.txid, wtxid: t.wtxid }
      const candidate = chain.mempool.test(t)
      if (!candidate.ok) return { ...ids, allowed: false, ...rejectionJson(candidate.error) }
      const { fee } = candidate.value
      if (isTooDear(fee, t.vsize, maxFeerate)) return { ...ids, allowed: false, 'reject-reason': 'max-fee-exceeded' }
      // Those that follow may spend it.
      if (txs.length > 1) added.push({ entry: chain.mempool.add(candidate.value), candidate: candidate.value })
      return { ...ids, allowed: true, vsize: t.vsize, fees: feesJson(fee, [t], fee) }
    })
  } finally {
    for (const { entry, candidate } of added.reverse()) chain.mempool.undoAdd(entry, candidate.replaced)
  }
}

const rejectionJson = (r: Rejection): Json =>
  r.reason === 'bad-txns-inputs-missingorspent'
    ? { 'reject-reason': 'missing-inputs' }
    : { 'reject-reason': r.reason, 'reject-details': rejectionText(r) }

function feesJson(base: bigint, paidWith: readonly MempoolTx[], together: bigint): Json {
  const vsize = paidWith.reduce((n, t) => n + t.vsize, 0)
  return {
    base: toBtc(base),
    ...(paidWith.length > 0 && {
      'effective-feerate': effectiveFeerate(together, vsize),
      'effective-includes': paidWith.map((t) => t.wtxid),
    }),
  }
}

function submitPackage(chain: EmbeddedChain, list: readonly unknown[], maxFeerate: bigint): Json {
  if (list.length < 1 || list.length > MAX_PACKAGE) {
    throw new RpcError(RPC_ERROR.INVALID_PARAMETER, `Array must contain between 1 and ${MAX_PACKAGE} transactions.`)
  }
  const txs = list.map(decode)
  if (!isChildWithParents(txs.map(mempoolTx))) {
    const what = 'package topology disallowed. not child-with-parents or parents depend on each other.'
    throw new RpcError(RPC_ERROR.VERIFY, what)
  }
  const { ok, results, replaced, refusal } = chain.submitPackage(txs, maxFeerate)
  const fees = new Map([...results].map(([t, r]) => [t.wtxid, r.ok ? r.fee : 0n]))
  return {
    package_msg: ok ? 'success' : (refusal ?? 'transaction failed'),
    'tx-results': Object.fromEntries([...results].map(([t, r]) => [t.wtxid, packageTxJson(t, r, fees)])),
    'replaced-transactions': replaced,
  }
}

function packageTxJson(t: MempoolTx, r: PackageTxResult, fees: ReadonlyMap<string, bigint>): Json {
  if (!r.ok) return { txid: t.txid, error: rejectionText(r.rejection) }
  const together = r.paidWith.reduce((sum, p) => sum + (fees.get(p.wtxid) ?? 0n), 0n)
  return { txid: t.txid, vsize: r.vsize, fees: feesJson(r.fee, r.paidWith, together) }
}

const mempoolInfo = ({ mempool }: EmbeddedChain): Json => ({
  loaded: true,
  size: mempool.size,
  bytes: mempool.vsize,
  usage: mempool.vsize,
  total_fee: toBtc(mempool.fees),
  maxmempool: MAX_MEMPOOL_BYTES,
  mempoolminfee: toBtc(mempool.minFeerate),
  minrelaytxfee: RELAY_FEE,
  incrementalrelayfee: RELAY_FEE,
  dustrelayfee: DUST_RELAY_FEE,
  unbroadcastcount: 0,
  fullrbf: true,
})

function spendingJson(chain: EmbeddedChain, output: unknown): Json {
  const { txid, vout } = (output ?? {}) as { readonly txid?: unknown; readonly vout?: unknown }
  if (typeof txid !== 'string' || !/^[0-9a-f]{64}$/.test(txid) || !Number.isSafeInteger(vout) || (vout as number) < 0) {
    throw new RpcError(
      RPC_ERROR.INVALID_PARAMETER,
      'Invalid parameter, each output has a txid and a vout that is not negative',
    )
  }
  const spender = chain.mempool.spender(outpointKey({ txid: txid as Txid, index: vout as number }))
  return { txid, vout: vout as number, ...(spender && { spendingtxid: spender.txid }) }
}

export const MEMPOOL_METHODS: Methods = {
  sendrawtransaction: {
    params: ['hexstring', 'maxfeerate', 'maxburnamount'],
    run: (args, { chain }) => sendRawTransaction(chain, decode(args.string(0)), args.amount(1, DEFAULT_MAX_FEERATE)),
  },
  testmempoolaccept: {
    params: ['rawtxs', 'maxfeerate'],
    run: (args, { chain }) => testMempoolAccept(chain, args.list(0).map(decode), args.amount(1, DEFAULT_MAX_FEERATE)),
  },
  submitpackage: {
    params: ['package', 'maxfeerate', 'maxburnamount'],
    run: (args, { chain }) => submitPackage(chain, args.list(0), args.amount(1, DEFAULT_MAX_FEERATE)),
  },
  getrawmempool: {
    params: ['verbose', 'mempool_sequence'],
    run(args, { chain }) {
      const entries = [...chain.mempool.entries()]
      if (!args.boolean(0, false)) return entries.map((e) => e.txid)
      return Object.fromEntries(entries.map((e) => [e.txid, mempoolEntryJson(e)]))
    },
  },
  getmempoolentry: {
    params: ['txid'],
    run(args, { chain }) {
      const entry = chain.mempool.get(args.hash(0) as Txid)
      if (!entry) throw new RpcError(RPC_ERROR.INVALID_ADDRESS_OR_KEY, 'Transaction not in mempool')
      return mempoolEntryJson(entry)
    },
  },
  gettxspendingprevout: {
    params: ['outputs'],
    run: (args, { chain }) => args.list(0).map((output) => spendingJson(chain, output)),
  },
  getmempoolinfo: { params: [], run: (_, { chain }) => mempoolInfo(chain) },
  /** There is no market here to learn fees from, as on Core's own regtest. */
  estimatesmartfee: {
    params: ['conf_target', 'estimate_mode'],
    run(args) {
      const target = args.integer(0)
      if (target < 1 || target > 1008) {
        throw new RpcError(RPC_ERROR.INVALID_PARAMETER, 'Invalid conf_target, must be between 1 and 1008')
      }
      return { errors: ['Insufficient data or no feerate found'], blocks: 0 }
    },
  },
}
