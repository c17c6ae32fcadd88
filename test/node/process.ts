import { pino } from 'pino'
import type { NodeId } from '../../src/base/ids.ts'
import type { ChannelBackup, StaticBackup } from '../../src/node/backup.ts'
import type { Node } from '../../src/node/node.ts'
import type { NodeService } from '../../src/node/service.ts'
import type { Disk } from './disk.ts'
import type { Name } from './world.ts'

/** A node's process: gone when it crashed, and then there is only its disk. */
export class Process {
  readonly name: Name
  readonly nodeId: NodeId
  disk: Disk
  node: Node | null = null
  service: NodeService | null = null
  /** Alerts and errors of all its runs: whatever is here needs a reason. */
  readonly complaints: unknown[] = []
  /** Why it had to stop, last. */
  fatal: unknown = null
  alias: string
  /** Its words were in use before, though nothing on its disk says so. */
  hasLived = false
  /** Its operating system is slow to end it: for what a node does when it knows that it must stop. */
  lingers = false
  /** The file beside the database. */
  backup: readonly ChannelBackup[] = []
  writeBackup = async (channels: readonly ChannelBackup[], whole?: StaticBackup): Promise<void> => {
    this.backup = channels
    if (whole) this.wholeBackup = whole
  }
  /** The same, as it is sealed. */
  wholeBackup: StaticBackup | null = null
  /** What the next start is to take lost channels from, as one does that finds its database older than its backup. */
  restoreFrom: StaticBackup | null = null
  /** Peers' blobs are written, and ours sent, at once. */
  storagePace = { afterConnectMs: 0, betweenMs: 0 }
  /** Others' gossip is passed on at once; a peer that does not answer is given up after a second. */
  gossipPace = { flushMs: 0, patienceMs: 1_000 }
  /** Newer backups that peers gave back. */
  readonly keptBackups: StaticBackup[] = []

  constructor(name: Name, nodeId: NodeId, disk: Disk) {
    this.name = name
    this.alias = name
    this.nodeId = nodeId
    this.disk = disk
  }
  /** Its service, for as long as its disk takes what it writes. */
  get answers(): NodeService | null {
    return this.disk.refused ? null : this.service
  }
  /** The running service. */
  get api(): NodeService {
    if (!this.service) throw new Error(`${this.name} is not running`)
    return this.service
  }
}

/** Warnings and worse become complaints of the process. */
export const complaintsLog = (process: Process) =>
  pino({ level: 'warn', base: null }, { write: (line: string) => void process.complaints.push(JSON.parse(line)) })
