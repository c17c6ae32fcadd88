import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { paymentHash } from '../../../src/base/ids.ts'
import { msat, sat } from '../../../src/base/units.ts'
import { crypto } from '../../../src/crypto/crypto.ts'
import type { ChannelView, InvoiceView, NodeEvent, PaymentView } from '../../../src/node/service.ts'
import { type Link, startLink } from '../link.ts'
import { OurNode } from '../ourNode.ts'
import { RealChain } from './chain.ts'
import { type Eclair, type EclairOptions, startEclair } from './eclair.ts'

const UNTIL_MS = 60_000
const LOOK_MS = 50
/** min-depth-blocks of eclair, in `CONFIG`. */
export const DEPTH = 6
const CONFIG = {
  'channel.min-depth-blocks': DEPTH,
  'channel.to-remote-delay-blocks': 20,
  'channel.expiry-delta-blocks': 60,
  'channel.fulfill-safety-before-timeout-blocks': 6,
  'channel.min-final-expiry-delta-blocks': 18,
  'send.recipient-final-expiry.min-delta': 20,
  'send.recipient-final-expiry.max-delta': 30,
  'channel.channel-flags.announce-channel': false,
  'channel.channel-update.balance-thresholds': [],
  'channel.max-htlc-value-in-flight-percent': 100,
  'channel.max-htlc-value-in-flight-msat': 50_000_000_000,
}

/** A channel as eclair sees it. */
export interface EclairChannel {
  readonly channelId: string
  readonly state: string
  readonly data: {
    readonly commitments: {
      readonly active: readonly {
        readonly localCommit: {
          readonly spec: {
            readonly htlcs: readonly unknown[]
            readonly commitTxFeerate: number
            readonly toLocal: number
            readonly toRemote: number
          }
        }
      }[]
    }
  }
}

/** A payment that waits at its payee for a word. */
export interface Held {
  /** What its payer says: pending, succeeded or failed. */
  status(): Promise<string>
  settle(): Promise<void>
}

/** One bitcoind, our node, and an eclair behind a link that can be cut. */
export class EclairWorld {
  readonly chain: RealChain
  readonly eclair: Eclair
  readonly us: OurNode
  readonly link: Link
  readonly #nodes: OurNode[]

  private constructor(parts: { chain: RealChain; eclair: Eclair; us: OurNode; link: Link }) {
    this.chain = parts.chain
    this.eclair = parts.eclair
    this.us = parts.us
    this.link = parts.link
    this.#nodes = [parts.us]
  }

