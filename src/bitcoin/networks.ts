import { type BlockHash, blockHashToBytes } from '../base/ids.ts'

export type Network = 'bitcoin' | 'testnet' | 'signet' | 'regtest'

export const NETWORKS: readonly Network[] = ['bitcoin', 'testnet', 'signet', 'regtest']

export interface NetworkParams {
  readonly name: Network
  /** Of the genesis block, display order. */
  readonly genesisHash: BlockHash
  /** Human-readable part of segwit addresses (BIP 173). */
  readonly hrp: string
  /** BOLT 11 §human-readable-part: follows "ln". */
  readonly invoicePrefix: string
  /** Base58 version byte of P2PKH addresses. */
  readonly pubkeyHashVersion: number
  /** Base58 version byte of P2SH addresses. */
  readonly scriptHashVersion: number
  /** BIP 44 coin type. */
  readonly coinType: 0 | 1
  /** The name in getblockchaininfo. */
  readonly rpcChain: 'main' | 'test' | 'signet' | 'regtest'
  /** Ports that other software uses by default. */
  readonly lightningPort: number
  readonly rpcPort: number
}

const test = { pubkeyHashVersion: 111, scriptHashVersion: 196, coinType: 1 } as const

const PARAMS: { readonly [N in Network]: NetworkParams } = {
  bitcoin: {
    name: 'bitcoin',
    genesisHash: '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f' as BlockHash,
    hrp: 'bc',
    invoicePrefix: 'bc',
    pubkeyHashVersion: 0,
    scriptHashVersion: 5,
    coinType: 0,
    rpcChain: 'main',
    lightningPort: 9735,
    rpcPort: 8332,
  },
  testnet: {
    ...test,
    name: 'testnet',
    genesisHash: '000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943' as BlockHash,
    hrp: 'tb',
    invoicePrefix: 'tb',
    rpcChain: 'test',
    lightningPort: 19735,
    rpcPort: 18332,
  },
  signet: {
    ...test,
    name: 'signet',
    genesisHash: '00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6' as BlockHash,
    hrp: 'tb',
    invoicePrefix: 'tbs',
    rpcChain: 'signet',
    lightningPort: 39735,
    rpcPort: 38332,
  },
  regtest: {
    ...test,
    name: 'regtest',
    genesisHash: '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206' as BlockHash,
    hrp: 'bcrt',
    invoicePrefix: 'bcrt',
    rpcChain: 'regtest',
    lightningPort: 9735,
    rpcPort: 18443,
  },
}

export const networkParams = (network: Network): NetworkParams => PARAMS[network]

export const isNetwork = (name: string): name is Network => Object.hasOwn(PARAMS, name)

/** BOLT 0 §chain_hash: the genesis block hash in wire order, 32 B. */
export const chainHash = (network: Network): Uint8Array => blockHashToBytes(PARAMS[network].genesisHash)

/** null for a chain that Fulmen does not know. */
export function networkOfChainHash(hash: Uint8Array): Network | null {
  return NETWORKS.find((n) => chainHash(n).every((b, i) => b === hash[i]) && hash.length === 32) ?? null
}
