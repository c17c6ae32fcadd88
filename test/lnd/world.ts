import type { Txid } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { encodeAddress } from '../../src/bitcoin/address.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import type { ChannelView, InvoiceView, NodeEvent, PaymentView } from '../../src/node/service.ts'
import { BITCOIND, type RealNode, startBitcoind } from '../e2e/realNode.ts'
import { type Link, startLink } from '../interop/link.ts'
import { OurNode } from '../interop/ourNode.ts'
import type { ChannelType } from '../interop/world.ts'
import { type Estimates, startEstimates } from './estimates.ts'
import { Lnd } from './lnd.ts'
import { type Answer, type Answers, base64 } from './rest.ts'

const UNTIL_MS = 30_000
const LOOK_MS = 25
const MATURITY = 100
/** A script that nobody can spend. */
const NOBODY = encodeAddress(p2wsh(Uint8Array.of(0x6a)), 'regtest')!

/** A bitcoind, and on it nodes of ours and LNDs, as many as a test asks for. */
export class World {
  readonly bitcoind: RealNode
  /** What our nodes hear about fees. */
  readonly estimates: Estimates
  readonly ours: readonly OurNode[]
  readonly lnds: readonly Lnd[]
  /** Between our first node and each LND. */
  readonly links: ReadonlyMap<Lnd, Link>

  private constructor(parts: Pick<World, 'bitcoind' | 'estimates' | 'ours' | 'links'>) {
    this.bitcoind = parts.bitcoind
    this.estimates = parts.estimates
    this.ours = parts.ours
    this.lnds = [...parts.links.keys()]
    this.links = parts.links
  }

  /** @param lnds the options of each LND @param ours how many nodes of ours. All have coins, and none knows another. */
  static async start(lnds: readonly (readonly string[])[], ours = 1): Promise<World> {
    const bitcoind = await startBitcoind(BITCOIND!)
    const begun: { destroy(): Promise<void> }[] = []
    const begin = async <T extends OurNode | Lnd>(starting: Promise<T>): Promise<T> => {
      const node = await starting
      begun.push(node)
      return node
    }
    try {
      const estimates = await startEstimates(bitcoind)
      // LND waits for a block that is new.
      await bitcoind.transport.call('generatetoaddress', [1, NOBODY], { timeoutMs: UNTIL_MS })
      const [theirs, own] = await Promise.all([
        Promise.all(lnds.map((more) => begin(Lnd.start(bitcoind, more)))),
        Promise.all(Array.from({ length: ours }, () => begin(OurNode.start(estimates.url, () => {})))),
      ])
      const links = await Promise.all(theirs.map(async (lnd) => [lnd, await startLink(lnd.port)] as const))
      const world = new World({ bitcoind, estimates, ours: own, links: new Map(links) })
      await world.#giveCoins()
      return world
    } catch (e) {
      await Promise.allSettled(begun.map((node) => node.destroy()))
      await bitcoind.stop()
      throw e
    }
  }

