import { expect } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { outpointKey, type Txid } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { decodeAddress } from '../../src/bitcoin/address.ts'
import type { ChannelView, InvoiceView, PaymentView } from '../../src/node/service.ts'
import { type Ground, startGround, type Verdict } from './ground.ts'
import { type LdkChannel, type LdkOptions, type LdkPeer, startLdkPeer } from './ldk.ts'
import { type Link, startLink } from './link.ts'
import { OurNode } from './ourNode.ts'

const UNTIL_MS = 20_000
/** Between looks at what no event tells of. */
const LOOK_MS = 20

export type ChannelType = ChannelView['type']

/** One chain, our node, and an LDK node behind a link that can be cut. */
export class World {
  readonly ground: Ground
  readonly us: OurNode
  readonly ldk: LdkPeer
  readonly link: Link
  readonly #nodes: OurNode[]
  readonly #waiting: Set<() => void>
  #fed = 0
  #judged = 0

  private constructor(parts: { ground: Ground; us: OurNode; ldk: LdkPeer; link: Link; waiting: Set<() => void> }) {
    this.ground = parts.ground
    this.us = parts.us
    this.ldk = parts.ldk
    this.link = parts.link
    this.#nodes = [parts.us]
    this.#waiting = parts.waiting
  }

  /** Both nodes at the chain's tip, with coins, and connected. */
  static async start(options: LdkOptions = {}): Promise<World> {
    const waiting = new Set<() => void>()
    const wake = (): void => {
      for (const look of [...waiting]) look()
    }
    const [ground, ldk] = await Promise.all([startGround(), startLdkPeer(options)])
    ground.onChange(wake)
    ldk.onEvent(wake)
    ground.serve(ldk)
    const us = await OurNode.start(ground.url, wake)
    const world = new World({ ground, us, ldk, link: await startLink(ldk.port), waiting })
    await world.#feed()
    await world.fund()
    await world.connect()
    return world
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.map((n) => n.destroy()), this.ldk.stop(), this.link.close()])
    await this.ground.close()
  }

  /** A second node of ours, with coins. */
  async another(): Promise<OurNode> {
    const node = await OurNode.start(this.ground.url, () => {
      for (const look of [...this.#waiting]) look()
    })
    this.#nodes.push(node)
    await this.#giveCoins([node])
    return node
  }

  /** Coins for our node and for LDK, several each: claims of anchor channels need them. */
  async fund(): Promise<void> {
    const { wallet_script: script } = await this.ldk.cmd('getinfo')
    const coin = { amountSat: sat(50_000_000), scriptPubKey: fromHex(script) }
    this.ground.give([coin, coin, coin, coin])
    await this.#giveCoins([this.us])
  }

  async connect(): Promise<void> {
    await this.us.service.connectPeer({ nodeId: this.ldk.nodeId, host: '127.0.0.1', port: this.link.port })
  }
  /** Cuts the link, and returns when both ends have noticed. */
  async cut(): Promise<void> {
    this.link.cut()
    await this.lost()
  }
  /** Returns when both ends have noticed that the connection is gone. */
  async lost(): Promise<void> {
    await this.ldk.waitFor('socket_closed')
    await this.until('our node to notice the cut', async () => !(await this.peer()).connected)
  }
  async peer() {
    const { items } = await this.us.service.peers({ limit: 10 })
    return items.find((p) => p.nodeId === this.ldk.nodeId)!
  }

  /** Mines blocks one by one; every node has acted on each before the next. */
  async mine(blocks = 1): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      this.ground.mineBlock()
      await this.#feed()
      await this.until('the block to be seen', () =>
        this.#nodes.every((n) => n.isDead || n.service.info().blockHeight === this.ground.chain.state.height),
      )
    }
  }

  /** Resolves when it is true; looked at after every event of the chain and of the nodes. */
  async until(what: string, isTrue: () => boolean | Promise<boolean>, ms = UNTIL_MS): Promise<void> {
    const deadline = performance.now() + ms
    while (!(await isTrue())) {
      if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`)
      await new Promise<void>((resolve) => {
        const look = (): void => {
          clearTimeout(timer)
          this.#waiting.delete(look)
          resolve()
        }
        const timer = setTimeout(look, LOOK_MS)
        this.#waiting.add(look)
      })
    }
  }

  // ---------------------------------------------------------------- channels

  /** Opens a channel to LDK, and returns when both sides can use it. */
  async openToLdk(type: ChannelType, capacity = 1_000_000, pushSat = 0): Promise<ChannelView> {
    const { id } = await this.beginOpen(type, capacity, pushSat)
    return this.#confirmed(id)
  }
  beginOpen(type: ChannelType, capacity = 1_000_000, pushSat = 0): Promise<ChannelView> {
    return this.us.service.openChannel({
      peer: this.ldk.nodeId,
      capacitySat: sat(capacity),
      pushMsat: msat(pushSat * 1000),
      type,
    })
  }

  /** LDK opens one to us. */
  async openFromLdk(type: ChannelType, capacity = 1_000_000, pushSat = 0): Promise<ChannelView> {
    const before = new Set((await this.us.channels()).map((c) => c.id))
    await this.beginOpenFromLdk(type, capacity, pushSat)
    const ours = async () => (await this.us.channels()).find((c) => !before.has(c.id))
    await this.until('our side of LDK’s channel', async () => (await ours())?.state === 'waiting-confirmations')
    return this.#confirmed((await ours())!.id)
  }
  /** Up to funding_created. */
  async beginOpenFromLdk(type: ChannelType, capacity = 1_000_000, pushSat = 0): Promise<void> {
    const { temp_channel_id } = await this.ldk.cmd('open_channel', {
      ...{ pubkey: this.us.nodeId, sat: capacity, push_msat: pushSat * 1000, anchors: type === 'anchors' },
    })
    const givenUp = this.ldk.waitFor('ChannelClosed', (e) => e.channel_id === temp_channel_id)
    const asked = this.ldk.waitFor('FundingGenerationReady', (e) => e.temp_channel_id === temp_channel_id)
    for (const event of [givenUp, asked]) event.catch(() => undefined)
    const request = await Promise.race([asked, givenUp])
    if (request.event === 'ChannelClosed') throw new Error(String(request.reason))
    const output = { amountSat: sat(Number(request.sat)), scriptPubKey: fromHex(String(request.script)) }
    await this.ldk.cmd('funding', { temp_channel_id, tx: this.ground.buildHex([output]) })
  }

  async #confirmed(id: string): Promise<ChannelView> {
    const { funding } = await this.us.service.channel(id)
    await this.published(funding!.txid)
    await this.mine(LDK_DEPTH)
    await this.usable(id)
    return this.us.service.channel(id)
  }

  /** Closes it together, and mines that. */
  async close(id: string): Promise<void> {
    const { funding } = await this.us.service.closeChannel(id, {})
    const spender = () => this.ground.chain.mempool.spender(outpointKey(funding!))
    await this.until('the closing transaction', () => spender() !== undefined)
    await this.mine(6)
    await this.until('the end', async () => (await this.us.service.channel(id)).closing?.resolved === true)
  }

  /** Returns when both sides take HTLCs. */
  async usable(id: string): Promise<void> {
    await this.until('both sides to be ready', async () => {
      const ours = await this.us.service.channel(id)
      return ours.usable && ((await this.ldkChannel(ours))?.usable ?? false)
    })
  }

  /** LDK's view of a channel; undefined when it has forgotten it. */
  async ldkChannel(c: Pick<ChannelView, 'channelId'>): Promise<LdkChannel | undefined> {
    return (await this.ldk.cmd('list_channels')).find((l) => l.channel_id === c.channelId)
  }

  /** Whether neither side has an HTLC in the channel. */
  async isQuiet(id: string): Promise<boolean> {
    const ours = await this.us.service.channel(id)
    const theirs = await this.ldkChannel(ours)
    return ours.htlcs.length === 0 && theirs?.in_htlcs === 0 && theirs.out_htlcs === 0
  }
  /** Returns when neither side has an HTLC in the channel, and both agree on who has what. */
  async quiet(id: string): Promise<ChannelView> {
    await this.until('the channel to be quiet', () => this.isQuiet(id))
    const ours = await this.us.service.channel(id)
    const theirs = await this.ldkChannel(ours)
    const sides = [
      { own: ours.remoteMsat, reserve: ours.remoteReserveSat, ldk: theirs!.outbound_msat },
      { own: ours.localMsat, reserve: ours.localReserveSat, ldk: theirs!.inbound_msat },
    ]
    for (const { own, reserve, ldk } of sides) expect(ldk).toBe(Math.max(0, Number(own) - Number(reserve) * 1000))
    return ours
  }

  /** A channel between two nodes of ours, usable on both sides. */
  async openBetween(opener: OurNode, accepter: OurNode): Promise<ChannelView> {
    await opener.service.connectPeer({ nodeId: accepter.nodeId, host: '127.0.0.1', port: accepter.port })
    const request = { peer: accepter.nodeId, capacitySat: sat(2_000_000), pushMsat: msat(1_000_000_000) }
    const { id, funding, channelId } = await opener.service.openChannel(request)
    await this.published(funding!.txid)
    await this.mine()
    for (const { service } of [opener, accepter])
      await this.until('the channel', async () => (await service.channel(channelId!)).usable)
    return opener.service.channel(id)
  }

  /** A node of ours opens a channel to LDK that everyone may know. */
  async openAnnounced(opener: OurNode): Promise<ChannelView> {
    await opener.service.connectPeer({ nodeId: this.ldk.nodeId, host: '127.0.0.1', port: this.ldk.port })
    const request = { peer: this.ldk.nodeId, capacitySat: sat(2_000_000), pushMsat: msat(1_000_000_000) }
    const { id, funding } = await opener.service.openChannel({ ...request, announce: true })
    await this.published(funding!.txid)
    await this.mine(ANNOUNCEMENT_DEPTH)
    await this.until('the announcement', async () => (await opener.service.channel(id)).announced)
    return opener.service.channel(id)
  }

  /** Returns when the transaction is in the mempool. */
  async published(txid: Txid): Promise<void> {
    await this.until('a transaction', () => this.ground.chain.mempool.get(txid) !== undefined)
  }

  // ---------------------------------------------------------------- payments

  /** @returns what it looks like when it is over */
  async settledPayment(id: string, { service }: OurNode = this.us): Promise<PaymentView> {
    const { paymentHash } = await service.payment(id)
    const done = (p: PaymentView) => p.status !== 'pending'
    return service.waitFor(`payment:${paymentHash}`, () => service.payment(id), done, UNTIL_MS)
  }
  async settledInvoice(id: string): Promise<InvoiceView> {
    const { service } = this.us
    const { paymentHash } = await service.invoice(id)
    const done = (i: InvoiceView) => i.status === 'settled'
    return service.waitFor(`invoice:${paymentHash}`, () => service.invoice(id), done, UNTIL_MS)
  }

  /** Pays an invoice of LDK's. */
  async payLdk(amount: number): Promise<PaymentView> {
    const { invoice } = await this.ldk.cmd('create_invoice', { msat: amount })
    return this.settledPayment((await this.us.service.pay({ bolt11: invoice })).id)
  }
  /** LDK pays an invoice of ours. */
  async payUs(amount: number): Promise<InvoiceView> {
    const { bolt11, id, paymentHash } = await this.us.service.createInvoice({ amountMsat: msat(amount) })
    await this.ldk.cmd('pay', { invoice: bolt11 })
    await this.ldk.waitFor('PaymentSent', (e) => e.hash === paymentHash)
    return this.settledInvoice(id)
  }

  // ---------------------------------------------------------------- chain

  /** Transactions that were refused although they are not in the chain: who, why, which. */
  refused(from?: Verdict['from']): readonly string[] {
    return this.ground.verdicts
      .slice(this.#judged)
      .filter((v) => v.refused !== null && (!from || v.from === from) && !this.ground.chain.findTransaction(v.txid))
      .map((v) => `${v.from}: ${v.refused} (${v.txid})`)
  }
  /** Leaves out of refused() what was refused up to now. */
  forgetVerdicts(): void {
    this.#judged = this.ground.verdicts.length
  }

  async #feed(): Promise<void> {
    const { blocks } = this.ground
    if (blocks.length - this.#fed > 1) {
      const batch = blocks.slice(this.#fed).map((block, i) => ({ block, height: this.#fed + i + 1 }))
      await this.ldk.cmd('blocks', { blocks: batch })
      this.#fed = blocks.length
    } else if (blocks.length > this.#fed) {
      this.#fed = blocks.length
      await this.ldk.feedBlock(blocks[this.#fed - 1]!, this.#fed)
    }
  }

  async #giveCoins(nodes: readonly OurNode[]): Promise<void> {
    const outputs = []
    for (const { service } of nodes) {
      for (let i = 0; i < 4; i++) {
        const { address } = await service.newAddress()
        outputs.push({ amountSat: sat(50_000_000), scriptPubKey: decodeAddress(address, 'regtest') })
      }
    }
    this.ground.give(outputs)
    await this.mine()
    await this.until('the coins', async () => {
      for (const { service } of nodes) if ((await service.wallet()).confirmedSat < 200_000_000n) return false
      return true
    })
  }
}

/** minDepth of startLdkPeer. */
const LDK_DEPTH = 3
/** BOLT 7 §the-announcement_signatures-message. */
const ANNOUNCEMENT_DEPTH = 6
