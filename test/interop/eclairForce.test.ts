import { cp } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChannelView } from '../../src/node/service.ts'
import { BITCOIND } from '../e2e/realNode.ts'
import { loseAllBut, putBack } from './disks.ts'
import { ECLAIR, NAMED } from './eclair/eclair.ts'
import { EclairWorld, type Held } from './eclair/world.ts'
import type { OurNode } from './ourNode.ts'

const MINUTES = 60_000
/** More than the fees of a close together, in sat. */
const FEES = 30_000n
const CAPACITY = 10_000_000

describe.skipIf(!BITCOIND || !ECLAIR)(`BOLT 5 and lost data with eclair ${NAMED}`, { timeout: 10 * MINUTES }, () => {
  let w: EclairWorld
  /** A node of ours with a channel to eclair. */
  let dave: OurNode
  beforeAll(async () => {
    w = await EclairWorld.start(BITCOIND!, ECLAIR!, {
      'features.option_provide_storage': 'optional',
      'peer-storage.write-delay': '100 milliseconds',
    })
    dave = await w.another()
    await dave.service.connectPeer({ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.eclair.port })
    await w.openToEclair(CAPACITY, CAPACITY / 2, dave)
  }, 5 * MINUTES)
  afterAll(() => w?.stop())

  const alerts = () => w.alerts().map((a) => a.code)
  const coins = async () => (await w.us.service.wallet()).confirmedSat
  const view = async ({ channelId }: ChannelView) => (await w.us.channels()).find((c) => c.channelId === channelId)!
  const spent = (channel: ChannelView) => w.until('a commitment', async () => (await w.chain.spender(channel)) !== null)
  /** Mines until all of the close is over on our side, and tells what the channel cost since `before`. */
  async function cost(channel: ChannelView, before: bigint): Promise<bigint> {
    for (let n = 0; n < 60 && !(await view(channel)).closing?.resolved; n++) await w.mine(6)
    expect((await view(channel)).closing?.resolved).toBe(true)
    return before - (await coins())
  }
  const minedUntil = (what: string, isTrue: () => Promise<boolean>) =>
    w.until(what, async () => {
      if (await isTrue()) return true
      await w.mine(6)
      return isTrue()
    })

  it.each(['us', 'eclair'] as const)('%s publishes, with HTLCs both ways', async (closer) => {
    const before = await coins()
    const channel = await w.openToEclair(CAPACITY)
    const paid = [await w.holdFromEclair(300_000_000), await w.holdThroughEclair(200_000_000, dave)]
    const unpaid: Held[] = []
    for (const amount of [2_000, 100_000_000])
      unpaid.push(await w.holdFromEclair(amount), await w.holdThroughEclair(amount, dave))
    await w.cut()
    if (closer === 'us') await w.us.service.closeChannel(channel.id, { force: true })
    else await w.eclair.call('forceclose', { channelId: channel.channelId })
    await spent(channel)
    await w.mine()
    const how = closer === 'us' ? 'local-force' : 'remote-force'
    await w.until('our view', async () => (await view(channel)).closing?.how === how)
    await w.until('eclair’s view', async () => (await w.stateOf(channel)) === 'CLOSING')
    for (const h of paid) await h.settle()
    const all = async (held: readonly Held[], status: string) =>
      (await Promise.all(held.map((h) => h.status()))).every((s) => s === status)
    await w.until('the preimages', async () => {
      await w.mine()
      return all(paid, 'succeeded')
    })
    // Half of the capacity is eclair's, and what we paid through it; what it paid us is ours.
    const lost = await cost(channel, before)
    expect(lost).toBeGreaterThan(4_900_000n)
    expect(lost).toBeLessThan(4_900_000n + FEES)
    await minedUntil('the failures', () => all(unpaid, 'failed'))
    await minedUntil('eclair’s end', async () => ['CLOSED', 'gone'].includes(await w.stateOf(channel)))
    expect(alerts()).toEqual([])
    await w.connect()
  })

  it('with the connection up, each closes when the other says that it does', async () => {
    const theirs = await w.openToEclair()
    await w.eclair.call('forceclose', { channelId: theirs.channelId })
    await w.until('the error', () => alerts().includes('PEER_ERROR'))
    expect((await view(theirs)).closing).not.toBe(null)
    const ours = await w.openToEclair()
    await w.us.service.closeChannel(ours.id, { force: true })
    await w.until('the error', async () => (await w.stateOf(ours)) === 'CLOSING')
    for (const c of [theirs, ours]) await cost(c, 0n)
    expect(alerts()).toEqual([])
  })

  it('we are back with a copy of long ago: eclair closes, and our share of what it knows is ours', async () => {
    const before = await coins()
    const channel = await w.openToEclair(2_000_000)
    const { dataDir } = w.us
    await w.us.stop()
    await cp(dataDir, `${dataDir}-copy`, { recursive: true })
    await w.us.restart()
    await w.connect()
    await w.usable(channel.id)
    for (let i = 0; i < 2; i++) await w.payUs(50_000_000)
    await w.quiet(channel.id)
    await w.us.stop()
    await putBack(`${dataDir}-copy`, dataDir)
    await w.us.restart()
    await w.connect()
    await spent(channel)
    expect(alerts()).toContain('DATA_LOSS')
    const lost = await cost(channel, before)
    expect((await view(channel)).closing!.how).toBe('remote-force')
    expect(lost).toBeGreaterThan(900_000n)
    expect(lost).toBeLessThan(900_000n + FEES)
  })

  describe.each(['asks us to close', 'publishes what it has revoked'] as const)(
    'eclair is back with a copy',
    (what) => {
      it(what, async () => {
        const before = await coins()
        const channel = await w.openToEclair(2_000_000)
        const { dataDir } = w.eclair
        await w.eclair.stop()
        await cp(dataDir, `${dataDir}-copy`, { recursive: true })
        await w.eclair.restart()
        await w.connect()
        await w.usable(channel.id)
        for (let i = 0; i < 2; i++) await w.payUs(50_000_000)
        await w.quiet(channel.id)
        await w.eclair.stop()
        await putBack(`${dataDir}-copy`, dataDir)
        await w.eclair.restart()
        if (what === 'asks us to close') await w.connect()
        else await w.eclair.call('forceclose', { channelId: channel.channelId })
        await spent(channel)
        const lost = await cost(channel, before)
        const { how } = (await view(channel)).closing!
        if (what === 'asks us to close') {
          expect(how).toBe('local-force')
          expect(lost).toBeGreaterThan(900_000n)
          expect(lost).toBeLessThan(900_000n + FEES)
        } else {
          expect(how).toBe('revoked')
          expect(lost).toBeLessThan(FEES)
          await w.connect()
        }
      })
    },
  )

  it('nothing but words and eclair’s address: it kept our backup, and closes', async () => {
    const before = await coins()
    const channel = await w.openToEclair(2_000_000)
    await w.payUs(50_000_000)
    await w.quiet(channel.id)
    // eclair stores with a delay, and at once when the connection ends.
    await w.cut()
    const peers = [{ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.link.port }]
    await loseAllBut({ backup: false, peers }, w.us)
    await spent(channel)
    const lost = await cost(channel, before)
    expect(lost).toBeGreaterThan(950_000n)
    expect(lost).toBeLessThan(950_000n + FEES)
  })
})
