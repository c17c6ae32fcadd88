import { cpSync, rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ChannelView } from '../../src/node/service.ts'
import { type Held, hold, settle, settled } from './held.ts'
import { type Lnd, withLnd } from './lnd.ts'
import type { Answer } from './rest.ts'
import { outpointText, World } from './world.ts'

const CAPACITY = 5_000_000
/** Far above all fees of a close together, so that a balance shows who got it. */
const PAID = 300_000_000
/** One that no commitment gives an output, and one that both do. */
const UNPAID = [2_000, 200_000_000]
/** At the feerate that LND falls back to, 25 sat per vbyte. */
const FEES = 60_000
/** LND starts again twice. */
const SLOW_MS = 120_000
type Who = 'us' | 'LND'

withLnd('closing by force with a real LND', () => {
  let w: World
  let lnd: Lnd
  beforeAll(async () => {
    w = await World.start([['--bitcoin.defaultremotedelay=10']])
    lnd = w.lnds[0]!
    await w.connect(lnd)
  })
  afterAll(() => w?.stop())

  const open = (opener: Who, type: ChannelView['type']) => {
    const size = { type, capacity: CAPACITY, push: CAPACITY / 2 }
    return opener === 'us' ? w.openTo(lnd, size) : w.openFrom(lnd, size)
  }
  const view = (channel: ChannelView) => w.us.service.channel(channel.id)
  /** What LND still has to do about a closed channel. */
  const pending = async (channel: ChannelView): Promise<Answer> => {
    const all = await lnd.rest.get('/v1/channels/pending')
    const closing = [...all.waiting_close_channels, ...all.pending_force_closing_channels]
    return closing.find((p) => p.channel.channel_point === outpointText(channel))
  }
  const funds = async () => ({
    us: Number((await w.us.service.wallet()).confirmedSat),
    lnd: Number((await lnd.rest.get('/v1/balance/blockchain')).confirmed_balance),
  })
  const force = async (closer: Who, channel: ChannelView) => {
    if (closer === 'us') await w.us.service.closeChannel(channel.id, { force: true })
    else await w.lndCloses(lnd, channel, { force: 'true' })
    await w.until('the commitment', async () => (await w.spender(channel)) !== undefined)
  }

  describe('with HTLCs both ways', () => {
    const cases: { readonly channel: ChannelView; readonly paid: Held; readonly unpaid: Held }[] = []
    let before: Awaited<ReturnType<typeof funds>>
    beforeAll(async () => {
      before = await funds()
    })
    afterEach(() => expect(w.alerts()).toEqual([]))

    it.each([
      { type: 'anchors', opener: 'us', closer: 'us' },
      { type: 'anchors', opener: 'LND', closer: 'LND' },
      { type: 'static_remotekey', opener: 'us', closer: 'LND' },
      { type: 'static_remotekey', opener: 'LND', closer: 'us' },
    ] as const)('$type, opened by $opener: $closer publishes', async ({ type, opener, closer }) => {
      const channel = await open(opener, type)
      const [unpaid, paid] = [await hold(w, lnd, UNPAID), await hold(w, lnd, [PAID])]
      await w.cut(lnd)
      await force(closer, channel)
      await w.mine()
      const how = closer === 'us' ? 'local-force' : 'remote-force'
      await w.until('our view of the close', async () => (await view(channel)).closing?.how === how)
      await settle(lnd, paid, w.us)
      cases.push({ channel, paid, unpaid })
      await w.connect(lnd)
    })

    it('the payers of what was claimed with a preimage learn it from the chain', async () => {
      for (let i = 0; i < 6; i++) await w.mine()
      for (const { paid } of cases) await settled(w, paid)
    })

    it('everything else comes back on chain', async () => {
      const open = async () => [
        ...(await w.us.channels()).filter((c) => !c.closing?.resolved),
        ...(await Promise.all(cases.map((c) => pending(c.channel)))).filter((p) => p !== undefined),
      ]
      for (let n = 0; n < 250 && (await open()).length > 0; n += 5) await w.mine(5)
      expect(await open()).toEqual([])
      for (const { unpaid } of cases) {
        for (const { id } of unpaid.toLnd) expect((await w.settledPayment(id)).status).toBe('failed')
        for (const { payment } of unpaid.toUs) await payment.find((p) => p.status === 'FAILED')
      }
    })

    it('each side has what was its own, less fees', async () => {
      // Half of what each opened is the other's.
      const after = await funds()
      for (const who of ['us', 'lnd'] as const) {
        expect(after[who] - before[who]).toBeLessThan(0)
        expect(after[who] - before[who]).toBeGreaterThan(-4 * FEES)
      }
    })
  })

  describe('with a commitment that is revoked', () => {
    const copy = (from: string, to: string) => cpSync(from, to, { recursive: true })
    const old = (dir: string) => `${dir}-old`
    /** The other way round: what is in `dir` is lost. */
    const putBack = (dir: string) => {
      rmSync(dir, { recursive: true })
      copy(old(dir), dir)
      rmSync(old(dir), { recursive: true })
    }

    it('LND publishes it, and we take all', { timeout: SLOW_MS }, async () => {
      const channel = await open('us', 'anchors')
      await lnd.halt()
      copy(lnd.dir, old(lnd.dir))
      await lnd.restart()
      await w.connect(lnd)
      await w.usable(channel.id, lnd)
      expect((await w.payUs(lnd, PAID)).status).toBe('settled')
      await w.quiet(channel.id, lnd)
      const before = await funds()

      await w.us.stop()
      await lnd.halt()
      putBack(lnd.dir)
      await lnd.restart()
      await force('LND', channel)
      await w.rpc('generatetoaddress', 1, (await lnd.rest.get('/v1/newaddress')).address)
      await w.us.restart()
      await w.until('our view', async () => (await view(channel)).closing?.how === 'revoked')
      await w.mineUntil(12, async () => (await view(channel)).closing!.resolved)
      expect((await funds()).us - before.us).toBeGreaterThan(CAPACITY - FEES)
    })

    it('we publish it, and LND takes all', { timeout: SLOW_MS }, async () => {
      await w.connect(lnd)
      const channel = await open('LND', 'anchors')
      const { dataDir } = w.us
      await w.us.stop()
      copy(dataDir, old(dataDir))
      await w.us.restart()
      await w.connect(lnd)
      await w.usable(channel.id, lnd)
      expect((await w.payLnd(lnd, PAID)).status).toBe('succeeded')
      await w.quiet(channel.id, lnd)

      await lnd.halt()
      await w.us.stop()
      putBack(dataDir)
      await w.us.restart()
      await force('us', channel)
      await lnd.restart()
      await w.mineUntil(20, async () => (await w.lndClosed(lnd, channel)) !== undefined && !(await pending(channel)))
      expect((await w.lndClosed(lnd, channel)).close_type).toBe('BREACH_CLOSE')
    })
  })
})
