import { afterEach, describe, expect, it } from 'vitest'
import { Alerts } from '../../src/api/alerts/alerts.ts'
import { PATIENCE_MS } from '../../src/api/alerts/record.ts'
import { reserve } from '../../src/api/checks/channels.ts'
import { walletJson } from '../../src/api/views.ts'
import { sat } from '../../src/base/units.ts'
import type { ChannelTypeName } from '../../src/channel/types.ts'
import { restored } from './restoring.ts'
import { Stranger } from './stranger.ts'
import { nodeIdOf, World } from './world.ts'

const CHANNELS = 12
const P2WPKH = Uint8Array.of(0, 20, ...new Uint8Array(20).fill(1))
const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

const start = async (anchorReserveSat?: bigint): Promise<World> => {
  const world = await World.start(['alice', 'bob'], undefined, {
    ...(anchorReserveSat !== undefined && { anchorReserveSat: sat(anchorReserveSat) }),
  })
  worlds.push(world)
  return world
}
const sendsAll = async (world: World) => {
  const { api } = world.of('alice')
  const { address } = await world.of('bob').api.newAddress()
  await world.attempt(api.sendOnChain({ outputs: [{ address, amountSat: 'all' }], feerateSatPerVbyte: 1 }))
  await world.mine(1)
  return api.wallet()
}

// BOLT 3 §to_local_anchor-and-to_remote_anchor-output-option_anchors: commitments are paid for by a child of theirs
describe('what the wallet keeps to close channels with anchors', () => {
  it('is there for each of them, the twelfth too, and nothing that people send takes it', async () => {
    const world = await start()
    await world.fund(1)
    for (let n = 0; n < CHANNELS; n++) await world.open('alice', 'bob', 1_000_000)
    expect(await sendsAll(world)).toMatchObject({ reservedSat: 120_000n, confirmedSat: 120_000n })
  })

  it('is what the operator says for each: none, or as much as suits high fees', async () => {
    for (const each of [0n, 50_000n]) {
      const world = await start(each)
      await world.fund(1)
      for (let n = 0; n < 2; n++) await world.open('alice', 'bob', 1_000_000)
      expect(await sendsAll(world)).toMatchObject({ reservedSat: 2n * each, confirmedSat: 2n * each })
    }
  })

  it('is nothing for channels that strangers ask for and do not fund, whatever they say in them', async () => {
    const world = await start()
    await world.fund(1)
    await world.open('alice', 'bob', 1_000_000)
    for (let n = 0; n < 3; n++) {
      const stranger = new Stranger(world, 500 + n)
      await stranger.connect(nodeIdOf('alice'))
      for (let k = 0; k < 4; k++) {
        const channelId = (await stranger.open())!
        expect(channelId).not.toBeNull()
        if (k === 3) stranger.say({ type: 'shutdown', channelId, scriptPubKey: P2WPKH })
      }
      await world.settle()
      await stranger.leave()
    }
    const phases = world
      .of('alice')
      .node!.channels.all()
      .map(({ state }) => ('from' in state ? state.from : state).tag)
    const unfunded = [...Array(9).fill('await-ready'), ...Array(3).fill('negotiating')]
    expect(phases.toSorted()).toEqual([...unfunded, 'normal'])
    expect(await sendsAll(world)).toMatchObject({ reservedSat: 10_000n, confirmedSat: 10_000n })
  })

  it('is nothing for what came from a backup, which has no commitment to pay for: all coins are there, though the peer is gone', async () => {
    const world = await start()
    await world.fund(1)
    await world.open('alice', 'bob', 1_000_000)
    const { address } = await world.of('bob').api.newAddress()
    world.crash('bob')
    await restored(world, world.of('alice').wholeBackup!)
    await world.mine(1)
    const { api, node } = world.of('alice')
    expect((await api.wallet()).confirmedSat).toBeGreaterThan(100_000n)
    expect(node!.channels.all().map(({ state }) => state.tag)).toEqual(['waiting-for-peer'])
    await world.attempt(api.sendOnChain({ outputs: [{ address, amountSat: 'all' }], feerateSatPerVbyte: 1 }))
    await world.mine(1)
    expect(await api.wallet()).toMatchObject({ reservedSat: 0n, confirmedSat: 0n, unconfirmedSat: 0n })
  })

  it.each<[ChannelTypeName, bigint, string]>([
    ['anchors', 1_000_000n, '10000 sat are kept back so that anchor channels can be closed'],
    ['anchors', 1_015_000n, 'opened'],
    ['static_remotekey', 1_001_000n, 'opened'],
  ])('an opening with %s from %d sat', async (type, has, outcome) => {
    const world = await start()
    await world.fund(1)
    const { api } = world.of('alice')
    const { address } = await world.attempt(api.newAddress()).then((a) => a!)
    const coin = { address, amountSat: sat(has) }
    await world.attempt(world.of('bob').api.sendOnChain({ outputs: [coin], feerateSatPerVbyte: 1 }))
    const { address: elsewhere } = await world.of('bob').api.newAddress()
    const utxos = (await api.utxos()).filter((u) => u.amountSat !== has).map((u) => u.outpoint)
    const outputs = [{ address: elsewhere, amountSat: 'all' }] as const
    await world.attempt(api.sendOnChain({ outputs, feerateSatPerVbyte: 1, utxos }))
    await world.mine(1)
    expect((await api.wallet()).confirmedSat).toBe(has)
    const request = { peer: nodeIdOf('bob'), capacitySat: sat(1_000_000n), type, feerateSatPerVbyte: 1 }
    const opening = api.openChannel(request).then(
      () => 'opened',
      (e: Error) => e.message,
    )
    await world.settle()
    expect(await opening).toContain(outcome)
  })

  it('may be missing where a peer opens the first channel to an empty wallet: it is accepted, and the operator is told once', async () => {
    const world = await World.start(['alice', 'bob'])
    worlds.push(world)
    world.crash('bob')
    await world.fund(1)
    await world.boot('bob')
    world.connectAll()
    await world.mine(1)
    expect(await world.open('alice', 'bob', 1_000_000)).toMatchObject({ state: 'normal', usable: true })

    const { api, complaints } = world.of('bob')
    let nowMs = 0
    const look = async () => ({ findings: reserve(walletJson(await api.wallet())), unknown: new Set<string>() })
    const alerts = new Alerts({ service: api, now: () => nowMs, look, onError: (e) => complaints.push(e) })
    await alerts.load()
    for (let n = 0; n < 3; n++) {
      await world.attempt(alerts.look())
      nowMs += PATIENCE_MS.WALLET_RESERVE_SHORT!
    }
    expect(complaints).toMatchObject([
      { code: 'WALLET_RESERVE_SHORT', message: expect.stringContaining('0 sat confirmed of the 10000 sat') },
    ])
    const { address } = (await world.attempt(api.newAddress()))!
    const outputs = [{ address, amountSat: sat(10_000n) }]
    await world.attempt(world.of('alice').api.sendOnChain({ outputs, feerateSatPerVbyte: 1 }))
    await world.mine(1)
    await world.attempt(alerts.look())
    expect(alerts.list(() => true)).toMatchObject([{ code: 'WALLET_RESERVE_SHORT', clearedAt: expect.any(String) }])
  })
})
