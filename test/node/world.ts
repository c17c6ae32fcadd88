import { toHex } from '../../src/base/bytes.ts'
import { nodeId as asNodeId, type NodeId } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { chainHash } from '../../src/bitcoin/networks.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { BitcoindSource } from '../../src/chain/bitcoind.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { rpcHandler } from '../../src/chain/embedded/rpc.ts'
import { localTransport, type RpcTransport } from '../../src/chain/rpc.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { ChannelPolicy } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { Logs } from '../../src/node/logs.ts'
import { Node } from '../../src/node/node.ts'
import { channelPolicy } from '../../src/node/policy.ts'
import type { ChannelView } from '../../src/node/service.ts'
import { nodeService } from '../../src/node/services/node.ts'
import { checkJournal, Journal } from '../../src/store/journal.ts'
import { migrate } from '../../src/store/migrate.ts'
import type { Driver } from '../../src/store/types.ts'
import { type MasterKey, masterKey, nodeSecret } from '../../src/wallet/keys.ts'
import { Disk } from './disk.ts'
import { complaintsLog, Process } from './process.ts'
import { quietConfig } from './quietConfig.ts'
import { Wire } from './wire.ts'

export type Name = 'alice' | 'bob' | 'carol'
export const NAMES: readonly Name[] = ['alice', 'bob', 'carol']
/** A fourth, for whoever asks for him: tables by name have three rows. */
export const DAVE = 'dave' as Name

const WORDS: Readonly<Record<Name | 'dave', string>> = {
  alice: 'legal winner thank year wave sausage worth useful legal winner thank yellow',
  bob: 'letter advice cage absurd amount doctor acoustic avoid letter advice cage above',
  carol: 'zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong',
  dave: 'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about',
}

interface Identity {
  readonly master: MasterKey
  readonly secret: Uint8Array
  readonly nodeId: NodeId
}
const identities = new Map<Name, Identity>()
/** Made once: stretching a seed takes longer than a whole life in these tests. */
function identityOf(name: Name): Identity {
  const known = identities.get(name)
  if (known) return known
  const master = masterKey(WORDS[name], 'regtest')
  const secret = nodeSecret(master)
  const identity = { master, secret, nodeId: asNodeId(toHex(crypto.publicKey(secret))) }
  identities.set(name, identity)
  return identity
}
export const masterOf = (name: Name): MasterKey => identityOf(name).master
export const nodeIdOf = (name: Name): NodeId => identityOf(name).nodeId

export const nameOf = (id: NodeId): Name => [...NAMES, DAVE].find((n) => nodeIdOf(n) === id)!
/** As on any regtest, but that nobody waits for long after a close by force. */
const policyOf = ({ toSelfDelay = 10, htlcFailDepth, ...chosen }: WorldOptions): ChannelPolicy => ({
  ...channelPolicy('regtest', undefined, chosen),
  toSelfDelay,
  ...(htlcFailDepth !== undefined && { htlcFailDepth }),
})
/** Coins of blocks that nobody asked for go here. */
export const NOBODY = p2wsh(Uint8Array.of(0x00))
/** Seconds; the embedded chain's own clock, which moves with its blocks. */
const START = 1_700_000_000
/** Turns without anything happening before a world counts as quiet. */
const CALM = 3
const MOST_ROUNDS = 20_000
/** Turns within which a node answers what it need ask nobody else for. */
const PATIENCE = 40

/** What a world can be made from again: what every disk holds, and the blocks. */
export interface Snapshot {
  readonly disks: Readonly<Partial<Record<Name, ReadonlyMap<string, Uint8Array>>>>
  readonly blocks: EmbeddedChain['state']['tip']['block'][]
}

/** A Bitcoin node that the nodes ask in the place of the embedded chain, whose blocks it is given. */
export interface Backend {
  /** What nodes call. */
  readonly transport: RpcTransport
  /** No call of theirs waits for its answer. */
  readonly idle: boolean
  /** Brings it to where the embedded chain is. */
  follow(): Promise<void>
}

export interface WorldOptions {
  readonly backendOf?: (chain: EmbeddedChain) => Backend
  readonly toSelfDelay?: number
  readonly htlcFailDepth?: number
  readonly maxHtlcValueInFlightPercent?: number
  readonly anchorReserveSat?: Sat
  /** What lies over every disk. */
  readonly driverOf?: (disk: Disk) => Driver & { takeDamaged?(): readonly string[] }
  /** For so long a node that was away waits for its peers before it follows the chain. */
  readonly peersFirstMs?: number
}

/** Nodes in one process over one embedded chain, with disks that can fail and a network that the test delivers by hand. */
export class World {
  readonly chain: EmbeddedChain
  readonly wire = new Wire()
  readonly processes: ReadonlyMap<Name, Process>
  readonly #options: WorldOptions
  readonly #backend: Backend | null
  #time = START

