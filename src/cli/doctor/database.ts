import { copyFile, link, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Finding, ok, problem, warning } from '../../api/checks/finding.ts'
import { toHex } from '../../base/bytes.ts'
import { unpackIfWhole } from '../../base/pack.ts'
import { crypto } from '../../crypto/crypto.ts'
import { backupPath, openBackup } from '../../node/backup.ts'
import type { NodeConfig } from '../../node/config.ts'
import { readPassphrase, seedPath } from '../../node/seed.ts'
import { CheckedDriver, checkedIfSealed } from '../../store/checked.ts'
import { StoreError } from '../../store/errors.ts'
import { checkJournal } from '../../store/journal.ts'
import { LevelDriver } from '../../store/level.ts'
import { keys, prefixRange, SCHEMA_VERSION } from '../../store/schema.ts'
import { readSeedFile } from '../../store/seal.ts'
import type { Driver } from '../../store/types.ts'
import { backupKey, type MasterKey, masterKey, nodeSecret } from '../../wallet/keys.ts'

const RESTORE = 'fulmen seed restore, with the 24 words'
const NAME_PASSPHRASE = 'name the file that holds its passphrase with --passphrase-file'
/** By the code of the error. */
const SEED_CURES: Readonly<Record<string, string>> = {
  SEED_LOCKED: NAME_PASSPHRASE,
  WRONG_PASSPHRASE: NAME_PASSPHRASE,
  CONFIG_INVALID: NAME_PASSPHRASE,
  STORE_UNREADABLE:
    'let the user that runs the node read it, and run the doctor again; nothing says that it is damaged',
  STORE_TOO_NEW: 'go back to the newer version of fulmen',
}
const COPY_WARNING = 'never put an old copy of it back: that can lose the coins of its channels'

/** What lies in the data directory of a node that is not running: seed, database and backup, and that they belong together. */
export async function database(config: NodeConfig): Promise<readonly Finding[]> {
  const { dataDir } = config
  const isUsed = (await stat(join(dataDir, 'db', 'CURRENT')).catch(() => null)) !== null
  const hasFiles =
    isUsed || (await readdir(join(dataDir, 'db')).catch(() => [])).some((f) => /\.(ldb|sst|log)$/.test(f))
  const { findings, master } = await seed(config, hasFiles)
  if (!isUsed) {
    if (!hasFiles) return findings
    const cure = `restore from the seed words and channels.backup in an empty directory; ${COPY_WARNING}`
    return [...findings, problem('database', `${dataDir}/db has lost its CURRENT file`, cure)]
  }
  const opened = await openCopy(dataDir)
  if ('finding' in opened) return [...findings, opened.finding]
  try {
    return [...findings, ...(await inside(opened.driver, config, master))]
  } finally {
    await opened.close()
  }
}

async function seed(
  { dataDir, network, passphraseFile }: NodeConfig,
  isNeeded: boolean,
): Promise<{ readonly findings: readonly Finding[]; readonly master: MasterKey | null }> {
  try {
    const found = await readSeedFile(seedPath(dataDir), await readPassphrase(passphraseFile))
    if (!found) {
      const lost = problem('seed', `${seedPath(dataDir)} is not there, and a database is`, RESTORE)
      return { findings: isNeeded ? [lost] : [], master: null }
    }
    const bare = 'it is not encrypted: whoever reads the data directory has the coins'
    const cure = 'fulmen seed passphrase --new-passphrase-file FILE, with the node stopped'
    const findings = found.encrypted ? [ok('seed', 'encrypted')] : [warning('seed', bare, cure)]
    return { findings, master: masterKey(found.secret, network) }
  } catch (error) {
    const { message, code } = error as Error & { code?: string }
    return { findings: [problem('seed', message, SEED_CURES[code ?? ''] ?? RESTORE)], master: null }
  }
}

interface OpenedCopy {
  readonly driver: Driver
  close(): Promise<void>
}

/**
 * Opening a LevelDB writes to it, and a doctor changes nothing: what is opened is a directory of hard links to the tables, which never
 * change, and of copies of the rest. The lock file is linked as well, so that this finds out whether a process has the database open,
 * and keeps any from opening it meanwhile.
 */
