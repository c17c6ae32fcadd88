import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { txid, txidToBytes } from '../../src/base/ids.ts'
import {
  blockHashOf,
  blockWeight,
  decodeBlock,
  encodeBlock,
  meetsTarget,
  merkleTree,
  targetOfBits,
  workOfBits,
} from '../../src/bitcoin/block.ts'
import { genesisBlock } from '../../src/bitcoin/genesis.ts'
import { chainHash, NETWORKS, networkOfChainHash, networkParams } from '../../src/bitcoin/networks.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'

describe('the first blocks', () => {
  it.each(NETWORKS)('%s: the genesis block has the hash that the world knows, and meets its target', (network) => {
    const genesis = genesisBlock(network)
    const hash = blockHashOf(genesis.header)
    expect(hash).toBe(networkParams(network).genesisHash)
    expect(meetsTarget(hash, genesis.header.bits)).toBe(true)
    expect(networkOfChainHash(chainHash(network))).toBe(network)
  })

  it('the genesis coinbase has its known txid, size and weight', () => {
    const genesis = genesisBlock('bitcoin')
    expect(txidOf(genesis.transactions[0]!)).toBe('4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b')
    expect(encodeBlock(genesis).length).toBe(285)
    expect(blockWeight(genesis)).toBe(1140)
    expect(decodeBlock(encodeBlock(genesis))).toEqual(genesis)
  })
})

describe('merkle trees', () => {
  const ids = (list: readonly string[]) => list.map((s) => txidToBytes(txid(s)))

  it('mainnet block 100,000: the root of its four transactions', () => {
    const { root, mutated } = merkleTree(
      ids([
        '8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87',
        'fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4',
        '6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4',
        'e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d',
      ]),
    )
    expect(toHex(root.slice().reverse())).toBe('f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766')
    expect(mutated).toBe(false)
  })

  it('an odd level repeats its last id, and a list that does so itself is called mutated', () => {
    const three = ids(['33'.repeat(32), '11'.repeat(32), '22'.repeat(32)])
    const four = [...three, three[2]!]
    expect(merkleTree(three).root).toEqual(merkleTree(four).root)
    expect(merkleTree(three).mutated).toBe(false)
    expect(merkleTree(four).mutated).toBe(true)
  })
})

describe('compact targets', () => {
  it.each([
    [0x1d00ffff, 0xffffn << 208n],
    [0x207fffff, 0x7fffffn << 232n],
    [0x01123456, 0x12n],
    [0x05009234, 0x92340000n],
    [0x04923456, null],
    [0x01fedcba, null],
    [0x00123456, null],
    [0xff123456, null],
  ])('%s', (bits, target) => {
    expect(targetOfBits(bits)).toBe(target)
  })

  it('regtest: every block counts as two hashes, mainnet difficulty 1 as 2^32 and a little', () => {
    expect(workOfBits(0x207fffff)).toBe(2n)
    expect(workOfBits(0x1d00ffff)).toBe(0x100010001n)
  })
})
