import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NodeId } from '../../src/base/ids.ts'
import type { NodeConfig } from '../../src/node/config.ts'
import type { ChannelView, NodeEvent, NodeService } from '../../src/node/service.ts'
import { type RunningNode, startNode } from '../../src/node/start.ts'
import { quietConfig } from '../node/quietConfig.ts'
import { PowerCut, setLastWrite } from './lastWrite.ts'

/** Backups are with the peers before anything else can happen; gossip goes on at once, and LDK, which answers no query for channels, is not waited for. */
const AT_ONCE = { storagePace: { afterConnectMs: 0, betweenMs: 0 }, gossipPace: { flushMs: 0, patienceMs: 500 } }

/** From a start to the write at which the node dies, if it does. */
class Life {
  isOver = false
  readonly death: Promise<never>
  #hear!: (error: unknown) => void
  constructor() {
    this.death = new Promise((_, reject) => {
      this.#hear = reject
    })
    this.death.catch(() => undefined)
  }
  /** @throws what is no death that a test has asked for */
  readonly end = (error: unknown): void => {
    if (!(error instanceof Error && error.cause instanceof PowerCut) && !this.isOver) throw error
    this.isOver = true
    this.#hear(error)
  }
}

async function begin(config: NodeConfig): Promise<{ readonly running: RunningNode; readonly life: Life }> {
  const life = new Life()
  return { running: await startNode(config, { ...AT_ONCE, onFatal: life.end }), life }
}

/** Our node in this process; started again on the same directory by `restart`. */
export class OurNode {
  readonly nodeId: NodeId
  readonly events: NodeEvent[] = []
  readonly #config: NodeConfig
  readonly #onEvent: () => void
  #running: RunningNode
  #life: Life

  private constructor(config: NodeConfig, { running, life }: Awaited<ReturnType<typeof begin>>, onEvent: () => void) {
    this.#config = config
    this.#onEvent = onEvent
    this.#running = running
    this.#life = life
    this.nodeId = running.service.info().nodeId
    this.#listen()
  }

  static async start(url: string, onEvent: () => void): Promise<OurNode> {
    const config = quietConfig(await mkdtemp(join(tmpdir(), 'fulmen-interop-')), {
      chain: { kind: 'bitcoind', url },
      listen: { host: '127.0.0.1', port: 0 },
      alias: 'fulmen',
    })
    return new OurNode(config, await begin(config), onEvent)
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
    setLastWrite(this.dataDir, null)
    const { running, life } = await begin(this.#config)
    this.#running = running
    this.#life = life
    this.#listen()
  }

  /** It dies at one of the next writes: nothing is said from then on, and `restart` finds what is on disk. */
  dieAt(last: { readonly before: number; readonly isKept: boolean }): void {
    if (!setLastWrite(this.dataDir, null)) setLastWrite(this.dataDir, last)
  }
  /** @returns false when it dies all the same: that write has begun */
  liveOn(): boolean {
    return !setLastWrite(this.dataDir, null)
  }
  /** It has died so. */
  get isDead(): boolean {
    return this.#life.isOver
  }
  /** What somebody asks of it, who hears of its death instead when that comes first. */
  orDeath<T>(asked: Promise<T>): Promise<T> {
    return Promise.race([asked, this.#life.death])
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
