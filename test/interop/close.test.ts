import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { weightOf } from '../../src/bitcoin/transaction.ts'
import type { ChannelView } from '../../src/node/service.ts'
import { hold, refuse, refused, settle, settled } from './held.ts'
import { type ChannelType, World } from './world.ts'

/** Less than any message of a close on the wire. */
const STRIDE = 90

describe('BOLT 2 §channel-close with LDK', () => {
  let w: World
  beforeAll(async () => {
    w = await World.start()
  })
  afterAll(() => w.stop())
  afterEach(() => {
    expect(alerts()).toEqual([])
    expect(w.refused()).toEqual([])
  })
  const alerts = (id?: string) => w.us.events.filter((e) => e.type === 'node.alert' && (!id || e.data.id === id))

  /** Waits until it is published, mines it, and checks what each side got. @param before the channel, without HTLCs */
  async function closed(before: ChannelView, by: 'us' | 'LDK') {
    const { id, channelId, funding } = before
    const spender = () => w.ground.chain.mempool.spender(`${funding!.txid}:${funding!.index}`)
    await w.until('the closing transaction', () => spender() !== undefined)
    const { tx, txid, fee } = spender()!
    const { reason } = await w.ldk.waitFor('ChannelClosed', (e) => e.channel_id === channelId)
    expect(reason).toContain(`cooperatively closed by ${by === 'us' ? 'our peer' : 'us'}`)
    await w.mine(6)
    await w.until('the end', async () => (await w.us.service.channel(id)).closing?.resolved === true)
    expect((await w.us.service.channel(id)).closing).toMatchObject({ how: 'cooperative', txid })

    const toUs = before.localMsat / 1000n - (before.isOpener ? fee : 0n)
    const toLdk = before.remoteMsat / 1000n - (before.isOpener ? 0n : fee)
    expect(new Set(tx.outputs.map((o) => o.amountSat))).toEqual(new Set([toUs, toLdk]))
    expect((await w.us.service.walletTransaction(txid)).netSat).toBe(toUs)
    const ldks = tx.outputs.findIndex((o) => o.amountSat === toLdk)
    await w.until('LDK to sweep its side', () => w.ground.chain.mempool.spender(`${txid}:${ldks}`) !== undefined)
    return { tx, fee }
  }

  const open = (type: ChannelType, byUs: boolean) =>
    byUs ? w.openToLdk(type, 1_000_000, 400_000) : w.openFromLdk(type, 1_000_000, 400_000)

  describe.each(['anchors', 'static_remotekey'] satisfies ChannelType[])('%s', (type) => {
    it.each([true, false])('we close; opened by us: %s', async (byUs) => {
      const channel = await open(type, byUs)
      await w.us.service.closeChannel(channel.id, {})
      await closed(channel, 'us')
    })
    it.each([true, false])('LDK closes; opened by us: %s', async (byUs) => {
      const channel = await open(type, byUs)
      await w.ldk.cmd('close', { channel: channel.channelId })
      await closed(channel, 'LDK')
    })
  })

  it('waits for HTLCs in flight both ways, whoever closes', async () => {
    for (const by of ['us', 'LDK'] as const) {
      const channel = await open('anchors', true)
      const [paid, unpaid] = [await hold(w, [3_000, 30_000_000]), await hold(w, [2_000, 20_000_000])]
      if (by === 'us') await w.us.service.closeChannel(channel.id, {})
      else await w.ldk.cmd('close', { channel: channel.channelId })
      const state = async () => (await w.us.service.channel(channel.id)).state
      await w.until('the shutdown', async () => (await state()) === 'shutdown')
      await settle(w, paid)
      await settled(w, paid)
      expect(await state()).toBe('shutdown')
      await refuse(w, unpaid)
      await refused(w, unpaid)
      await closed(channel, by)
    }
  })

  it('ends with a higher feerate where LDK finds the first too low', async () => {
    const channel = await open('anchors', true)
    await w.ldk.cmd('set_feerate', { sat_per_kw: 5_000 })
    await w.us.service.closeChannel(channel.id, { feerateSatPerVbyte: 2 })
    await w.until('LDK to say so', () => alerts(channel.id).length > 0)
    expect(alerts(channel.id)[0]!.data.message).toContain('closing')
    expect(await w.us.service.channel(channel.id)).toMatchObject({ state: 'negotiating', closing: null })
    await w.us.service.closeChannel(channel.id, { feerateSatPerVbyte: 25 })
    await w.lost()
    await w.connect()
    const { fee, tx } = await closed(channel, 'us')
    expect(Number(fee) / weightOf(tx)).toBeCloseTo(25 / 4, 1)
    await w.ldk.cmd('set_feerate', { sat_per_kw: 253 })
    w.us.events.length = 0
  })

  it('goes on when the connection is lost between any two of its messages', async () => {
    const ends = { agreed: 0, forgotten: 0 }
    for (const [direction, by] of [
      ['in', 'us'],
      ['out', 'us'],
      ['in', 'LDK'],
      ['out', 'LDK'],
    ] as const) {
      for (let bytes = 0, cut = true; cut; bytes += STRIDE) {
        const channel = await open('anchors', by === 'us')
        w.link.cutAfter(direction, bytes)
        if (by === 'us') await w.us.service.closeChannel(channel.id, {})
        else await w.ldk.cmd('close', { channel: channel.channelId })
        const agreed = async () => (await w.us.service.channel(channel.id)).closing !== null
        await w.until('the cut, or the close', async () => {
          return !(await w.peer()).connected || ((await agreed()) && !(await w.ldkChannel(channel)))
        })
        cut = w.link.disarm()
        if (cut) await w.lost()
        // Only LDK has the last signature: it says that it knows no such channel, and we have to publish our commitment.
        const forgotten = !(await agreed()) && !(await w.ldkChannel(channel))
        if (cut) await w.connect()
        if (forgotten) await w.until('LDK to say so', () => alerts(channel.id).length > 0)
        await closed(channel, by)
        ends[forgotten ? 'forgotten' : 'agreed']++
        expect(alerts(channel.id)).toHaveLength(forgotten ? 1 : 0)
        w.us.events.length = 0
        expect(w.refused(forgotten ? 'ldk' : undefined)).toEqual([])
        w.forgetVerdicts()
      }
    }
    expect(Math.min(ends.agreed, ends.forgotten)).toBeGreaterThan(0)
  })

  it('pays the feerate that we ask for, where the fee is ours', async () => {
    const channel = await open('anchors', true)
    await w.us.service.closeChannel(channel.id, { feerateSatPerVbyte: 3 })
    const { fee, tx } = await closed(channel, 'us')
    expect(Number(fee)).toBeGreaterThanOrEqual((weightOf(tx) / 4) * 2.9)
    expect(Number(fee)).toBeLessThanOrEqual((weightOf(tx) / 4) * 3.1)
  })
})
