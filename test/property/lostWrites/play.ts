import { createHash } from 'node:crypto'
import { outpointKey, type PaymentHash } from '../../../src/base/ids.ts'
import { msat, type Sat } from '../../../src/base/units.ts'
import { pointsOfPeer } from '../../../src/channel/backedUpHtlcs.ts'
import { channelOf } from '../../../src/channel/describe.ts'
import { keys } from '../../../src/store/schema.ts'
import type { Op } from '../../../src/store/types.ts'
import { Life, type Payment } from '../../node/life.ts'
import { type Name, nameOf, nodeIdOf, type Snapshot, World } from '../../node/world.ts'
import type { Extent, Schedule, Step } from './schedule.ts'

type Data = ReadonlyMap<string, Uint8Array>

interface Held extends Payment {
  readonly id: string
  readonly preimage: Uint8Array
}

/** What a node says of writes that it has lost, and of a close. */
const REASONS: readonly string[] = [
  'the operator closes the channel by force',
  'we lost data and cannot go on',
  'DATA_LOSS',
  'which is an old copy',
  'next_commitment_number is ',
  'transaction refused',
  'the channel is closing on chain, by ',
  'the channel is closed already',
  'waits in the mempool, which its records do not know of',
]

/** Blocks until all that is open is over at the latest: as many as an HTLC, two stages and their depths take. */
const LONGEST = 330

/** One schedule, step by step. */
export class Play {
  readonly world: World
  readonly life: Life
  readonly held: Held[] = []
  /** Names of Bob's channels that lost writes. */
  readonly lost = new Set<string>()
  /** Payments under way of which the older disk has nothing at all: no record, and no HTLC on either side. */
  readonly forgotten = new Set<PaymentHash>()
  /** Carol had been paid, and her channel was done with it: that Bob had the preimage is lost. */
  readonly taken = new Set<PaymentHash>()
  /** Blocks came while these were not connected. */
  readonly apart = new Set<Name>()
  readonly #settled = new Set<PaymentHash>()
  /** What hung in the others' channels when they last ran. */
  readonly #there = new Map<Name, ReadonlySet<PaymentHash>>()
  readonly #schedule: Schedule
  /** Bob's channels, in the order in which they were opened. */
  readonly #ids: readonly string[]
  #history: Data[] = []
  #tear: { at: number; without: ReadonlySet<string> } | null = null

  private constructor(world: World, schedule: Schedule) {
    this.world = world
    this.life = new Life(world)
    this.#schedule = schedule
    this.#ids = world
      .of('bob')
      .node!.channels.all()
      .map((e) => e.meta.localId)
    this.#attend()
  }

  static async begin(base: Snapshot, schedule: Schedule): Promise<Play> {
    return new Play(await World.start(undefined, base), schedule)
  }

  async step(s: Step): Promise<void> {
    const { world } = this
    switch (s.tag) {
      case 'pay':
        return this.#pay(s)
      case 'run':
        for (let n = 0; n < s.rounds; n++) {
          for (const name of s.heard) world.wire.deliver(nodeIdOf(name))
          await world.turn()
        }
        return
      case 'settle':
        return world.settle()
      case 'connect':
        return world.connectAll()
      case 'look':
        world.of('bob').node?.mempoolWatch.tick(true)
        await world.attempt(world.of('bob').node?.backup.look() ?? Promise.resolve())
        return world.settle()
      case 'mine':
        return this.#mine(s.blocks)
      case 'cut':
        return s.link === 0
          ? world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
          : world.wire.cut(nodeIdOf('bob'), nodeIdOf('carol'))
      case 'crash':
        this.#look()
        return world.crash(s.who)
      case 'boot':
        await this.#boot(s.who)
        return world.connectAll()
      case 'decide':
        return this.#decide(this.held[s.pick % Math.max(1, this.held.length)], s.settle)
      case 'close':
        return this.#close(s.pick)
      case 'back':
        return this.#back(s)
      case 'tear':
        this.#tear = { at: world.of('bob').disk.writes + s.writes, without: this.#chosen(s.without) }
        return
    }
  }

  /** Everybody is there and connected; Carol decides on what she holds; and blocks come until no channel is on its way to an end. */
  async finish(): Promise<void> {
    const { world, held } = this
    this.#tear = null
    await this.#everybody()
    for (const [i, h] of held.entries()) {
      const { ends } = this.#schedule
      const settle = ends[i % ends.length]!
      if (settle !== null) await this.#decide(h, settle)
    }
    await world.settle()
    for (let n = 0; n < LONGEST && !(await this.#isOver()); n += n < 12 ? 1 : 3) {
      await world.mine(n < 12 ? 1 : 3)
      await this.#everybody()
    }
    await world.mine(2)
    await this.#everybody()
  }

  async #everybody(): Promise<void> {
    for (const { name } of this.world.all) await this.#boot(name)
    this.world.connectAll()
    await this.world.settle()
  }

