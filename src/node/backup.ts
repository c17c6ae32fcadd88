import { randomBytes } from 'node:crypto'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { concatBytes, EMPTY } from '../base/bytes.ts'
import { FulmenError } from '../base/errors.ts'
import type { ChannelId, NodeId, Outpoint } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
import { channelOf } from '../channel/describe.ts'
import type { ChannelTypeName } from '../channel/types.ts'
import { crypto } from '../crypto/crypto.ts'
import { writeFileAtomic } from '../store/files.ts'
import type { ChannelEntry } from './channels.ts'

/** What is needed, beside the seed, to find a channel's peer again and claim what it pays us when it closes. */
export interface ChannelBackup {
  readonly channelId: ChannelId
  readonly peer: NodeId
  /** Last known `host:port`, or null when only the peer ever connected. */
  readonly address: string | null
  readonly funding: Outpoint
  readonly capacitySat: bigint
  readonly channelType: ChannelTypeName
  readonly isOpener: boolean
  readonly keyIndex: number
}

export interface StaticBackup {
  readonly version: 1
  readonly nodeId: NodeId
  /** Number of a journal batch that was on disk by then: a database without it is older than this backup. */
  readonly journal: number
  readonly channels: readonly ChannelBackup[]
}

/** The backup cannot be read: another seed made it, or it is damaged. */
export class BackupError extends FulmenError {
  constructor(message: string) {
    super('BACKUP_INVALID', message)
  }
}

const NONCE_BYTES = 12

/** Encrypted with a key from the seed (32 B): nonce, then ChaCha20-Poly1305. */
export function sealBackup(backup: StaticBackup, key: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(randomBytes(NONCE_BYTES))
  return concatBytes(nonce, crypto.aeadEncrypt(key, nonce, EMPTY, pack(backup)))
}

/** @throws BackupError */
export function openBackup(sealed: Uint8Array, key: Uint8Array): StaticBackup {
  const plain = crypto.aeadDecrypt(key, sealed.subarray(0, NONCE_BYTES), EMPTY, sealed.subarray(NONCE_BYTES))
  if (!plain) throw new BackupError('the backup was not made with this seed, or it is damaged')
  const backup = unpack<StaticBackup>(plain)
  if (backup.version !== 1) throw new BackupError(`backup version ${backup.version} is newer than this program`)
  return backup
}

export const backupPath = (dataDir: string): string => join(dataDir, 'channels.backup')
export const writeBackup = (dataDir: string, sealed: Uint8Array): Promise<void> =>
  writeFileAtomic(backupPath(dataDir), sealed)

export type BackupCheck =
  /** The database has all that the backup knows, or there is no backup. */
  | { readonly tag: 'fine' }
  /** It is older, so perhaps a copy that was put back; or the backup cannot be read. The backup was kept at this path. */
  | { readonly tag: 'database-is-older' | 'unreadable'; readonly kept: string }

/**
 * Compares the backup with the database's last batch, before new backups take its place.
 * @throws Error when the file cannot be read or copied
 */
export async function checkBackup(dataDir: string, key: Uint8Array, lastBatch: number): Promise<BackupCheck> {
  const path = backupPath(dataDir)
  const sealed = await readFile(path).catch((e: NodeJS.ErrnoException) => {
    if (e.code === 'ENOENT') return null
    throw e
  })
  if (sealed === null) return { tag: 'fine' }
  const keep = async (name: string): Promise<string> => {
    await copyFile(path, `${path}.${name}`)
    return `${path}.${name}`
  }
  try {
    const { journal } = openBackup(new Uint8Array(sealed), key)
    if (journal <= lastBatch) return { tag: 'fine' }
    return { tag: 'database-is-older', kept: await keep(`${journal}`) }
  } catch (e) {
    if (!(e instanceof BackupError)) throw e
    return { tag: 'unreadable', kept: await keep('unreadable') }
  }
}

/** What the channels of a node come to in a backup. */
export function backupOf(
  { state, meta }: ChannelEntry,
  address: { readonly host: string; readonly port: number } | undefined,
): readonly ChannelBackup[] {
  const channel = channelOf(state)
  if (channel === null || state.tag === 'closed') return []
  const { channelId, channelType, isOpener, keyIndex } = channel.params
  const { funding, capacitySat } = channel.commitments.active[0]!
  const where = address ? `${address.host}:${address.port}` : null
  return [{ channelId, peer: meta.peer, address: where, funding, capacitySat, channelType, isOpener, keyIndex }]
}
