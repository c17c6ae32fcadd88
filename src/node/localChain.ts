import { join } from 'node:path'
import { BitcoindSource } from '../chain/bitcoind.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../chain/embedded/chain.ts'
import { rpcHandler } from '../chain/embedded/rpc.ts'
import { localTransport } from '../chain/rpc.ts'
import type { ChainSource } from '../chain/source.ts'
import type { NodeConfig } from './config.ts'

export interface OpenedChain {
  readonly source: ChainSource
  readonly stop: () => void
}

/** A chain within the node's own process, with its blocks in the data directory. */
export function openLocalChain({ network, dataDir, mineEverySeconds }: NodeConfig): OpenedChain {
  const clock = (): number => Math.floor(Date.now() / 1000)
  const chain = createEmbeddedChain({ dir: join(dataDir, 'chain'), clock })
  const timer = mineEvery(chain, mineEverySeconds)
  const source = new BitcoindSource({ transport: localTransport(rpcHandler(chain)), network })
  return {
    source,
    stop: () => {
      clearInterval(timer)
      chain.close()
    },
  }
}

/** OP_TRUE: the coins of blocks that nobody asked for belong to nobody. */
const ANYONE = Uint8Array.of(0x51)

export function mineEvery(chain: EmbeddedChain, seconds: number): NodeJS.Timeout | undefined {
  return seconds > 0 ? setInterval(() => chain.mine(1, ANYONE), seconds * 1000) : undefined
}
