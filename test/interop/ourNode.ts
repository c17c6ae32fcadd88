import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NodeId } from '../../src/base/ids.ts'
import type { NodeConfig } from '../../src/node/config.ts'
import type { ChannelView, NodeEvent, NodeService } from '../../src/node/service.ts'
import { type RunningNode, startNode } from '../../src/node/start.ts'
import { quietConfig } from '../node/quietConfig.ts'

/** Backups are with the peers before anything else can happen; gossip goes on at once, and LDK, which answers no query for channels, is not waited for. */
const AT_ONCE = { storagePace: { afterConnectMs: 0, betweenMs: 0 }, gossipPace: { flushMs: 0, patienceMs: 500 } }

/** Our node in this process; started again on the same directory by `restart`. */
export class OurNode {
  readonly nodeId: NodeId
  readonly events: NodeEvent[] = []
  readonly #config: NodeConfig
  readonly #onEvent: () => void
  #running: RunningNode

  private constructor(config: NodeConfig, running: RunningNode, onEvent: () => void) {
    this.#config = config
    this.#onEvent = onEvent
    this.#running = running
    this.nodeId = running.service.info().nodeId
    this.#listen()
  }

  static async start(url: string, onEvent: () => void): Promise<OurNode> {
    const config = quietConfig(await mkdtemp(join(tmpdir(), 'fulmen-interop-')), {
      chain: { kind: 'bitcoind', url },
      listen: { host: '127.0.0.1', port: 0 },
      alias: 'fulmen',
    })
    return new OurNode(config, await startNode(config, AT_ONCE), onEvent)
  }

  get service(): NodeService {
    return this.#running.service
  }
  get port(): number {
    return Number(this.#running.listen!.split(':')[1])
  }

  async stop(): Promise<void> {
    await this.#running.stop()
  }
  /** After stop(). */
  async restart(): Promise<void> {
    this.#running = await startNode(this.#config, AT_ONCE)
    this.#listen()
  }
  get dataDir(): string {
    return this.#config.dataDir
  }
  async destroy(): Promise<void> {
    await this.stop()
    await rm(this.#config.dataDir, { recursive: true })
  }

  async channels(): Promise<readonly ChannelView[]> {
    return (await this.service.channels({ limit: 100 }, {})).items
  }

  #listen(): void {
    this.service.onEvent((event) => {
      this.events.push(event)
      this.#onEvent()
    })
  }
}
