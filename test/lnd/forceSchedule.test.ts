import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ChannelView, NodeEvent } from '../../src/node/service.ts'
import { Life, type Payment, type Step } from '../interop/life.ts'
import type { Stage } from '../interop/stage.ts'
import { type Side, side, stepsWith } from '../interop/steps.ts'
import { type FeeService, startFeeService } from './feeService.ts'
import { isOfOwnEnd } from './linkEnds.ts'
import { type Lnd, withLnd } from './lnd.ts'
import { lndStage } from './lndStage.ts'
import { takenForReplays } from './replays.ts'
import type { Answer } from './rest.ts'
import { outpointText, satOf, World } from './world.ts'

/** FULMEN_RUNS=50 FULMEN_SEED=random npx vitest run test/lnd/forceSchedule.test.ts looks longer: a minute each. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 1)
/** FULMEN_SEED=seed:path, as a failure prints them, runs that schedule alone, up to what chance the two processes add. */
const [seed, ...path] = (process.env.FULMEN_SEED ?? '').split(':')
const REPLAY = path.length > 0 ? { seed: Number(seed), path: path.join(':') } : {}
const RUN_MS = 600_000
const START_MS = 180_000
const CONNECT_MS = 10_000
const CAPACITY = 4_000_000
/** The first estimate of either, sat per 1,000 weight units. */
const FEERATE = 1_500
const FEES = { min: 1_000, max: 2_900 }
/** For our balance in a commitment of ours; by itself LND asks for 480 blocks. */
const DELAY = 30
/** Blocks after the closes in which words on held payments are given: nothing has expired by then. */
const TALK_BLOCKS = 12
/**
 * By then everything is over that has an end: LND's own delay comes after an expiry. Longer LND is not waited for: what it cannot pay for, or
 * what it had resolved and not yet written so when it died (contractcourt/channel_arbitrator.go, resolveContract), it has pending for good.
 */
const MOST_BLOCKS = 320
/** Both of them, in sat. */
const ANCHORS_SAT = 660
/** sat, below which a commitment at the highest of the feerates may have no output for an HTLC. */
const TRIMMED = 2_500
/** sat, below which claiming an output and sweeping what comes of it may cost more than it holds. */
const DEAR = 5_000

/**
 * What a mempool may say of a transaction that is right: the other side's commitment or claim is there, or has confirmed already;
 * or, before Core 30, a package has more parents in the mempool, and is handed over with those (chain/broadcaster.ts). Anything else, as of
 * scripts, signatures, locks, dust or fees, is a fault.
 */
const OVERTAKEN =
  /bad-txns-inputs-missingorspent|txn-mempool-conflict|insufficient fee, rejecting replacement|txn-already-known|outputs already in utxo set|package-not-child-with-unconfirmed-parents/

/** All that the evidence needs. */
const LOGGING = ['--debuglevel=debug']

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n)
const total = (amounts: readonly number[]): number => amounts.reduce((a, b) => a + b, 0)

const kill: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('kill' as const) })
const block: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('mine' as const) })
const bounds = { fees: { us: FEES, them: FEES }, many: 30 }
const channel = fc.record({ type: fc.constantFrom('anchors' as const, 'static_remotekey' as const), opener: side })
const end = fc.record({
  /** Who asks for a close together first, which the other close comes into. */
  together: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: side }),
  by: fc.constantFrom<Side | 'both'>('us', 'them', 'both'),
})
const schedule = fc.record({
  opened: fc.tuple(channel, channel),
  steps: stepsWith({ ...bounds, more: [kill] }),
  ends: fc.tuple(end, end),
  /** While the closes are unconfirmed, or on chain. */
  after: stepsWith({ ...bounds, more: [kill, block, block, block, block, block, block, block, block] }),
  /** Payments that wait for a word by then get none. */
  silent: fc.boolean(),
})
type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never
type End = Schedule['ends'][0]

/** Before the first step. */
interface Start {
  /** sat in the wallets */
  readonly us: number
  readonly them: number
  readonly height: number
}

