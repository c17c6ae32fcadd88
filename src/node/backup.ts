import { randomBytes } from 'node:crypto'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { concatBytes, EMPTY, toHex, u32be } from '../base/bytes.ts'
import { FulmenError } from '../base/errors.ts'
import type { ChannelId, NodeId, Outpoint } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
import { type BackedUpHtlc, type HtlcIds, htlcsToBackUp, pointsOfPeer } from '../channel/backedUpHtlcs.ts'
import { channelOf } from '../channel/describe.ts'
import { type RemoteKeys, remoteKeys } from '../channel/restored.ts'
import type { ChannelState } from '../channel/state.ts'
import type { ChannelTypeName } from '../channel/types.ts'
import { crypto } from '../crypto/crypto.ts'
import { writeFileAtomic } from '../store/files.ts'
import type { NetworkAddress } from '../wire/address.ts'
import type { ChannelEntry } from './channels.ts'
import type { PeerAddress } from './peers.ts'

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
  /** Since version 2: the lowest height at which the funding may have confirmed, from where on the chain is looked through. */
  readonly openedAt?: number
  /** Since version 2: what a commitment of our own that was published before the loss is claimed by. */
  readonly remote?: RemoteKeys | null
  /** What the funding transaction spends: when it is ours, and not confirmed yet. */
  readonly inputs?: readonly Outpoint[]
  /** Where HTLCs hang. A program that does not know these restores all the rest, so that the version is the same. */
  readonly htlcs?: readonly BackedUpHtlc[]
  /** Where HTLCs hang: the points of the peer's commitments, now and next. */
  readonly points?: readonly Uint8Array[]
}

export interface StaticBackup {
  /** 2 added what is marked so. */
  readonly version: 1 | 2
  readonly nodeId: NodeId
  /** Number of a journal batch that was on disk by then: a database without it is older than this backup. */
  readonly journal: number
  readonly channels: readonly ChannelBackup[]
  /** Since version 2: tells it from any other, 8 random bytes in hex. */
  readonly mark?: string
  /** Since version 2: key indexes below it may have been used, by channels that are closed too. */
  readonly nextKeyIndex?: number
  /** How many addresses of the wallet had been given out, and for change: coins may lie further apart than a restore looks. */
  readonly addresses?: readonly [number, number]
}
const VERSION = 2

/** The backup cannot be read: another seed made it, or it is damaged. */
export class BackupError extends FulmenError {
  constructor(message: string) {
    super('BACKUP_INVALID', message)
  }
}

const NONCE_BYTES = 12

/** Encrypted with a key from the seed (32 B): nonce, then ChaCha20-Poly1305. */
export const sealBackup = (backup: StaticBackup, key: Uint8Array): Uint8Array => seal(pack(backup), key)

/** BOLT 1 §peer-storage: what a peer keeps at most, and the length that tells nothing of what is in it. */
export const PEER_BLOB_BYTES = 65_531
const PEER_PLAIN_BYTES = PEER_BLOB_BYTES - NONCE_BYTES - 16

/** The same channels with so many HTLCs at most: those of the most money. */
export function mostValuable(channels: readonly ChannelBackup[], most: number): readonly ChannelBackup[] {
  const all = channels.flatMap((c) => c.htlcs ?? [])
  if (all.length <= most) return channels
  const kept = new Set(all.sort((a, b) => Number(b.amountMsat - a.amountMsat)).slice(0, most))
  return channels.map((c) => (c.htlcs ? { ...c, htlcs: c.htlcs.filter((h) => kept.has(h)) } : c))
}

/**
 * The same for a peer to keep: packed tighter, and padded to 65,531 B. Of more than fits, first HTLCs are left out, then channels, those
 * with the most money last.
 * @returns the blob, and how many channels had to be left out
 */
export function sealForPeer(
  backup: StaticBackup,
  key: Uint8Array,
): { readonly blob: Uint8Array; readonly left: number } {
  const rich = backup.channels.toSorted((a, b) => Number(b.capacitySat - a.capacitySat))
  let count = rich.length
  let htlcs = rich.reduce((sum, c) => sum + (c.htlcs?.length ?? 0), 0)
  for (;;) {
    const packed = deflateRawSync(pack({ ...backup, channels: mostValuable(rich.slice(0, count), htlcs) }))
    if (packed.length + 4 <= PEER_PLAIN_BYTES) {
      const plain = new Uint8Array(PEER_PLAIN_BYTES)
      plain.set(concatBytes(u32be(packed.length), packed))
      return { blob: seal(plain, key), left: rich.length - count }
    }
    const fewer = (of: number): number => Math.floor((of * PEER_PLAIN_BYTES) / (packed.length + 4))
    if (htlcs > 0) htlcs = fewer(htlcs)
    else count = fewer(count)
  }
}

