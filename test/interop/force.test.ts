import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import type { ChannelView } from '../../src/node/service.ts'
import { type Held, hold, settle, settled } from './held.ts'
import { World } from './world.ts'

const CAPACITY = 5_000_000
/** Far above all fees of a close together, so that a balance shows who got it. */
const PAID = 300_000_000
/** One that no commitment gives an output, and one that both do. */
const UNPAID = [2_000, 200_000_000]
const FEES = 10_000

interface Case {
  readonly channel: ChannelView
  readonly paid: Held
  readonly unpaid: Held
}

describe('BOLT 5 with LDK', () => {
  let w: World
  const cases: Case[] = []
  let before: { readonly us: number; readonly ldk: number }
  const funds = async () => ({
    us: Number((await w.us.service.wallet()).confirmedSat),
    ldk: (await w.ldk.cmd('getinfo')).wallet_sat,
  })
  beforeAll(async () => {
    w = await World.start()
    before = await funds()
  })
  afterAll(() => w.stop())
  afterEach(() => {
    expect(w.us.events.filter((e) => e.type === 'node.alert')).toEqual([])
    // LDK goes on to publish what has lost already; ours never does.
    expect(w.refused('fulmen')).toEqual([])
  })

  const open = (opener: 'us' | 'LDK', type: ChannelView['type']) =>
    opener === 'us' ? w.openToLdk(type, CAPACITY, CAPACITY / 2) : w.openFromLdk(type, CAPACITY, CAPACITY / 2)
  const forceClose = async (closer: 'us' | 'LDK', { id, channelId, funding }: ChannelView) => {
    if (closer === 'us') await w.us.service.closeChannel(id, { force: true })
    else await w.ldk.cmd('close', { channel: channelId, force: true })
    await w.until('the commitment', () => w.ground.chain.mempool.spender(outpointKey(funding!)) !== undefined)
  }
  const view = (channel: ChannelView) => w.us.service.channel(channel.id)

  it.each([
    { type: 'anchors', opener: 'us', closer: 'us' },
    { type: 'anchors', opener: 'LDK', closer: 'LDK' },
    { type: 'static_remotekey', opener: 'us', closer: 'LDK' },
    { type: 'static_remotekey', opener: 'LDK', closer: 'us' },
  ] as const)('$type, opened by $opener: $closer publishes, with HTLCs both ways', async ({ type, opener, closer }) => {
    const channel = await open(opener, type)
    const unpaid = await hold(w, UNPAID)
    // With the same expiry, this LDK would put both timeouts into one transaction, and never publish a valid one again.
    await w.mine()
    const paid = await hold(w, [PAID])
    await w.cut()
    await forceClose(closer, channel)
    await w.mine()
    const how = closer === 'us' ? 'local-force' : 'remote-force'
    await w.until('our view of the close', async () => (await view(channel)).closing?.how === how)
    await w.ldk.waitFor('ChannelClosed', (e) => e.channel_id === channel.channelId)
    await settle(w, paid)
    cases.push({ channel, paid, unpaid })
    await w.connect()
  })

  it('the payers of what was claimed with a preimage learn it from the chain', async () => {
    await w.mine(2)
    for (const { paid } of cases) await settled(w, paid)
  })

  it('everything else comes back on chain, a restart of ours in between', async () => {
    await w.us.stop()
    await w.us.restart()
    await w.connect()
    const isOpen = async () =>
      (await w.us.channels()).some((c) => !c.closing?.resolved) || (await w.ldk.cmd('balances')).length > 0
    for (let blocks = 0; blocks < 300 && (await isOpen()); blocks += 5) await w.mine(5)
    expect(await isOpen()).toBe(false)
    for (const { unpaid } of cases) {
      for (const { id } of unpaid.toLdk) expect((await w.settledPayment(id)).status).toBe('failed')
      for (const { hash } of unpaid.toUs) await w.ldk.waitFor('PaymentFailed', (e) => e.hash === hash)
    }
  })

  it('each side has what was its own, less fees', async () => {
    // A miner paid for the channels that LDK opened; ours cost us the half that LDK was given.
    await w.mine()
    const after = await funds()
    const [ours, ldks] = [after.us - before.us, after.ldk - before.ldk]
    expect(ours).toBeLessThan(0)
    expect(ours).toBeGreaterThan(-4 * FEES)
    expect(ldks).toBeLessThan(2 * CAPACITY)
    expect(ldks).toBeGreaterThan(2 * CAPACITY - 4 * FEES)
    for (const c of await w.us.channels()) expect(c.closing!.unclaimedSat).toBe(c.type === 'anchors' ? 660n : 0n)
  })

  it('with the connection up, the other side learns of it from an error message', async () => {
    const byUs = await open('us', 'anchors')
    await forceClose('us', byUs)
    const { reason } = await w.ldk.waitFor('ChannelClosed', (e) => e.channel_id === byUs.channelId)
    expect(reason).toContain('counterparty force-closed')

    const byLdk = await open('us', 'anchors')
    await forceClose('LDK', byLdk)
    await w.until('the error', () => w.us.events.some((e) => e.type === 'node.alert'))
    expect((await view(byLdk)).closing).not.toBe(null)
    const alerts = w.us.events.splice(0).filter((e) => e.type === 'node.alert')
    expect(alerts.map((e) => e.data)).toMatchObject([{ id: byLdk.id, code: 'PEER_ERROR', byPeer: true }])
    await w.mine()
    await w.until('one commitment to win', async () =>
      (await Promise.all([byUs, byLdk].map(view))).every((c) => c.closing!.confirmations > 0),
    )
    w.forgetVerdicts() // both were published
  })
})
