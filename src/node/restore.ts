import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../base/bytes.ts'
import { FulmenError } from '../base/errors.ts'
import { type NodeId, nodeId } from '../base/ids.ts'
import { chainHash, type Network } from '../bitcoin/networks.ts'
import { crypto } from '../crypto/crypto.ts'
import { noiseKey } from '../noise/handshake.ts'
import { PeerManager } from '../peer/manager.ts'
import { makeDataDirectory, writeFileAtomic } from '../store/files.ts'
import { writeSeedFile } from '../store/seal.ts'
import { backupKey, type MasterKey, masterKey, nodeSecret } from '../wallet/keys.ts'
import { ourInitFeatures } from '../wire/features.ts'
import { addressOf, backupPath, checkBackup, openBackup, readBackup, type StaticBackup, sealBackup } from './backup.ts'
import type { PeerAddress } from './peers.ts'
import { seedPath } from './seed.ts'

export type RestoreCode = 'RESTORE_DIRECTORY_TAKEN' | 'PEER_HAS_NO_BACKUP' | 'NOTHING_TO_RESTORE_FROM'

/** A restore that cannot begin; nothing was changed. */
export class RestoreError extends FulmenError {
  declare readonly code: RestoreCode
  constructor(code: RestoreCode, message: string) {
    super(code, message)
  }
}

export interface RestoreRequest {
  readonly dataDir: string
  readonly network: Network
  /** Canonical, as parseMnemonic returns them. */
  readonly words: string
  /** Seals the new seed file; null: it is not encrypted. */
  readonly passphrase: string | null
  /** The file that the lost node wrote; null: it is lost too, and peers are asked for their copies. */
  readonly backup: Uint8Array | null
  /** Peers whose copies are asked for. */
  readonly peers: readonly PeerAddress[]
  /** How long a peer may take to give its copy back; 30 s when left out. */
  readonly timeoutMs?: number
}

export interface Prepared {
  readonly nodeId: NodeId
  readonly backup: StaticBackup
  /** Peers that gave back nothing, and why. */
  readonly silent: readonly { readonly nodeId: NodeId; readonly reason: string }[]
}

const PEER_TIMEOUT_MS = 30_000

/**
 * Makes a data directory of a seed and its channel backups: the newest of those given, of peers' and of the one that lies there already,
 * with the channels of all. A node that starts on it finds its database older than the backup, and takes in the channels from there (adopt.ts).
 * @throws RestoreError, BackupError, PeerError when there is only one peer to ask; nothing was written then
 */
export async function prepareRestore(request: RestoreRequest): Promise<Prepared> {
  const { dataDir, network, words, passphrase, peers } = request
  await refuseTaken(dataDir)
  const master = masterKey(words, network)
  const key = backupKey(master)
  const given = request.backup === null ? [] : [openBackup(request.backup, key)]
  const there = await backupIn(dataDir, key)
  const { found, silent } = await askPeers(request, master)
  const backup = joined([...given, ...there, ...found])
  if (!backup) {
    const why = silent.map((s) => `${s.nodeId}: ${s.reason}`).join('; ')
    if (peers.length > 0) throw new RestoreError('PEER_HAS_NO_BACKUP', `no peer gave back a channel backup (${why})`)
    throw new RestoreError('NOTHING_TO_RESTORE_FROM', 'give a channel backup, or a peer that kept one')
  }
  await makeDataDirectory(dataDir)
  // The seed comes last: without it there is no node that could start, and forget its channels.
  await writeFileAtomic(backupPath(dataDir), sealBackup(reachable(backup, peers), key))
  await writeSeedFile(seedPath(dataDir), words, passphrase)
  return { nodeId: nodeIdOf(master), backup, silent }
}

