import { fromHex } from '../base/bytes.ts'
import type { BlockHash, Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { type Block, type BlockHeader, merkleRootOf } from './block.ts'
import type { Network } from './networks.ts'
import type { Transaction } from './transaction.ts'

const NULL_HASH = '00'.repeat(32)

/** The one transaction of the first block: the headline of the Times, and 50 BTC to a key that nobody can spend. */
const GENESIS_TRANSACTION: Transaction = {
  version: 1,
  inputs: [
    {
      txid: NULL_HASH as Txid,
      index: 0xffffffff,
      scriptSig: fromHex(
        '04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73',
      ),
      sequence: 0xffffffff,
      witness: [],
    },
  ],
  outputs: [
    {
      amountSat: 5_000_000_000n as Sat,
      scriptPubKey: fromHex(
        '4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac',
      ),
    },
  ],
  lockTime: 0,
}

/** What differs between the networks' first blocks. */
const GENESIS: { readonly [N in Network]: Pick<BlockHeader, 'time' | 'bits' | 'nonce'> } = {
  bitcoin: { time: 1231006505, bits: 0x1d00ffff, nonce: 2083236893 },
  testnet: { time: 1296688602, bits: 0x1d00ffff, nonce: 414098458 },
  signet: { time: 1598918400, bits: 0x1e0377ae, nonce: 52613770 },
  regtest: { time: 1296688602, bits: 0x207fffff, nonce: 2 },
}

/** The first block of a network. */
export const genesisBlock = (network: Network): Block => ({
  header: {
    version: 1,
    previousHash: NULL_HASH as BlockHash,
    merkleRoot: merkleRootOf([GENESIS_TRANSACTION]),
    ...GENESIS[network],
  },
  transactions: [GENESIS_TRANSACTION],
})
