import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { ForwardView } from '../../src/node/analytics/views.ts'
import type { ChannelView, HtlcView } from '../../src/node/service.ts'
import { Life, type Step } from '../interop/life.ts'
import { isReal, type Real, type Stage } from '../interop/stage.ts'
import { type Side, side, stepsWith } from '../interop/steps.ts'
import { type FeeService, startFeeService } from './feeService.ts'
import { Books } from './forwardBooks.ts'
import { isOfOwnEnd, SETTLES_TWICE } from './linkEnds.ts'
import { type Lnd, withLnd } from './lnd.ts'
import { lndStage } from './lndStage.ts'
import { takenForReplays } from './replays.ts'
import type { Answer } from './rest.ts'
import { outpointText, World } from './world.ts'

/** FULMEN_RUNS=50 FULMEN_SEED=random npx vitest run test/lnd/forwardSchedule.test.ts looks longer: half a minute each. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 2)
/** FULMEN_SEED=seed:path, as a failure prints them, runs that schedule alone, up to what chance the three processes add. */
const [seed, ...path] = (process.env.FULMEN_SEED ?? '').split(':')
const REPLAY = path.length > 0 ? { seed: Number(seed), path: path.join(':') } : {}
const RUN_MS = 600_000
const START_MS = 180_000
const CAPACITY = 4_000_000
/** The first estimate of all, sat per 1,000 weight units. */
const FEERATE = 1_500
const FEES = { min: 1_000, max: 2_900 }
/** Of our balance in a channel, in percent, beyond which it makes room for a new one. */
const LOPSIDED = { below: 20, above: 80 }
/** Blocks until a close is over: HTLCs expire within 80, LND waits 144 for its balance. */
const MOST_BLOCKS = 400
const ANCHORS_SAT = 660
/** sat; an HTLC of less may have no output, or none that is worth its claim: BOLT 5 leaves it to the miner, or to whoever takes it. */
const SMALL = 6_000
/** How often LND's log is looked at for the end of a link. */
const LOOK_MS = 3_000
/** Our delay and theirs are short, and so is what LND asks for as a payee; it tries a way again that has failed it in an earlier payment. */
const LND_OPTIONS = [
  ...['--bitcoin.defaultremotedelay=30', '--bitcoin.timelockdelta=30'],
  ...['--routerrpc.apriori.penaltyhalflife=1s', '--routerrpc.minrtprob=0.001'],
]

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)
const total = (amounts: readonly number[]): number => amounts.reduce((a, b) => a + b, 0)
const policy = { base: 1_000n, millionths: 100n }

const REALS: readonly Real[] = ['them', 'erin']
const THROUGH_US = [
  { from: 'them', to: 'erin' },
  { from: 'erin', to: 'them' },
] as const
const WITH_US = REALS.flatMap((real) => [
  { from: real, to: 'us' as const },
  { from: 'us' as const, to: real },
])
const kill: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('kill' as const), real: fc.constantFrom(...REALS) })
const block: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('mine' as const) })
const bounds = {
  fees: { us: FEES, them: FEES },
  many: 30,
  reals: REALS,
  ends: [...THROUGH_US, ...THROUGH_US, ...THROUGH_US, ...WITH_US],
}
const force = fc.record({
  which: fc.nat(3),
  by: side,
  /** While the close is unconfirmed, or on chain. */
  after: stepsWith({ ...bounds, more: [kill, block, block, block, block] }).map((steps) => steps.slice(0, 15)),
})
const schedule = fc.record({ steps: stepsWith({ ...bounds, more: [kill] }), force: fc.option(force, { freq: 2 }) })
type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never
type Force = NonNullable<Schedule['force']>

