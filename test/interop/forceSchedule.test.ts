import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import type { ChannelView, NodeEvent } from '../../src/node/service.ts'
import { closeBooks } from './closeBooks.ts'
import type { LdkBalance } from './ldk.ts'
import { ldkStage } from './ldkStage.ts'
import { Life, type Payment, type Step } from './life.ts'
import type { OurNode } from './ourNode.ts'
import type { Stage } from './stage.ts'
import { type Side, side, stepsWith } from './steps.ts'
import { World } from './world.ts'

/** FULMEN_RUNS=500 FULMEN_SEED=random npx vitest run test/interop/forceSchedule.test.ts looks longer, as npm run fuzz -- --suite ldk-force does. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 2)
const RUN_MS = 120_000
/** FULMEN_SEED=seed:path, as a failure prints them, runs that schedule alone, up to what chance the two processes add. */
const [seed, ...path] = (process.env.FULMEN_SEED ?? '').split(':')
const REPLAY = { ...(seed && { seed: Number(seed) }), ...(path.length > 0 && { path: path.join(':') }) }
const CAPACITY = 4_000_000
/** Estimates, sat per 1,000 weight units. */
const LEAST = { us: 1_000, ldk: 750 }
/** The least that nodes relay. */
const FLOOR = 253
/** Expiry after expiry, and the delay of LDK's own outputs after the last, with blocks to spare. */
const MOST_BLOCKS = 600
/** Beyond every expiry. */
const LEFT_BLOCKS = 350
/** msat, below which an HTLC may have no output, or one that costs more to claim than it holds. */
const SMALL = 6_000_000n
/** @source BOLT 3 §to_local_anchor-and-to_remote_anchor-output-option_anchors */
const ANCHOR_SAT = 330
/** What LDK adds to expiries at random, and what a hop of ours adds, are multiples of it. */
const HOP_DELTA = 40

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)

const between = (from: 'carol' | 'us' | 'them', to: 'carol' | 'us' | 'them') => ({ from, to })
const through = [between('carol', 'them'), between('them', 'carol')]
const bounds = {
  // LDK has one estimate for everything: what it asks of us at least is what it would pay itself.
  fees: { us: { min: LEAST.us, max: 2_900 }, them: { min: LEAST.ldk, max: LEAST.us } },
  many: 6,
  ends: [
    ...through,
    ...through,
    between('us', 'them'),
    between('them', 'us'),
    between('carol', 'us'),
    between('us', 'carol'),
  ],
}
const block: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('mine' as const) })
const channel = fc.record({ type: fc.constantFrom('anchors' as const, 'static_remotekey' as const), opener: side })
const end = fc.record({
  /** Who asks for a close together first, which the other one comes into, so many bytes later. */
  together: fc.option(fc.record({ by: side, bytes: fc.nat(2_000) }), { freq: 4 }),
  by: fc.constantFrom<Side | 'both'>('us', 'them', 'both'),
  /** Whether the connection is gone by then. */
  isCut: fc.boolean(),
})
/** The last ones wait at their payees when the channels end. */
const HELD = 10
const held = (s: Step): Step =>
  s.tag === 'pay'
    ? { ...s, kind: 'held' }
    : s.tag === 'many'
      ? { ...s, pays: s.pays.map((p) => ({ ...p, kind: 'held' })) }
      : s
const schedule = fc.record({
  opened: fc.tuple(channel, channel),
  steps: stepsWith(bounds).map((steps) => [...steps.slice(0, -HELD), ...steps.slice(-HELD).map(held)]),
  ends: fc.tuple(end, end),
  between: fc.array(
    fc.oneof(
      block,
      stepsWith(bounds).map((s) => s[0]!),
    ),
    { maxLength: 6 },
  ),
  /** While the closes are unconfirmed, or on chain, with blocks after each, some of which come in the same moment. */
  after: stepsWith({ ...bounds, more: [block, block, block] }).chain((steps) =>
    fc.tuple(
      ...steps.map((step) =>
        fc.record({
          step: fc.constant(step),
          blocks: fc.oneof(fc.nat(2), fc.nat(12)),
          atOnce: fc.integer({ min: 1, max: 3 }),
        }),
      ),
    ),
  ),
})
type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never
type End = Schedule['ends'][0]

