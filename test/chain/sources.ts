import type { Network } from '../../src/bitcoin/networks.ts'
import { BitcoindSource } from '../../src/chain/bitcoind.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import type { ChainError } from '../../src/chain/errors.ts'
import type { RpcTransport } from '../../src/chain/rpc.ts'
import { instantClock } from './fakeSource.ts'

/** What a promise that has to fail fails with. */
export const failure = (p: Promise<unknown>): Promise<ChainError> =>
  p.then(
    () => {
      throw new Error('it succeeded')
    },
    (e) => e as ChainError,
  )

/** An embedded chain whose clock goes on by a second with each look at it. */
export const newChain = (): EmbeddedChain => {
  let now = 1_700_000_000
  return createEmbeddedChain({ clock: () => now++ })
}
/** The client of a Bitcoin node, without waiting. */
export const sourceOver = (transport: RpcTransport, network: Network = 'regtest'): BitcoindSource =>
  new BitcoindSource({ transport, network, clock: instantClock })
