import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChannelView } from '../../src/node/service.ts'
import { BITCOIND } from '../e2e/realNode.ts'
import { loseAllBut, loseAWrite, putBack } from './disks.ts'
import { ECLAIR, NAMED } from './eclair/eclair.ts'
import { EclairWorld } from './eclair/world.ts'
import type { OurNode } from './ourNode.ts'

const MINUTES = 60_000
/** More than the fees of a close together, in sat. */
const FEES = 30_000n
const CAPACITY = 2_000_000
const PAID = 50_000_000
/** Of a channel that we open: half is eclair's at once, 50,000 sat come back in a payment. */
const LOST = 950_000n
/** Less than channel_reestablish on the wire. */
const STRIDE = 100

describe.skipIf(!BITCOIND || !ECLAIR)(`channels in doubt with eclair ${NAMED}`, { timeout: 10 * MINUTES }, () => {
  let w: EclairWorld
  /** A node of ours with a channel to eclair. */
  let dave: OurNode
  beforeAll(async () => {
    w = await EclairWorld.start(BITCOIND!, ECLAIR!, {
      'features.option_provide_storage': 'optional',
      'peer-storage.write-delay': '100 milliseconds',
    })
    dave = await w.another()
    await dave.service.connectPeer({ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.eclair.port })
    await w.openToEclair(5 * CAPACITY, CAPACITY, dave)
  }, 5 * MINUTES)
  afterAll(() => w?.stop())

  const alerts = () => w.alerts().map((a) => a.code)
  const coins = async () => (await w.us.service.wallet()).confirmedSat
  const view = async ({ channelId }: ChannelView) => (await w.us.channels()).find((c) => c.channelId === channelId)!
  const spent = (channel: ChannelView) => w.until('a commitment', async () => (await w.chain.spender(channel)) !== null)
  /** Mines until our side of eclair's closes is over, and tells what the channels cost since `before`. */
  async function cost(before: bigint, ...channels: ChannelView[]): Promise<bigint> {
    const all = () => Promise.all(channels.map(view))
    for (let n = 0; n < 60 && !(await all()).every((c) => c.closing?.resolved); n++) await w.mine(6)
    for (const c of await all()) expect(c.closing).toMatchObject({ how: 'remote-force', resolved: true })
    return before - (await coins())
  }
  const dial = () => w.us.service.connectPeer({ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.link.port })
  const pay = async ({ id }: ChannelView) => {
    await w.payUs(PAID)
    await w.quiet(id)
  }
  /** Our node ends, this part of its directory is put aside, and it starts again. */
  const keep = async (what: string): Promise<void> => {
    await w.us.stop()
    await cp(join(w.us.dataDir, what), `${w.us.dataDir}-old`, { recursive: true })
    await w.us.restart()
    await w.connect()
  }
  /** Our node ends, and has that back. */
  const goBackTo = async (what: string): Promise<void> => {
    await w.us.stop()
    await putBack(`${w.us.dataDir}-old`, join(w.us.dataDir, what))
    w.alerts()
  }

  it('an old database beside a newer backup: eclair closes, also where it hears of it in the next connection alone', async () => {
    const before = await coins()
    const channel = await w.openToEclair(CAPACITY)
    await keep('db')
    await w.usable(channel.id)
    await pay(channel)
    const unknown = await w.openToEclair(CAPACITY)
    await goBackTo('db')
    w.link.down()
    await w.us.restart()
    // Our answer to eclair's channel_reestablish is cut off.
    for (let bytes = STRIDE; (await view(channel)).state !== 'waiting-for-peer'; bytes += STRIDE) {
      w.link.up()
      w.link.cutAfter('out', bytes, 'down')
      await dial().catch(() => undefined)
      await w.lost()
    }
    expect(alerts()).toContain('DATA_LOSS')
    expect(await w.chain.spender(channel)).toBe(null)
    w.link.up()
    await w.connect()
    await spent(channel)
    await spent(unknown)
    const paid = await cost(before, channel, unknown)
    expect(paid).toBeGreaterThan(LOST + 1_000_000n)
    expect(paid).toBeLessThan(LOST + 1_000_000n + FEES)
  })

  it('a database that turns out to be old when eclair gives back what it stored: it closes all', async () => {
    await w.connect()
    const before = await coins()
    const channel = await w.openToEclair(CAPACITY)
    await pay(channel)
    await keep('.')
    await w.usable(channel.id)
    const unknown = await w.openToEclair(CAPACITY)
    // eclair stores with a delay, and at once when the connection ends.
    await w.cut()
    await goBackTo('.')
    await w.us.restart()
    await w.until('the alert', async () => {
      if (!(await w.peerConnected())) await dial().catch(() => undefined)
      return w.us.events.some((e) => e.data.code === 'DATABASE_IS_OLDER')
    })
    await w.until('eclair’s commitments', async () => {
      if (!(await w.peerConnected())) await dial().catch(() => undefined)
      return (await w.chain.spender(channel)) !== null && (await w.chain.spender(unknown)) !== null
    })
    const paid = await cost(before, channel, unknown)
    expect(paid).toBeGreaterThan(LOST + 1_000_000n)
    expect(paid).toBeLessThan(LOST + 1_000_000n + FEES)
  })

  it('words and a backup, while payments hang: what eclair claims is proven, what it does not comes back', async () => {
    await w.connect()
    const before = await coins()
    const channel = await w.openToEclair(CAPACITY)
    const claimed = await w.holdThroughEclair(PAID, dave)
    await w.holdThroughEclair(2 * PAID, dave)
    const [first, second] = (await w.us.service.channel(channel.id)).htlcs
    expect([first, second].map((h) => h!.amountMsat > BigInt(PAID))).toEqual([true, true])
    // A start finds that they have hung, and tells its backup.
    await w.us.stop()
    await w.us.restart()
    await loseAllBut({ backup: true }, w.us)
    await spent(channel)
    await w.mine()
    await w.until('our view', async () => (await view(channel)).closing?.how === 'remote-force')
    await claimed.settle()
    const hashes = [first, second].map((h) => h!.paymentHash)
    const status = async (n: number) => (await w.us.service.payment(hashes[n]!)).status
    await w.until('the proof', async () => {
      await w.mine()
      return (await status(0)) === 'succeeded'
    })
    expect(await status(1)).toBe('pending')
    const paid = await cost(before, channel)
    expect(await status(1)).toBe('failed')
    expect(paid).toBeGreaterThan(1_050_000n)
    expect(paid).toBeLessThan(1_050_000n + FEES)
    expect(await dave.channels()).toMatchObject([{ usable: true }])
  })

  it('a write is lost, and no newer one: eclair shows where the channel stands, and it goes on', async () => {
    await w.connect()
    const channel = await w.openToEclair(CAPACITY)
    await pay(channel)
    await w.us.stop()
    await loseAWrite(w.us)
    w.link.down()
    w.alerts()
    await w.us.restart()
    const force = w.us.service.closeChannel(channel.id, { force: true })
    await expect(force).rejects.toThrow('the database lost a write')
    w.link.up()
    await w.connect()
    await w.usable(channel.id)
    expect((await w.payEclair(PAID)).status).toBe('succeeded')
    await pay(channel)
    expect(alerts()).toEqual([])
    await w.close(await w.quiet(channel.id))
  })
})