async function openCopy(dataDir: string): Promise<OpenedCopy | { readonly finding: Finding }> {
  const from = join(dataDir, 'db')
  const to = await mkdtemp(join(dataDir, 'doctor-'))
  const clear = () => rm(to, { recursive: true, force: true })
  try {
    await mkdir(to, { recursive: true })
    for (const name of await readdir(from)) {
      const isShared = name === 'LOCK' || name.endsWith('.ldb') || name.endsWith('.sst')
      await (isShared ? link : copyFile)(join(from, name), join(to, name))
    }
    const level = await LevelDriver.open(to)
    const close = async (): Promise<void> => {
      await level.close()
      await clear()
    }
    const driver = await checkedIfSealed(level).catch(async (e) => {
      await level.close()
      throw e
    })
    return { driver, close }
  } catch (error) {
    await clear()
    if (error instanceof StoreError && error.code === 'STORE_LOCKED') {
      const cure = `see which process that is (fuser ${from}/LOCK) and why its API does not answer (its log); end it with SIGTERM`
      return { finding: problem('lock', 'a process has the database open, and no node answers', cure) }
    }
    if (error instanceof StoreError && error.code === 'STORE_HALF_MIGRATED')
      return { finding: problem('database', error.message, 'fulmen start: it goes on by itself') }
    const why = error instanceof Error ? error.message.replaceAll(to, from) : String(error)
    if (isOfSystem(error)) return { finding: problem('database', `could not be looked at: ${why}`, NOT_DAMAGED) }
    const cure = `keep a copy of ${from}, check the disk, and restore from the seed words and channels.backup in an empty directory; ${COPY_WARNING}`
    return { finding: problem('database', why, cure) }
  }
}

/** A full disk, or a directory of another user, is no damage: LevelDB has texts alone for it. */
const isOfSystem = (error: unknown): boolean =>
  error instanceof Error &&
  ('syscall' in error || /No space left|Permission denied|Read-only file|Too many open files/.test(error.message))
const NOT_DAMAGED =
  'free some space, or let this user read and write there, and run the doctor again; nothing says that the database is damaged'

async function inside(driver: Driver, config: NodeConfig, master: MasterKey | null): Promise<readonly Finding[]> {
  const schema = await driver.get(keys.schema)
  const version = (schema && unpackIfWhole<number>(schema)) ?? SCHEMA_VERSION
  if (version > SCHEMA_VERSION) {
    const message = `a newer program wrote the database (schema ${version}, this one knows ${SCHEMA_VERSION})`
    return [problem('database', message, 'go back to the newer version of fulmen')]
  }
  const { last, missing } = await checkJournal(driver)
  const whole =
    missing.length === 0
      ? ok('database', `${last} batches, none lost in those kept`)
      : problem(
          'database',
          `${missing.length} writes were lost (batch ${missing[0]} first): the disk or its controller broke its word`,
          'check the disk; then start the node with its peers reachable: it asks each where its channel stands before it publishes anything',
        )
  return [
    ...(await identity(driver, config, master)),
    whole,
    ...(await changed(driver)),
    ...(master ? await backup(driver, config.dataDir, master, last) : []),
  ]
}

/** Records whose bytes have changed on disk; a database of before there were checksums cannot tell. */
async function changed(driver: Driver): Promise<readonly Finding[]> {
  if (!(driver instanceof CheckedDriver)) return []
  for await (const _ of driver.entries({})) {
    /* each is looked at */
  }
  const found = driver.takeDamaged()
  if (found.length === 0) return []
  const message = `${found.length} records have changed on disk, ${found[0]} first`
  const cure = `check the disk; the node starts without them, and has the peers of channels that they are of close those; ${COPY_WARNING}`
  return [problem('records', message, cure)]
}

async function identity(
  driver: Driver,
  { network, dataDir }: NodeConfig,
  master: MasterKey | null,
): Promise<readonly Finding[]> {
  const stored = await driver.get(keys.identity)
  if (!stored) return []
  const was = unpackIfWhole<{ network: string; nodeId: string }>(stored)
  if (was === undefined) return [] // told with the others, and written anew
  if (was.network !== network) {
    const message = `${dataDir} belongs to a node on ${was.network}, and the configuration says ${network}`
    return [problem('network', message, `start with --network ${was.network}, or with another data directory`)]
  }
  if (!master || toHex(crypto.publicKey(nodeSecret(master))) === was.nodeId) return [ok('node', was.nodeId)]
  return [problem('seed', `the database belongs to node ${was.nodeId}, the seed to another`, RESTORE)]
}

async function backup(driver: Driver, dataDir: string, master: MasterKey, last: number): Promise<readonly Finding[]> {
  const path = backupPath(dataDir)
  const sealed = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (sealed === null) return (await hasChannels(driver)) ? [lostBackup(path)] : []
  try {
    const { journal, channels } = openBackup(new Uint8Array(sealed), backupKey(master))
    if (journal <= last) return [ok('backup', `${path}, of ${channels.length} channels`)]
    const message = `the database (batch ${last}) is older than the channel backup (batch ${journal}): it is an old copy`
    const cure = 'if the newer database is anywhere, put it back; otherwise start the node with its peers reachable'
    return [problem('backup', message, cure)]
  } catch (error) {
    const message = `${path}: ${error instanceof Error ? error.message : String(error)}`
    const cure = 'put back the backup of this seed if there is a copy; the node writes a new one when it starts'
    return [problem('backup', message, cure)]
  }
}

const lostBackup = (path: string): Finding =>
  warning('backup', `${path} is not there`, 'start the node: it writes it; keep a copy elsewhere (fulmen backup)')

async function hasChannels(driver: Driver): Promise<boolean> {
  for await (const _ of driver.entries({ ...prefixRange(keys.channelMeta('')), limit: 1 })) return true
  return false
}
