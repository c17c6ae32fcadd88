import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { WalletError } from '../../src/wallet/errors.ts'
import {
  backupKey,
  channelSeed,
  createMnemonic,
  derivationKey,
  masterKey,
  nodeSecret,
  parseMnemonic,
  walletAccount,
  walletAddress,
} from '../../src/wallet/keys.ts'

const ABANDON = `${'abandon '.repeat(11)}about`

describe('seed words', () => {
  it('a new mnemonic is valid and differs every time', () => {
    for (const words of [12, 24] as const) {
      const mnemonic = createMnemonic(words)
      expect(mnemonic.split(' ')).toHaveLength(words)
      expect(parseMnemonic(mnemonic)).toBe(mnemonic)
      expect(createMnemonic(words)).not.toBe(mnemonic)
    }
  })

  it('are read in any case and spacing', () => {
    expect(parseMnemonic(`  ${ABANDON.toUpperCase().replaceAll(' ', '\n  ')}\t`)).toBe(ABANDON)
  })

  it.each([
    ['a missing word', ABANDON.slice(8), '11 words'],
    ['a word that is not in the list', ABANDON.replace('about', 'aboot'), 'word 12'],
    ['a wrong checksum', ABANDON.replace('about', 'abandon'), 'checksum'],
    ['nothing', '', '1 words'],
  ])('%s is refused with the reason and without the words', (_, text, reason) => {
    expect(() => parseMnemonic(text)).toThrow(WalletError)
    expect(() => parseMnemonic(text)).toThrow(reason)
    try {
      parseMnemonic(text)
    } catch (e) {
      expect(String(e)).not.toMatch(/abandon|aboot/)
    }
  })

  it('any text parses or fails with WalletError', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(() => parseMnemonic(text)).toThrow(WalletError)
      }),
    )
  })
})

describe('derived secrets', () => {
  const master = masterKey(ABANDON, 'regtest')

  it('every purpose has a secret of its own', () => {
    const secrets = [
      nodeSecret(master),
      backupKey(master),
      derivationKey(master),
      ...Array.from({ length: 20 }, (_, i) => channelSeed(master, i)),
    ]
    for (const s of secrets) expect(crypto.isValidSecret(s)).toBe(true)
    expect(new Set(secrets.map(toHex)).size).toBe(secrets.length)
  })

  it('are the same after a restart, and for ever: a change here would lose channels', () => {
    const again = masterKey(ABANDON, 'regtest')
    expect(toHex(nodeSecret(again))).toBe(toHex(nodeSecret(master)))
    // What m/9735'/1'/… gives for this seed with @scure/bip32 alone.
    const at = (path: string): string => toHex(master.root.derive(path).privateKey!)
    expect(toHex(nodeSecret(master))).toBe(at("m/9735'/1'/0'"))
    expect(toHex(channelSeed(master, 7))).toBe(at("m/9735'/1'/1'/7'"))
    expect(toHex(backupKey(master))).toBe(at("m/9735'/1'/2'"))
    expect(toHex(derivationKey(master))).toBe(at("m/9735'/1'/3'"))
  })

  it('bitcoin and the test networks share no keys', () => {
    const main = masterKey(ABANDON, 'bitcoin')
    expect(toHex(nodeSecret(main))).not.toBe(toHex(nodeSecret(master)))
    expect(walletAddress(walletAccount(main), 0, 0)).toMatch(/^bc1q/)
    expect(walletAddress(walletAccount(master), 0, 0)).toMatch(/^bcrt1q/)
  })
})
