import { cp, rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import { World } from './world.ts'

/** More than the fees of a close together. */
const FEES = 10_000n

describe('BOLT 2 §message-retransmission with LDK: a copy of long ago', () => {
  let w: World
  beforeAll(async () => {
    w = await World.start()
  })
  afterAll(() => w.stop())

  it.each(['anchors', 'static_remotekey'] as const)(
    '%s: publishes nothing, has LDK close, and takes its share of what LDK knows',
    async (type) => {
      const coins = async () => (await w.us.service.wallet()).confirmedSat
      const before = await coins()
      const channel = await w.openToLdk(type, 1_000_000, 400_000)
      const { dataDir } = w.us
      const copy = `${dataDir}-copy`
      await w.us.stop()
      await cp(dataDir, copy, { recursive: true })
      await w.us.restart()
      await w.connect()
      await w.usable(channel.id)
      for (let i = 0; i < 3; i++) expect((await w.payUs(50_000_000)).status).toBe('settled')
      expect((await w.quiet(channel.id)).localMsat).toBe(750_000_000n)

      await w.us.stop()
      await rm(dataDir, { recursive: true })
      await cp(copy, dataDir, { recursive: true })
      await rm(copy, { recursive: true })
      const heard = w.ground.verdicts.length
      const from = (who: 'fulmen' | 'ldk') => w.ground.verdicts.slice(heard).filter((v) => v.from === who)
      await w.us.restart()
      await w.connect()
      const spender = () => w.ground.chain.mempool.spender(outpointKey(channel.funding!))
      await w.until('the commitment', () => spender() !== undefined)
      const alerts = () => w.us.events.filter((e) => e.type === 'node.alert' && e.data.id === channel.id)
      expect(alerts().map((e) => e.data.code)).toEqual(['DATA_LOSS'])
      expect(from('ldk').map((v) => v.txid)).toContain(spender()!.txid)
      expect(from('fulmen')).toEqual([])

      const view = () => w.us.service.channel(channel.id)
      await w.mine()
      await w.until('our claim', () => from('fulmen').length === 1)
      await w.mine(6)
      await w.until('the end', async () => (await view()).closing?.resolved === true)
      expect((await view()).closing!.how).toBe('remote-force')
      const cost = before - (await coins())
      expect(cost).toBeGreaterThan(250_000n)
      expect(cost).toBeLessThan(250_000n + FEES)
    },
  )
})
