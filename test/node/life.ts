import { createHash } from 'node:crypto'
import { toHex } from '../../src/base/bytes.ts'
import { type ChannelId, outpointKey, type PaymentHash } from '../../src/base/ids.ts'
import { blockSubsidy } from '../../src/chain/embedded/connect.ts'
import type { Node } from '../../src/node/node.ts'
import type { Op } from '../../src/store/types.ts'
import { type Balances, onchainSat } from './accounts.ts'
import { believe } from './claims.ts'
import { type Fate, torn } from './disk.ts'
import type { Process } from './process.ts'
import { NAMES, type Name, nodeIdOf, type Snapshot, World } from './world.ts'

/** How a process ends at a write: it is refused, lost, found whole, or found in part (the seed says which). */
export type Ending = { readonly how: 'refused' | 'lost' | 'kept' } | { readonly how: 'torn'; readonly seed: number }

/** A `brief` one is held, too: for a few blocks, if nobody decides on it. */
export type Kind = 'invoice' | 'hold' | 'brief' | 'keysend'

export type Step =
  | {
      readonly tag: 'pay'
      readonly from: Name
      readonly to: Name
      readonly amountMsat: number
      readonly kind: Kind
    }
  /** Rounds of delivering and letting every node have its turn. */
  | { readonly tag: 'run'; readonly rounds: number }
  | { readonly tag: 'settle' | 'connect' | 'mine' | 'boot' }
  /** Everybody is up, connected and at rest before each block. */
  | { readonly tag: 'blocks'; readonly count: number }
  /** What blocks cost, from now on, and for who starts later. */
  | { readonly tag: 'estimate'; readonly feeratePerKw: number }
  | { readonly tag: 'reorg'; readonly depth: number }
  | { readonly tag: 'cut'; readonly link: 0 | 1 }
  | { readonly tag: 'crash'; readonly who: Name }
  /** The process ends at its n-th write from here. */
  | { readonly tag: 'doom'; readonly who: Name; readonly writes: number; readonly ending: Ending }
  /** What the payee of a held payment does with it. */
  | { readonly tag: 'decide'; readonly pick: number; readonly settle: boolean }
  | { readonly tag: 'fee'; readonly who: 'alice' | 'bob'; readonly feeratePerKw: number }
  | { readonly tag: 'close'; readonly who: Name; readonly peer: Name; readonly force: boolean }

export interface Payment {
  readonly payer: Name
  readonly payee: Name
  readonly hash: PaymentHash
  readonly amountMsat: bigint
}

interface Held {
  readonly payee: Name
  readonly hash: PaymentHash
  readonly preimage: Uint8Array
}

/** A deterministic coin: which groups of a batch survive does not depend on their names, which are random. */
const coin = (seed: number): (() => boolean) => {
  let n = 0
  return () => (createHash('sha256').update(`${seed}:${n++}`).digest()[0]! & 1) === 1
}

function fateOf(ending: Ending, ops: readonly Op[], node: Node | null): Fate {
  const localIdOf = (id: ChannelId): string => node?.channels.byChannelId(id)?.meta.localId ?? id
  switch (ending.how) {
    case 'refused':
      return { tag: 'fail' }
    case 'lost':
      return { tag: 'die', kept: [] }
    case 'kept':
      return { tag: 'die', kept: ops }
    case 'torn':
      return { tag: 'die', kept: torn(ops, { keeps: coin(ending.seed), localIdOf }) }
  }
}

/** `min_final_cltv_expiry_delta` of such an invoice: what pays it goes back 18 blocks before it expires. */
const BRIEF = 24

/** Of an anchor output, in sat. */
const ANCHOR = 330n

/** What went to miners as fees, and what lies in anchors for anybody to take, in sat. */
function spentOf({ chain: { state } }: World): bigint {
  let fees = 0n
  const anchors = new Set<string>()
  for (let h = 1; h <= state.height; h++) {
    const { block, txids } = state.at(h)!
    fees += block.transactions[0]!.outputs.reduce((sum, o) => sum + o.amountSat, -blockSubsidy(h))
    block.transactions.forEach((tx, i) => {
      for (const input of tx.inputs) anchors.delete(outpointKey(input))
      tx.outputs.forEach(({ amountSat }, index) => {
        if (amountSat === ANCHOR) anchors.add(outpointKey({ txid: txids[i]!, index }))
      })
    })
  }
  return fees + ANCHOR * BigInt(anchors.size)
}