  /** Both nodes at the chain's tip, with coins, and connected. @param config lines of eclair.conf */
  static async start(bitcoind: string, path: string, config: EclairOptions['config'] = {}): Promise<EclairWorld> {
    const chain = await RealChain.start(bitcoind)
    const { url, ourUrl, zmqPort } = chain
    const [eclair, us] = await Promise.all([
      startEclair(path, { bitcoind: url, zmqPort, config: { ...CONFIG, ...config } }),
      OurNode.start(ourUrl, () => undefined),
    ])
    const world = new EclairWorld({ chain, eclair, us, link: await startLink(eclair.port) })
    await world.#giveCoins(us)
    await world.connect()
    return world
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.map((n) => n.destroy()), this.eclair.destroy(), this.link.close()])
    await this.chain.stop()
  }

  /** A second node of ours, with coins. */
  async another(): Promise<OurNode> {
    const node = await OurNode.start(this.chain.ourUrl, () => undefined)
    this.#nodes.push(node)
    await this.#giveCoins(node)
    return node
  }

  async #giveCoins({ service }: OurNode): Promise<void> {
    for (let i = 0; i < 4; i++) await this.chain.rpc('sendtoaddress', (await service.newAddress()).address, 1)
    await this.mine()
    await this.until('the coins', async () => (await service.wallet()).confirmedSat >= 400_000_000n)
  }

  /**
   * What our node told its operator since the last call; that links which we cut come and go is no news, nor is what eclair says of an offer
   * whose answer was lost: made again in the next connection (BOLT 2 §message-retransmission), it takes it for one that is raised too soon.
   */
  alerts(): readonly NodeEvent['data'][] {
    const told = this.us.events.splice(0).filter((e) => e.type === 'node.alert')
    const isNews = (d: NodeEvent['data']) =>
      d.code !== 'EVENTS_LEFT_OUT' && !/invalid rbf attempt/.test(String(d.message))
    return told.map((e) => e.data).filter(isNews)
  }

  // ---------------------------------------------------------------- connection

  async dial(): Promise<void> {
    await this.us.service.connectPeer({ nodeId: this.eclair.nodeId, host: '127.0.0.1', port: this.link.port })
  }
  async connect(): Promise<void> {
    await this.dial()
    await this.until('eclair to see us', () => this.seesUs())
  }
  async cut(): Promise<void> {
    this.link.cut()
    await this.lost()
  }
  async restartBoth(): Promise<void> {
    await Promise.all([this.us.stop(), this.eclair.stop()])
    await Promise.all([this.us.restart(), this.eclair.restart()])
  }
  /** Returns when both ends have noticed that the connection is gone. */
  async lost(): Promise<void> {
    await this.until('both ends to notice', async () => {
      return !(await this.peerConnected()) && !(await this.seesUs())
    })
  }
  async peerConnected(): Promise<boolean> {
    const { items } = await this.us.service.peers({ limit: 10 })
    return items.find((p) => p.nodeId === this.eclair.nodeId)?.connected === true
  }
  /** Whether eclair has a connection with us, as far as it knows. */
  async seesUs(): Promise<boolean> {
    const peers = await this.eclair.call<readonly { nodeId: string; state: string }[]>('peers')
    return peers.find((p) => p.nodeId === this.us.nodeId)?.state === 'CONNECTED'
  }

  /** Mines blocks, and returns when every node has seen the last. eclair looks two seconds after a block, at several at once. */
  async mine(blocks = 1): Promise<void> {
    await this.chain.mine(blocks)
    await this.seen()
  }
  async mineNothing(blocks = 1): Promise<void> {
    await this.chain.mineNothing(blocks)
    await this.seen()
  }
  async seen(): Promise<void> {
    const height = await this.chain.rpc<number>('getblockcount')
    await this.until('the block to be seen', async () => {
      if (this.#nodes.some((n) => !n.isDead && n.service.info().blockHeight !== height)) return false
      return (await this.eclair.call<{ blockHeight: number }>('getinfo')).blockHeight === height
    })
  }

  async until(what: string, isTrue: () => boolean | Promise<boolean>, ms = UNTIL_MS): Promise<void> {
    const deadline = performance.now() + ms
    while (!(await isTrue())) {
      if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  // ---------------------------------------------------------------- channels

  /** Opens a channel to eclair, and returns when both sides can use it. */
  async openToEclair(capacity = 2_000_000, pushSat = capacity / 2, node = this.us): Promise<ChannelView> {
    return this.#confirmed(await this.beginOpen(capacity, pushSat, node), node)
  }
  /** eclair opens one to us. */
  async openFromEclair(
    capacity = 2_000_000,
    pushSat = capacity / 2,
    more: object = {},
    node = this.us,
  ): Promise<ChannelView> {
    return this.#confirmed(await this.beginOpenFromEclair(capacity, pushSat, more, node), node)
  }
  /** Each opens one to the other. */
  async openBoth(capacity: number, pushSat: number): Promise<readonly ChannelView[]> {
    const ids = [await this.beginOpen(capacity, pushSat), await this.beginOpenFromEclair(capacity, pushSat)]
    for (const id of ids) await this.#published(id)
    await this.mine(DEPTH)
    for (const id of ids) await this.usable(id)
    return Promise.all(ids.map((id) => this.us.service.channel(id)))
  }
  /** Up to the funding. @returns our id of the channel */
  async beginOpen(capacity: number, pushSat: number, node = this.us): Promise<string> {
    const opening = { peer: this.eclair.nodeId, capacitySat: sat(capacity), pushMsat: msat(pushSat * 1000) }
    return (await node.service.openChannel(opening)).id
  }
  /** The same of one that eclair opens. */
  async beginOpenFromEclair(capacity: number, pushSat: number, more: object = {}, node = this.us): Promise<string> {
    const before = new Set((await node.channels()).map((c) => c.id))
    await this.chain.setSmallCoinsAside()
    const said = await this.eclair.call<string>('open', {
      ...{
        nodeId: node.nodeId,
        fundingSatoshis: capacity,
        pushMsat: pushSat * 1000,
        fundingFeeBudgetSatoshis: 100_000,
      },
      ...more,
    })
    expect(said).toContain('created channel')
    const ours = async () => (await node.channels()).find((c) => !before.has(c.id))
    await this.until('our side of eclair’s channel', async () => (await ours())?.state === 'waiting-confirmations')
    return (await ours())!.id
  }
  async #published(id: string, node = this.us): Promise<void> {
    const { funding } = await node.service.channel(id)
    await this.until('the funding', () => this.chain.hasInMempool(funding!.txid))
  }
  async #confirmed(id: string, node: OurNode): Promise<ChannelView> {
    await this.#published(id, node)
    await this.mine(DEPTH)
    await this.usable(id, node)
    return node.service.channel(id)
  }
  async usable(id: string, node = this.us): Promise<void> {
    await this.until('both sides to be ready', async () => {
      const ours = await node.service.channel(id)
      return ours.usable && (await this.theirs(ours)).state === 'NORMAL'
    })
  }

  /** Closes it together, and mines that. */
  async close(channel: ChannelView, node = this.us): Promise<void> {
    await node.service.closeChannel(channel.id, {})
    await this.ended(channel, node)
  }
  /** Mines the transaction that closes it together, and returns when both know. */
  async ended(channel: ChannelView, node = this.us): Promise<void> {
    await this.until('the closing transaction', async () => (await this.chain.spender(channel)) !== null)
    await this.mine(DEPTH)
    const view = () => node.service.channel(channel.id)
    await this.until('the end', async () => (await view()).closing?.resolved === true)
    expect((await view()).closing!.how).toBe('cooperative')
    await this.until('eclair’s end', async () => ['CLOSED', 'gone'].includes(await this.stateOf(channel)))
  }
  /** Its state; gone: it has forgotten it. */
  async stateOf(channel: ChannelView): Promise<string> {
    return this.theirs(channel).then(
      (c) => c.state,
      () => 'gone',
    )
  }
  /** A channel between two nodes of ours, usable on both sides. */
  async openBetween(opener: OurNode, accepter: OurNode): Promise<ChannelView> {
    await opener.service.connectPeer({ nodeId: accepter.nodeId, host: '127.0.0.1', port: accepter.port })
    const request = { peer: accepter.nodeId, capacitySat: sat(4_000_000), pushMsat: msat(2_000_000_000) }
    const { id, funding, channelId } = await opener.service.openChannel(request)
    await this.until('the funding', () => this.chain.hasInMempool(funding!.txid))
    await this.mine(3)
    for (const { service } of [opener, accepter])
      await this.until('the channel', async () => (await service.channel(channelId!)).usable)
    return opener.service.channel(id)
  }

  /** eclair's view of a channel. */
  theirs(c: Pick<ChannelView, 'channelId'>): Promise<EclairChannel> {
    return this.eclair.call('channel', { channelId: c.channelId })
  }
  /** What its commitment holds. */
  async spec(c: Pick<ChannelView, 'channelId'>) {
    return (await this.theirs(c)).data.commitments.active[0]!.localCommit.spec
  }
  async isQuiet(id: string, node = this.us): Promise<boolean> {
    const ours = await node.service.channel(id)
    return ours.htlcs.length === 0 && (await this.spec(ours)).htlcs.length === 0
  }
  /** Returns when neither side has an HTLC in the channel, and both agree on who has what. */
  async quiet(id: string, node = this.us): Promise<ChannelView> {
    await this.until('the channel to be quiet', () => this.isQuiet(id, node))
    const ours = await node.service.channel(id)
    const { toLocal, toRemote } = await this.spec(ours)
    expect([toRemote, toLocal]).toEqual([Number(ours.localMsat), Number(ours.remoteMsat)])
    return ours
  }

  // ---------------------------------------------------------------- payments

  /** A payment of eclair's that its payee, a node of ours, holds back. */
  holdFromEclair(amount: number, payee = this.us): Promise<Held> {
    return this.#hold(amount, payee, async (invoice) => {
      return this.#statusOf(await this.eclair.call<string>('payinvoice', { invoice }))
    })
  }
  /** A payment of a node of ours to another, through eclair, which the payee holds back. */
  holdThroughEclair(amount: number, payee: OurNode, payer = this.us): Promise<Held> {
    return this.#hold(amount, payee, async (bolt11) => {
      const { id } = await payer.service.pay({ bolt11 })
      return async () => (await payer.service.payment(id)).status
    })
  }
  async #hold(amount: number, payee: OurNode, pay: (bolt11: string) => Promise<Held['status']>): Promise<Held> {
    const preimage = new Uint8Array(randomBytes(32))
    const hash = paymentHash(toHex(crypto.sha256(preimage)))
    const { id, bolt11 } = await payee.service.createInvoice({
      amountMsat: msat(amount),
      paymentHash: hash,
      minFinalCltvExpiryDelta: 18,
    })
    const status = await pay(bolt11)
    await this.until('the HTLC to be held', async () => (await payee.service.invoice(id)).status === 'accepted')
    return { status, settle: async () => void (await payee.service.settleInvoice(id, preimage)) }
  }
  /** Settles them, and returns when every payer knows. */
  async settleAll(held: readonly Held[]): Promise<void> {
    for (const h of held) await h.settle()
    for (const h of held) await this.until('a payment', async () => (await h.status()) === 'succeeded')
  }

  /** @param ways private channels of eclair's that its route hints show */
  async invoiceOfEclair(
    amount?: number,
    ways: readonly Pick<ChannelView, 'channelId'>[] = [],
  ): Promise<{ readonly serialized: string; readonly paymentHash: string }> {
    return this.eclair.call('createinvoice', {
      description: 'test',
      ...(amount !== undefined && { amountMsat: amount }),
      ...(ways.length > 0 && { privateChannelIds: ways.map((c) => c.channelId).join(',') }),
    })
  }
  /** Begins a payment of ours to eclair. @returns whether it is over */
  async beginOurs(amount: number): Promise<() => Promise<boolean>> {
    const { serialized } = await this.invoiceOfEclair(amount)
    const { service } = this.us
    const { id } = await service.pay({ bolt11: serialized })
    return async () => (await service.payment(id)).status !== 'pending'
  }
  /** Begins one of eclair's to us. */
  async beginTheirs(amount: number): Promise<() => Promise<boolean>> {
    const { bolt11 } = await this.us.service.createInvoice({ amountMsat: msat(amount) })
    const status = this.#statusOf(await this.eclair.call<string>('payinvoice', { invoice: bolt11 }))
    return async () => (await status()) !== 'pending'
  }
  /** Has eclair pay an invoice in vain. @returns the last failure, as eclair read it */
  async failure(invoice: string): Promise<unknown> {
    type Failed = { type: string; failures: { e?: unknown }[] }
    const failed = await this.eclair.call<Failed>('payinvoice', { invoice, blocking: true })
    expect(failed.type).toBe('payment-failed')
    return failed.failures.findLast((f) => f.e !== undefined)?.e
  }
  #statusOf(id: string): () => Promise<string> {
    return async () => {
      const parts = await this.eclair.call<{ status: { type: string } }[]>('getsentinfo', { id })
      if (parts.length === 0 || parts.some((p) => p.status.type === 'pending')) return 'pending'
      return parts.some((p) => p.status.type === 'sent') ? 'succeeded' : 'failed'
    }
  }
  /** Pays an invoice of eclair's; returns when it is over. */
  async payEclair(amount: number, node = this.us): Promise<PaymentView> {
    const { serialized } = await this.invoiceOfEclair(amount)
    return this.paid((await node.service.pay({ bolt11: serialized })).id, node)
  }
  async paid(id: string, { service }: OurNode = this.us): Promise<PaymentView> {
    await this.until('the payment', async () => (await service.payment(id)).status !== 'pending')
    return service.payment(id)
  }
  /** eclair pays an invoice of ours; returns when both say so. */
  async payUs(amount: number, node = this.us): Promise<InvoiceView> {
    const { bolt11, id } = await node.service.createInvoice({ amountMsat: msat(amount) })
    const sent = await this.eclair.call<{ type: string }>('payinvoice', { invoice: bolt11, blocking: true })
    expect(sent.type).toBe('payment-sent')
    await this.until('the invoice', async () => (await node.service.invoice(id)).status === 'settled')
    return node.service.invoice(id)
  }
}
