import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import type { ChannelView, NodeEvent } from '../../src/node/service.ts'
import type { LdkEvent } from './ldk.ts'
import { ldkStage } from './ldkStage.ts'
import { Life, type Payment } from './life.ts'
import type { Stage } from './stage.ts'
import { type Side, side, stepsWith } from './steps.ts'
import { World } from './world.ts'

/** FULMEN_RUNS=500 FULMEN_SEED=random npx vitest run test/interop/schedule.test.ts looks longer, as npm run fuzz -- --suite ldk does. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 5)
/** FULMEN_SEED=seed:path, as a failure prints them, runs that schedule alone, up to what chance the two processes add. */
const [seed, ...path] = (process.env.FULMEN_SEED ?? '').split(':')
const REPLAY = path.length > 0 ? { seed: Number(seed), path: path.join(':') } : {}
const CAPACITY = 4_000_000
/** Estimates, sat per 1,000 weight units. */
const LEAST = { us: 1_000, ldk: 750 }

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)

const steps = stepsWith({
  // LDK has one estimate for everything: what it asks of us at least is what it would pay itself.
  fees: { us: { min: LEAST.us, max: 2_900 }, them: { min: LEAST.ldk, max: LEAST.us } },
  many: 8,
})
/** Who closes either channel in the end, and whether that waits for the payments. */
const schedule = fc.record({ steps, closes: fc.tuple(side, side), early: fc.boolean() })

describe('random schedules with LDK of payments, lost connections, crashes of ours, fees and blocks, up to the close', () => {
  let w: World
  let stage: Stage
  const heard: LdkEvent[] = []
  beforeAll(async () => {
    w = await World.start({ autoclaim: false })
    stage = ldkStage(w)
    w.ldk.onEvent((e) => heard.push(e))
  })
  afterAll(() => w.stop())

  /** As every schedule finds it. What LDK would pay is never more than we would: it hangs up on who would not pay half of that for a close. */
  const estimate = async () => {
    w.ground.feerate = LEAST.us
    await w.ldk.cmd('set_feerate', { sat_per_kw: LEAST.ldk })
  }

  /** Both begin no close while the other is away, and LDK none with an HTLC to offer that it has not signed for. */
  const isNotYet = (e: Error & { code?: string }): false => {
    if (e.code === 'PEER_UNREACHABLE' || /with pending HTLCs|while peer is disconnected/.test(e.message)) return false
    throw e
  }
  const close = (channel: ChannelView, by: Side, life: Life): Promise<void> =>
    w.until('the close to begin', async () => {
      await life.connect()
      const asked: Promise<unknown> =
        by === 'us' ? w.us.service.closeChannel(channel.id, {}) : w.ldk.cmd('close', { channel: channel.channelId })
      return asked.then(() => true, isNotYet)
    })
  /** Every new estimate is a minute to LDK, and after two of them without an answer it hangs up, and says so. */
  const isOfLdksClock = (e: NodeEvent) => /timeout awaiting response/.test(String(e.data.message))

  /** The closing transaction, when both sides are content with it. */
  const closing = async (channel: ChannelView) => {
    const spender = () => w.ground.chain.mempool.spender(outpointKey(channel.funding!))
    await w.until('the closing transaction', () => spender() !== undefined)
    await w.until('LDK to be done with it', async () => !(await w.ldkChannel(channel)))
    return spender()!
  }

  /** Once it is mined: both have what was theirs. @returns what was ours, in msat */
  const checkEnd = async (channel: ChannelView, { tx, txid, fee }: Awaited<ReturnType<typeof closing>>) => {
    const view = () => w.us.service.channel(channel.id)
    await w.until('the end', async () => (await view()).closing?.resolved === true)
    const { localMsat, remoteMsat, isOpener, closing } = await view()
    expect(closing).toMatchObject({ how: 'cooperative', txid })
    const { last_local_balance_msat } = await w.ldk.waitFor('ChannelClosed', (e) => e.channel_id === channel.channelId)
    expect(last_local_balance_msat).toBe(Number(remoteMsat))
    // What either has less than a satoshi of goes to the miner, too.
    const agreed = fee - (localMsat % 1000n === 0n ? 0n : 1n)
    const [toUs, toLdk] = [localMsat / 1000n - (isOpener ? agreed : 0n), remoteMsat / 1000n - (isOpener ? 0n : agreed)]
    expect((await w.us.service.walletTransaction(txid)).netSat).toBe(toUs)
    expect(new Set(tx.outputs.map((o) => o.amountSat))).toEqual(new Set([toUs, toLdk]))
    return localMsat
  }

  /** How often LDK told of the end of this payment. */
  const told = ({ hash }: Payment): number =>
    heard.filter((e) => e.hash === hash && (e.event === 'PaymentSent' || e.event === 'PaymentClaimed')).length

  it('ends with both sides at one about every payment and every millisatoshi, on chain, too', async () => {
    const isKept = async (s: typeof schedule extends fc.Arbitrary<infer T> ? T : never): Promise<void> => {
      await estimate()
      for (const events of [heard, w.us.events]) events.length = 0
      const channels = [
        await w.openToLdk('anchors', CAPACITY, CAPACITY / 2),
        await w.openFromLdk('static_remotekey', CAPACITY, CAPACITY / 2),
      ]
      const had = sum(channels.map((c) => c.localMsat))
      const life = new Life(stage)
      for (const step of s.steps) await life.step(step)
      await life.calm()
      const closeAll = async () => {
        for (const [i, c] of channels.entries()) await close(c, s.closes[i]!, life)
      }
      if (s.early) await closeAll()
      await life.finish()
      await life.expectOneWord()
      for (const p of life.payments) expect(told(p)).toBeLessThanOrEqual(1)
      if (!s.early) {
        for (const c of channels) {
          await w.quiet(c.id)
          // An update may be on its way yet.
          await w.until('one feerate', async () => {
            const { feeratePerKw } = await w.us.service.channel(c.id)
            return (await w.ldkChannel(c))?.feerate === feeratePerKw
          })
        }
        await closeAll()
      }
      const closings = await Promise.all(channels.map(closing))
      await w.mine(6)
      const last = await Promise.all(channels.map((c, i) => checkEnd(c, closings[i]!)))
      expect(sum(last)).toBe(had + (await life.gainedMsat('us')))
      expect(w.us.events.filter((e) => e.type === 'node.alert' && !isOfLdksClock(e))).toEqual([])
      expect(w.refused()).toEqual([])
    }
    await fc.assert(fc.asyncProperty(schedule, isKept), { numRuns: RUNS, endOnFailure: true, ...REPLAY })
  })
})