const total = (b: Balances): bigint => b.alice + b.bob + b.carol

/** What is said when somebody closes by force: the peer is told, and both sides publish what only one of them can confirm. */
const CLOSING_WORDS: readonly string[] = ['the operator closes the channel by force', 'transaction refused']

/** A life of three nodes in a line, step by step. */
export class Life {
  readonly world: World
  readonly payments: Payment[] = []
  readonly held: Held[] = []
  /** Channels whose end somebody asked for, by their two nodes. */
  readonly closes: ReadonlySet<Name>[] = []
  #preimages = 0
  #feeratePerKw: number | null = null

  /** How it was when it began. */
  readonly #before: { readonly onchainSat: bigint; readonly spentSat: bigint }

  constructor(world: World) {
    this.world = world
    this.#before = { onchainSat: total(onchainSat(world)), spentSat: spentOf(world) }
  }

  static async begin(snapshot: Snapshot): Promise<Life> {
    return new Life(await World.start(NAMES, snapshot))
  }

  async step(s: Step): Promise<void> {
    const { world } = this
    switch (s.tag) {
      case 'pay':
        return this.#pay(s)
      case 'run':
        for (let n = 0; n < s.rounds; n++) {
          world.wire.deliver()
          await world.turn()
        }
        return
      case 'settle':
        return world.settle()
      case 'connect':
        return world.connectAll()
      case 'mine':
        return world.mine(1)
      case 'blocks':
        return this.#blocks(s.count)
      case 'estimate':
        this.#feeratePerKw = s.feeratePerKw
        return this.#tellEstimate(world.alive)
      case 'reorg':
        return world.reorg(s.depth)
      case 'boot':
        return this.bootAll()
      case 'cut':
        return world.wire.cut(nodeIdOf(NAMES[s.link]!), nodeIdOf(NAMES[s.link + 1]!))
      case 'crash':
        return world.crash(s.who)
      case 'doom':
        return this.doom(s.who, s.writes, s.ending)
      case 'decide':
        return this.#decide(s)
      case 'fee':
        return this.#fee(s)
      case 'close':
        return this.#close(s)
    }
  }

  doom(who: Name, writes: number, ending: Ending): void {
    const { disk, node } = this.world.of(who)
    const last = disk.writes + writes
    disk.judge = (ops, n) => (n >= last ? fateOf(ending, ops, node) : null)
  }

  async bootAll(): Promise<void> {
    const { world } = this
    const starting = world.all.filter((p) => p.node === null)
    for (const { name } of starting) await world.boot(name)
    this.#tellEstimate(starting)
    world.connectAll()
  }

  /** Everything runs, is connected and comes to rest; held payments are decided on. */
  async finish(): Promise<void> {
    const { world } = this
    for (const { disk } of world.all) disk.judge = () => null
    await this.bootAll()
    await world.settle()
    for (let i = 0; i < this.held.length; i++) await this.#decide({ pick: i, settle: i % 2 === 0 })
    await world.settle()
  }

  /** Blocks until nothing of a closed channel is open: as many as an HTLC, two stages and their depths can take. */
  async mineToTheEnd(): Promise<void> {
    const isOver = (p: Process): boolean =>
      p.node!.channels.all().every((e) => !['closing', 'negotiating', 'shutdown'].includes(e.state.tag))
    for (let n = 0; n < 80 && !this.world.all.every(isOver); n++) await this.world.mine(n < 8 ? 1 : 3)
  }

  // -------------------------------------------------------------- steps