/** dave (LND) – us – erin (LND), with two announced channels each, which live on from one schedule to the next. */
withLnd('random schedules of forwards between two real LNDs, with lost connections and crashes of all', () => {
  let w: World
  let fees: FeeService
  let stage: Stage
  let life: Life
  let books: Books
  /** Two with dave, and two with erin. */
  let channels: ChannelView[]
  /** Places of those that were closed by force in this schedule. */
  const forced = new Set<number>()
  const begin = async (): Promise<void> => {
    const options = [`--fee.url=${fees.url}`, ...LND_OPTIONS]
    w = await World.start([
      [...options, '--alias=dave'],
      [...options, '--alias=erin'],
    ])
    books = new Books(w)
    stage = watchful(lndStage(w, w.lnds[0]!, fees, w.lnds[1]!))
    for (const lnd of w.lnds) await w.connect(lnd)
    channels = []
    for (const at of [0, 1, 2, 3]) channels[at] = await open(at)
  }
  beforeAll(async () => {
    fees = await startFeeService(FEERATE)
    await begin()
  }, START_MS)
  afterAll(async () => {
    await w?.stop()
    fees.close()
  })

  const lndAt = (at: number): Lnd => w.lnds[at >> 1]!
  const view = (c: ChannelView) => w.us.service.channel(c.id)
  const views = () => Promise.all(channels.map(view))

  // ---------------------------------------------------------------- channels

  /** One of each pair is ours, and one of each type. */
  const open = (at: number): Promise<ChannelView> => {
    const size = { capacity: CAPACITY, push: CAPACITY / 2, announce: true } as const
    const type = at === 1 || at === 2 ? 'static_remotekey' : 'anchors'
    return at % 2 === 0 ? w.openTo(lndAt(at), { ...size, type }) : w.openFrom(lndAt(at), { ...size, type })
  }

  const isLopsided = ({ localMsat, capacitySat }: ChannelView): boolean => {
    const percent = Number(localMsat / 10n / capacitySat)
    return percent < LOPSIDED.below || percent > LOPSIDED.above
  }

  /** Ways of more than one hop are found with what gossip says. */
  const areKnown = async (): Promise<void> => {
    for (const [at, c] of channels.entries()) {
      const { chan_id } = await w.lndChannel(lndAt(at), c)
      for (const lnd of w.lnds) {
        await w.until('the channel in all graphs', () =>
          lnd.rest.get(`/v1/graph/edge/${chan_id}`).then(
            (edge) => edge.node1_policy !== null && edge.node2_policy !== null,
            () => false,
          ),
        )
      }
    }
  }

  /** New ones take the place of those that are closed or lopsided. */
  const renew = async (): Promise<void> => {
    for (const [at, c] of (await views()).entries()) {
      if (c.state === 'normal' && !isLopsided(c)) continue
      if (c.state === 'normal') {
        await w.us.service.closeChannel(c.id, {})
        await w.mineUntil(MOST_BLOCKS, async () => (await w.lndClosed(lndAt(at), c)) !== undefined)
      }
      channels[at] = await open(at)
    }
    await areKnown()
  }

  // ---------------------------------------------------------------- a force close

  const isSpent = async ({ funding }: ChannelView): Promise<boolean> =>
    (await w.rpc('gettxout', funding!.txid, funding!.index, true)) === null
  /** What either says of a close that the other, or a connection that has gone, made impossible. */
  const isVain = (e: Error & { code?: string }): boolean =>
    ['CHANNEL_CLOSING', 'CONFLICT'].includes(e.code!) || /not found|already|waiting close/i.test(e.message)
  const closeBy = (by: Side, c: ChannelView, lnd: Lnd): Promise<unknown> =>
    (by === 'us'
      ? w.us.orDeath(w.us.service.closeChannel(c.id, { force: true }))
      : w.lndCloses(lnd, c, { force: 'true' })
    ).catch((e) => {
      if (w.us.isDead || !isVain(e)) throw e
    })

  const forceClose = async ({ which, by }: Pick<Force, 'which' | 'by'>): Promise<void> => {
    const c = channels[which]!
    forced.add(which)
    await w.until('the close', async () => {
      if (await isSpent(c)) return true
      await life.orDeath(() => closeBy(by, c, lndAt(which)))
      return isSpent(c)
    })
  }

  /** What is left to do about a channel that closes, in the words of either; of LND's HTLCs those that it finds worth a claim. */
  const leftOf = async (c: ChannelView, lnd: Lnd): Promise<readonly unknown[]> => {
    const { closing, waitsFor } = await view(c)
    const { waiting_close_channels, pending_force_closing_channels } = await lnd.rest.get('/v1/channels/pending')
    const isIt = (p: Answer) => p.channel.channel_point === outpointText(c)
    const htlcs: readonly Answer[] = pending_force_closing_channels.find(isIt)?.pending_htlcs ?? []
    return [
      ...(closing?.resolved ? [] : [{ us: closing, waitsFor }]),
      ...waiting_close_channels.filter(isIt),
      ...htlcs.filter(({ amount }) => Number(amount) >= SMALL),
    ]
  }

  /** Blocks are about to come faster than they do: what we offer in channels that are open is answered before it could expire. */
  const answered = async (): Promise<void> => {
    const isOffered = async () =>
      (await views()).some((c, at) => !forced.has(at) && c.htlcs.some((h) => h.direction === 'out'))
    let refused = performance.now()
    await stage.until('what we offer to be answered', async () => {
      await life.connect()
      await life.words()
      if (!(await isOffered()) && (await owed()).every((which) => which === '')) return true
      if (performance.now() - refused < LOOK_MS) return false
      for (const p of await life.pending()) await life.refuse(p)
      refused = performance.now()
      return false
    })
  }

  /** Blocks, until nothing of the closes is left to do; words on held payments are given as they come. */
  const resolve = async (): Promise<void> => {
    const left = async () => (await Promise.all([...forced].map((at) => leftOf(channels[at]!, lndAt(at))))).flat()
    for (let blocks = 0; (await left()).length > 0; blocks++) {
      if (blocks > MOST_BLOCKS) throw new Error(`never resolved: ${JSON.stringify(await left(), text)}`)
      await answered()
      await w.mine()
    }
  }

  // ---------------------------------------------------------------- links that LND has ended by itself

  /** Places of channels that are of no use any more, by the log of their LND. */
  const ended = (): readonly number[] => {
    const told = w.lnds.map((lnd) =>
      lnd
        .log()
        .split('\n')
        .filter((line) => SETTLES_TWICE.test(line)),
    )
    const isEnded = (c: ChannelView, at: number) =>
      told[at >> 1]!.some((line) => line.includes(`ChannelLink(${outpointText(c)})`))
    return channels.flatMap((c, at) => (!forced.has(at) && isEnded(c, at) ? [at] : []))
  }
  /**
   * An LND that has died between its revoke_and_ack and the commitment_signed that it owes for the same sends that with its next update
   * only, unless the revoke_and_ack was lost, too (lnwallet/channel.go, ProcessChanSyncMsg; htlcswitch/link.go, toggleBatchTicker).
   */
  const isOwed = (h: HtlcView): boolean => h.state === (h.direction === 'in' ? 'removalAcked' : 'acked')
  /** Channels in which a signature is owed, with the first HTLC that waits for it. */
  const owed = async (): Promise<readonly string[]> =>
    (await views()).map((c, at) => {
      const waiting = forced.has(at) || !c.usable ? undefined : c.htlcs.find(isOwed)
      return waiting ? `${at}:${waiting.direction}:${waiting.id}` : ''
    })
  /** LND pays us over that channel, and so has an update to sign for. */
  const nudge = async (at: number): Promise<void> => {
    const amountMsat = 1_000
    const { bolt11, paymentHash } = await w.us.orDeath(w.us.service.createInvoice({ amountMsat: msat(amountMsat) }))
    const { chan_id } = await w.lndChannel(lndAt(at), channels[at]!)
    const stream = w.lndBegins(lndAt(at), { payment_request: bolt11, outgoing_chan_ids: [chan_id] })
    await stream.find(() => true)
    stream.close()
    const from = at < 2 ? 'them' : 'erin'
    life.payments.push({ from, to: 'us', amountMsat, hash: paymentHash, id: paymentHash, held: null })
  }

  /** While it waits for anything it looks for such faults of LND's, too. */
  const watchful = (bare: Stage): Stage => ({
    ...bare,
    until: (what, isTrue) => {
      let looked = performance.now()
      let owing: readonly string[] = []
      return bare.until(what, async () => {
        if (performance.now() - looked > LOOK_MS && !w.us.isDead) {
          looked = performance.now()
          if (ended().length > 0) throw new LinkEnded()
          const now = await owed()
          for (const [at, which] of now.entries()) if (which !== '' && which === owing[at]) await nudge(at)
          owing = now
        }
        return isTrue()
      })
    },
  })
  /** Does it; where LND ends a channel meanwhile that is closed by force, and it is done again. */
  const orEnded = async (act: () => Promise<void>): Promise<void> => {
    for (;;) {
      try {
        return await act()
      } catch (e) {
        if (!(e instanceof LinkEnded)) throw e
        for (const which of ended()) {
          console.warn(`closed by force, because LND has ended it by itself: ${SETTLES_TWICE.source}`)
          await forceClose({ which, by: 'us' })
        }
      }
    }
  }

  // ---------------------------------------------------------------- what has to be true

  /** Payer and payee have one word, but for small ones that had no output in a channel that went on chain: those may be the payee's loss. */
  const expectOneWord = async (): Promise<void> => {
    const replays = takenForReplays(w.lnds, life.payments)
    if (forced.size === 0) return life.expectOneWord(replays)
    for (const p of life.payments) {
      const [outcome, isReceived] = [await life.outcome(p), await life.isReceived(p)]
      if (p.amountMsat < SMALL * 1000 && outcome === 'failed') continue
      if (outcome === 'failed' && replays.includes(p)) continue
      expect([p, outcome]).toEqual([p, isReceived ? 'succeeded' : 'failed'])
    }
  }

  /** Of each forward that succeeded, our books have all parts once and with the fee that its payer paid, and of no other any. */
  const expectForwards = async (settled: readonly ForwardView[]): Promise<void> => {
    const replays = takenForReplays(w.lnds, life.payments)
    for (const f of settled) {
      expect(f.feeMsat).toBe(f.amountInMsat - f.amountOutMsat)
      expect(f.feeMsat).toBeGreaterThanOrEqual(
        Number(policy.base + (BigInt(f.amountOutMsat) * policy.millionths) / 1_000_000n),
      )
    }
    for (const p of life.payments.filter(({ from, to }) => isReal(from) && isReal(to))) {
      const parts = settled.filter((f) => f.paymentHash === p.hash)
      const told = w.us.events.filter((e) => e.type === 'forward.settled' && e.data.paymentHash === p.hash)
      expect(told.length).toBeLessThanOrEqual(parts.length)
      const { status, fee_msat } = await books.lndPayment(p)
      if (status !== 'SUCCEEDED') {
        expect([p, parts.filter((f) => !isMiners(f))]).toEqual([p, []])
        continue
      }
      expect([p, total(parts.map((f) => f.feeMsat))]).toEqual([p, Number(fee_msat)])
      if (forced.size > 0 || replays.includes(p)) continue
      expect([p, total(parts.map((f) => f.amountOutMsat))]).toEqual([p, p.amountMsat])
    }
  }
  /** The HTLC that came had no output in a channel that was closed before we could fulfil it there: its payer need not know that it was paid for. */
  const isMiners = ({ incomingChannelId, amountInMsat }: ForwardView): boolean =>
    amountInMsat < SMALL * 1000 && [...forced].some((at) => channels[at]!.channelId === incomingChannelId)
  it(
    'ends with one word on every payment, and with what we earned by forwards to the millisatoshi',
    async () => {
      const isKept = async ({ steps, force }: Schedule): Promise<void> => {
        w.estimates.feerate = FEERATE
        fees.feerate = FEERATE
        await renew()
        w.us.events.length = 0
        forced.clear()
        const [last] = await books.forwardsSince(-1).then((all) => all.slice(-1))
        const had = sum((await views()).map((c) => c.localMsat))
        const [coins, height] = [await books.inWallet(), await w.rpc('getblockcount')]
        life = new Life(stage)
        for (const step of steps) await orEnded(() => life.step(step))
        if (force) {
          await orEnded(() => forceClose(force))
          for (const step of force.after) await orEnded(() => life.step(step))
        }
        await life.calm()
        await orEnded(async () => {
          await resolve()
          await life.finish()
          for (const [at, c] of channels.entries()) {
            if (!forced.has(at)) await stage.until('the channel to be quiet', () => w.isQuiet(c.id, lndAt(at)))
          }
        })

        const settled = await books.forwardsSince(Number(last?.id ?? -1))
        await expectOneWord()
        await expectForwards(settled)
        expect(await books.pendingForwards()).toBe('0')
        const now = await views()
        expect(now.map((c) => c.state)).toEqual(now.map((_, at) => (forced.has(at) ? 'closed' : 'normal')))
        const earned = BigInt(total(settled.map((f) => f.feeMsat))) + (await life.gainedMsat('us'))
        const has = sum(now.filter((_, at) => !forced.has(at)).map((c) => c.localMsat))
        const lost = had + earned - has - ((await books.inWallet()) - coins) * 1000n
        const back = total(takenForReplays(w.lnds, life.payments).map((p) => p.amountMsat))
        expect(Number(lost)).toBeGreaterThanOrEqual(-forced.size * SMALL * 1000 - back)
        if (forced.size === 0) expect(Number(lost)).toBeLessThanOrEqual(0)
        else {
          const closed = [...forced].map((at) => channels[at]!)
          const most = (await books.feesSince(height, closed)) + forced.size * (ANCHORS_SAT + SMALL)
          expect(Number(lost)).toBeLessThanOrEqual(most * 1000)
        }
        expect(w.alerts().filter((e) => !channels.some((c, at) => isOfOwnEnd(lndAt(at), c, e)))).toEqual([])
      }
      await fc.assert(fc.asyncProperty(schedule, isKept), { numRuns: RUNS, endOnFailure: true, ...REPLAY })
    },
    RUNS * RUN_MS,
  )
})

/** A channel is of no use to its LND any more, as its log says. */
class LinkEnded extends Error {}

const text = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)
