import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ChannelView } from '../../src/node/service.ts'
import { BITCOIND } from '../e2e/realNode.ts'
import { ECLAIR, NAMED } from './eclair/eclair.ts'
import { EclairWorld } from './eclair/world.ts'
import type { OurNode } from './ourNode.ts'

const MINUTES = 60_000
/** Less than any message of a close on the wire. */
const STRIDE = 110
/** eclair signs no other closing transaction for three blocks. */
const PATIENCE = 4

describe.skipIf(!BITCOIND || !ECLAIR)(`BOLT 2 §channel-close with eclair ${NAMED}`, { timeout: 8 * MINUTES }, () => {
  let w: EclairWorld
  /** A node of ours with a channel to eclair. */
  let dave: OurNode
  beforeAll(async () => {
    w = await EclairWorld.start(BITCOIND!, ECLAIR!)
    dave = await w.another()
    await dave.service.connectPeer({ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.eclair.port })
    await w.openToEclair(10_000_000, 5_000_000, dave)
  }, 5 * MINUTES)
  afterAll(() => w?.stop())
  afterEach(() => expect(w.alerts()).toEqual([]))
  const open = (opener: string) => (opener === 'us' ? w.openToEclair() : w.openFromEclair())
  const closes = (by: string, { id, channelId }: ChannelView): Promise<unknown> =>
    by === 'us' ? w.us.service.closeChannel(id, {}) : w.eclair.call('close', { channelId })
  const published = async (channel: ChannelView) => {
    await w.until('the closing transaction', async () => (await w.chain.spender(channel)) !== null)
    return (await w.chain.spender(channel))!
  }
  const BOTH = ['us', 'eclair'] as const
  const EACH = BOTH.flatMap((opener) => BOTH.map((closer) => ({ opener, closer })))

  describe('option_simple_close', () => {
    it.each(EACH)('opened by $opener, closed by $closer', async ({ opener, closer }) => {
      const channel = await open(opener)
      await closes(closer, channel)
      const { outputs, feeSat } = await published(channel)
      // One of them has paid the fee.
      expect(outputs.toSorted()).toEqual([1_000_000 - feeSat, 1_000_000].toSorted())
      await w.ended(channel)
    })

    it('each raises its fee', async () => {
      const channel = await open('us')
      await closes('us', channel)
      let before = (await published(channel)).feeSat
      const raised = async (feerate: number) => {
        await w.until('a higher fee', async () => ((await w.chain.spender(channel))?.feeSat ?? 0) > before)
        before = (await w.chain.spender(channel))!.feeSat
        expect(Math.round(before / 169)).toBe(feerate)
      }
      const { id, channelId } = channel
      await w.mineNothing(PATIENCE)
      await w.us.service.closeChannel(id, { feerateSatPerVbyte: 20 })
      await raised(20)
      await w.eclair.call('close', { channelId, preferredFeerateSatByte: 40 })
      await raised(40)
      await w.mineNothing(PATIENCE)
      await w.us.service.closeChannel(id, { feerateSatPerVbyte: 60 })
      await raised(60)
      await w.ended(channel)
    })

    it('raised too soon for eclair, it is raised when the answer has been waited for', async () => {
      const channel = await open('us')
      await closes('us', channel)
      const { feeSat } = await published(channel)
      await w.us.service.closeChannel(channel.id, { feerateSatPerVbyte: 20 })
      const refusal = 'invalid rbf attempt'
      await w.until('the refusal', () => w.us.events.some((e) => String(e.data.message).includes(refusal)))
      await w.mineNothing(5)
      await w.mineNothing()
      await w.until('the end of our patience', () => w.us.events.some((e) => e.data.code === 'PROTOCOL_VIOLATION'))
      w.alerts()
      await w.connect()
      await w.until('the raise', async () => ((await w.chain.spender(channel))?.feeSat ?? 0) > 3 * feeSat)
      await w.ended(channel)
    })

    it.each([0, 3_000])('one of them has %i sat', async (push) => {
      for (const opener of BOTH)
        for (const closer of BOTH) {
          const channel = await (opener === 'us' ? w.openToEclair(1_000_000, push) : w.openFromEclair(1_000_000, push))
          await closes(closer, channel)
          expect((await published(channel)).outputs).toHaveLength(push === 0 ? 1 : 2)
          await w.ended(channel)
        }
    })

    it('eclair has less than the fee that it offers, which is refused; ours confirms', async () => {
      for (const [closer, push] of [
        ['us', 200],
        ['eclair', 600],
      ] as const) {
        const channel = await w.openToEclair(1_000_000, push)
        await closes(closer, channel)
        await w.lost()
        await w.connect()
        await w.mineNothing()
        const { outputs } = await published(channel)
        expect(outputs).toHaveLength(push === 200 ? 1 : 2)
        await w.ended(channel)
        const told = w.alerts().map((a) => String(a.message))
        expect(told[0]).toContain(`of ${push}000 msat`)
        for (const more of told.slice(1)) expect(more).toContain('invalid rbf attempt')
      }
    })

    it('waits for HTLCs both ways', async () => {
      for (const closer of BOTH) {
        const channel = await open('us')
        const held = [await w.holdFromEclair(30_000_000), await w.holdThroughEclair(20_000_000, dave)]
        await closes(closer, channel)
        await w.until('the shutdown', async () => (await w.us.service.channel(channel.id)).state === 'shutdown')
        await w.settleAll(held)
        await published(channel)
        await w.ended(channel)
      }
    })

    it('goes on when the connection is lost between any two messages, also by restarts', async () => {
      for (const [closer, direction] of [
        ['us', 'in'],
        ['eclair', 'out'],
      ] as const)
        for (let bytes = 0, cut = true; cut; bytes += STRIDE) {
          const channel = await open(closer)
          w.link.cutAfter(direction, bytes)
          await closes(closer, channel)
          const isAgreed = async () => (await w.us.service.channel(channel.id)).closing !== null
          await w.until('the cut, or the close', async () => !(await w.peerConnected()) || (await isAgreed()))
          cut = w.link.disarm()
          if (cut) {
            await w.lost()
            if (bytes === STRIDE) await w.restartBoth()
            await w.connect()
            // eclair does not offer again by itself, and our offer goes out with a block.
            await w.mineNothing()
          }
          await published(channel)
          await w.ended(channel)
        }
    })
  })

  it.each(EACH)('closing_signed: opened by $opener, closed by $closer', async ({ opener, closer }) => {
    if (opener === 'us' && closer === 'us') {
      await w.eclair.stop()
      // Its taproot channels need option_simple_close.
      await w.eclair.restart({
        'features.option_simple_close': 'disabled',
        'features.option_simple_taproot': 'disabled',
      })
      await w.connect()
    }
    const channel = await open(opener)
    await closes(closer, channel)
    const { outputs, feeSat } = await published(channel)
    expect(outputs.toSorted()).toEqual([1_000_000 - feeSat, 1_000_000].toSorted())
    await w.ended(channel)
  })
})
