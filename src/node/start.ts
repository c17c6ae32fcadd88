import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { type Logger, pino } from 'pino'
import { equalBytes, toHex } from '../base/bytes.ts'
import { nodeId } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
import { chainHash } from '../bitcoin/networks.ts'
import { BitcoindSource } from '../chain/bitcoind.ts'
import { realClock } from '../chain/clock.ts'
import { ChainError } from '../chain/errors.ts'
import { httpTransport } from '../chain/rpc.ts'
import type { ChainSource } from '../chain/source.ts'
import { crypto } from '../crypto/crypto.ts'
import { CheckedDriver, isDamaged, type Sealing } from '../store/checked.ts'
import { StoreError } from '../store/errors.ts'
import { Ballast, makeDataDirectory, writeFileAtomic } from '../store/files.ts'
import { type BatchObserver, checkJournal, Journal } from '../store/journal.ts'
import { LevelDriver } from '../store/level.ts'
import { migrate, migrations } from '../store/migrate.ts'
import { keys } from '../store/schema.ts'
import type { Driver, Op } from '../store/types.ts'
import { backupKey, nodeSecret } from '../wallet/keys.ts'
import { backupPath, checkBackup, readBackup, type StaticBackup, sealBackup, writeBackup } from './backup.ts'
import type { NodeConfig } from './config.ts'
import type { GossipPace } from './gossip.ts'
import type { OpenedChain } from './localChain.ts'
import { readLogLevels } from './logLevels.ts'
import { heardBy, type LogOut, LogRing } from './logRing.ts'
import { Logs } from './logs.ts'
import { Metrics } from './metrics.ts'
import { type Doubt, Node, type NodeResources } from './node.ts'
import type { StoragePace } from './peerStorage.ts'
import { loadOrCreateSeed, readPassphrase } from './seed.ts'
import type { NodeService } from './service.ts'
import { nodeService } from './services/node.ts'
import { Traces, tracerIfWanted } from './traces.ts'

export interface RunningNode {
  readonly service: NodeService
  /** `host:port` where peers connect, or null. */
  readonly listen: string | null
  /** Finishes what has begun, closes everything. */
  stop(): Promise<void>
}

export interface StartOptions {
  /** Called when the node can say nothing more: a write failed, or a bug. Ends the process unless given. */
  readonly onFatal?: (error: unknown) => void
  /** Where the log goes; to standard error, JSON, when left out. */
  readonly log?: LogOut
  /** How often peers' blobs are written and ours sent. */
  readonly storagePace?: StoragePace
  /** How fast gossip is passed on; that of the network when left out. */
  readonly gossipPace?: GossipPace
}

const DISK_CHECK_MS = 10_000
const SEAL_IT = 'fulmen seed passphrase --new-passphrase-file FILE, then start with --passphrase-file FILE'
const NOT_PUBLISHED = 'keep the peers reachable: no commitment is published until its peer has shown where it stands'
const BACKUP_WORDS = {
  'database-is-older': `the database is an old copy, older than the channel backup: if the newer database is anywhere, stop the node at once and put it back; otherwise ${NOT_PUBLISHED}, and channels that the database does not know are taken from the backup`,
  unreadable: 'the channel backup was not made with this seed, or is damaged',
} as const

/**
 * Starts a node on its data directory.
 * @throws StoreError, ChainError, PeerError, ConfigError, each saying what to do
 */