async function refuseTaken(dataDir: string): Promise<void> {
  const [seed, database] = [seedPath(dataDir), join(dataDir, 'db')]
  const hasSeed = await isThere(seed)
  if (!hasSeed && !(await isThere(database))) return
  const other = 'restore into another --data-dir'
  const message = hasSeed
    ? `there is a node in ${dataDir} already (${seed}): ${other}; a node that has its database needs no restoring, its start compares database and backup`
    : `there is a database without a seed in ${dataDir} (${database}): ${other}; where it is merely of a first start that never reached its Bitcoin node, remove it`
  throw new RestoreError('RESTORE_DIRECTORY_TAKEN', message)
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** What a lost node left in its directory, where its database and seed are gone: nothing takes its place without it. */
async function backupIn(dataDir: string, key: Uint8Array): Promise<readonly StaticBackup[]> {
  const check = await checkBackup(dataDir, key, 0)
  if (check.tag !== 'database-is-older') return [] // there is none, or a copy of what cannot be read is kept
  const backup = await readBackup(dataDir, key)
  return backup ? [backup] : []
}

/**
 * The newest, with channels that only an older one has: a peer's copy may have had no room for them. One that was closed since is found
 * to be.
 */
function joined(backups: readonly StaticBackup[]): StaticBackup | undefined {
  const [newest, ...older] = backups.toSorted((a, b) => b.journal - a.journal)
  if (!newest) return undefined
  const channels = new Map(newest.channels.map((c) => [c.channelId, c]))
  for (const c of older.flatMap((b) => b.channels)) if (!channels.has(c.channelId)) channels.set(c.channelId, c)
  return { ...newest, channels: [...channels.values()] }
}

/** An address that was given counts for more than the one that the backup remembers. */
const reachable = (backup: StaticBackup, peers: readonly PeerAddress[]): StaticBackup => ({
  ...backup,
  channels: backup.channels.map((c) => {
    const given = peers.find((p) => p.nodeId === c.peer)
    return given ? { ...c, address: `${given.host}:${given.port}` } : c
  }),
})

const nodeIdOf = (master: MasterKey): NodeId => nodeId(toHex(crypto.publicKey(nodeSecret(master))))

// -------------------------------------------------------------- from peers

async function askPeers(
  { peers, network, timeoutMs = PEER_TIMEOUT_MS }: RestoreRequest,
  master: MasterKey,
): Promise<{ readonly found: readonly StaticBackup[]; readonly silent: Prepared['silent'] }> {
  const found: StaticBackup[] = []
  const silent: Prepared['silent'][number][] = []
  await Promise.all(
    peers.map(async (peer) => {
      try {
        const blob = await copyOf(peer, { network, secret: nodeSecret(master), timeoutMs })
        found.push(openBackup(blob, backupKey(master)))
      } catch (e) {
        if (!(e instanceof FulmenError)) throw e
        silent.push({ nodeId: peer.nodeId, reason: e.message })
      }
    }),
  )
  return { found, silent }
}

/**
 * Connects as the node that was lost, and says nothing but init.
 * @returns the blob that the peer gives back
 * @throws RestoreError PEER_HAS_NO_BACKUP, PeerError
 * @source BOLT 1 §peer-storage
 */
async function copyOf(
  peer: PeerAddress,
  us: { readonly network: Network; readonly secret: Uint8Array; readonly timeoutMs: number },
): Promise<Uint8Array> {
  const none = (why: string): RestoreError => new RestoreError('PEER_HAS_NO_BACKUP', why)
  let give: (blob: Uint8Array) => void = () => {}
  let refuse: (error: RestoreError) => void = () => {}
  const blob = new Promise<Uint8Array>((resolve, reject) => {
    give = resolve
    refuse = reject
  })
  blob.catch(() => {}) // awaited below, unless the connection fails before
  const manager = new PeerManager({
    key: noiseKey(us.secret),
    features: ourInitFeatures(),
    chainHash: chainHash(us.network),
    callbacks: {
      onConnected: () => {},
      onMessages: (_nodeId, _epoch, messages) => {
        for (const m of messages) if (m.type === 'peer_storage_retrieval') give(m.blob)
      },
      onDisconnected: (_nodeId, _epoch, reason) => refuse(none(`the peer hung up: ${reason.message}`)),
    },
  })
  const seconds = Math.ceil(us.timeoutMs / 1000)
  const timer = setTimeout(() => refuse(none(`the peer gave nothing back within ${seconds} s`)), us.timeoutMs)
  try {
    await manager.connect(peer.nodeId, peer.host, peer.port)
    return await blob
  } finally {
    clearTimeout(timer)
    await manager.close()
  }
}

/** `nodeid@host:port`; null when it is not that. */
export function parsePeer(text: string): PeerAddress | null {
  const at = text.indexOf('@')
  const id = text.slice(0, at)
  return at === 66 && /^[0-9a-f]+$/i.test(id) ? addressOf(nodeId(id), text.slice(at + 1)) : null
}
