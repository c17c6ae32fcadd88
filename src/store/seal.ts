import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { argon2id } from 'hash-wasm'
import { fromHex, isHex, toHex, utf8, utf8Decode } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'
import { StoreError } from './errors.ts'
import { writeFileAtomic } from './files.ts'

/** Cost of the passphrase, stored in the file so that it can be raised later. */
export interface KdfCost {
  readonly memoryKib: number
  readonly iterations: number
  readonly parallelism: number
}

/** RFC 9106 §4, second recommended option (64 MiB), on one lane, since the node computes it on one thread. */
const DEFAULT_COST: KdfCost = { memoryKib: 65_536, iterations: 3, parallelism: 1 }

/** A file that asks for more than this is damaged or hostile: refused before it takes the memory. */
const MAX_COST: KdfCost = { memoryKib: 4_194_304, iterations: 100, parallelism: 64 }

/** The seed file, JSON. Version 1 is sealed when it has `kdf`, plain when it has `secret`. */
interface SealedFile {
  readonly version: 1
  readonly kdf: KdfCost & { readonly name: 'argon2id'; readonly salt: string }
  readonly cipher: 'chacha20-poly1305'
  readonly nonce: string
  readonly ciphertext: string
}
interface PlainFile {
  readonly version: 1
  readonly secret: string
}

const invalid = (why: string): StoreError =>
  new StoreError('SEED_FILE_INVALID', `seed file: ${why}; restore it from a copy or from the seed words`)

async function deriveKey(passphrase: string, salt: Uint8Array, cost: KdfCost): Promise<Uint8Array> {
  if (passphrase === '') throw new StoreError('WRONG_PASSPHRASE', 'the passphrase is empty: give one, or none at all')
  return argon2id({
    password: utf8(passphrase.normalize('NFKC')),
    salt,
    memorySize: cost.memoryKib,
    iterations: cost.iterations,
    parallelism: cost.parallelism,
    hashLength: 32,
    outputType: 'binary',
  })
}

/** What the ciphertext is bound to: everything that decides the key. */
const associatedData = (kdf: SealedFile['kdf']): Uint8Array =>
  utf8(`fulmen seed 1 argon2id ${kdf.memoryKib} ${kdf.iterations} ${kdf.parallelism} ${kdf.salt}`)

/**
 * The content of a seed file.
 * @param passphrase null leaves the secret readable by whoever can read the file
 * @throws StoreError WRONG_PASSPHRASE when the passphrase is empty
 */
export async function sealSecret(secret: string, passphrase: string | null, cost = DEFAULT_COST): Promise<string> {
  if (passphrase === null) return `${JSON.stringify({ version: 1, secret } satisfies PlainFile)}\n`
  const salt = new Uint8Array(randomBytes(16))
  const nonce = new Uint8Array(randomBytes(12))
  const kdf = { name: 'argon2id', ...cost, salt: toHex(salt) } as const
  const key = await deriveKey(passphrase, salt, cost)
  const ciphertext = crypto.aeadEncrypt(key, nonce, associatedData(kdf), utf8(secret))
  key.fill(0)
  const file: SealedFile = {
    version: 1,
    kdf,
    cipher: 'chacha20-poly1305',
    nonce: toHex(nonce),
    ciphertext: toHex(ciphertext),
  }
  return `${JSON.stringify(file, null, 2)}\n`
}

/**
 * The secret in a seed file.
 * @throws StoreError SEED_LOCKED without a passphrase that it needs, WRONG_PASSPHRASE, SEED_FILE_INVALID, STORE_TOO_NEW
 */
export async function unsealSecret(content: string, passphrase: string | null): Promise<string> {
  const file = parseSeedFile(content)
  if ('secret' in file) return file.secret
  if (passphrase === null) {
    throw new StoreError('SEED_LOCKED', 'the seed is encrypted: give its passphrase (--passphrase-file)')
  }
  const { kdf } = file
  const key = await deriveKey(passphrase, fromHex(kdf.salt), kdf)
  const secret = crypto.aeadDecrypt(key, fromHex(file.nonce), associatedData(kdf), fromHex(file.ciphertext))
  key.fill(0)
  if (!secret) throw new StoreError('WRONG_PASSPHRASE', 'the passphrase does not open the seed file')
  return utf8Decode(secret)
}

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null

function parseSeedFile(content: string): SealedFile | PlainFile {
  let file: unknown
  try {
    file = JSON.parse(content)
  } catch {
    throw invalid('it is not JSON')
  }
  if (!isRecord(file) || !Number.isInteger(file.version)) throw invalid('it has no version')
  if ((file.version as number) > 1) {
    throw new StoreError('STORE_TOO_NEW', `seed file of version ${file.version}: this program reads 1, use a newer one`)
  }
  if (file.version !== 1) throw invalid(`its version is ${file.version}`)
  if (typeof file.secret === 'string') return { version: 1, secret: file.secret }
  checkSealed(file)
  return file as unknown as SealedFile
}

function checkSealed(file: Record<string, unknown>): void {
  const { kdf } = file
  if (!isRecord(kdf) || kdf.name !== 'argon2id') throw invalid('its key derivation is not argon2id')
  if (file.cipher !== 'chacha20-poly1305') throw invalid('its cipher is not chacha20-poly1305')
  for (const field of ['memoryKib', 'iterations', 'parallelism'] as const) {
    const value = kdf[field]
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > MAX_COST[field]) {
      throw invalid(`kdf.${field} is not between 1 and ${MAX_COST[field]}`)
    }
  }
  if ((kdf.memoryKib as number) < 8 * (kdf.parallelism as number)) throw invalid('kdf.memoryKib is too small')
  const hex = (v: unknown, bytes?: number): boolean => typeof v === 'string' && isHex(v, bytes)
  if (!hex(kdf.salt, 16)) throw invalid('kdf.salt is not 16 bytes of hex')
  if (!hex(file.nonce, 12)) throw invalid('nonce is not 12 bytes of hex')
  if (!hex(file.ciphertext)) throw invalid('ciphertext is not hex')
}

/** Writes a seed file so that a crash leaves the old one or the new one; 0600. */
export const writeSeedFile = async (path: string, secret: string, passphrase: string | null): Promise<void> =>
  writeFileAtomic(path, await sealSecret(secret, passphrase))

/**
 * @returns the secret and whether it lay encrypted; null when there is no such file
 * @throws StoreError as unsealSecret
 */
export async function readSeedFile(
  path: string,
  passphrase: string | null,
): Promise<{ readonly secret: string; readonly encrypted: boolean } | null> {
  let content: string
  try {
    content = await readFile(path, 'utf8')
  } catch (e) {
    if (isRecord(e) && e.code === 'ENOENT') return null
    throw new StoreError('STORE_UNREADABLE', `cannot read the seed file ${path}: ${String(e)}`, { cause: e })
  }
  const secret = await unsealSecret(content, passphrase)
  return { secret, encrypted: !('secret' in parseSeedFile(content)) }
}