  async #isOver(): Promise<boolean> {
    const states = this.world.all.flatMap((p) => p.node!.channels.all().map((e) => e.state.tag))
    return this.life.openHtlcs() === 0 && states.every((tag) => tag === 'normal' || tag === 'closed')
  }

  // -------------------------------------------------------------- Bob's disk

  async #boot(name: Name): Promise<void> {
    const process = this.world.of(name)
    if (process.node) return
    await this.world.boot(name)
    if (name === 'bob') this.#attend()
  }

  /** Keeps what was on Bob's disk before each write. */
  #attend(): void {
    const { disk, node } = this.world.of('bob')
    disk.judge = (ops, n) => {
      this.#history.push(disk.snapshot())
      if (this.#history.length > 80) this.#history.shift()
      const tear = this.#tear
      if (tear === null || n < tear.at) return null
      this.#tear = null
      return { tag: 'die', kept: ops.filter(({ key }: Op) => !tear.without.has(channelIn(key))) }
    }
    if (!this.#schedule.watches && node) node.mempoolWatch.tick = () => {}
  }

  #look(): void {
    for (const { name } of this.world.alive) this.#there.set(name, new Set(this.#hashes(name)))
  }

  /** Of what hangs in channels. */
  #hashes(name: Name): readonly PaymentHash[] {
    const all = this.world.of(name).node?.channels.all() ?? []
    const tables = all.flatMap(({ state }) => {
      const { incoming, outgoing } = channelOf(state)?.commitments ?? {}
      return [incoming, outgoing]
    })
    return tables.flatMap((table) => table?.chunks.flat().map((h) => h.add.paymentHash) ?? [])
  }

  /** Hashes of what Bob's channels hold, and of what he pays or has paid. */
  async #known(): Promise<ReadonlySet<PaymentHash>> {
    const known = new Set(this.#hashes('bob'))
    const outgoing = this.world.of('bob').node?.payments.outgoing
    for (const { hash } of this.held) if (await outgoing?.find(hash)) known.add(hash)
    return known
  }

  #chosen(bits: number): ReadonlySet<string> {
    return new Set(this.#ids.filter((_, i) => (bits >> i) & 1))
  }

  async #back({ writes, extent, gap }: { writes: number; extent: Extent; gap: boolean }): Promise<void> {
    const { world } = this
    this.#look()
    world.crash('bob')
    const { disk } = world.of('bob')
    const now = disk.snapshot()
    const able = extent === 'all' ? this.#history : this.#history.filter((data) => heightIn(data) === heightIn(now))
    const older = able.at(-writes) ?? able[0]
    if (older) {
      const data = mix(now, older, extent === 'all' ? null : this.#chosen(extent))
      for (const id of this.#ids) if (extent === 'all' || isOther(data, now, id)) this.lost.add(id)
      await disk.wipe([...now.keys()])
      for (const [key, value] of data) await disk.harm(key, value)
      const journal = [...data.keys()].filter((key) => key.startsWith('journal/')).sort()
      if (gap && journal.length > 3) await disk.wipe([journal.at(-3)!])
    }
    this.#history = []
    this.#tear = null
    // A start that sees the gap takes what the database lacks from the backup beside it.
    const bob = world.of('bob')
    bob.restoreFrom = gap ? bob.wholeBackup : null
    await this.#boot('bob')
    bob.restoreFrom = null
    const known = await this.#known()
    for (const hash of this.#settled) if (!this.#there.get('carol')?.has(hash)) this.taken.add(hash)
    const others = [...(this.#there.get('alice') ?? []), ...(this.#there.get('carol') ?? [])]
    for (const hash of others) if (!known.has(hash)) this.forgotten.add(hash)
    world.connectAll()
    await world.settle()
  }

  // -------------------------------------------------------------- what people do

  async #pay({ from, amountSat, delta, patienceS }: Extract<Step, { tag: 'pay' }>): Promise<void> {
    const { world } = this
    const [payer, carol] = [world.of(from), world.of('carol')]
    if (!payer.service || !carol.service) return
    const preimage = new Uint8Array(32).fill(this.held.length + 1)
    const hash = createHash('sha256').update(preimage).digest('hex') as PaymentHash
    const amountMsat = msat(BigInt(amountSat) * 1000n)
    const about = { amountMsat, description: '', paymentHash: hash, minFinalCltvExpiryDelta: delta }
    const invoice = await world.attempt(carol.service.createInvoice(about))
    if (!invoice) return
    const payment = { payer: from, payee: 'carol', hash, amountMsat: BigInt(amountMsat) } as const
    this.held.push({ ...payment, id: invoice.id, preimage })
    this.life.payments.push(payment)
    payer.service?.pay({ bolt11: invoice.bolt11, timeoutSeconds: patienceS }).catch(() => {})
    await world.turn()
  }

  async #decide(held: Held | undefined, settle: boolean): Promise<void> {
    const api = this.world.of('carol').service
    if (!held || !api) return
    const { status } = await api.invoice(held.hash)
    if (status !== 'accepted' && (settle || status !== 'open')) return
    if (settle) this.#settled.add(held.hash)
    const call = settle ? api.settleInvoice(held.id, held.preimage) : api.cancelInvoice(held.id)
    await this.world.attempt(call).catch((e: { readonly code?: string }) => {
      // It has just started, and does not know the height of now.
      if (e.code !== 'CHAIN_UNAVAILABLE') throw e
    })
    await this.world.turn()
  }

  async #close(pick: number): Promise<void> {
    const { node, service } = this.world.of('carol')
    const open = node?.channels.all().filter((e) => !['closing', 'closed'].includes(e.state.tag)) ?? []
    if (!service || open.length === 0) return
    await this.world
      .attempt(service.closeChannel(open[pick % open.length]!.meta.localId, { force: true }))
      .catch(() => {})
  }

  async #mine(blocks: number): Promise<void> {
    const { world } = this
    for (const peer of ['alice', 'carol'] as const)
      if (!world.wire.connected(nodeIdOf(peer), nodeIdOf('bob'))) this.apart.add(peer)
    await world.mine(blocks)
  }

  /**
   * HTLCs of commitments whose point Bob was never told, as far as their outputs are still there: nobody can tell which is theirs
   * (docs/security.md). What is spent has shown a preimage, or was the peer's to take back.
   */
  nameless(): readonly { readonly hash: PaymentHash; readonly amountMsat: bigint }[] {
    const { chain } = this.world
    return this.world
      .of('bob')
      .node!.channels.all()
      .flatMap(({ state, meta }) => {
        const channel = channelOf(state)
        if (channel === null || state.tag !== 'closed' || state.onchain?.closing.kind !== 'future') return []
        const peer = this.world.of(nameOf(meta.peer)).node!
        const { state: theirs, signer } = peer.channels.byChannelId(channel.params.channelId)!
        const { local, incoming, outgoing } = channelOf(theirs)!.commitments
        const point = signer.commitmentPoint(local.number)
        if (pointsOfPeer(channel).some((p) => Buffer.from(p).equals(point))) return []
        const { tx, txid } = state.onchain.closing
        const left = tx.outputs.flatMap(({ amountSat }, index) =>
          chain.state.coin(outpointKey({ txid, index })) ? [amountSat] : [],
        )
        return [incoming, outgoing].flatMap((table) =>
          table.chunks.flat().flatMap(({ add }) => {
            const at = left.indexOf((add.amountMsat / 1000n) as Sat)
            if (at < 0) return []
            left.splice(at, 1)
            return [{ hash: add.paymentHash, amountMsat: BigInt(add.amountMsat) }]
          }),
        )
      })
  }

  /** Bob's channels with Alice that ended, though nothing of them was lost, and she was there. */
  endedForNothing(): readonly string[] {
    if (this.apart.has('alice')) return []
    return this.world
      .of('bob')
      .node!.channels.all()
      .filter((e) => nameOf(e.meta.peer) === 'alice' && e.state.tag !== 'normal' && !this.lost.has(e.meta.localId))
      .map((e) => `${e.meta.localId} ${e.state.tag}`)
  }

  /** Alerts, warnings and errors that lost writes and closed channels are no reason for. */
  complaints(): readonly string[] {
    const all = this.world.all.flatMap(({ name, complaints }) => complaints.map((c) => `${name} ${JSON.stringify(c)}`))
    return all.filter((c) => !REASONS.some((reason) => c.includes(reason)))
  }
}

/** The position in the chain is written after all that a block brought: what has that has the channels as the block left them. */
const heightIn = (data: Data): string => Buffer.from(data.get(keys.chain)!).toString('hex')
const channelIn = (key: string): string => /^channel\/([^/]+)\//.exec(key)?.[1] ?? ''

/** @param ids the channels of the older copy; null: all of it is older */
function mix(now: Data, older: Data, ids: ReadonlySet<string> | null): Data {
  if (ids === null) return older
  const isOld = (key: string): boolean => ids.has(channelIn(key))
  return new Map([...[...now].filter(([key]) => !isOld(key)), ...[...older].filter(([key]) => isOld(key))])
}

function isOther(a: Data, b: Data, id: string): boolean {
  const of = (data: Data) => [...data].filter(([key]) => channelIn(key) === id).sort(([x], [y]) => (x < y ? -1 : 1))
  const [x, y] = [of(a), of(b)]
  return x.length !== y.length || x.some(([key, value], i) => key !== y[i]![0] || !Buffer.from(value).equals(y[i]![1]))
}
