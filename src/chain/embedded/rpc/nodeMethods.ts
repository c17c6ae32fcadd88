import { isHex } from '../../../base/bytes.ts'
import type { Txid } from '../../../base/ids.ts'
import { type BlockHash, txid } from '../../../base/ids.ts'
import { decodeAddress } from '../../../bitcoin/address.ts'
import { decodeTransaction, type Transaction } from '../../../bitcoin/transaction.ts'
import { RPC_ERROR } from '../../rpcErrors.ts'
import { EmbeddedChainError } from '../errors.ts'
import { decodeHex } from './args.ts'
import { descriptorScript } from './chainMethods.ts'
import { RpcError } from './errors.ts'
import type { Methods } from './methods.ts'
import type { Json } from './shapes.ts'

/** The release of Bitcoin Core whose calls and shapes these are. */
const CORE_VERSION = 290000
const MAX_GENERATE = 10_000

const NETWORK_INFO: Json = {
  version: CORE_VERSION,
  subversion: '/Fulmen embedded chain/',
  protocolversion: 70016,
  localservices: '0000000000000009',
  localservicesnames: ['NETWORK', 'WITNESS'],
  localrelay: true,
  timeoffset: 0,
  networkactive: false,
  connections: 0,
  connections_in: 0,
  connections_out: 0,
  networks: [],
  relayfee: 0.00001,
  incrementalfee: 0.00001,
  localaddresses: [],
  warnings: [],
}

function addressScript(address: string): Uint8Array {
  try {
    return decodeAddress(address, 'regtest')
  } catch {
    throw new RpcError(RPC_ERROR.INVALID_ADDRESS_OR_KEY, 'Error: Invalid address')
  }
}

/** A block's contents as generateblock takes them: ids of the mempool, or raw transactions. */
function contents(list: readonly unknown[]): (Txid | Transaction)[] {
  return list.map((item) =>
    typeof item === 'string' && isHex(item, 32)
      ? txid(item)
      : decodeHex(item, decodeTransaction, 'Transaction decode failed.'),
  )
}

function generateBlock(mine: () => BlockHash): Json {
  try {
    return { hash: mine() }
  } catch (e) {
    if (e instanceof EmbeddedChainError) throw new RpcError(RPC_ERROR.VERIFY, e.message)
    throw e
  }
}

export const NODE_METHODS: Methods = {
  getnetworkinfo: { params: [], run: () => NETWORK_INFO },
  uptime: { params: [], run: (_, { chain }) => Math.max(0, Math.floor(chain.now() - chain.startedAt)) },
  getindexinfo: {
    params: ['index_name'],
    run(args, { chain }) {
      const wanted = args.string(0, 'txindex')
      return wanted === 'txindex' ? { txindex: { synced: true, best_block_height: chain.state.height } } : {}
    },
  },
  generatetoaddress: {
    params: ['nblocks', 'address', 'maxtries'],
    run(args, { chain }) {
      const blocks = args.integer(0)
      const script = addressScript(args.string(1))
      if (blocks < 0 || blocks > MAX_GENERATE) {
        throw new RpcError(RPC_ERROR.INVALID_PARAMETER, `nblocks must be between 0 and ${MAX_GENERATE}`)
      }
      return chain.mine(blocks, script)
    },
  },
  generateblock: {
    params: ['output', 'transactions', 'submit'],
    run(args, { chain }) {
      const output = args.string(0)
      const script = output.includes('(') ? descriptorScript(output) : addressScript(output)
      const transactions = contents(args.list(1))
      return generateBlock(() => chain.mineExactly(transactions, script))
    },
  },
  stop: {
    params: [],
    run(_, { stop }) {
      stop()
      return 'Fulmen embedded chain stopping'
    },
  },
}
