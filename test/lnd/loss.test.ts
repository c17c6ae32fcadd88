import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loseAllBut, putBack } from '../interop/disks.ts'
import { type Lnd, withLnd } from './lnd.ts'
import type { Answer } from './rest.ts'
import { outpointText, World } from './world.ts'

/** More than the fees of a close together, at the feerate that LND falls back to. */
const FEES = 30_000n

withLnd('data that is lost, with a real LND', () => {
  let w: World
  let lnd: Lnd
  beforeAll(async () => {
    w = await World.start([[]])
    lnd = w.lnds[0]!
    await w.connect(lnd)
  })
  afterAll(() => w?.stop())
  const coins = async () => (await w.us.service.wallet()).confirmedSat

  /** Mines until our side of the last channel is over, and tells what that cost since `before`. */
  const cost = async (before: bigint): Promise<bigint> => {
    const last = async () => (await w.us.channels())[0]!
    await w.mine()
    await w.until('our view of the close', async () => (await last()).closing !== null)
    await w.mineUntil(12, async () => (await last()).closing!.resolved)
    expect((await last()).closing).toMatchObject({ how: 'remote-force', resolved: true })
    return before - (await coins())
  }

  it.each(['anchors', 'static_remotekey'] as const)(
    '%s: with the words and a backup, LND closes on request, and our share is ours',
    async (type) => {
      const before = await coins()
      const channel = await w.openTo(lnd, { type })
      expect((await w.payUs(lnd, 50_000_000)).status).toBe('settled')
      await w.quiet(channel.id, lnd)
      await loseAllBut({ backup: true }, w.us)
      await w.until('the commitment', async () => (await w.spender(channel)) !== undefined)
      const paid = await cost(before)
      expect(paid).toBeGreaterThan(350_000n)
      expect(paid).toBeLessThan(350_000n + FEES)
    },
  )

  it('on a copy of long ago we publish nothing, and have LND close', async () => {
    await w.connect(lnd)
    const before = await coins()
    const channel = await w.openTo(lnd)
    const { dataDir } = w.us
    await w.us.stop()
    cpSync(dataDir, `${dataDir}-old`, { recursive: true })
    await w.us.restart()
    await w.connect(lnd)
    await w.usable(channel.id, lnd)
    expect((await w.payUs(lnd, 50_000_000)).status).toBe('settled')
    await w.quiet(channel.id, lnd)
    await w.us.stop()
    await putBack(`${dataDir}-old`, dataDir)
    w.alerts()
    await w.us.restart()
    await w.connect(lnd)
    await w.until('the commitment', async () => (await w.spender(channel)) !== undefined)
    const paid = await cost(before)
    expect(paid).toBeGreaterThan(350_000n)
    expect(paid).toBeLessThan(350_000n + FEES)
    expect(w.alerts().map((e) => e.data.code)).toContain('DATA_LOSS')
  })

  it('when LND has nothing but its own backup, we close on request', async () => {
    await w.connect(lnd)
    const channel = await w.openTo(lnd)
    expect((await w.payLnd(lnd, 50_000_000)).status).toBe('succeeded')
    await w.quiet(channel.id, lnd)
    const { multi_chan_backup } = await lnd.rest.get('/v1/channels/backup')
    await lnd.halt()
    for (const name of ['channel.db', 'sphinxreplay.db', 'wtclient.db'])
      rmSync(join(lnd.dir, 'data/graph/regtest', name), { force: true })
    await lnd.restart()
    await lnd.rest.post('/v1/channels/backup/restore', { multi_chan_backup: multi_chan_backup.multi_chan_backup })
    await w.connect(lnd)
    await w.until('our commitment', async () => (await w.spender(channel)) !== undefined)
    expect((await w.us.service.channel(channel.id)).closing!.how).toBe('local-force')
    const waits = async (): Promise<Answer> => {
      const all = await lnd.rest.get('/v1/channels/pending')
      const closing = [...all.waiting_close_channels, ...all.pending_force_closing_channels]
      return closing.find((p) => p.channel.channel_point === outpointText(channel))
    }
    await w.mineUntil(12, async () => (await waits()) === undefined)
    expect(Number((await w.lndClosed(lnd, channel)).settled_balance)).toBe(450_000)
  })
})