  private constructor(names: readonly Name[], snapshot: Snapshot | null, options: WorldOptions) {
    this.#options = options
    this.chain = createEmbeddedChain({ clock: () => this.#time })
    this.#backend = options.backendOf?.(this.chain) ?? null
    for (const block of snapshot?.blocks ?? []) {
      this.#time = Math.max(this.#time, block.header.time)
      const taken = this.chain.submitBlock(block)
      if (!taken.ok) throw new Error(`a block of the snapshot is refused: ${taken.error.reason}`)
    }
    this.processes = new Map(
      names.map((name) => {
        const process = new Process(name, nodeIdOf(name), null as unknown as Disk)
        process.disk = this.#disk(process, snapshot?.disks[name] ?? new Map())
        return [name, process]
      }),
    )
  }

  /** Alice and Bob, and a channel that Alice has opened, with what she gave Bob in it. @param coins that each has been given */
  static async pair(capacitySat: number, pushSat = 0, coins = 2): Promise<Snapshot> {
    const world = await World.start(['alice', 'bob'])
    await world.fund(coins)
    await world.open('alice', 'bob', capacitySat, pushSat)
    const base = world.snapshot()
    world.close()
    return base
  }

  /** Alice – Bob – Carol, 500,000 sat at each end of both channels. */
  static async line(): Promise<Snapshot> {
    const world = await World.start()
    await world.fund()
    await world.open('alice', 'bob', 1_000_000, 500_000)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const base = world.snapshot()
    world.close()
    return base
  }

  static async start(
    names: readonly Name[] = NAMES,
    snapshot: Snapshot | null = null,
    options: WorldOptions = {},
  ): Promise<World> {
    const world = new World(names, snapshot, options)
    await world.#backend?.follow()
    for (const name of names) await world.boot(name)
    world.connectAll()
    await world.settle()
    return world
  }

  of(name: Name): Process {
    return this.processes.get(name)!
  }
  get all(): readonly Process[] {
    return [...this.processes.values()]
  }
  get alive(): readonly Process[] {
    return this.all.filter((p) => p.node !== null)
  }

  snapshot(): Snapshot {
    const { state } = this.chain
    const blocks = Array.from({ length: state.height }, (_, i) => state.at(i + 1)!.block)
    return { disks: Object.fromEntries(this.all.map((p) => [p.name, p.disk.snapshot()])), blocks }
  }

  // -------------------------------------------------------------- processes

  #disk(process: Process, data: ReadonlyMap<string, Uint8Array>): Disk {
    return new Disk(data, () => this.#died(process))
  }

  /** Starts the process on what its disk holds. */
  async boot(name: Name): Promise<void> {
    const process = this.of(name)
    if (process.node) return
    process.disk = this.#disk(process, process.disk.snapshot())
    const { disk } = process
    const { master, secret, nodeId } = identityOf(name)
    const isNewSeed = (await migrate(disk)) && process.restoreFrom === null && !process.hasLived
    const driver = this.#options.driverOf?.(disk) ?? disk
    const { last, missing } = await checkJournal(driver)
    disk.writes = 0
    const { anchorReserveSat } = this.#options
    const config = quietConfig(`/nowhere/${name}`, {
      alias: process.alias,
      ...(anchorReserveSat !== undefined && { anchorReserveSat }),
    })
    const transport = this.#backend?.transport ?? localTransport(rpcHandler(this.chain))
    const source = new BitcoindSource({ transport, network: 'regtest' })
    const node = await Node.open({
      config,
      logs: new Logs(complaintsLog(process)),
      driver,
      journal: new Journal(driver, last),
      ...('takeDamaged' in driver && { takeDamaged: () => driver.takeDamaged?.() ?? [] }),
      source,
      master,
      own: { nodeId, nodeSecret: secret, chainHash: chainHash('regtest') },
      isNewSeed,
      storageLow: () => false,
      onFatal: (error) => {
        if (process.disk !== disk) return
        process.fatal = error
        if (!disk.refused) process.complaints.push(error)
        if (!process.lingers) this.#died(process)
      },
      doubt: missing.length > 0 || process.restoreFrom ? { missing, backup: process.restoreFrom } : null,
      writeBackup: (channels, whole) => process.writeBackup(channels, whole),
      readBackup: async () => process.wholeBackup,
      keepBackup: async (newer) => `${process.keptBackups.push(newer)}`,
      storagePace: process.storagePace,
      gossipPace: process.gossipPace,
      peersFirstMs: this.#options.peersFirstMs ?? 0,
      policy: policyOf(this.#options),
      connections: this.wire.factory,
    })
    if (disk.dead) return this.#bury(node)
    process.node = node
    process.service = nodeService(node, { config, listen: null })
    node.events.subscribe((event) => {
      if (event.type === 'node.alert') process.complaints.push(event.data)
    })
    await node.start()
  }

  /** The process dies between two writes; what was not on disk is lost. */
  crash(name: Name): void {
    const process = this.of(name)
    process.disk.dead = true
    this.#died(process)
  }

  /** The disk is lost, with everything on it. */
  wipe(name: Name): void {
    this.crash(name)
    const process = this.of(name)
    process.disk = this.#disk(process, new Map())
  }

  async restart(name: Name): Promise<void> {
    this.crash(name)
    await this.boot(name)
  }

  #died(process: Process): void {
    process.disk.dead = true
    this.wire.unplug(process.nodeId)
    if (process.node) this.#bury(process.node)
    process.node = null
    process.service = null
  }

  /** Ends the timers and waits of a dead node's object; nothing of it is heard any more. */
  #bury(node: Node): void {
    void node.stop().catch(() => {})
  }

  /** Ends everything, so that nothing of this world runs on beneath the next test. */
  close(): void {
    for (const { name } of this.all) this.crash(name)
    this.chain.close()
  }

  // -------------------------------------------------------------- time

  /** Connects the line alice – bob – carol, as far as they run. */
  connectAll(): void {
    this.all.forEach((p, i) => {
      const next = this.all[i + 1]
      if (next) this.wire.connect(p.nodeId, next.nodeId)
    })
  }

  /** Lets every turn that waits run, and its write. */
  async turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** What a call gives, or undefined when the process that was asked dies before it answers. */
  async attempt<T>(call: Promise<T>): Promise<T | undefined> {
    let result: { readonly value: T } | { readonly error: unknown } | null = null
    call.then(
      (value) => {
        result = { value }
      },
      (error: unknown) => {
        result = { error }
      },
    )
    for (let n = 0; n < PATIENCE && result === null; n += this.#isIdle() ? 1 : 0) await this.turn()
    const settled = result as { readonly value: T } | { readonly error: unknown } | null
    if (settled && 'error' in settled) throw settled.error
    return settled?.value
  }

  /** Delivers everything, until nothing moves any more. */
  async settle(): Promise<void> {
    await this.#backend?.follow()
    const written = (): number => this.alive.reduce((sum, p) => sum + p.disk.writes, 0)
    for (let calm = 0, rounds = 0, before = -1; calm < CALM; rounds++) {
      const moved = this.wire.deliver()
      await this.turn()
      const now = written()
      calm = moved || now !== before || !this.#caughtUp() ? 0 : calm + 1
      before = now
      // A real Bitcoin node takes its own time, more of it on a busy machine; so does a node that waits for its peers.
      const takesTime = this.#backend !== null || this.#options.peersFirstMs !== undefined
      if (!this.#isIdle() || (takesTime && !this.#caughtUp())) calm = rounds = 0
      if (rounds > MOST_ROUNDS) throw new Error('the world does not come to rest')
    }
  }

  #isIdle(): boolean {
    const inTurn = this.alive.some(({ node, fatal }) => fatal === null && node!.reactor.isInTurn)
    return !inTurn && (this.#backend?.idle ?? true)
  }

  #caughtUp(): boolean {
    const { height } = this.chain.state
    const running = this.alive.filter((p) => p.fatal === null || !p.disk.refused)
    return running.every(({ node }) => node!.chain.height === height && node!.chain.status.synced)
  }

  async mine(blocks: number, scriptPubKey: Uint8Array = NOBODY): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      this.#time += 600
      this.chain.mine(1, scriptPubKey)
    }
    await this.settle()
  }