  async #giveCoins(): Promise<void> {
    for (let coins = 0; coins < 3; coins++) {
      for (const { rest } of this.lnds) {
        await this.rpc('generatetoaddress', 1, (await rest.get('/v1/newaddress')).address)
      }
      for (const { service } of this.ours) {
        await this.rpc('generatetoaddress', 1, (await service.newAddress()).address)
      }
    }
    await this.mine(MATURITY)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.ours.map((n) => n.destroy()), ...this.lnds.map((l) => l.destroy())])
    await Promise.all([...this.links.values()].map((link) => link.close()))
    this.estimates.close()
    await this.bitcoind.stop()
  }

  get us(): OurNode {
    return this.ours[0]!
  }

  rpc(method: string, ...params: unknown[]): Promise<Answer> {
    return this.bitcoind.transport.call(method, params, { timeoutMs: UNTIL_MS })
  }

  /** What our first node alerted to since the last call; connections that come and go are left out. */
  alerts(): readonly NodeEvent[] {
    const alerts = this.us.events.filter((e) => e.type === 'node.alert' && e.data.code !== 'EVENTS_LEFT_OUT')
    this.us.events.length = 0
    return alerts
  }

  /** Mines, and returns when all nodes have taken it in. */
  async mine(blocks = 1): Promise<void> {
    await this.rpc('generatetoaddress', blocks, NOBODY)
    const height = await this.rpc('getblockcount')
    for (const n of this.ours)
      await this.until('our node to see the block', () => n.isDead || n.service.info().blockHeight === height)
    for (const lnd of this.lnds) {
      await this.until('LND to see the block', async () => {
        const info = await lnd.rest.get('/v1/getinfo').catch(() => null)
        return info === null || (info.block_height === height && info.synced_to_chain)
      })
    }
  }

  /** Mines blocks one by one, until it is true. */
  async mineUntil(most: number, isTrue: () => Promise<boolean>): Promise<void> {
    for (let n = 0; n < most && !(await isTrue()); n++) await this.mine()
    if (!(await isTrue())) throw new Error(`${most} blocks did not bring it about: ${isTrue}`)
  }

  async until(what: string, isTrue: () => boolean | Promise<boolean>, ms = UNTIL_MS): Promise<void> {
    const deadline = performance.now() + ms
    while (!(await isTrue())) {
      if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  // ---------------------------------------------------------------- peers

  /** Over the link, where it is our first node. */
  async connect(lnd: Lnd, node = this.us): Promise<void> {
    const link = this.links.get(lnd)!
    link.up()
    const { port } = node === this.us ? link : lnd
    await node.service.connectPeer({ nodeId: lnd.nodeId, host: '127.0.0.1', port })
  }
  /** Cuts the link, and returns when both ends have noticed. */
  async cut(lnd: Lnd): Promise<void> {
    this.links.get(lnd)!.down()
    await this.lost(lnd)
  }
  /** Returns when both ends have noticed that the connection is gone. */
  async lost(lnd: Lnd): Promise<void> {
    await this.until('our node to notice the cut', async () => !(await this.isConnected(lnd)))
    await this.until('LND to notice the cut', async () => {
      const { peers } = await lnd.rest.get('/v1/peers')
      return !peers.some((p: Answer) => p.pub_key === this.us.nodeId)
    })
  }
  async isConnected(lnd: Lnd): Promise<boolean> {
    const { items } = await this.us.service.peers({ limit: 100 })
    return items.some((p) => p.nodeId === lnd.nodeId && p.connected)
  }

  // ---------------------------------------------------------------- channels

  /** We open a channel to LND. */
  async openTo(lnd: Lnd, options: OpenOptions = {}, node = this.us): Promise<ChannelView> {
    const { capacity = 1_000_000, push = 400_000, type = 'anchors', announce = false } = options
    const { id } = await node.service.openChannel({
      ...{ peer: lnd.nodeId, capacitySat: sat(capacity), pushMsat: msat(push * 1000), type, announce },
    })
    return this.#confirmed(id, lnd, node, announce)
  }

  /** LND opens a channel to us. */
  async openFrom(lnd: Lnd, options: OpenOptions = {}, node = this.us): Promise<ChannelView> {
    const { capacity = 1_000_000, push = 400_000, type = 'anchors', announce = false } = options
    const point = await lnd.rest.post('/v1/channels', {
      ...{ node_pubkey: base64(node.nodeId), local_funding_amount: capacity, push_sat: push, private: !announce },
      commitment_type: type === 'anchors' ? 'ANCHORS' : 'STATIC_REMOTE_KEY',
    })
    const txid = [...Buffer.from(point.funding_txid_bytes, 'base64')].reverse()
    const hex = Buffer.from(txid).toString('hex')
    const ours = async () => (await node.channels()).find((c) => c.funding?.txid === hex)
    await this.until('our side of LND’s channel', async () => (await ours()) !== undefined)
    return this.#confirmed((await ours())!.id, lnd, node, announce)
  }

  async #confirmed(id: string, lnd: Lnd, node: OurNode, announce: boolean): Promise<ChannelView> {
    const { funding } = await node.service.channel(id)
    await this.published(funding!.txid)
    await this.mine(announce ? 6 : 3)
    await this.usable(id, lnd, node)
    if (announce) await this.until('the announcement', async () => (await node.service.channel(id)).announced)
    return node.service.channel(id)
  }

  async usable(id: string, lnd: Lnd, node = this.us): Promise<void> {
    await this.until('both sides to be ready', async () => {
      const ours = await node.service.channel(id)
      const theirs = await this.lndChannel(lnd, ours)
      return ours.usable && theirs?.active === true && (await knows(lnd, theirs.chan_id))
    })
  }

  /** LND's view of a channel; undefined when it is no longer open. */
  async lndChannel(lnd: Lnd, c: ChannelView): Promise<Answer> {
    const { channels } = await lnd.rest.get('/v1/channels')
    return channels.find((l: Answer) => l.channel_point === outpointText(c))
  }

  /** Whether neither side has an HTLC in the channel. */
  async isQuiet(id: string, lnd: Lnd, node = this.us): Promise<boolean> {
    const ours = await node.service.channel(id)
    const theirs = await this.lndChannel(lnd, ours)
    return ours.htlcs.length === 0 && theirs?.pending_htlcs.length === 0
  }
  async quiet(id: string, lnd: Lnd, node = this.us): Promise<ChannelView> {
    await this.until('the channel to be quiet', () => this.isQuiet(id, lnd, node))
    return node.service.channel(id)
  }

  async published(txid: Txid): Promise<void> {
    await this.until('a transaction', () =>
      this.rpc('getmempoolentry', txid).then(
        () => true,
        () => false,
      ),
    )
  }
  /** The transaction in the mempool that spends the channel's funding output. */
  async spender({ funding }: ChannelView): Promise<Answer> {
    for (const txid of await this.rpc('getrawmempool')) {
      const tx = await this.rpc('getrawtransaction', txid, 1).catch(() => null)
      if (tx?.vin.some((i: Answer) => i.txid === funding!.txid && i.vout === funding!.index)) return tx
    }
    return undefined
  }

  /** LND closes, or raises the fee of a close. @returns when it has told that it does */
  async lndCloses(lnd: Lnd, { funding }: ChannelView, query: Readonly<Record<string, string>> = {}): Promise<void> {
    const words = new URLSearchParams(query)
    const stream = lnd.rest.stream('DELETE', `/v1/channels/${funding!.txid}/${funding!.index}?${words}`)
    await stream.find((u) => u.close_pending !== undefined || u.close_instant !== undefined)
    stream.close()
  }
  /** How a channel ended, in LND's words; undefined while it has not. */
  async lndClosed(lnd: Lnd, c: ChannelView): Promise<Answer> {
    const { channels } = await lnd.rest.get('/v1/channels/closed')
    return channels.find((l: Answer) => l.channel_point === outpointText(c))
  }

  // ---------------------------------------------------------------- payments

  /** Pays an invoice of LND's. @returns what it looks like when it is over */
  async payLnd(lnd: Lnd, amount: number, node = this.us): Promise<PaymentView> {
    const { payment_request } = await lnd.rest.post('/v1/invoices', { value_msat: amount, private: true })
    const { id } = await node.service.pay({ bolt11: payment_request })
    return this.settledPayment(id, node)
  }
  async settledPayment(id: string, { service } = this.us): Promise<PaymentView> {
    const { paymentHash } = await service.payment(id)
    const done = (p: PaymentView) => p.status !== 'pending'
    return service.waitFor(`payment:${paymentHash}`, () => service.payment(id), done, UNTIL_MS)
  }

  /** @param request of /v2/router/send @returns what it says at the end */
  async lndPays(lnd: Lnd, request: Answer): Promise<Answer> {
    const stream = this.lndBegins(lnd, request)
    const end = await stream.find((p) => p.status === 'SUCCEEDED' || p.status === 'FAILED')
    stream.close()
    return end
  }
  lndBegins(lnd: Lnd, request: Answer): Answers {
    return lnd.rest.stream('POST', '/v2/router/send', { timeout_seconds: 20, fee_limit_sat: 10_000, ...request })
  }
  /** LND pays an invoice of ours. */
  async payUs(lnd: Lnd, amount: number, node = this.us): Promise<InvoiceView> {
    const { bolt11, id } = await node.service.createInvoice({ amountMsat: msat(amount) })
    const end = await this.lndPays(lnd, { payment_request: bolt11 })
    if (end.status !== 'SUCCEEDED') throw new Error(`LND's payment: ${end.failure_reason} ${JSON.stringify(end.htlcs)}`)
    return node.service.invoice(id)
  }
}

export interface OpenOptions {
  /** sat */
  readonly capacity?: number
  /** sat */
  readonly push?: number
  readonly type?: ChannelType
  readonly announce?: boolean
}

/** LND calls a channel active a moment before its own payments find it. */
const knows = (lnd: Lnd, chanId: string): Promise<boolean> =>
  lnd.rest.get(`/v1/graph/edge/${chanId}`).then(
    (edge) => (edge.node1_pub === lnd.nodeId ? edge.node1_policy : edge.node2_policy) !== null,
    () => false,
  )

/** Of an amount of the Bitcoin node's. */
export const satOf = (btc: number): number => Math.round(btc * 1e8)

export const outpointText = ({ funding }: ChannelView): string => `${funding!.txid}:${funding!.index}`