export async function startNode(config: NodeConfig, options: StartOptions = {}): Promise<RunningNode> {
  const { dataDir, network } = config
  await makeDataDirectory(dataDir)
  const logs = openLogs(config, options.log)
  const log = logs.of('node')
  // Before the database is opened, which needs room: a node that a full disk has stopped starts with what was kept back for it.
  const ballast = new Ballast(dataDir)
  await ballast.check()
  const level = await LevelDriver.open(join(dataDir, 'db'))
  const closing: (() => Promise<void> | void)[] = [() => level.close()]
  const closeAll = async (): Promise<void> => {
    for (const close of closing.toReversed()) await close()
  }
  try {
    const passphrase = await readPassphrase(config.passphraseFile)
    const reach = async (): Promise<ChainSource> => {
      const { source, stop } = await openChain(config)
      closing.push(() => source.close(), stop)
      await whenWarm(source, log)
      return source
    }
    const isFirst = await isNew(level, dataDir)
    // Before a seed is made: the next start would take it for an old one, and look for its coins in the whole chain.
    const reached = isFirst ? await reach() : null
    const seed = await loadOrCreateSeed(dataDir, network, passphrase, isFirst)
    if (!seed.encrypted)
      log.warn({ cure: SEAL_IT }, 'the seed is not encrypted: whoever reads the data directory has the coins')
    const secret = nodeSecret(seed.master)
    const publicKey = crypto.publicKey(secret)
    const own = { nodeId: nodeId(toHex(publicKey)), nodeSecret: secret, chainHash: chainHash(network) }
    await migrate(level, migrations(sealingLog(log)))
    const driver = new CheckedDriver(level)
    const identity = await checkIdentity(driver, { network, nodeId: own.nodeId })
    const key = backupKey(seed.master)
    const { lastBatch, doubt } = await judgeDatabase(driver, { dataDir, key, log })
    const source = reached ?? (await reach())
    // Once it is known that the chain is that of the network: a slip in its name binds the directory to none.
    if (identity.length > 0) await driver.batch(identity)
    const onFatal = options.onFatal ?? ((error: unknown) => die(log, error))
    const tracer = tracerIfWanted()
    const traces = tracer && new Traces(tracer)
    const metrics = new Metrics(traces)
    const journal = new Journal(driver, lastBatch, batchObserver(metrics, logs.of('store')))
    const node = await Node.open({
      config,
      logs,
      driver,
      journal,
      metrics,
      source,
      master: seed.master,
      own,
      isNewSeed: seed.created,
      storageLow: () => ballast.low,
      onFatal,
      doubt,
      takeDamaged: () => driver.takeDamaged(),
      ...backupFiles(dataDir, key),
      ...(options.storagePace && { storagePace: options.storagePace }),
      ...(options.gossipPace && { gossipPace: options.gossipPace }),
    })
    closing.push(() => node.stop())
    closing.push(watchDisk(ballast, log))
    const port = await node.start()
    const listen = port === null || !config.listen ? null : `${config.listen.host}:${port}`
    const service = nodeService(node, { config, listen })
    return { service: traces ? traces.over(service) : service, listen, stop: closeAll }
  } catch (e) {
    await closeAll().catch(() => {})
    throw e
  }
}

/** The node's log, and its last lines in memory. */
function openLogs({ logLevel }: NodeConfig, out: LogOut = pino.destination({ dest: 2, sync: true })): Logs {
  const recent = new LogRing()
  return new Logs(pino({ level: 'trace', base: null }, heardBy(recent, out)), readLogLevels(logLevel), recent)
}

/** Gives the ballast back when room runs low, and takes it again. @returns ends that */
function watchDisk(ballast: Ballast, log: Logger): () => void {
  const timer = setInterval(() => void ballast.check().catch((e) => log.error({ err: e }, 'disk check')), DISK_CHECK_MS)
  return () => clearInterval(timer)
}

/**
 * Whether the database may be older than what was said to peers: where its journal has a gap, or the channel backup beside it is newer.
 * @param key of the backup
 */
async function judgeDatabase(
  driver: Driver,
  { dataDir, key, log }: { readonly dataDir: string; readonly key: Uint8Array; readonly log: Logger },
): Promise<{ readonly lastBatch: number; readonly doubt: Doubt | null }> {
  const { last: lastBatch, missing } = await checkJournal(driver)
  const isNew = lastBatch === 0
  const check = await checkBackup(dataDir, key, lastBatch)
  if (check.tag === 'unreadable' && isNew) throw notToBeginWith(check.kept)
  if (check.tag !== 'fine' && !isNew) log.error({ kept: check.kept }, BACKUP_WORDS[check.tag])
  if (missing.length === 0 && check.tag !== 'database-is-older') return { lastBatch, doubt: null }
  const backup = check.tag === 'unreadable' ? null : await readBackup(dataDir, key)
  if (isNew) log.warn('the database is new: it begins with the channels of the backup')
  else if (missing.length > 0) log.error({ missing }, `the database lost writes: check the disk, and ${NOT_PUBLISHED}`)
  return { lastBatch, doubt: { missing, backup } }
}

/** A node that began without the channels of its backup would write one without them in its place. */
const notToBeginWith = (kept: string): StoreError =>
  new StoreError(
    'STORE_UNREADABLE',
    `the database is new, and ${BACKUP_WORDS.unreadable} (a copy is ${kept}): put a whole copy in its place; to begin without its channels, move it away`,
  )