  async #blocks(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      await this.bootAll()
      await this.world.settle()
      await this.world.mine(1)
    }
  }

  #tellEstimate(processes: readonly Process[]): void {
    const rate = this.#feeratePerKw
    if (rate === null) return
    for (const { node } of processes)
      if (node) believe(node, { commitment: rate, claim: rate, closing: rate, slow: rate })
  }

  async #pay({ from, to, amountMsat, kind }: Extract<Step, { tag: 'pay' }>): Promise<void> {
    const { world } = this
    const [payer, payee] = [world.of(from), world.of(to)]
    if (!payer.answers || !payee.answers || from === to) return
    const amount = BigInt(amountMsat)
    if (kind === 'keysend') {
      // The hash is the payer's secret until its record is there.
      payer.answers.pay({ nodeId: nodeIdOf(to), amountMsat: amount as never }).then(
        ({ paymentHash }) => this.payments.push({ payer: from, payee: to, hash: paymentHash, amountMsat: amount }),
        () => {},
      )
      return world.turn()
    }
    const preimage = new Uint8Array(32).fill(++this.#preimages)
    const hash = toHex(new Uint8Array(createHash('sha256').update(preimage).digest())) as PaymentHash
    const isHeld = kind === 'hold' || kind === 'brief'
    const request = {
      amountMsat: amount as never,
      ...(isHeld && { paymentHash: hash }),
      ...(kind === 'brief' && { minFinalCltvExpiryDelta: BRIEF }),
    }
    const invoice = await world.attempt(payee.answers.createInvoice(request)).catch((e) => {
      if (payee.answers) throw e
    })
    if (!invoice) return
    if (isHeld) this.held.push({ payee: to, hash, preimage })
    this.payments.push({ payer: from, payee: to, hash: invoice.paymentHash, amountMsat: amount })
    payer.answers?.pay({ bolt11: invoice.bolt11 }).catch(() => {})
    await world.turn()
  }

  async #decide({ pick, settle }: { pick: number; settle: boolean }): Promise<void> {
    const held = this.held[pick % Math.max(1, this.held.length)]
    const api = held && this.world.of(held.payee).answers
    if (!held || !api) return
    const { status } = await api.invoice(held.hash)
    if (status !== 'accepted' && status !== 'open') return
    const call =
      settle && status === 'accepted' ? api.settleInvoice(held.hash, held.preimage) : api.cancelInvoice(held.hash)
    await this.world.attempt(call).catch((e: { readonly code?: string }) => {
      // It has just started, and does not know the height of now: asked again later.
      if (e.code !== 'CHAIN_UNAVAILABLE') throw e
    })
  }

  async #fee({ who, feeratePerKw }: Extract<Step, { tag: 'fee' }>): Promise<void> {
    const { node } = this.world.of(who)
    if (!node) return
    const opened = node.channels.all().filter((e) => e.state.tag === 'normal' && e.state.channel.params.isOpener)
    node.reactor.post((scope) => {
      for (const entry of opened) node.channels.command(entry, { tag: 'updateFee', feeratePerKw })
      node.channels.drain(scope)
    })
    await this.world.turn()
  }

  async #close({ who, peer, force }: Extract<Step, { tag: 'close' }>): Promise<void> {
    const { node, answers } = this.world.of(who)
    const open = node?.channels.ofPeer(nodeIdOf(peer)).find((e) => !['closing', 'closed'].includes(e.state.tag))
    if (!answers || !open) return
    this.closes.push(new Set([who, peer]))
    await this.world.attempt(answers.closeChannel(open.meta.localId, { force })).catch(() => {})
  }

  // -------------------------------------------------------------- what became of it

  /** Alerts, warnings and errors that nothing in this life is a reason for. */
  complaints(): readonly unknown[] {
    const reasons = this.closes.length > 0 ? CLOSING_WORDS : []
    const all = this.world.all.flatMap((p) => p.complaints)
    return all.filter((c) => !reasons.some((r) => JSON.stringify(c).includes(r)))
  }

  /** Every HTLC that any channel still holds. */
  openHtlcs(): number {
    let count = 0
    for (const { node } of this.world.alive) {
      for (const { state } of node!.channels.all()) {
        const channel = 'from' in state ? state.from.channel : 'channel' in state ? state.channel : null
        if (state.tag !== 'closed' && channel)
          count += channel.commitments.outgoing.size + channel.commitments.incoming.size
      }
    }
    return count
  }

  /** What went to miners since it began, and what was left in anchors, in sat. */
  costSat(): bigint {
    return spentOf(this.world) - this.#before.spentSat
  }

  /** What came out of the channels, in sat, with what that cost. */
  gainedOnchain(): bigint {
    return total(onchainSat(this.world)) - this.#before.onchainSat + this.costSat()
  }

  /** What the payer says of a payment: `none` when a crash took it before it was written. */
  async outcome({ payer, hash }: Payment): Promise<'none' | 'pending' | 'succeeded' | 'failed'> {
    const found = await this.world.of(payer).node!.payments.outgoing.find(hash)
    return found?.record.status ?? 'none'
  }

  /** What the payee says: settled with this much, or not. */
  async received({ payee, hash }: Payment): Promise<bigint | null> {
    const found = await this.world.of(payee).node!.payments.invoices.find(hash)
    return found?.record.status === 'settled' ? found.record.htlcs.reduce((sum, h) => sum + h.amountMsat, 0n) : null
  }
}
