import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Network } from '../bitcoin/networks.ts'
import { StoreError } from '../store/errors.ts'
import { readSeedFile, writeSeedFile } from '../store/seal.ts'
import { createMnemonic, type MasterKey, masterKey } from '../wallet/keys.ts'
import { ConfigError } from './errors.ts'

export const seedPath = (dataDir: string): string => join(dataDir, 'seed')

/** The passphrase that seals the seed, from its file: without the line end that editors add. @throws ConfigError */
export async function readPassphrase(file: string | null): Promise<string | null> {
  if (file === null) return null
  const text = await readFile(file, 'utf8').catch((e: Error) => {
    throw new ConfigError(`passphrase-file: ${file} cannot be read (${e.message})`)
  })
  return text.replace(/\r?\n$/, '')
}

export interface LoadedSeed {
  readonly master: MasterKey
  readonly encrypted: boolean
  /** Made just now: its words must be written down. */
  readonly created: boolean
}

/**
 * The node's seed from its data directory; a new one of 24 words at the first start.
 * @param isNew no node has been in the directory: where one has, none is made in the place of a seed that is gone
 * @throws StoreError STORE_UNREADABLE, SEED_LOCKED, WRONG_PASSPHRASE, SEED_FILE_INVALID
 */
export async function loadOrCreateSeed(
  dataDir: string,
  network: Network,
  passphrase: string | null,
  isNew = true,
): Promise<LoadedSeed> {
  const path = seedPath(dataDir)
  const found = await readSeedFile(path, passphrase)
  if (found) return { master: masterKey(found.secret, network), encrypted: found.encrypted, created: false }
  if (!isNew) {
    const message = `the seed file ${path} is missing beside what belongs to it: put it back, or make it from the seed words with "fulmen seed restore"`
    throw new StoreError('STORE_UNREADABLE', message)
  }
  const words = createMnemonic(24)
  await writeSeedFile(path, words, passphrase)
  return { master: masterKey(words, network), encrypted: passphrase !== null, created: true }
}
