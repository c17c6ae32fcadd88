import { createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { HDKey } from '@scure/bip32'
import { entropyToMnemonic, validateMnemonic } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { concatBytes, u32be } from '../base/bytes.ts'
import { InvariantError } from '../base/errors.ts'
import { encodeAddress } from '../bitcoin/address.ts'
import { type Network, networkParams } from '../bitcoin/networks.ts'
import { p2wpkhOfKey } from '../bitcoin/script.ts'
import { crypto } from '../crypto/crypto.ts'
import { WalletError } from './errors.ts'

/**
 * Everything secret comes from one BIP 39 seed, along hardened BIP 32 paths:
 *
 *     m/84'/coin'/0'/0/i      addresses to receive on (BIP 84)
 *     m/84'/coin'/0'/1/i      change
 *     m/9735'/coin'/0'        the node's identity key
 *     m/9735'/coin'/1'/k'     seed of the channel with key index k
 *     m/9735'/coin'/2'        key of the static channel backup
 *     m/9735'/coin'/3'        key that payment secrets and the like are derived from
 *
 * `coin` is 0 for bitcoin and 1 elsewhere. Purpose 9735' is our own: no other wallet uses it. A path once released keeps its meaning.
 */
const LIGHTNING_PURPOSE = "m/9735'"

/** BIP 39 §from-mnemonic-to-seed. */
const BIP39_ROUNDS = 2048
const WORD_COUNTS: readonly number[] = [12, 15, 18, 21, 24]
const WORDS = new Set(wordlist)

/** A new BIP 39 mnemonic, English list. 24 words carry 256 bits, 12 words 128. */
export function createMnemonic(words: 12 | 24 = 24): string {
  return entropyToMnemonic(new Uint8Array(randomBytes((words / 3) * 4)), wordlist)
}

/**
 * A mnemonic as a person typed it, in canonical form: lower case, single spaces.
 * @throws WalletError INVALID_MNEMONIC that says what is wrong, without repeating any of the words
 */
export function parseMnemonic(text: string): string {
  const words = text.normalize('NFKD').trim().toLowerCase().split(/\s+/)
  const fail = (why: string): never => {
    throw new WalletError('INVALID_MNEMONIC', `seed words: ${why}`)
  }
  if (!WORD_COUNTS.includes(words.length)) fail(`${words.length} words, expected 12 or 24 (15, 18, 21 work too)`)
  const unknown = words.findIndex((w) => !WORDS.has(w))
  if (unknown >= 0) fail(`word ${unknown + 1} is not in the BIP 39 English list, check its spelling`)
  const mnemonic = words.join(' ')
  if (!validateMnemonic(mnemonic, wordlist)) fail('the checksum is wrong, check the words and their order')
  return mnemonic
}

/** Root of all keys: hold it at start-up only, hand out what is derived from it. */
export interface MasterKey {
  readonly network: Network
  readonly root: HDKey
}

/**
 * What every key of a node comes from.
 * @param mnemonic canonical, as parseMnemonic returns it
 * @source BIP 39 §from-mnemonic-to-seed
 */
export function masterKey(mnemonic: string, network: Network, passphrase = ''): MasterKey {
  const salt = `mnemonic${passphrase}`.normalize('NFKD')
  const seed = pbkdf2Sync(mnemonic.normalize('NFKD'), salt, BIP39_ROUNDS, 64, 'sha512')
  const root = HDKey.fromMasterSeed(seed)
  seed.fill(0)
  return { network, root }
}

/** Inner nodes of a tree by their paths: each step down costs as much as a signature, and every channel's key hangs from the same. */
const inner = new WeakMap<HDKey, Map<string, HDKey>>()

function innerNode({ root }: MasterKey, path: string): HDKey {
  const known = inner.get(root) ?? new Map<string, HDKey>()
  inner.set(root, known)
  const node = known.get(path) ?? root.derive(path)
  known.set(path, node)
  return node
}

function secretAt(master: MasterKey, path: string): Uint8Array {
  const cut = path.lastIndexOf('/')
  const purpose = `${LIGHTNING_PURPOSE}/${networkParams(master.network).coinType}'`
  const parent = innerNode(master, cut < 0 ? purpose : `${purpose}/${path.slice(0, cut)}`)
  const key = parent.derive(`m/${path.slice(cut + 1)}`)
  if (!key.privateKey) throw new InvariantError('the master key has no private half')
  return Uint8Array.from(key.privateKey)
}

/** Secret key of the node's identity, 32 B. */
export const nodeSecret = (master: MasterKey): Uint8Array => secretAt(master, "0'")
/** From which all secrets of one channel are derived, 32 B. @param keyIndex 0 – 2^31 − 1 */
export const channelSeed = (master: MasterKey, keyIndex: number): Uint8Array => secretAt(master, `1'/${keyIndex}'`)
/** Encrypts the static channel backup, 32 B. */
export const backupKey = (master: MasterKey): Uint8Array => secretAt(master, "2'")
/** Key for pseudo-random secrets that need no path of their own, 32 B. */
export const derivationKey = (master: MasterKey): Uint8Array => secretAt(master, "3'")

/** BIP 44 §change: 0 to receive on, 1 for change. */
export type Branch = 0 | 1
export const RECEIVE: Branch = 0
export const CHANGE: Branch = 1

/** An extended public key, enough to derive its non-hardened children. */
interface PublicNode {
  readonly publicKey: Uint8Array
  readonly chainCode: Uint8Array
}

/** The public half of the wallet's BIP 84 account: derives every address, can sign nothing. */
export interface WalletAccount {
  readonly network: Network
  readonly branches: readonly [PublicNode, PublicNode]
}

const accountPath = (network: Network): string => `m/84'/${networkParams(network).coinType}'/0'`

/** @source BIP 84 §account */
export function walletAccount(master: MasterKey): WalletAccount {
  const branch = (b: Branch): PublicNode => {
    const { publicKey, chainCode } = innerNode(master, `${accountPath(master.network)}/${b}`)
    if (!publicKey || !chainCode) throw new InvariantError('derived key is incomplete')
    return { publicKey, chainCode }
  }
  return { network: master.network, branches: [branch(RECEIVE), branch(CHANGE)] }
}

/** BIP 32 CKDpub and CKDpriv share this tweak, 32 B: the left half of HMAC-SHA512 over the parent's public key and the index. */
function childTweak(parent: PublicNode, index: number): Uint8Array {
  const data = concatBytes(parent.publicKey, u32be(index))
  return new Uint8Array(createHmac('sha512', parent.chainCode).update(data).digest().subarray(0, 32))
}

/** Compressed public key at m/84'/coin'/0'/branch/index. @param index 0 – 2^31 − 1 */
export function walletPublicKey(account: WalletAccount, branch: Branch, index: number): Uint8Array {
  const parent = account.branches[branch]
  const key = crypto.pointAddTweak(parent.publicKey, childTweak(parent, index))
  if (!key) throw new InvariantError(`no key at index ${index}`) // chance 2^-127
  return key
}

/** P2WPKH output script at m/84'/coin'/0'/branch/index. */
export const walletScript = (account: WalletAccount, branch: Branch, index: number): Uint8Array =>
  p2wpkhOfKey(walletPublicKey(account, branch, index))

export const walletAddress = (account: WalletAccount, branch: Branch, index: number): string =>
  encodeAddress(walletScript(account, branch, index), account.network) ?? ''

export const walletPath = (network: Network, branch: Branch, index: number): string =>
  `${accountPath(network)}/${branch}/${index}`

/** Holds the wallet's secrets and does nothing but sign with them. */
export interface WalletSigner {
  publicKey(branch: Branch, index: number): Uint8Array
  /** 64 B compact, low S. */
  sign(branch: Branch, index: number, digest: Uint8Array): Uint8Array
}

export function walletSigner(master: MasterKey): WalletSigner {
  const account = walletAccount(master)
  const secrets = ([RECEIVE, CHANGE] as const).map(
    (b) => innerNode(master, `${accountPath(master.network)}/${b}`).privateKey,
  )
  return {
    publicKey: (branch, index) => walletPublicKey(account, branch, index),
    sign(branch, index, digest) {
      const parent = secrets[branch]
      const secret = parent && crypto.secretAdd(parent, childTweak(account.branches[branch], index))
      if (!secret) throw new InvariantError(`no key at index ${index}`)
      const signature = crypto.ecdsaSign(digest, secret)
      secret.fill(0)
      return signature
    },
  }
}
