import type { Msat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { spends } from '../../src/channel/onchain/classify.ts'
import type { Arena, Lane } from './arena.ts'
import type { Purpose } from './book.ts'
import type { Hostile } from './hostile.ts'
import { START } from './keys.ts'
import type { Step } from './schedule.ts'

/** Blocks that the attacker may take from the honest, by leaving their transactions out or by undoing them. */
const STEAL = 8
const REORG = 6

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
        return this.#mine(1 + (a % 6), b, c % 3 === 0)
      case 'toExpiry':
        return this.#toExpiry(a, b, c)
      case 'publish':
        return this.#publish(lane, b, c)
      case 'claim':
        return this.#claim(lane, b, c)
      case 'reorg':
        return this.#reorg(a, b, c)
      case 'force':
        return arena.hal.forceClose(lane)
      case 'close':
        if (b % 2 === 0) arena.hal.close(lane)
        else arena.hostiles.get(lane)?.command({ tag: 'close', requestId: 1 })
        return
      case 'feerate': {
        const claim = [253, 1000, 3000, 8000][b % 4]!
        for (const node of arena.honest)
          node.feerates = {
            commitment: 1000,
            closing: Math.max(253, claim >> 1),
            claim,
            slow: Math.max(253, claim >> 2),
          }
        return
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
      case 'tease':
        return this.#tease(lane, b, c)
      case 'ambush':
        return this.#ambush(a, b, c)
      case 'siege':
        return this.#siege(a, b, c)
      case 'smother':
        return this.#smother(lane, b, c)
      case 'repeat': {
        const old = arena.heard[b % Math.max(1, arena.heard.length)]
        if (old && arena.connected.get(old.lane)) arena.give(old.lane, true, old.message)
        return
      }
    }
  }

  #amount(n: number): Msat {
    const kind = n % 8
    const x = BigInt(n >> 3)
    if (kind === 0) return (200_000n + x * 150n) as Msat
    if (kind === 1) return (3_000_000n + x * 2_000n) as Msat
    return (70_000_000n + (x % 4n) * 20_000_000n + (x % 3n === 0n ? 0n : x)) as Msat
  }

  #hash(purposes: readonly Purpose[], b: number) {
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
    const { hash } = this.#hash(mal && !forward ? ['invoice', 'hold'] : ['forward', 'forward', 'invoice', 'hold'], b)
    const isForward = arena.book.payments.get(hash)!.purpose === 'forward'
    const expiry = arena.chain.height + (isForward ? 55 : 20) + (c % 14)
    const attempt = arena.attempts++
    if (!mal) return arena.una!.pay(lane, this.#amount(b), expiry, hash, attempt)
    const origin = { tag: 'payment', paymentHash: hash, attempt } as const
    const onion = new Uint8Array(1366)
    mal.command({ tag: 'addHtlc', amountMsat: this.#amount(b), paymentHash: hash, cltvExpiry: expiry, onion, origin })
  }

  #pay(lane: Lane, b: number, c: number): void {
    const { arena } = this
    if (!arena.hostiles.has(lane)) return
    const { hash } = this.#hash(['to-peer'], b)
    arena.hal.pay(lane, this.#amount(b), arena.chain.height + 12 + (c % 24), hash, arena.attempts++)
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
    return true
  }

  async #mine(blocks: number, greed: number, wish: boolean): Promise<void> {
    const censor = this.#censors(wish, blocks)
    for (let i = 0; i < blocks; i++) await this.arena.block({ greed: greed % 8, censor })
  }

  /** To just before, at or after the expiry of an HTLC, or to where the honest have to act on it. */
  async #toExpiry(a: number, b: number, c: number): Promise<void> {
    const { arena } = this
    const ahead = arena.expiries().filter((h) => h > arena.chain.height - 3)
    const expiry = ahead[a % Math.min(3, Math.max(1, ahead.length))]
    if (expiry === undefined) return this.#mine(1 + (b % 3), c, false)
    const target = expiry + [-13, -12, -11, -2, -1, 0, 1, 2, 3][b % 9]!
    const blocks = Math.min(70, target - arena.chain.height)
    for (let i = 0; i < blocks; i++) await arena.block({ greed: c % 8, censor: false })
  }

  /** Leaves the honest out for as long as it may, just when they have to act; then takes what it has the preimage of. */
  async #siege(a: number, b: number, c: number): Promise<void> {
    await this.#toExpiry(a, b, c & 5)
    await this.#mine(Math.min(this.#steal, 1 + (c % STEAL)), c & 5, true)
    await this.#mine(1 + (b % 3), 7, false)
  }

  /** Sends a transaction of the attacker's on its way. */
  #send(tx: Transaction, how: number, from: Hostile): void {
    const { arena } = this
    if (how % 4 === 0) {
      arena.queued.push(tx)
      return
    }
    const { accepted } = arena.chain.broadcast(tx)
    if (!accepted || how % 4 === 1) return
    const blocks = how % 4 === 2 ? 6 : 45
    const until = arena.chain.height + (this.#isBumpable(tx) ? blocks : this.#spare(blocks))
    arena.held.set(txidOf(tx), until)
    const child = how % 8 > 3 ? from.pin(tx, arena.purse, [1, 3, 6, 6][(how >> 3) % 4]!) : null
    if (!child) return
    arena.chain.broadcast(child)
    arena.held.set(txidOf(child), until)
  }

  /** Somebody honest can pay for it, so that others mine it; without anchors, not to mine a commitment is to leave the honest out. */
  #isBumpable(tx: Transaction): boolean {
    const spendsChannel = [...this.arena.hostiles.values()].some((h) => spends(tx, h.funding))
    return this.arena.setting.channelType === 'anchors' || !spendsChannel
  }

  /** As many of these blocks as may still be taken from the honest. */
  #spare(blocks: number): number {
    const taken = Math.min(blocks, this.#steal)
    this.#steal -= taken
    return taken
  }

  #publish(lane: Lane, b: number, c: number): void {
    const mal = this.arena.hostiles.get(lane)
    if (!mal) return
    const all = mal.commitments()
    // Any of them; the newest ones more often.
    const back = b % 3 === 0 ? b % all.length : (b >> 2) % Math.min(3, all.length)
    this.#send(mal.signed(all[all.length - 1 - back]!), c, mal)
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
      this.#send(tx, c >> 1, mal)
  }

  /** Shows preimages to the mempool alone, and has them wait there, in the way of those who want the money back. */
  async #tease(lane: Lane, b: number, c: number): Promise<void> {
    const { arena } = this
    const mal = arena.hostiles.get(lane)
    if (!mal || !this.#isContested(lane)) return
    // When the honest come for it, if they do within the time.
    for (let i = 0; i < 50 && (!arena.closingOf(lane)?.confirmed || i < b % 4); i++)
      await arena.block({ greed: 0, censor: false })
    const closing = arena.closingOf(lane)
    if (!closing?.confirmed) return
    const prey = mal.prey(arena.chain, arena.book, closing.tx).filter((p) => p.preimage !== null)
    const feerate = [253, 1000, 8000][b % 3]!
    for (const tx of mal.take(prey, { together: c % 4 === 0, coins: arena.purse, feerate }))
      this.#send(tx, 3 + (c % 16) * 4, mal)
    if (prey.length === 0) return
    const blocks = (b >> 2) % 2 === 0 ? 42 : (b >> 3) % 20
    for (let i = 0; i < blocks; i++) await arena.block({ greed: (c >> 1) & 1, censor: false })
  }

  /** Something that hal offered is not settled there. */
  #isContested(lane: Lane): boolean {
    const { state } = this.arena.hal.entry(lane)
    const channel = state.tag === 'closed' ? null : channelOf(state)
    const onchain = state.tag === 'closing' ? state.onchain : null
    if (onchain) return onchain.outputs.some((o) => o.htlc?.direction === 'out' && o.spent === null)
    return channel !== null && channel.commitments.outgoing.size > 0
  }

  /** Puts its commitment into the mempools, in the place of hal's, just before hal needs one in the chain, and does not mine it. */
  async #smother(lane: Lane, b: number, c: number): Promise<void> {
    const { arena } = this
    const mal = arena.hostiles.get(lane)
    const { state } = arena.hal.entry(lane)
    const channel = state.tag === 'closing' || state.tag === 'closed' ? null : channelOf(state)
    if (!mal || !channel) return
    const released = channel.commitments.incoming.chunks.flat().filter((h) => h.removal?.tag === 'fulfilled')
    const { height } = arena.chain
    const first = Math.min(...released.map((h) => h.add.cltvExpiry), released.length > 0 ? height + 60 : height)
    for (let i = height; i < first - 13; i++) await arena.block({ greed: 0, censor: false })
    this.#send(mal.signed(mal.commitments().at(-1)!), 3 + (c % 4) * 4, mal)
    const blocks = released.length > 0 ? 16 : b % 8
    for (let i = 0; i < blocks; i++) await arena.block({ greed: 7, censor: false })
  }

  /** Waits until somebody honest has given an HTLC up because of what is in the chain, then takes that back. */
  async #ambush(a: number, b: number, c: number): Promise<void> {
    const { arena } = this
    const given = (): number => arena.honest.reduce((n, h) => n + h.till.ledger.failed.size, 0)
    const before = given()
    if (!arena.lanes.some((l) => this.#isContested(l) && arena.closingOf(l))) return
    for (let i = 0; i < 45 && given() === before; i++) await arena.block({ greed: c & 1, censor: false })
    if (given() > before) await this.#reorg(REORG - 1 - (a % 2), b, 2 + (c & 4))
  }

  async #reorg(a: number, b: number, c: number): Promise<void> {
    const { arena } = this
    const most = Math.min(this.#deep ? 30 : REORG, arena.chain.height - START)
    if (most < 1) return
    const depth = 1 + (a % most)
    if (!this.#deep) {
      if (this.#steal < depth + 1) return
      this.#steal -= depth + 1
    }
    // What the new chain begins with, if anything: another commitment than the one that was undone.
    const mal = [...arena.hostiles.values()][b % arena.hostiles.size]!
    const all = mal.commitments()
    const other = all[all.length - 1 - ((b >> 4) % Math.min(6, all.length))]!
    if (b % 3 === 0) arena.queued.push(mal.signed(other))
    await arena.reorg(depth, { greed: c % 8, censor: c % 3 === 0, withdraws: (b >> 2) % 3 === 0 })
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

  /** The attacker is out of tricks but not of greed; the dust settles. */
  async finish(toTheEnd: boolean): Promise<void> {
    const { arena } = this
    arena.held.clear()
    for (const node of arena.honest) node.feerates = CHEAP
    for (const [lane] of arena.hostiles) if (arena.connected.get(lane)) arena.cut(lane)
    if (arena.una) arena.connect('up')
    const over = (): boolean => arena.honest.every((n) => (toTheEnd ? n.isIrrevocable() : n.isDone()))
    for (let i = 0; i < MOST_BLOCKS && !over(); i++) {
      if (arena.una) arena.pump('up')
      for (const lane of arena.lanes) this.#endIfIdle(lane, i)
      await arena.block({ greed: 7, censor: false })
    }
  }

  #endIfIdle(lane: Lane, blocks: number): void {
    const { hal } = this.arena
    const { state } = hal.entry(lane)
    if (state.tag === 'closing' || state.tag === 'closed') return
    const from = 'from' in state ? state.from : state
    const channel = 'channel' in from ? from.channel : null
    if (!channel) return
    const { outgoing, incoming } = channel.commitments
    if (outgoing.size + incoming.size === 0 || blocks > 150) hal.forceClose(lane)
  }
}
/** So that nothing is waited for in the hope of lower fees. */
const CHEAP = { commitment: 1000, closing: 253, claim: 253, slow: 253 }
const MOST_BLOCKS = 700