withLnd('random schedules with a real LND that end by force, with payments in flight and crashes of either', () => {
  let w: World
  let lnd: Lnd
  let fees: FeeService
  let stage: Stage
  beforeAll(async () => {
    fees = await startFeeService(FEERATE)
    w = await World.start([[`--fee.url=${fees.url}`, `--bitcoin.defaultremotedelay=${DELAY}`, ...LOGGING]])
    lnd = w.lnds[0]!
    stage = lndStage(w, lnd, fees)
    await w.connect(lnd)
  }, START_MS)
  afterAll(async () => {
    await w?.stop()
    fees.close()
  })

  /** What LND says of links that end with a close by force. */
  const isOfLnd = (e: NodeEvent, channels: readonly ChannelView[]): boolean =>
    (e.data.code === 'PEER_ERROR' && /remote error$/.test(String(e.data.message))) ||
    channels.some((c) => isOfOwnEnd(lnd, c, e))

  const view = (c: ChannelView) => w.us.service.channel(c.id)
  const funds = async () => {
    const { confirmedSat, unconfirmedSat, lockedSat } = await w.us.service.wallet()
    expect([unconfirmedSat, lockedSat]).toEqual([0n, 0n])
    return { us: Number(confirmedSat), them: Number((await lnd.rest.get('/v1/balance/blockchain')).total_balance) }
  }

  const isSpent = async ({ funding }: ChannelView): Promise<boolean> =>
    (await w.rpc('gettxout', funding!.txid, funding!.index, true)) === null

  /**
   * Also for payments of LND's that are in flight by its records alone: it leaves out to fail those without an output in a commitment of ours
   * that confirms while it tries to publish its own (contractcourt/channel_arbitrator.go, stateStep: it goes past StateDefault, which does).
   */
  const restartLnd = (): Promise<void> => stage.them.kill!()

  const closes = {
    us: (c: ChannelView, force: boolean) => w.us.orDeath(w.us.service.closeChannel(c.id, { force })),
    them: (c: ChannelView, force: boolean) => w.lndCloses(lnd, c, force ? { force: 'true' } : { no_wait: 'true' }),
  }
  /** What either says of a close that the other, or a connection that has gone, made impossible. */
  const isVain = (e: Error & { code?: string }): boolean =>
    ['CHANNEL_CLOSING', 'CONFLICT', 'PEER_UNREACHABLE'].includes(e.code!) ||
    /not connected|offline|link not found|channel not found|already|waiting close|shutdown|insufficient fee|conflict/i.test(
      e.message,
    )
  const close = (c: ChannelView, by: Side, force: boolean): Promise<unknown> =>
    closes[by](c, force).catch(async (e) => {
      // LND hangs when it is told to close by force as it begins to close together (htlcswitch/link.go, Stop).
      if (/not in \d+ ms/.test(e.message)) await restartLnd()
      else if (w.us.isDead || !isVain(e)) throw e
    })

  const finishes = async (c: ChannelView, { together, by }: End, life: Life): Promise<void> => {
    if (together) await life.orDeath(() => close(c, together, false))
    const closers: readonly Side[] = by === 'both' ? ['us', 'them'] : [by]
    await stage.until('the close', async () => {
      if (await isSpent(c)) return true
      await life.orDeath(() => Promise.all(closers.map((who) => close(c, who, true))))
      return isSpent(c)
    })
  }

  /** Or what is left waits for fees that the schedule does not bring: how much that may be is in `expectMoney`. */
  const isResolved = async (c: ChannelView): Promise<boolean> => {
    const { closing, waitsFor } = await view(c)
    return closing?.resolved === true || /^lower fees/.test(waitsFor ?? '')
  }
  const isPending = async (channels: readonly ChannelView[]): Promise<boolean> => {
    const points = channels.map(outpointText)
    const { waiting_close_channels, pending_force_closing_channels } = await lnd.rest.get('/v1/channels/pending')
    const all = [...waiting_close_channels, ...pending_force_closing_channels]
    return all.some((p: Answer) => points.includes(p.channel.channel_point))
  }

  /** Blocks, until nothing of the channels is left to do. */
  const untilResolved = async (channels: readonly ChannelView[], life: Life, silent: boolean): Promise<void> => {
    const isOver = async () => (await Promise.all(channels.map(isResolved))).every((is) => is)
    for (let blocks = 0; blocks < MOST_BLOCKS && !((await isOver()) && !(await isPending(channels))); ) {
      await answers()
      await life.connect()
      const talks = blocks < TALK_BLOCKS
      if (talks && !silent) await life.words()
      const next = talks ? 1 : 6
      await w.mine(next)
      blocks += next
    }
    const left = await Promise.all(channels.map(async (c) => ((await isResolved(c)) ? [] : [(await view(c)).waitsFor])))
    expect(left.flat()).toEqual([])
  }

  /** It hangs over invoices of channels that have ended, too: it answers nothing about itself any more until its next start. */
  const answers = async (): Promise<void> => {
    await lnd.rest.get('/v1/getinfo').catch(async (e: Error) => {
      if (!/no answer in/.test(e.message)) throw e
      await restartLnd()
    })
  }
  /** Where it hangs so, it takes no connection of ours either (server.go, scheduledPeerConnection). */
  const connected = async (life: Life): Promise<void> => {
    const isConnected = async (): Promise<boolean> => {
      await life.connect()
      return w.isConnected(lnd)
    }
    await w.until('a connection', isConnected, CONNECT_MS).catch(async (e) => {
      if (!/already scheduled/.test(lnd.log())) throw e
      await restartLnd()
    })
  }

  /** Transactions in the blocks after this one, with their fees. */
  const minedSince = async (height: number): Promise<readonly Answer[]> => {
    const txs: Answer[] = []
    for (let at = height + 1; at <= (await w.rpc('getblockcount')); at++) {
      const { tx } = await w.rpc('getblock', await w.rpc('getblockhash', at), 2)
      txs.push(...tx.slice(1))
    }
    return txs
  }
  const feesOf = (txs: readonly Answer[]): number => total(txs.map((tx) => satOf(tx.fee)))
  const isOurs = ({ txid }: Answer): Promise<boolean> =>
    w.us.service.walletTransaction(txid).then(
      () => true,
      (e: { code?: string }) => {
        if (e.code !== 'NOT_FOUND') throw e
        return false
      },
    )

  /**
   * BOLT 5 §htlc-output-handling: an HTLC without an output fails once the commitment is deep, though its payee may have the preimage; so does
   * one whose output costs the payee more to claim than it holds. All else has one word.
   */
  const expectOneWord = async (life: Life, ends: readonly Answer[]): Promise<void> => {
    const outputs = new Set<number>(ends.flatMap((tx) => tx.vout.map((o: Answer) => satOf(o.value))))
    const replays = takenForReplays([lnd], life.payments)
    const isExcused = (p: Payment): boolean => {
      if (replays.includes(p)) return true
      const sat = Math.floor(p.amountMsat / 1000)
      return sat < (outputs.has(sat) ? DEAR : TRIMMED)
    }
    for (const p of life.payments) {
      const [outcome, isReceived] = [await life.outcome(p), await life.isReceived(p)]
      if (outcome === 'failed' && isReceived && isExcused(p)) continue
      expect([p, outcome]).toEqual([p, isReceived ? 'succeeded' : 'failed'])
    }
  }

  /** What was ours is in the wallet, less fees; what nobody has is too little to claim. */
  const expectMoney = async (life: Life, channels: readonly ChannelView[], start: Start): Promise<void> => {
    const after = await funds()
    const txs = await minedSince(start.height)
    const endOf = ({ funding }: ChannelView): Answer =>
      txs.find((tx) => tx.vin.some((i: Answer) => i.txid === funding!.txid && i.vout === funding!.index))
    const ends = channels.map(endOf)
    await expectOneWord(life, ends)
    const others = txs.filter((tx) => !ends.includes(tx))
    const areOurs = await Promise.all(others.map(isOurs))
    const paid = feesOf(others.filter((_, i) => areOurs[i])) + feesOf(channels.filter((c) => c.isOpener).map(endOf))
    const owed = sum(channels.map((c) => c.localMsat)) + (await life.gainedMsat('us'))
    const lost = Number(owed / 1000n) - (after.us - start.us)
    // What is small may be the miner's; either may have the anchors, which the opener pays for.
    const small = total(life.payments.map((p) => p.amountMsat / 1000).filter((sat) => sat < DEAR))
    const unknown = small + channels.length * ANCHORS_SAT
    const back = total(takenForReplays([lnd], life.payments).map((p) => p.amountMsat / 1000))
    expect(lost).toBeGreaterThanOrEqual(paid - unknown - back)
    expect(lost).toBeLessThanOrEqual(paid + unknown)
    const unclaimed = start.us + start.them + channels.length * CAPACITY - after.us - after.them - feesOf(txs)
    expect(unclaimed).toBeGreaterThanOrEqual(0)
    expect(unclaimed).toBeLessThanOrEqual(unknown)
  }

  it(
    'ends with one word on every payment, and with all that is ours in the wallet',
    async () => {
      const isKept = async (s: Schedule): Promise<void> => {
        w.estimates.feerate = FEERATE
        fees.feerate = FEERATE
        const channels: ChannelView[] = []
        for (const { type, opener } of s.opened) {
          const size = { type, capacity: CAPACITY, push: CAPACITY / 2 }
          channels.push(opener === 'us' ? await w.openTo(lnd, size) : await w.openFrom(lnd, size))
        }
        w.alerts()
        w.estimates.refusals.length = 0
        const start = { ...(await funds()), height: await w.rpc('getblockcount') }
        const life = new Life(stage)
        for (const step of s.steps) await life.step(step)
        for (const [i, c] of channels.entries()) await finishes(c, s.ends[i]!, life)
        for (const step of s.after) await life.step(step)
        await life.calm()
        await untilResolved(channels, life, s.silent)
        await connected(life)
        if ((await life.pending()).some((p) => p.from === 'them')) await restartLnd()
        await life.finish()
        await expectMoney(life, channels, start)
        expect(w.estimates.refusals.filter((r) => !OVERTAKEN.test(r))).toEqual([])
        expect(w.alerts().filter((a) => !isOfLnd(a, channels))).toEqual([])
      }
      await fc.assert(fc.asyncProperty(schedule, isKept), { numRuns: RUNS, endOnFailure: true, ...REPLAY })
    },
    RUNS * RUN_MS,
  )
})
