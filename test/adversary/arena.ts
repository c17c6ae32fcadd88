import { toHex } from '../../src/base/bytes.ts'
import { outpointKey, type Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { MempoolEntry } from '../../src/chain/embedded/mempoolEntry.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import { acceptChannel } from '../../src/channel/advance.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { Channel, ChannelState } from '../../src/channel/state.ts'
import type { ChannelTypeName } from '../../src/channel/types.ts'
import type { ChannelMessage, MessageNamed } from '../../src/wire/registry.ts'
import { Book } from './book.ts'
import { type Borrowed, signerOfHostile } from './borrowed.ts'
import { Chain, type GenesisCoin } from './chain.ts'
import { type Declared, policyOf } from './declared.ts'
import { Honest } from './honest.ts'
import { Hostile } from './hostile.ts'
import { nodeIdOf, POLICY, START } from './keys.ts'
import { REORG, STEAL } from './limits.ts'
import { hostileCoins, Purse } from './loot.ts'
import { ACCEPTS, CAPACITY, openLane, PUSH, temptHal } from './opening.ts'
import { type Dearest, noteFeerates } from './poor.ts'
import { COINS, honestCoins } from './purse.ts'
import { loadNode, type SavedNode, saveNode } from './saved.ts'
import { heldUp } from './verdict.ts'

/** Who is at the other end of hal's channels; `twice`: both are the same peer's. */
export type Company = 'alone' | 'between' | 'twice' | 'behind-una'
export interface Setting {
  readonly company: Company
  readonly channelType: ChannelTypeName
  /** Whether hal pays for the commitments. */
  readonly opens: boolean
  readonly feeratePerKw: number
  /** In hal's wallet; without any, nothing can be paid for but by itself. */
  readonly coins: number
  /** What hal declares, and what the hostile do; left out, both what una does. */
  readonly declared?: { readonly ours: Declared; readonly theirs: Declared }
  /** Many HTLCs hold little more than their claims may cost. */
  readonly small?: true
  /** Whose keys the hostile have; left out, each has its own for each channel. */
  readonly borrowed?: Borrowed
}

export type Lane = 'up' | 'down'

interface Saved {
  readonly hal: SavedNode
  readonly una: SavedNode | null
  readonly hostiles: ReadonlyMap<
    Lane,
    { state: ChannelState; archive: readonly Channel[]; outbox: readonly ChannelMessage[] }
  >
  readonly connected: ReadonlyMap<Lane, boolean>
  readonly book: Book
  readonly coins: readonly GenesisCoin[]
  readonly attempts: number
}

type Look = (mal: Hostile, said: MessageNamed<'channel_reestablish'> | null) => void

const lanesOf = (c: Company): readonly Lane[] => (c === 'alone' ? ['down'] : ['up', 'down'])

/** Everything of one schedule: the chain, the honest, the hostile, and the wires between them. */
export class Arena {
  readonly setting: Setting
  readonly chain: Chain
  readonly book: Book
  readonly hal: Honest
  readonly una: Honest | null
  readonly hostiles = new Map<Lane, Hostile>()
  readonly connected = new Map<Lane, boolean>()
  readonly purse = new Purse()
  readonly lanes: readonly Lane[]
  /** What the attacker has said to hal. */
  readonly heard: { readonly lane: Lane; readonly message: ChannelMessage }[] = []
  /** The attacker's transactions for the next block. */
  queued: Transaction[] = []
  /** Its transactions that wait in the mempool and that it does not mine itself, up to a height. */
  readonly held = new Map<Txid, number>()
  /** Transactions of others fill the blocks: what pays less than they do waits. sat per 1,000 weight units. */
  crowd = 0
  readonly dearest = new Map<Lane, Dearest>()
  /** Blocks that the honest have lost while a channel came to its end: undone, or mined without them. */
  stolen = 0
  /** Blocks that were undone at a time meanwhile, at most. */
  #deepest = 0
  attempts = 0
  /** What transactions of the attacker's pay to hal's wallet, sat. */
  readonly gifts = new Map<Txid, bigint>()
  /** Blocks that hal has not seen; null while it is there. */
  #missed: ChainBlock[] | null = null
  #coins: readonly GenesisCoin[]

  constructor(setting: Setting, saved: Saved | null) {
    this.setting = setting
    this.lanes = lanesOf(setting.company)
    this.book = saved?.book.clone() ?? new Book()
    const hash = '0'.repeat(64) as never
    this.#coins = saved?.coins ?? [
      ...hostileCoins,
      ...honestCoins('hal', hash, setting.coins),
      ...honestCoins('una', hash),
    ]
    this.chain = new Chain(START, this.#coins)
    const { coins, declared } = setting
    const hal = { name: 'hal', coins, policy: policyOf(declared?.ours) } as const
    this.hal = new Honest(hal, this.chain, this.book)
    const una = { name: 'una', coins: COINS, policy: POLICY } as const
    this.una = setting.company === 'behind-una' ? new Honest(una, this.chain, this.book) : null
    for (const lane of this.lanes) {
      this.connected.set(lane, saved?.connected.get(lane) ?? true)
      if (lane === 'up' && this.una) continue
      const owner = `mal-${lane}`
      const node = setting.company === 'twice' ? 'mal' : owner
      const signer = signerOfHostile(lane, setting.company, setting.borrowed)
      this.hostiles.set(lane, new Hostile({ owner, node, policy: policyOf(declared?.theirs), signer }))
    }
    if (!saved) {
      for (const lane of this.lanes) this.#coins = [...this.#coins, openLane(this, lane)]
      return
    }
    this.attempts = saved.attempts
    const owners = (name: string) => new Map(this.lanes.map((l) => [l, `${name}-${l}`]))
    loadNode(this.hal, saved.hal, owners('hal'))
    if (this.una && saved.una) loadNode(this.una, saved.una, owners('una'))
    for (const [lane, h] of this.hostiles) {
      const { state, archive, outbox } = saved.hostiles.get(lane)!
      h.state = state
      h.archive = [...archive]
      h.outbox = [...outbox]
      h.height = START
    }
  }

  save(): Saved {
    const hostiles = [...this.hostiles].map(
      ([lane, h]) => [lane, { state: h.state!, archive: [...h.archive], outbox: [...h.outbox] }] as const,
    )
    return {
      hal: saveNode(this.hal),
      una: this.una ? saveNode(this.una) : null,
      hostiles: new Map(hostiles),
      connected: new Map(this.connected),
      book: this.book.clone(),
      coins: this.#coins,
      attempts: this.attempts,
    }
  }

  get honest(): readonly Honest[] {
    return this.una ? [this.hal, this.una] : [this.hal]
  }

  // -------------------------------------------------------------- wires

  /** Takes the oldest message of a lane across; false when there is none. */
  deliver(lane: Lane, toHal: boolean): boolean {
    if (!this.connected.get(lane)) return false
    const mal = this.hostiles.get(lane)
    const box = toHal ? (mal?.outbox ?? this.una!.outbox(lane)) : this.hal.outbox(lane)
    const message = box.shift()
    if (message) this.give(lane, toHal, message)
    const hangsUp = this.honest.some((n) => n.hangUps.has(lane) && n.outbox(lane).length === 0)
    if (hangsUp) this.cut(lane)
    return message !== undefined
  }
  give(lane: Lane, toHal: boolean, message: ChannelMessage): void {
    const mal = this.hostiles.get(lane)
    const target = toHal ? this.hal : this.una
    if (mal && toHal && this.setting.borrowed) temptHal(this, lane, message)
    if (message.type === 'open_channel' && target && (toHal || !mal)) {
      target.accept(lane, message, toHal ? (mal?.nodeId ?? nodeIdOf('una')) : nodeIdOf('hal'), `${target.name}-${lane}`)
    } else if (message.type === 'open_channel') {
      mal!.begin(acceptChannel(message, ACCEPTS, mal!.ctx))
    } else if (toHal) {
      if (mal) this.heard.push({ lane, message })
      this.hal.receive(lane, message)
    } else if (mal) mal.step({ tag: 'message', message })
    else this.una!.receive(lane, message)
  }
  pump(lane: Lane, most = 80): void {
    for (let i = 0; i < most; i++) if (!this.deliver(lane, true) && !this.deliver(lane, false)) return
  }
  cut(lane: Lane): void {
    for (const l of this.#withSamePeer(lane)) this.#cut(l)
  }
  /** `look`: the attacker hears what hal says of a channel, if it says anything, before it speaks itself. */
  connect(lane: Lane, look?: Look): void {
    for (const l of this.#withSamePeer(lane)) this.#connect(l, l === lane ? look : undefined)
  }
  #withSamePeer(lane: Lane): readonly Lane[] {
    return this.setting.company === 'twice' ? this.lanes : [lane]
  }
  #cut(lane: Lane): void {
    this.connected.set(lane, false)
    this.hal.disconnected(lane)
    this.hostiles.get(lane)?.disconnected()
    if (!this.hostiles.has(lane)) this.una!.disconnected(lane)
  }
  #connect(lane: Lane, look: Look = () => {}): void {
    if (this.connected.get(lane)) return
    this.connected.set(lane, true)
    this.hal.connected(lane)
    const mal = this.hostiles.get(lane)
    const said = this.hal.outbox(lane).find((m) => m.type === 'channel_reestablish')
    if (mal) look(mal, said ?? null)
    mal?.connected()
    if (!this.hostiles.has(lane)) this.una!.connected(lane)
  }

  // -------------------------------------------------------------- the chain

  /** What spends a channel's funding output, in a block or in the mempool. */
  closingOf(lane: Lane): { readonly tx: Transaction; readonly confirmed: boolean } | null {
    const funding = this.hostiles.get(lane)?.funding
    if (!funding) return null
    const waiting = this.chain.mempool.spender(outpointKey(funding))
    if (waiting) return { tx: waiting.tx, confirmed: false }
    const tx = this.chain.spender(outpointKey(funding))
    return tx && { tx, confirmed: true }
  }

  isHonest(entry: MempoolEntry): boolean {
    return this.honest.some((n) => n.made.has(entry.txid))
  }

  async block({ greed, censor }: { readonly greed: number; readonly censor: boolean }): Promise<void> {
    noteFeerates(this)
    const first = [...this.queued, ...this.#greedy(greed)]
    this.queued = []
    const block = this.chain.mine(first, (e) => this.#lets(e, censor), this.crowd)
    for (const h of this.hostiles.values()) h.height = block.height
    this.#missed?.push(block)
    const there = this.honest.filter((n) => n !== this.hal || !this.#missed)
    for (const node of there) node.block(block)
    for (const node of there) await node.settle()
    for (const node of there) for (const p of heldUp(this, node)) node.heldUp.add(p)
  }

  /** Hal's process is not there for some blocks, and catches up with all of them at once. `before` each one, what the attacker prepares. */
  async absent(blocks: number, greed: number, before: (n: number) => void = () => {}): Promise<void> {
    for (const lane of this.lanes) this.cut(lane)
    const missed: ChainBlock[] = []
    this.#missed = missed
    for (let n = 0; n < blocks; n++) {
      before(n)
      await this.block({ greed, censor: false })
    }
    this.#missed = null
    this.hal.restart()
    for (const block of missed) this.hal.block(block)
    await this.hal.settle()
  }

  /** Notes what a transaction of the attacker's pays to hal: that is not what hal is owed. */
  noteGift(tx: Transaction): Transaction {
    const { scripts } = this.hal.wallet.state
    const amounts = tx.outputs.filter((o) => scripts.has(toHex(o.scriptPubKey))).map((o) => o.amountSat)
    this.gifts.set(
      txidOf(tx),
      amounts.reduce((a, b) => a + b, 0n),
    )
    return tx
  }

  #lets(entry: MempoolEntry, censor: boolean): boolean {
    if (this.isHonest(entry)) return !censor
    const until = this.held.get(entry.txid)
    if (until === undefined || this.chain.height >= until) return true
    // Whoever else mines takes what an honest child pays for.
    return !censor && [...entry.children].some((c) => this.isHonest(c))
  }

  /** greed: 1 takes what has timed out or is its own, 2 what it has the preimage of. */
  #greedy(greed: number): Transaction[] {
    if (greed === 0) return []
    const txs: Transaction[] = []
    for (const [lane, mal] of this.hostiles) {
      const closing = this.closingOf(lane)
      if (closing === null && (greed & 1) !== 0 && mal.hasExpired()) txs.push(mal.signed(mal.commitments().at(-1)!))
      if (!closing?.confirmed) continue
      const prey = mal.prey(this.chain, this.book, closing.tx).filter((p) => ((p.preimage ? 2 : 1) & greed) !== 0)
      txs.push(...mal.take(prey, { together: (greed & 4) !== 0, coins: this.purse, feerate: 253 }))
    }
    return txs
  }

  /** The attacker has taken more than it may: what is lost by that is nobody's fault. */
  get isBeyond(): boolean {
    return this.stolen > STEAL || this.#deepest > REORG
  }
  steal(blocks: number): void {
    if (this.#isEnding) this.stolen += blocks
  }
  get #isEnding(): boolean {
    const tags = this.honest.flatMap((n) => n.channels.all().map((e) => e.state.tag))
    return tags.some((t) => t === 'closing' || t === 'closed')
  }

  /** Undoes blocks and puts one more in their place. */
  async reorg(
    depth: number,
    how: { readonly greed: number; readonly censor: boolean; readonly withdraws: boolean },
  ): Promise<void> {
    if (this.#isEnding) this.#deepest = Math.max(this.#deepest, depth)
    this.chain.disconnect(depth, (tx) => how.withdraws && !this.honest.some((n) => n.made.has(txidOf(tx))))
    for (const h of this.hostiles.values()) h.height = this.chain.height
    for (const node of this.honest) node.reorg(this.chain.height)
    for (const node of this.honest) await node.settle()
    for (let i = 0; i <= depth; i++) await this.block(how)
  }

  /** Heights at which HTLCs of the open channels expire. */
  expiries(): readonly number[] {
    const heights = new Set<number>()
    for (const node of this.honest) {
      for (const { state } of node.channels.all()) {
        const c = state.tag === 'closed' ? null : channelOf(state)?.commitments
        for (const table of c ? [c.outgoing, c.incoming] : [])
          for (const chunk of table.chunks) for (const h of chunk) heights.add(h.add.cltvExpiry)
      }
    }
    return [...heights].sort((a, b) => a - b)
  }

  /** msat that a node had in its channels at the start. */
  startMsat(node: Honest): bigint {
    const opener = this.setting.opens ? this.hal : this.una
    const mine = node === opener ? CAPACITY - PUSH : PUSH
    const lanes = node === this.una ? 1 : this.lanes.length
    return BigInt(lanes) * mine * 1000n
  }
}
