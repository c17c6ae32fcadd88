import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ChannelView } from '../../src/node/service.ts'
import { hold, refuse, refused, settle, settled } from './held.ts'
import { type Lnd, withLnd } from './lnd.ts'
import type { Answer } from './rest.ts'
import { satOf, World } from './world.ts'

/** About three messages of a close, so that a cut falls into each part of it. */
const STRIDE = 260
type Who = 'us' | 'LND'

withLnd('closing together with a real LND', () => {
  let w: World
  let simple: Lnd
  let older: Lnd
  beforeAll(async () => {
    w = await World.start([['--protocol.rbf-coop-close'], []])
    ;[simple, older] = w.lnds as [Lnd, Lnd]
    await w.connect(simple)
    await w.connect(older)
  })
  afterAll(() => w?.stop())
  afterEach(() => {
    expect(w.alerts()).toEqual([])
  })

  const lndOf = (way: string): Lnd => (way === 'option_simple_close' ? simple : older)
  const open = (lnd: Lnd, opener: Who, options = {}) =>
    opener === 'us' ? w.openTo(lnd, options) : w.openFrom(lnd, options)
  const close = (lnd: Lnd, by: Who, channel: ChannelView): Promise<unknown> =>
    by === 'us'
      ? w.us.service.closeChannel(channel.id, { feerateSatPerVbyte: 3 })
      : w.lndCloses(lnd, channel, { sat_per_vbyte: '3', no_wait: 'true' })
  const feeOf = (tx: Answer, { capacitySat }: ChannelView): number =>
    Number(capacitySat) - tx.vout.reduce((sum: number, o: Answer) => sum + satOf(o.value), 0)
  /** Returns when a closing transaction that pays this much is in the mempool. @param perVbyte sat */
  const published = async (channel: ChannelView, perVbyte = 1): Promise<Answer> => {
    let tx: Answer
    await w.until(`a closing transaction of ${perVbyte} sat per vbyte`, async () => {
      tx = await w.spender(channel)
      return tx !== undefined && feeOf(tx, channel) / tx.vsize >= perVbyte * 0.98
    })
    return tx
  }
  /** Mines what is published, until both sides have seen the end. */
  const ended = async (lnd: Lnd, channel: ChannelView): Promise<Answer> => {
    await published(channel)
    // One by one: when six come at once, LND 0.21 may miss what was in the first.
    await w.mineUntil(6, async () => (await w.us.service.channel(channel.id)).closing?.resolved === true)
    const { how, txid } = (await w.us.service.channel(channel.id)).closing!
    expect(how).toBe('cooperative')
    await w.mineUntil(12, async () => (await w.lndClosed(lnd, channel)) !== undefined)
    const told = { close_type: 'COOPERATIVE_CLOSE', closing_tx_hash: txid }
    expect(await w.lndClosed(lnd, channel)).toMatchObject(told)
    return w.rpc('getrawtransaction', txid, 1)
  }

  it.each(['us', 'LND'] as const)('option_simple_close, asked for by %s: both raise the fee in turn', async (by) => {
    const channel = await open(simple, by)
    await close(simple, by, channel)
    await published(channel, 3)
    await w.us.service.closeChannel(channel.id, { feerateSatPerVbyte: 30 })
    await published(channel, 30)
    await w.lndCloses(simple, channel, { sat_per_vbyte: '60' })
    await published(channel, 60)
    const { address } = await w.us.service.newAddress()
    await w.us.service.closeChannel(channel.id, { feerateSatPerVbyte: 80, address })
    await published(channel, 80)
    await w.lndCloses(simple, channel, { sat_per_vbyte: '90' })
    await published(channel, 90)
    const { vout } = await ended(simple, channel)
    // LND paid for the last.
    const ours = vout.find((o: Answer) => o.scriptPubKey.address === address)
    expect(satOf(ours.value)).toBe(Number(channel.localMsat / 1000n))
  })

  describe.each(['option_simple_close', 'closing_signed'])('%s', (way) => {
    it.each([
      { opener: 'us', by: 'us', type: 'static_remotekey' },
      { opener: 'us', by: 'LND', type: 'anchors' },
      { opener: 'LND', by: 'us', type: 'anchors' },
      { opener: 'LND', by: 'LND', type: 'static_remotekey' },
    ] as const)('$type opened by $opener, who has everything; $by asks', async ({ opener, by, type }) => {
      const channel = await open(lndOf(way), opener, { push: 0, type })
      await close(lndOf(way), by, channel)
      const tx = await ended(lndOf(way), channel)
      expect(tx.vout).toHaveLength(1)
    })

    it('pays LND to an address of an older form, where its operator wants that', async () => {
      const lnd = lndOf(way)
      const channel = await open(lnd, 'us')
      const { address } = await lnd.rest.get('/v1/newaddress?type=NESTED_PUBKEY_HASH')
      await w.lndCloses(lnd, channel, { delivery_address: address, sat_per_vbyte: '3' })
      const { vout } = await ended(lnd, channel)
      expect(vout.map((o: Answer) => o.scriptPubKey.address)).toContain(address)
    })

    it.each(['us', 'LND'] as const)('waits for HTLCs in flight both ways; %s asks', async (by) => {
      const lnd = lndOf(way)
      const channel = await open(lnd, 'us')
      const [paid, unpaid] = [await hold(w, lnd, [3_000, 30_000_000]), await hold(w, lnd, [2_000, 20_000_000])]
      await close(lnd, by, channel)
      await w.until('the shutdown', async () => (await w.us.service.channel(channel.id)).state === 'shutdown')
      // In this order: of its own payment that fails as the last HTLC, LND may hear nothing before it starts again.
      await refuse(lnd, unpaid, w.us)
      await refused(w, unpaid)
      expect((await w.us.service.channel(channel.id)).state).toBe('shutdown')
      await settle(lnd, paid, w.us)
      await settled(w, paid)
      await ended(lnd, channel)
    })

    it.each(['out', 'in'] as const)('goes on after a cut between messages that go %s', async (direction) => {
      const lnd = lndOf(way)
      const link = w.links.get(lnd)!
      for (let bytes = 0, cut = true; cut; bytes += STRIDE) {
        const channel = await open(lnd, bytes % (2 * STRIDE) ? 'us' : 'LND')
        link.cutAfter(direction, bytes, 'down')
        await close(lnd, 'us', channel)
        await w.until('the cut, or the close', async () => {
          const agreed = (await w.us.service.channel(channel.id)).closing !== null
          return !(await w.isConnected(lnd)) || (agreed && (await w.lndChannel(lnd, channel)) === undefined)
        })
        cut = link.disarm()
        if (cut) {
          await w.lost(lnd)
          await w.connect(lnd)
        }
        await ended(lnd, channel)
      }
    })
  })
})
