import { isHex, toHex } from '../../base/bytes.ts'
import { type BlockHash, blockHash, type Txid } from '../../base/ids.ts'
import { encodeTransaction, vsizeOf, weightOf } from '../../bitcoin/transaction.ts'
import { ChainError } from '../../chain/errors.ts'
import { FEE_TARGETS, perVbyte } from '../../chain/fees.ts'
import { ServiceError } from '../errors.ts'
import type { NodeParts } from '../parts.ts'
import type { NodeService } from '../service.ts'
import { scriptOfAddress } from './address.ts'

export type ChainService = Pick<NodeService, 'chain' | 'chainBlock' | 'chainTransaction' | 'chainFees' | 'mine'>

/** The backend's failure as the API tells it. */
function chainProblem(e: unknown): unknown {
  if (!(e instanceof ChainError)) return e
  return new ServiceError(e.code === 'NOT_FOUND' ? 'NOT_FOUND' : 'CHAIN_UNAVAILABLE', e.message, { cause: e })
}

/** Asks the backend for somebody. @throws ServiceError */
export const viaChain = async <T>(call: () => Promise<T>): Promise<T> => {
  try {
    return await call()
  } catch (e) {
    throw chainProblem(e)
  }
}

/** Blocks whose transactions are looked through for one that the backend has no index for. */
const SEARCH_DEPTH = 100
/** How long the answer to mining waits for this node itself to take the blocks in. */
const CATCH_UP_MS = 10_000

/** The chain as the backend shows it. */
export function chainService(parts: NodeParts): ChainService {
  const { source, chain } = parts

  const hashAt = async (text: string): Promise<BlockHash> => {
    if (isHex(text, 32)) return blockHash(text)
    const height = Number(text)
    if (!/^\d{1,9}$/.test(text) || height > chain.height) {
      throw new ServiceError('NOT_FOUND', `there is no block "${text}": the chain's height is ${chain.height}`)
    }
    return viaChain(() => source.blockHash(height))
  }

  /** Confirmations of a transaction in one of the last blocks, and itself; null when it is in none. */
  const searchBlocks = async (txid: Txid) => {
    for (let height = chain.height; height >= Math.max(1, chain.height - SEARCH_DEPTH); height--) {
      const hash = await source.blockHash(height)
      const at = (await source.txids(hash)).indexOf(txid)
      if (at < 0) continue
      return { tx: (await source.block(hash)).transactions[at]!, confirmations: chain.height - height + 1 }
    }
    return null
  }

  return {
    chain: () => ({
      network: parts.network,
      backend: parts.backend,
      height: chain.height,
      hash: chain.tip.hash,
      synced: chain.isSynced,
    }),
    async chainBlock(heightOrHash) {
      const hash = await hashAt(heightOrHash)
      const { height, time, previousHash, txids } = await viaChain(() => source.block(hash))
      return { hash, height, time, previousHash, txids }
    },
    async chainTransaction(txid) {
      const found = await viaChain(async () => (await source.locate(txid)) ?? (await searchBlocks(txid)))
      if (!found) {
        throw new ServiceError(
          'NOT_FOUND',
          `transaction ${txid} is not in the mempool, nor in the last ${SEARCH_DEPTH} blocks: to look further back, run the Bitcoin node with txindex=1`,
        )
      }
      const { tx, confirmations } = found
      return {
        txid,
        hex: toHex(encodeTransaction(tx)),
        vsize: vsizeOf(tx),
        weight: weightOf(tx),
        confirmations,
      }
    },
    async chainFees() {
      const fees = parts.fees()
      return FEE_TARGETS.map((target) => ({
        targetBlocks: target,
        feerateSatPerVbyte: perVbyte(fees.byTarget[target]),
      }))
    },
    async mine(blocks, address) {
      if (parts.network !== 'regtest') throw new ServiceError('NOT_SUPPORTED', 'blocks can be mined on regtest alone')
      const script =
        address === undefined
          ? (await parts.reactor.run(() => parts.wallet.newAddress())).scriptPubKey
          : scriptOfAddress(address, parts)
      const blockHashes = await viaChain(() => source.mine(blocks, script))
      const tip = await viaChain(() => source.tip())
      await chain.reach(tip.height, CATCH_UP_MS)
      return { blockHashes }
    },
  }
}
