import type { PaymentHash } from '../../src/base/ids.ts'
import type { Msat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import { spends } from '../../src/channel/onchain/classify.ts'
import type { Arena, Lane } from './arena.ts'
import type { Payment, Purpose } from './book.ts'
import { forget } from './forget.ts'
import type { Hostile } from './hostile.ts'
import { START } from './keys.ts'
import { DEEP, DEEPEST, REORG, STEAL } from './limits.ts'
import { pinOf } from './loot.ts'
import { PLOTS } from './plots.ts'
import { waitsAt } from './poor.ts'
import type { Step } from './schedule.ts'
import { TRICKS } from './tricks.ts'

/** An HTLC as it is offered. */
export interface Terms {
  readonly hash: PaymentHash
  readonly amountMsat: Msat
  /** Block height. */
  readonly expiry: number
}

export class Run {
  readonly arena: Arena
  readonly #deep: boolean
  #steal = STEAL

  constructor(arena: Arena, deep: boolean) {
    this.arena = arena
    this.#deep = deep
  }

  #lane(n: number): Lane {
    return this.arena.lanes[n % this.arena.lanes.length]!
  }

  async step(s: Step): Promise<void> {
    await this.#step(s)
    const { una } = this.arena
    // Nobody hostile stands between the honest.
    if (una && this.arena.connected.get('up')) this.arena.pump('up')
  }

  async #step({ tag, a, b, c }: Step): Promise<void> {
    const { arena } = this
    const lane = this.#lane(a)
    switch (tag) {
      case 'deliver':
        for (let i = 0; i <= b % 4; i++) arena.deliver(lane, c % 2 === 0)
        return
      case 'pump':
        return arena.pump(lane)
      case 'offer':
        return this.#offer(lane, b, c)
      case 'pay':
        return this.#pay(lane, b, c)
      case 'settle':
        return this.#settle(lane, b, c)
      case 'cut':
        return arena.cut(lane)
      case 'connect':
        return arena.connect(lane)
      case 'fee': {
        const feeratePerKw = [253, 500, 1500, 4000][b % 4]!
        const command = { tag: 'updateFee', feeratePerKw } as const
        const mal = arena.hostiles.get(lane)
        if (arena.setting.opens || !mal) arena.hal.command(lane, command)
        else mal.command(command)
        return
      }
      case 'hold':
        return arena.hal.settleHold(b)
      case 'mine':
        return this.mine(1 + (a % 6), b, c % 3 === 0)
      case 'toExpiry':
        return this.toExpiry(a, b, c)
      case 'publish':
        return this.#publish(lane, b, c)
      case 'claim':
        return this.#claim(lane, b, c)
      case 'reorg':
        return this.reorg(a, b, c)
      case 'force':
        return arena.hal.forceClose(lane)
      case 'close':
        if (b % 2 === 0) arena.hal.close(lane)
        else arena.hostiles.get(lane)?.command({ tag: 'close', requestId: 1 })
        return
      case 'feerate': {
        const claim = [253, 1000, 3000, 8000][b % 4]!
        return this.feerate(claim, c % 2 === 0 ? CROWDS[b % 4] : 0)
      }
      case 'restart': {
        const node = arena.honest[b % arena.honest.length]!
        for (const l of arena.lanes) {
          if (!node.channels.get(l)) continue
          arena.cut(l)
        }
        node.restart()
        return
      }
      case 'garbage':
        return this.#garbage(lane, b, c)
      case 'repeat': {
        const old = arena.heard[b % Math.max(1, arena.heard.length)]
        if (old && arena.connected.get(old.lane)) arena.give(old.lane, true, old.message)
        return
      }
      case 'twin':
        return this.#twin(lane, b, c)
      case 'spend':
        return this.spend()
      case 'forget':
        return forget(this, arena.hostiles.has(lane) ? lane : 'down', b, c)
      case 'mirror':
      case 'gift':
      case 'litter':
      case 'shut':
      case 'doze':
      case 'mangle':
      case 'rebuff':
      case 'relapse':
      case 'dig':
      case 'cycle':
      case 'haggle':
      case 'flood':
      case 'recant':
        return TRICKS[tag](this, arena.hostiles.has(lane) ? lane : 'down', b, c)
      default:
        return PLOTS[tag](this, arena.hostiles.has(lane) ? lane : 'down', b, c)
    }
  }

  /**
   * What estimates say that a transaction has to pay to confirm soon, and what others pay so that blocks are full: what waits has to be
   * raised, which takes a block from the honest. Estimates that are too low take all that may be taken. Where nothing can be raised,
   * nothing else than the estimates changes.
   */
  feerate(estimate: number, crowd = 0): void {
    const { arena } = this
    const claim = arena.hal.hasSpent ? Math.min(estimate, QUIET) : estimate
    const cost = crowd > claim ? STEAL : crowd > arena.crowd ? 1 : 0
    const isCrowded = this.#canPay && cost <= this.#steal
    arena.crowd = isCrowded ? crowd : 0
    if (isCrowded) this.spare(cost)
    const [closing, slow] = [Math.max(253, claim >> 1), Math.max(253, claim >> 2)]
    for (const node of arena.honest) node.feerates = { commitment: 1000, closing, claim, slow }
    if (this.#canPay && [...arena.held.keys()].some((id) => waitsAt(arena, id) > 0)) this.spare(STEAL)
  }
  /** Hal's people send all that they may: attacks under way may cost what it was promised to have. */
  spend(): void {
    const { hal, held, crowd } = this.arena
    if (held.size === 0 && crowd === 0 && this.#allOpen()) hal.spendAll()
  }
  #allOpen(): boolean {
    return this.arena.hal.channels.all().every((e) => e.state.tag !== 'closing' && e.state.tag !== 'closed')
  }
  get #canPay(): boolean {
    const { channelType, coins } = this.arena.setting
    return channelType === 'anchors' && coins > 0 && !this.arena.hal.hasSpent
  }

  /** Blocks that may still be taken from the honest. */
  get steal(): number {
    return this.#steal
  }

  #amount(n: number): Msat {
    const kind = n % 8
    const x = BigInt(n >> 3)
    if (kind === 0) return (200_000n + x * 150n) as Msat
    if (this.arena.setting.small && kind < 6) return (2_000_000n + x * 2_200n) as Msat
    if (kind === 1) return (3_000_000n + x * 2_000n) as Msat
    return (70_000_000n + (x % 4n) * 20_000_000n + (x % 3n === 0n ? 0n : x)) as Msat
  }

  #hash(purposes: readonly Purpose[], b: number): Payment {
    const { book } = this.arena
    const purpose = purposes[b % purposes.length]!
    if (b % 5 === 0) {
      const old = [...book.payments.values()].filter((p) => p.purpose === purpose)
      const same = old[(b >> 4) % Math.max(1, old.length)]
      if (same) return same
    }
    return book.add(purpose)
  }

  /** The peer offers an HTLC: for hal, or to be passed on. */
  #offer(lane: Lane, b: number, c: number): void {
    const { arena } = this
    const forward = arena.lanes.length > 1
    const mal = arena.hostiles.get(lane)
    const { hash, purpose } = this.#hash(
      mal && !forward ? ['invoice', 'hold'] : ['forward', 'forward', 'invoice', 'hold'],
      b,
    )
    const expiry = arena.chain.height + (purpose === 'forward' ? 55 : 20) + (c % 14)
    this.offer(lane, { hash, amountMsat: this.#amount(b), expiry })
  }
  offer(lane: Lane, { hash, amountMsat, expiry }: Terms): void {
    const { arena } = this
    const mal = arena.hostiles.get(lane)
    const attempt = arena.attempts++
    if (!mal) return arena.una!.pay(lane, amountMsat, expiry, hash, attempt)
    const origin = { tag: 'payment', paymentHash: hash, attempt } as const
    const onion = new Uint8Array(1366)
    mal.command({ tag: 'addHtlc', amountMsat, paymentHash: hash, cltvExpiry: expiry, onion, origin })
  }

  #pay(lane: Lane, b: number, c: number): void {
    const { hash } = this.#hash(['to-peer'], b)
    this.pay(lane, { hash, amountMsat: this.#amount(b), expiry: this.arena.chain.height + 12 + (c % 24) })
  }
  pay(lane: Lane, { hash, amountMsat, expiry }: Terms): void {
    const { arena } = this
    if (arena.hostiles.has(lane)) arena.hal.pay(lane, amountMsat, expiry, hash, arena.attempts++)
  }

  /** One of the HTLCs that are there, once more: only its number is another. */
  #twin(lane: Lane, b: number, c: number): void {
    const { state } = this.arena.hal.entry(lane)
    const channel = state.tag === 'closed' ? null : channelOf(state)
    if (!channel) return
    const isOurs = b % 2 === 0
    const htlcs = [...eachHtlc(isOurs ? channel.commitments.outgoing : channel.commitments.incoming)]
    const add = htlcs[c % Math.max(1, htlcs.length)]?.add
    if (!add) return
    const terms: Terms = { hash: add.paymentHash, amountMsat: add.amountMsat, expiry: add.cltvExpiry }
    if (!isOurs) this.offer(lane, terms)
    // What is passed on twice is offered twice.
    else if (add.origin?.tag === 'payment') this.pay(lane, terms)
  }

  #settle(lane: Lane, b: number, c: number): void {
    const mal = this.arena.hostiles.get(lane)
    const open = mal?.incoming() ?? []
    const htlc = open[b % Math.max(1, open.length)]
    if (!mal || !htlc) return
    const preimage = this.arena.book.payments.get(htlc.paymentHash)!.preimage
    if (c % 4 === 0) mal.command({ tag: 'failHtlc', id: htlc.id, reason: new Uint8Array(292) })
    else mal.command({ tag: 'fulfillHtlc', id: htlc.id, preimage })
  }

  #censors(wish: boolean, blocks: number): boolean {
    if (!wish || this.#steal < blocks) return false
    this.#steal -= blocks
    this.arena.steal(blocks)
    return true
  }

  async mine(blocks: number, greed: number, wish: boolean): Promise<void> {
    const censor = this.#censors(wish, blocks)
    for (let i = 0; i < blocks; i++) await this.arena.block({ greed: greed % 8, censor })
  }

  /** To just before, at or after the expiry of an HTLC, or to where the honest have to act on it. */
  async toExpiry(a: number, b: number, c: number): Promise<void> {
    const { arena } = this
    const ahead = arena.expiries().filter((h) => h > arena.chain.height - 3)
    const expiry = ahead[a % Math.min(3, Math.max(1, ahead.length))]
    if (expiry === undefined) return this.mine(1 + (b % 3), c, false)
    const target = expiry + [-13, -12, -11, -2, -1, 0, 1, 2, 3][b % 9]!
    const blocks = Math.min(70, target - arena.chain.height)
    for (let i = 0; i < blocks; i++) await arena.block({ greed: c % 8, censor: false })
  }

  /** Sends a transaction of the attacker's on its way. */
  send(tx: Transaction, how: number, from: Hostile): void {
    const { arena } = this
    if (how % 4 === 0) {
      arena.queued.push(tx)
      return
    }
    const { accepted } = arena.chain.broadcast(tx)
    if (!accepted || how % 4 === 1) return
    const blocks = how % 4 === 2 ? 6 : 45
    const until = arena.chain.height + this.#holds(tx, blocks)
    arena.held.set(txidOf(tx), until)
    const pins =
      how % 8 > 3 ? pinOf(tx, from.signer, { coins: arena.purse, times: [0, 4, 12, 30][(how >> 3) % 4]! }) : []
    for (const child of pins) if (arena.chain.broadcast(child).accepted) arena.held.set(txidOf(child), until)
  }

  /** Somebody honest can pay for it, so that others mine it; without anchors, not to mine a commitment is to leave the honest out. */
  #isBumpable(tx: Transaction): boolean {
    return this.#canPay || !this.#spendsChannel(tx)
  }
  #spendsChannel(tx: Transaction): boolean {
    return [...this.arena.hostiles.values()].some((h) => spends(tx, h.funding))
  }
  /** For how many of these blocks nobody mines it by itself. */
  #holds(tx: Transaction, blocks: number): number {
    const { arena } = this
    if (!this.#isBumpable(tx)) return this.spare(blocks)
    if (waitsAt(arena, txidOf(tx)) === 0) return blocks
    if (this.#steal < STEAL) return this.spare(blocks)
    this.spare(STEAL)
    return blocks
  }
  /** As many of these blocks as may still be taken from the honest. */
  spare(blocks: number): number {
    const taken = Math.min(blocks, this.#steal)
    this.#steal -= taken
    this.arena.steal(taken)
    return taken
  }

  #publish(lane: Lane, b: number, c: number): void {
    const mal = this.arena.hostiles.get(lane)
    if (!mal) return
    const all = mal.commitments()
    // Any of them; the newest ones more often.
    const back = b % 3 === 0 ? b % all.length : (b >> 2) % Math.min(3, all.length)
    this.send(mal.signed(all[all.length - 1 - back]!), c, mal)
  }

  #claim(lane: Lane, b: number, c: number): void {
    const { arena } = this
    const mal = arena.hostiles.get(lane)
    const closing = arena.closingOf(lane)
    if (!mal || !closing) return
    const prey = mal.prey(arena.chain, arena.book, closing.tx)
    const wanted = prey.filter((_, i) => ((b >> (i % 8)) & 1) === 1)
    const feerate = c % 2 === 0 ? 253 : 2_000
    for (const tx of mal.take(wanted, { together: b % 2 === 0, coins: arena.purse, feerate }))
      this.send(tx, c >> 1, mal)
  }

  async reorg(a: number, b: number, c: number): Promise<void> {
    const { arena } = this
    const most = Math.min(this.#deep ? DEEP : REORG, arena.chain.height - START)
    if (most < 1) return
    const mal = [...arena.hostiles.values()][b % arena.hostiles.size]!
    const all = mal.commitments()
    const other = all[all.length - 1 - ((b >> 4) % Math.min(6, all.length))]!
    await this.undo(Math.min(1 + (a % most), DEEPEST), {
      other: b % 3 === 0 ? mal.signed(other) : null,
      greed: c % 8,
      censor: c % 3 === 0,
      withdraws: (b >> 2) % 3 === 0,
    })
  }

  /** Undoes blocks. `other`: what the new chain begins with, if anything: another commitment than the one that was undone. */
  async undo(depth: number, { other, ...how }: Undo): Promise<void> {
    if (!this.#deep) {
      if (this.#steal < depth + 1) return
      this.#steal -= depth + 1
    }
    this.arena.steal(depth + 1)
    if (other) this.arena.queued.push(other)
    await this.arena.reorg(depth, how)
  }

  #garbage(lane: Lane, b: number, c: number): void {
    const { arena } = this
    const mal = arena.hostiles.get(lane)
    if (!mal || !arena.connected.get(lane)) return
    const box = mal.outbox
    if (box.length > 1 && b % 2 === 0) {
      const i = c % (box.length - 1)
      const [x, y] = [box[i]!, box[i + 1]!]
      box[i] = y
      box[i + 1] = x
      return
    }
    const channelId = arena.hal.entry(lane).state
    const id = 'channel' in channelId && channelId.channel ? channelId.channel.params.channelId : null
    if (id) arena.give(lane, true, { type: 'error', channelId: id, data: new Uint8Array(3) })
  }
}
interface Undo {
  readonly other: Transaction | null
  readonly greed: number
  readonly censor: boolean
  readonly withdraws: boolean
}

/** The reserve is for this: sat per 1,000 weight units. */
const QUIET = 1_000
/** With half of its value an HTLC of 70,000 sat can pay as much for its claim, and for its commitment before. */
const CROWDS = [0, 800, 2_500, 5_000]