/** Nothing in the directory is of a node that ran before, or is to be restored. */
async function isNew(driver: Driver, dataDir: string): Promise<boolean> {
  if ((await driver.get(keys.identity)) !== undefined) return false
  return access(backupPath(dataDir)).then(
    () => false,
    () => true,
  )
}

/** Channel backups on disk, sealed: the node's own, and beside it what a peer gave back that is newer. */
function backupFiles(
  dataDir: string,
  key: Uint8Array,
): Pick<NodeResources, 'writeBackup' | 'readBackup' | 'keepBackup'> {
  const write = inTurn((backup: StaticBackup) => writeBackup(dataDir, sealBackup(backup, key)))
  return {
    writeBackup: (_, all) => write(all),
    readBackup: () => readBackup(dataDir, key),
    async keepBackup(newer) {
      const path = `${backupPath(dataDir)}.${newer.journal}`
      await writeFileAtomic(path, sealBackup(newer, key))
      return path
    },
  }
}

/** A directory belongs to one seed on one network for ever. @returns what is to be written where that does not stand there yet */
async function checkIdentity(driver: Driver, identity: { network: string; nodeId: string }): Promise<readonly Op[]> {
  const stored = await driver.get(keys.identity)
  if (!stored || isDamaged(stored)) return [{ key: keys.identity, value: pack(identity) }]
  if (equalBytes(stored, pack(identity))) return []
  const was = unpack<typeof identity>(stored)
  throw new StoreError(
    'STORE_UNREADABLE',
    `the data directory belongs to node ${was.nodeId} on ${was.network}: use another directory for ${identity.network} or another seed`,
  )
}

/** The embedded chain is loaded by those alone who run on it. */
async function openChain(config: NodeConfig): Promise<OpenedChain> {
  const { chain, network } = config
  if (chain.kind === 'embedded') return (await import('./localChain.ts')).openLocalChain(config)
  const source = new BitcoindSource({ transport: httpTransport({ url: chain.url }), network })
  return { source, stop: () => {} }
}

const SEALING_LOG_MS = 5_000

/** Says that the database gets its checksums, every few seconds how far that is, and its end: with a long history nobody is answered for a minute or two. */
export function sealingLog(log: Pick<Logger, 'info'>, now: () => number = Date.now): Sealing {
  let begun: number | null = null
  let said = 0
  return (values, done) => {
    const at = now()
    if (begun === null) {
      const what =
        'the database gets a checksum for each value, once: with a long history the node answers nobody for a minute or two; it may be stopped, the next start goes on from there'
      log.info(what)
      begun = said = at
    }
    const seconds = Math.round((at - begun) / 1000)
    if (done) return log.info({ values, seconds }, 'the database has its checksums')
    if (at - said < SEALING_LOG_MS) return
    said = at
    log.info({ values, seconds }, 'the database is still getting its checksums')
  }
}

const WARM_RETRY_MS = 1_000

/** A Bitcoin node that still loads its blocks, as after a crash of the machine, answers in minutes: deadlines do not wait for a second start. */
async function whenWarm(source: ChainSource, log: Logger): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await source.check()
    } catch (e) {
      if (!(e instanceof ChainError) || e.code !== 'WARMUP') throw e
      if (tries === 0) log.warn({ err: e.message }, 'waiting for the Bitcoin node')
      await realClock.sleep(WARM_RETRY_MS)
    }
  }
}

/** One call at a time, in order: a later backup is never overwritten by an earlier one. */
function inTurn<A>(write: (argument: A) => Promise<void>): (argument: A) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return (argument) => {
    last = last.catch(() => {}).then(() => write(argument))
    return last
  }
}

/** A disk that takes so long keeps every payment waiting. */
const SLOW_BATCH_SECONDS = 1

function batchObserver(metrics: Metrics, log: Logger): BatchObserver {
  return (seconds, operations, begun) => {
    metrics.onBatch(seconds, operations, begun)
    if (seconds > SLOW_BATCH_SECONDS) log.warn({ seconds, operations }, 'the disk is slow: this batch took long')
    else if (log.isLevelEnabled('trace')) log.trace({ seconds, operations }, 'batch')
  }
}

function die(log: Logger, error: unknown): void {
  log.fatal({ err: error }, 'the node stops: nothing was said that is not on disk, so a restart is safe')
  process.exit(1)
}
