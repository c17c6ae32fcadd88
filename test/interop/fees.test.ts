import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ChannelView } from '../../src/node/service.ts'
import { hold, settle, settled } from './held.ts'
import { World } from './world.ts'

let w: World
beforeAll(async () => {
  w = await World.start()
})
afterAll(() => w.stop())

describe.each(['anchors', 'static_remotekey'] as const)('BOLT 2 §updating-fees with LDK, %s', (type) => {
  afterEach(() => {
    expect(w.us.events.filter((e) => e.type === 'node.alert')).toEqual([])
    expect(w.refused()).toEqual([])
  })

  /** Returns when both commitments have the feerate. */
  const feerate = async (channel: ChannelView, perKw: number) =>
    w.until(`a feerate of ${perKw}`, async () => {
      const [ours, theirs] = [await w.us.service.channel(channel.id), await w.ldkChannel(channel)]
      return ours.feeratePerKw === perKw && theirs?.feerate === perKw
    })
  /** Both commitments hold with the new feerate: payments sign them again, a close spends them. */
  const inUse = async (channel: ChannelView) => {
    expect((await w.payLdk(30_000_000)).status).toBe('succeeded')
    expect((await w.payUs(20_000_000)).status).toBe('settled')
    await w.quiet(channel.id)
    await w.close(channel.id)
  }

  it('LDK, which opened, raises it with HTLCs both ways in flight, through a lost connection', async () => {
    await w.ldk.cmd('set_feerate', { sat_per_kw: 1_000 })
    const channel = await w.openFromLdk(type, 5_000_000, 2_500_000)
    const held = await hold(w, [1_500_000, 40_000_000])
    for (const [i, perKw] of [1_500, 3_000, 6_000, 12_000].entries()) {
      w.link.cutAfter('in', i * 120)
      await w.ldk.cmd('set_feerate', { sat_per_kw: perKw })
      await w.lost()
      await w.connect()
      await w.usable(channel.id)
      await w.ldk.cmd('set_feerate', { sat_per_kw: perKw })
      await feerate(channel, perKw)
    }
    await settle(w, held)
    await settled(w, held)
    await w.ldk.cmd('autoclaim', { on: true })
    await inUse(channel)
  })

  it('we, who opened, set it anew when we are back', async () => {
    await w.ldk.cmd('set_feerate', { sat_per_kw: 253 })
    const channel = await w.openToLdk(type, 5_000_000, 2_500_000)
    const held = await hold(w, [1_500_000, 40_000_000])
    const feeratePerKw = channel.feeratePerKw + 2_000
    await w.us.stop()
    w.ground.feerate = feeratePerKw
    await w.us.restart()
    await w.connect()
    await feerate(channel, feeratePerKw)
    await settle(w, held)
    await settled(w, held)
    await w.ldk.cmd('autoclaim', { on: true })
    await inUse(channel)
  })
})