function seal(plain: Uint8Array, key: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(randomBytes(NONCE_BYTES))
  return concatBytes(nonce, crypto.aeadEncrypt(key, nonce, EMPTY, plain))
}

/** A backup from either. @throws BackupError */
export function openBackup(sealed: Uint8Array, key: Uint8Array): StaticBackup {
  const plain = crypto.aeadDecrypt(key, sealed.subarray(0, NONCE_BYTES), EMPTY, sealed.subarray(NONCE_BYTES))
  if (!plain) throw new BackupError('the backup was not made with this seed, or it is damaged')
  const backup = unpack<StaticBackup>(isForPeer(plain) ? inflated(plain) : plain)
  if (backup.version > VERSION) throw new BackupError(`backup version ${backup.version} is newer than this program`)
  return backup
}

/** What `pack` makes of a backup begins with the mark of a map, never with a small number. */
const isForPeer = (plain: Uint8Array): boolean => plain[0] === 0

function inflated(plain: Uint8Array): Uint8Array {
  const length = new DataView(plain.buffer, plain.byteOffset).getUint32(0)
  return new Uint8Array(inflateRawSync(plain.subarray(4, 4 + length)))
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
    // A new database knows nothing, whatever the number of the backup.
    if (journal <= lastBatch && lastBatch > 0) return { tag: 'fine' }
    return { tag: 'database-is-older', kept: await keep(`${journal}`) }
  } catch (e) {
    if (!(e instanceof BackupError)) throw e
    return { tag: 'unreadable', kept: await keep('unreadable') }
  }
}

/** The backup in the data directory, null when there is none. @throws BackupError */
export async function readBackup(dataDir: string, key: Uint8Array): Promise<StaticBackup | null> {
  const sealed = await readFile(backupPath(dataDir)).catch(() => null)
  return sealed && openBackup(new Uint8Array(sealed), key)
}

/** Everything that a new data directory of the same seed could begin with. */
export const staticBackup = (
  about: Pick<StaticBackup, 'nodeId' | 'journal' | 'channels' | 'nextKeyIndex' | 'addresses'>,
): StaticBackup => ({ version: VERSION, mark: toHex(new Uint8Array(randomBytes(8))), ...about })

/** A channel that a backup has. */
export const isBackedUp = (state: ChannelState | null): boolean =>
  state !== null && state.tag !== 'closed' && channelOf(state) !== null

/** What a channel comes to in a backup, with its HTLCs of ids below these. */
export function backupOf(
  { state, meta }: ChannelEntry,
  address: { readonly host: string; readonly port: number } | undefined,
  below: HtlcIds,
): readonly ChannelBackup[] {
  const channel = channelOf(state)
  if (channel === null || !isBackedUp(state)) return []
  const { channelId, channelType, isOpener, keyIndex, openedAt } = channel.params
  const { funding, capacitySat } = channel.commitments.active[0]!
  const { tx, confirmed } = channel.funding
  const inputs = confirmed === null ? tx?.inputs.map(({ txid, index }): Outpoint => ({ txid, index })) : undefined
  const htlcs = htlcsToBackUp(channel, below, state.tag === 'closing' ? state.onchain : null)
  return [
    {
      ...{
        channelId,
        peer: meta.peer,
        address: address ? `${address.host}:${address.port}` : null,
        funding,
        capacitySat,
      },
      ...{ channelType, isOpener, keyIndex, openedAt, remote: remoteKeys(channel), ...(inputs && { inputs }) },
      ...(htlcs.length > 0 && { htlcs, points: pointsOfPeer(channel) }),
    },
  ]
}

type Place = Exclude<NetworkAddress, { readonly tag: 'opaque' }>
/** Where a peer that only ever connected to us says that it is. */
export const dialable = (addresses: readonly NetworkAddress[]): Place | undefined =>
  addresses.find((a): a is Place => a.tag !== 'opaque' && a.tag !== 'torV3')

/** A backup's `host:port`; null when it is neither. */
export function addressOf(nodeId: NodeId, text: string): PeerAddress | null {
  const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d{1,5})$/.exec(text) ?? []
  return host === '' || Number(port) > 65_535 ? null : { nodeId, host, port: Number(port) }
}