describe('random schedules with LDK of channels that end by force, with payments and forwards in flight, and crashes of ours', () => {
  let w: World
  let carol: OurNode
  let stage: Stage
  /** Of the invoices of one schedule. */
  const expiries = new Set<number>()
  beforeAll(async () => {
    w = await World.start({ autoclaim: false })
    carol = await w.another()
    await w.openBetween(carol, w.us)
    stage = { ...ldkStage(w), finalDelta }
  })
  afterAll(() => w.stop())

  /**
   * No two HTLCs of LDK's expire in the same block: it takes those back in one transaction, and publishes no valid one again once we have
   * claimed one of them.
   */
  const finalDelta = (): number => {
    const { height } = w.ground.chain.state
    let delta = 20
    while (delta < 20 + HOP_DELTA && expiries.has((height + delta) % HOP_DELTA)) delta++
    expiries.add((height + delta) % HOP_DELTA)
    return delta
  }

  const view = (c: ChannelView) => w.us.service.channel(c.id)
  const hinted = async () => {
    const { bolt11 } = await carol.service.createInvoice({ amountMsat: msat(1) })
    const { invoice } = await w.ldk.cmd('create_invoice', { msat: 1 })
    return [bolt11, invoice].every((i) => decodeInvoice(i).routeHints.length > 0)
  }
  const quietCarol = () =>
    w.until('carol to be quiet', async () => (await carol.channels()).every((c) => c.htlcs.length === 0))
  /** Gives either side of the channel with carol the same again. */
  const level = async () => {
    const { localMsat, remoteMsat } = (await carol.channels())[0]!
    const [from, to, amount] =
      localMsat > remoteMsat ? [carol, w.us, localMsat - remoteMsat] : [w.us, carol, remoteMsat - localMsat]
    if (amount < 2_000_000n) return
    const { id } = await from.service.pay({ nodeId: to.nodeId, amountMsat: msat(amount / 2n) })
    expect((await w.settledPayment(id, from)).status).toBe('succeeded')
    await quietCarol()
  }
  const inChannels = async (node: OurNode) =>
    sum((await node.channels()).filter((c) => !c.closing).map((c) => c.localMsat))
  /** All that is ours, in msat. */
  const funds = async () => {
    const { confirmedSat, unconfirmedSat, lockedSat } = await w.us.service.wallet()
    expect([unconfirmedSat, lockedSat]).toEqual([0n, 0n])
    return confirmedSat * 1000n + (await inChannels(w.us))
  }
  const forwardFees = () =>
    sum(w.us.events.filter((e) => e.type === 'forward.settled').map((e) => BigInt(Number(e.data.feeMsat))))

  /** Every new estimate is a minute to LDK, and after two of them without an answer it hangs up, and says so. */
  const isOfLdksClock = (e: NodeEvent) => /timeout awaiting response/.test(String(e.data.message))
  /** What LDK says when it closes by force. */
  const isOfLdksClose = ({ data }: NodeEvent) =>
    data.code === 'PEER_ERROR' && /closed by command/.test(String(data.message))

  /** Once it has closed by force, LDK knows the channel no more, and makes up a channel_reestablish that has us close it, too (channel/forgotten.test.ts). */
  const isOfLdksOblivion = ({ data }: NodeEvent) =>
    data.code === 'PROTOCOL_VIOLATION' && /next_commitment_number is above 0 — it is 0/.test(String(data.message))
  /** Dozens of lives follow each other within minutes, with more connections than are told of one by one. */
  const isOfHaste = ({ data }: NodeEvent) => data.code === 'EVENTS_LEFT_OUT'

  // -------------------------------------------------------------- closes

  const isSpent = ({ funding }: ChannelView) => w.ground.chain.mempool.spender(outpointKey(funding!)) !== undefined
  const isClosing = async (c: ChannelView) => isSpent(c) || (await view(c)).closing !== null
  const closes = {
    us: (c: ChannelView, force: boolean): Promise<unknown> => w.us.orDeath(w.us.service.closeChannel(c.id, { force })),
    them: (c: ChannelView, force: boolean): Promise<unknown> => w.ldk.cmd('close', { channel: c.channelId, force }),
  }
  /** What either says of a close that the other, or a connection that has gone, made impossible. */
  const isVain = (e: Error & { code?: string }): boolean =>
    ['CHANNEL_CLOSING', 'CONFLICT', 'PEER_UNREACHABLE'].includes(e.code!) ||
    /no such channel|with pending HTLCs|while peer is disconnected|already/.test(e.message)
  const close = (c: ChannelView, by: Side, force: boolean): Promise<unknown> =>
    closes[by](c, force).catch((e) => {
      if (w.us.isDead || !isVain(e)) throw e
    })
  const finishes = async (c: ChannelView, { together, by, isCut }: End, life: Life): Promise<void> => {
    if (together) {
      await life.orDeath(() => close(c, together.by, false))
      await life.step({ tag: 'run', bytes: together.bytes })
    }
    if (isCut) w.link.cut()
    const closers: readonly Side[] = by === 'both' ? ['us', 'them'] : [by]
    await w.until('the close to begin', async () => {
      await life.orDeath(() => Promise.all(closers.map((who) => close(c, who, true))))
      return isClosing(c)
    })
  }

  const pending = async (life: Life) => {
    const outcomes = await Promise.all(life.payments.map((p) => life.outcome(p)))
    return life.payments.filter((_, i) => outcomes[i] === 'pending')
  }
  /** What is left to do about channels, in the words of either. @returns what LDK goes on to wait for, too */
  const open = async (channels: readonly ChannelView[], life: Life) => {
    const [ours, theirs] = [await Promise.all(channels.map(view)), await w.ldk.cmd('balances')]
    const hashes = new Set(life.payments.map((p) => p.hash))
    const left = theirs.filter((t) => isLeft(t) && hashes.has(t.hash!))
    const waiting = (await pending(life)).filter((p) => p.from !== 'them' || left.every((l) => l.hash !== p.hash))
    return {
      left,
      open: [
        ...ours.filter((c) => !c.closing?.resolved).map(({ closing, waitsFor }) => ({ closing, waitsFor })),
        ...theirs.filter((t) => !isLeft(t)),
        ...waiting,
      ],
    }
  }
  /**
   * Neither side pays more for a claim than it brings (BOLT 5 §general-requirements has nodes claim what is economical), and LDK waits for
   * the end of such an HTLC, and of its payment, for ever: it hands out no claim of less than its floor, or one of a fee that is not relayed,
   * and it fails what has an output only once that is spent (compute_package_output in its chain/package.rs).
   */
  const isLeft = ({ kind, amount }: LdkBalance) => kind.startsWith('Maybe') && BigInt(amount) * 1000n < SMALL
  /** @returns what LDK goes on to wait for */
  const untilResolved = async (channels: readonly ChannelView[], life: Life): Promise<readonly LdkBalance[]> => {
    for (let blocks = 0; ; blocks += 5) {
      const now = await open(channels, life)
      // What one of them may still take is taken within the blocks that anything else has until it expires.
      if (now.open.length === 0 && (now.left.length === 0 || blocks > LEFT_BLOCKS)) break
      // What costs more to claim than it holds waits for that.
      if (blocks === LEFT_BLOCKS) w.ground.feerate = FLOOR
      if (blocks > MOST_BLOCKS) throw new Error(`never resolved: ${text(now)}`)
      await life.connect()
      await w.mine(5)
    }
    await w.mine(1)
    return (await open(channels, life)).left
  }

  // -------------------------------------------------------------- what is asked

  /**
   * A small payment may be settled at the payee and failed at the payer once its channel is on chain: it has no output there, or one that
   * is not worth its claim. @source BOLT 5 §htlc-output-handling-local-commitment-local-offers: HTLCs without an output are failed
   * @returns those of which the two have no one word
   */
  const split = async (life: Life, left: readonly LdkBalance[]): Promise<readonly Payment[]> => {
    const found: Payment[] = []
    for (const p of life.payments) {
      const [outcome, isReceived] = [await life.outcome(p), await life.isReceived(p)]
      if (outcome === (isReceived ? 'succeeded' : 'failed')) continue
      const isWaiting = p.from === 'them' && left.some((l) => l.hash === p.hash)
      if (!isReceived && isWaiting) continue
      const allowed = [isWaiting ? 'pending' : 'failed', true, true]
      expect([p, outcome, isReceived, BigInt(p.amountMsat) < SMALL]).toEqual([p, ...allowed])
      found.push(p)
    }
    return found
  }

  it(
    'ends with one word on every payment, and with all that is ours in the wallet',
    async () => {
      const isKept = async (s: Schedule): Promise<void> => {
        w.ground.feerate = LEAST.us
        await w.ldk.cmd('set_feerate', { sat_per_kw: LEAST.ldk })
        await level()
        expiries.clear()
        const channels: ChannelView[] = []
        for (const { type, opener } of s.opened)
          channels.push(
            await (opener === 'us'
              ? w.openToLdk(type, CAPACITY, CAPACITY / 2)
              : w.openFromLdk(type, CAPACITY, CAPACITY / 2)),
          )
        await w.until('ways through us', hinted)
        for (const { events } of [w.us, carol]) events.length = 0
        w.forgetVerdicts()
        const had = { us: await funds(), carol: await inChannels(carol) }
        const since = { height: w.ground.chain.state.height, verdicts: w.ground.verdicts.length }
        const life = new Life(stage, carol)
        for (const step of s.steps) await life.step(step)
        for (const [i, c] of channels.entries()) {
          await finishes(c, s.ends[i]!, life)
          if (i === 0) for (const step of s.between) await life.step(step)
        }
        for (const { step, blocks } of s.after) {
          await life.step(step)
          for (let i = 0; i < blocks; i++) await life.step({ tag: 'mine' })
        }
        await life.calm()
        const left = await untilResolved(channels, life)
        await quietCarol()

        const unequal = await split(life, left)
        const books = closeBooks(w, channels, since)
        const owed = had.us + (await life.gainedMsat('us')) + forwardFees()
        const lost = owed - (await funds())
        const ended = await Promise.all(channels.map(view))
        const said = text({ lost, books, left, unequal, ended: ended.map((c) => c.closing) })
        const alerts = [w.us, carol].flatMap(({ events }) => events.filter((e) => e.type === 'node.alert'))
        const expected = [isOfLdksClock, isOfLdksClose, isOfLdksOblivion, isOfHaste]
        expect(alerts.filter((a) => !expected.some((isIt) => isIt(a)))).toEqual([])
        expect(books.refused).toEqual([])
        expect(await inChannels(carol)).toBe(had.carol + (await life.gainedMsat('carol')))
        expect((await carol.channels()).map((c) => c.state)).toEqual(['normal'])
        // The anchor that a child of ours spends was LDK's to pay for where LDK opened.
        const anchors = ended.filter((c) => c.type === 'anchors' && !c.isOpener).length
        expect(lost, said).toBeGreaterThanOrEqual((books.ownFees - BigInt(anchors * ANCHOR_SAT)) * 1000n)
        for (const amountSat of books.untaken) expect(amountSat * 1000n, said).toBeLessThan(SMALL)
        const fees = books.ownFees + books.notPaidOut + sum(books.untaken)
        expect(lost, said).toBeLessThanOrEqual(fees * 1000n + sum(unequal.map((p) => BigInt(p.amountMsat))))
      }
      await fc.assert(fc.asyncProperty(schedule, isKept), { numRuns: RUNS, endOnFailure: true, ...REPLAY })
    },
    RUNS * RUN_MS,
  )
})

const text = (value: unknown): string => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v))
