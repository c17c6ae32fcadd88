import { readFileSync } from 'node:fs'
import { HDKey } from '@scure/bip32'
import { entropyToMnemonic, mnemonicToSeedSync } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import {
  type Branch,
  masterKey,
  parseMnemonic,
  walletAccount,
  walletAddress,
  walletPath,
  walletPublicKey,
  walletSigner,
} from '../../src/wallet/keys.ts'

const fixture = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), 'utf8')) as T

const bip39 = fixture<{
  passphrase: string
  vectors: readonly { entropy: string; mnemonic: string; seed: string }[]
}>('bip39')
const bip32 = fixture<{
  vectors: readonly { seed: string; chains: readonly { path: string; xpub: string; xprv: string }[] }[]
}>('bip32')
const bip84 = fixture<{
  mnemonic: string
  addresses: readonly { path: string; branch: Branch; index: number; publicKey: string; address: string }[]
}>('bip84')

describe('BIP 39 §Test vectors', () => {
  it.each(bip39.vectors)('$entropy', ({ entropy, mnemonic, seed }) => {
    expect(entropyToMnemonic(fromHex(entropy), wordlist)).toBe(mnemonic)
    expect(parseMnemonic(mnemonic)).toBe(mnemonic)
    expect(toHex(mnemonicToSeedSync(mnemonic, bip39.passphrase))).toBe(seed)
    const expected = HDKey.fromMasterSeed(fromHex(seed)).privateExtendedKey
    expect(masterKey(mnemonic, 'bitcoin', bip39.passphrase).root.privateExtendedKey).toBe(expected)
  })
})

describe('BIP 32 §Test Vectors', () => {
  const chains = bip32.vectors.flatMap(({ seed, chains }) => chains.map((c) => ({ seed, ...c })))
  it.each(chains)('$path of $seed', ({ seed, path, xpub, xprv }) => {
    const key = HDKey.fromMasterSeed(fromHex(seed)).derive(path)
    expect(key.publicExtendedKey).toBe(xpub)
    expect(key.privateExtendedKey).toBe(xprv)
  })
})

describe('BIP 84 §Test vectors', () => {
  const master = masterKey(bip84.mnemonic, 'bitcoin')
  const account = walletAccount(master)

  it.each(bip84.addresses)('$path', ({ path, branch, index, publicKey, address }) => {
    expect(walletPath('bitcoin', branch, index)).toBe(path)
    expect(toHex(walletPublicKey(account, branch, index))).toBe(publicKey)
    expect(walletAddress(account, branch, index)).toBe(address)
  })

  it('our child derivation equals the library and signs with the same key', () => {
    const signer = walletSigner(master)
    for (let i = 0; i < 25; i++) {
      const branch = (i % 2) as Branch
      const index = i * 7919
      const expected = master.root.derive(walletPath('bitcoin', branch, index)).publicKey!
      expect(toHex(walletPublicKey(account, branch, index))).toBe(toHex(expected))
      const digest = crypto.sha256(expected)
      expect(crypto.ecdsaVerify(signer.sign(branch, index, digest), digest, expected)).toBe(true)
    }
  })
})
