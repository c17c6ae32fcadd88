import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { msat, sat } from '../../src/base/units.ts'
import type { ChannelView } from '../../src/node/service.ts'
import { loseAllBut, loseAWrite, putBack } from '../interop/disks.ts'
import { hold } from './held.ts'
import { type Lnd, withLnd } from './lnd.ts'
import { base64 } from './rest.ts'
import { World } from './world.ts'

/** More than the fees of a close together, at the feerate that LND falls back to. */
const FEES = 30_000n
/** Of a channel that we open: 400,000 sat are LND's at once, 50,000 sat come back in a payment. */
const LOST = 350_000n
const PAID = 50_000_000
/** Less than channel_reestablish on the wire. */
const STRIDE = 100
/** LND starts again twice. */
const SLOW_MS = 120_000

withLnd('BOLT 2 §message-retransmission: channels in doubt, with a real LND', () => {
  let w: World
  let lnd: Lnd
  beforeAll(async () => {
    w = await World.start([[]], 2)
    lnd = w.lnds[0]!
    await w.connect(lnd)
  })
  afterAll(() => w?.stop())

  const coins = async () => (await w.us.service.wallet()).confirmedSat
  const view = async ({ channelId }: ChannelView) => (await w.us.channels()).find((c) => c.channelId === channelId)!
  const codes = () => w.alerts().map((e) => e.data.code)
  const spent = (channel: ChannelView) => w.until('a commitment', async () => (await w.spender(channel)) !== undefined)
  /** Mines until our side of LND's closes is over, and tells what the channels cost since `before`. */
  const cost = async (before: bigint, ...channels: ChannelView[]): Promise<bigint> => {
    const all = async () => Promise.all(channels.map(view))
    await w.mine()
    await w.until('our view', async () => (await all()).every((c) => c.closing !== null))
    await w.mineUntil(160, async () => (await all()).every((c) => c.closing!.resolved))
    for (const c of await all()) expect(c.closing!.how).toBe('remote-force')
    return before - (await coins())
  }
  const paidOnce = async (): Promise<ChannelView> => {
    const channel = await w.openTo(lnd)
    await pay(channel)
    return channel
  }
  const pay = async ({ id }: ChannelView) => {
    expect((await w.payUs(lnd, PAID)).status).toBe('settled')
    await w.quiet(id, lnd)
  }
  /** Our node ends, `what` of its directory is put aside, and it starts again. */
  const keep = async (what: string): Promise<void> => {
    await w.us.stop()
    cpSync(join(w.us.dataDir, what), `${w.us.dataDir}-old`, { recursive: true })
    await w.us.restart()
    await w.connect(lnd)
  }
  /** Our node ends, and has that back. */
  const goBackTo = async (what: string): Promise<void> => {
    await w.us.stop()
    await putBack(`${w.us.dataDir}-old`, join(w.us.dataDir, what))
    w.alerts()
  }

  const endWithAGap = async (): Promise<void> => {
    await w.us.stop()
    await loseAWrite(w.us)
    w.alerts()
  }

  it('an old database beside a newer backup: LND closes, also where it hears of it in the next connection alone', async () => {
    const before = await coins()
    const channel = await w.openTo(lnd)
    await keep('db')
    await w.usable(channel.id, lnd)
    await pay(channel)
    const unknown = await paidOnce()
    await goBackTo('db')
    const link = w.links.get(lnd)!
    link.down()
    await w.us.restart()
    // Our answer to LND's channel_reestablish is cut off.
    for (let bytes = STRIDE; (await view(channel)).state !== 'waiting-for-peer'; bytes += STRIDE) {
      link.cutAfter('out', bytes, 'down')
      await w.connect(lnd).catch(() => undefined)
      await w.lost(lnd)
    }
    expect(codes()).toContain('DATA_LOSS')
    expect(await w.spender(channel)).toBeUndefined()
    await w.connect(lnd)
    await spent(channel)
    await spent(unknown)
    const paid = await cost(before, channel, unknown)
    expect(paid).toBeGreaterThan(2n * LOST)
    expect(paid).toBeLessThan(2n * LOST + FEES)
  })

  it('a database that turns out to be old when another peer gives back its backup: LND closes', async () => {
    await w.connect(lnd)
    const before = await coins()
    const carol = w.ours[1]!
    await w.us.service.connectPeer({ nodeId: carol.nodeId, host: '127.0.0.1', port: carol.port })
    const request = { peer: carol.nodeId, capacitySat: sat(1_000_000), pushMsat: msat(500_000_000) }
    const { channelId } = await w.us.service.openChannel(request)
    await w.mine(3)
    await w.until('carol', async () => (await carol.service.channel(channelId!)).usable)
    const channel = await paidOnce()
    await keep('.')
    await w.usable(channel.id, lnd)
    await w.us.service.connectPeer({ nodeId: carol.nodeId, host: '127.0.0.1', port: carol.port })
    const unknown = await paidOnce()
    await goBackTo('.')
    await w.us.restart()
    await w.connect(lnd)
    await w.us.service.connectPeer({ nodeId: carol.nodeId, host: '127.0.0.1', port: carol.port })
    await w.until('the alert', () => w.us.events.some((e) => e.data.code === 'DATABASE_IS_OLDER'))
    await w.until('LND’s commitment', async () => {
      if (!(await w.isConnected(lnd))) await w.connect(lnd).catch(() => undefined)
      return (await w.spender(channel)) !== undefined
    })
    await spent(unknown)
    const closed = (await w.us.channels()).find((c) => c.channelId === channelId)!
    const paid = await cost(before, channel, unknown, closed)
    expect(paid).toBeGreaterThan(2n * LOST + 500_000n)
    expect(paid).toBeLessThan(2n * LOST + 500_000n + FEES)
  })

  it.each(['anchors', 'static_remotekey'] as const)(
    '%s: words and a backup, while payments hang: what LND claims is proven, what it does not comes back',
    { timeout: SLOW_MS },
    async (type) => {
      await w.connect(lnd)
      const before = await coins()
      const channel = await w.openTo(lnd, { type })
      const { toLnd, toUs } = await hold(w, lnd, [50_000_000, 60_000_000])
      const [lost, claimed] = toLnd
      // A start finds that they have hung, and tells its backup.
      await w.us.stop()
      await w.us.restart()
      await loseAllBut({ backup: true }, w.us)
      await spent(channel)
      await w.mine()
      await w.until('our view', async () => (await view(channel)).closing?.how === 'remote-force')
      await lnd.rest.post('/v2/invoices/settle', { preimage: base64(toHex(claimed!.preimage)) })
      const status = async (hash: string) => (await w.us.service.payment(hash)).status
      await w.mineUntil(6, async () => (await status(claimed!.hash)) === 'succeeded')
      expect(await status(lost!.hash)).toBe('pending')
      const paid = await cost(before, channel)
      expect(await status(lost!.hash)).toBe('failed')
      for (const { payment } of toUs) await payment.find((p) => p.status === 'FAILED')
      expect(paid).toBeGreaterThan(460_000n)
      expect(paid).toBeLessThan(460_000n + FEES)
    },
  )

  it('LND is back with a copy of long ago, and asks us to close', { timeout: SLOW_MS }, async () => {
    await w.connect(lnd)
    const channel = await w.openTo(lnd)
    await lnd.halt()
    cpSync(lnd.dir, `${lnd.dir}-old`, { recursive: true })
    await lnd.restart()
    await w.connect(lnd)
    await w.usable(channel.id, lnd)
    await pay(channel)
    await lnd.halt()
    await putBack(`${lnd.dir}-old`, lnd.dir)
    await lnd.restart()
    await w.connect(lnd)
    await spent(channel)
    await w.mine()
    await w.until('our view', async () => (await view(channel)).closing?.how === 'local-force')
    await w.mineUntil(160, async () => (await w.lndClosed(lnd, channel)) !== undefined)
    expect(Number((await w.lndClosed(lnd, channel)).settled_balance)).toBe(350_000)
  })

  it('a write is lost, and no newer one: LND shows where the channel stands, and it goes on', async () => {
    await w.connect(lnd)
    const channel = await paidOnce()
    await endWithAGap()
    await w.us.restart()
    const force = w.us.service.closeChannel(channel.id, { force: true })
    await expect(force).rejects.toThrow('the database lost a write')
    await w.connect(lnd)
    await w.usable(channel.id, lnd)
    expect((await w.payLnd(lnd, PAID)).status).toBe('succeeded')
    await pay(channel)
    expect(codes()).toEqual([])
    await w.us.service.closeChannel(channel.id, { force: true })
    await spent(channel)
    await w.mine()
    await w.until('our view', async () => (await view(channel)).closing?.how === 'local-force')
  })

  it('both have lost data, and wait for each other: closing at the risk of the channel is the way out', {
    timeout: SLOW_MS,
  }, async () => {
    await w.connect(lnd)
    const channel = await paidOnce()
    const { multi_chan_backup } = await lnd.rest.get('/v1/channels/backup')
    await endWithAGap()
    await lnd.halt()
    rmSync(join(lnd.dir, 'data/graph/regtest/channel.db'))
    await lnd.restart()
    await lnd.rest.post('/v1/channels/backup/restore', { multi_chan_backup: multi_chan_backup.multi_chan_backup })
    await w.us.restart()
    await w.connect(lnd)
    await w.until('us to wait for LND', async () => (await view(channel)).state === 'waiting-for-peer')
    const close = (options: { acceptRisk?: 'losing-the-whole-channel' }) =>
      w.us.service.closeChannel(channel.id, { force: true, ...options })
    await expect(close({})).rejects.toThrow('acceptRisk')
    expect(await w.spender(channel)).toBeUndefined()
    await close({ acceptRisk: 'losing-the-whole-channel' })
    await spent(channel)
    await w.mineUntil(12, async () => (await w.lndClosed(lnd, channel)) !== undefined)
    expect(Number((await w.lndClosed(lnd, channel)).settled_balance)).toBe(350_000)
  })
})