  /** The last blocks are undone and others take their place, one more than there were. */
  async reorg(depth: number): Promise<void> {
    const { state } = this.chain
    this.chain.invalidate(state.at(state.height - depth + 1)!)
    await this.mine(depth + 1)
  }

  // -------------------------------------------------------------- what people do

  /** Gives every node coins that it can spend. */
  async fund(coins = 2): Promise<void> {
    for (const { node } of this.alive) {
      for (let i = 0; i < coins; i++) {
        const { scriptPubKey } = await node!.reactor.run(() => node!.wallet.newAddress())
        this.chain.mine(1, scriptPubKey)
      }
    }
    await this.mine(100)
  }

  /** A channel that can be used. */
  async open(from: Name, to: Name, capacitySat: number, pushSat = 0): Promise<ChannelView> {
    const opening = this.of(from).api.openChannel({
      peer: nodeIdOf(to),
      capacitySat: BigInt(capacitySat) as never,
      pushMsat: BigInt(pushSat * 1000) as never,
      announce: true,
    })
    opening.catch(() => {})
    await this.settle()
    const { id } = await opening
    await this.mine(6)
    return this.of(from).api.channel(id)
  }

  channelsOf(name: Name): readonly ReturnType<typeof channelOf>[] {
    return this.of(name)
      .node!.channels.all()
      .map((e) => channelOf(e.state))
  }
}
