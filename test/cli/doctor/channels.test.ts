import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/api/auth/keys.ts'
import type { Finding } from '../../../src/api/checks/finding.ts'
import { createApi } from '../../../src/api/server.ts'
import { msat, sat } from '../../../src/base/units.ts'
import { state } from '../../../src/cli/doctor/online.ts'
import { FulmenClient } from '../../../src/client/index.ts'
import { DEFAULT_MARGINS } from '../../../src/node/margins.ts'
import { keys } from '../../../src/store/schema.ts'
import { type Name, type Snapshot, World } from '../../node/world.ts'

/* Nodes over a test's own network and chain, so that channels can be brought into any trouble. */

let base: Snapshot
let world: World
beforeAll(async () => {
  base = await World.pair(500_000, 100_000)
})
afterEach(() => world.close())

/** What the doctor says of the node, over its REST API. */
async function findings(name: Name): Promise<readonly Finding[]> {
  const { api } = world.of(name)
  const ring = (await world.attempt(KeyRing.open(api.apiStore)))!
  const app = createApi(api, { keys: ring })
  const key = (await world.attempt(ring.create('admin', ['*'])))!
  const viaInject = (async (url: string, init: RequestInit) => {
    const { pathname, search } = new URL(url)
    const answer = await app.inject({ method: 'GET', url: pathname + search, headers: init.headers as never })
    return new Response(answer.body, { status: answer.statusCode, headers: answer.headers as never })
  }) as unknown as typeof fetch
  const client = new FulmenClient({ url: 'http://127.0.0.1', key, fetch: viaInject })
  const self = (await client.keys.self())!
  const found = await state(client, self, DEFAULT_MARGINS.closeBeforeExpiry)
  await app.close()
  return found.findings
}
const worse = async (name: Name) => (await findings(name)).filter((f) => f.level !== 'ok')
const channelId = async (name: Name) => (await world.of(name).api.channels({ limit: 1 }, {})).items[0]!.id

describe('channels', () => {
  it('that are well', async () => {
    world = await World.start(['alice', 'bob'], base)
    expect(await worse('alice')).toEqual([])
    expect((await findings('alice')).map((f) => f.check)).toEqual([
      'ready',
      'peers',
      'channels',
      'liquidity',
      'wallet reserve',
    ])
  })

  it('whose peer is away', async () => {
    world = await World.start(['alice', 'bob'], base)
    world.crash('bob')
    await world.settle()
    expect(await worse('alice')).toMatchObject(
      [
        { check: 'peers', level: 'warning', cure: expect.stringContaining('fulmen peer connect') },
        { check: `channel ${await channelId('alice')}`, message: expect.stringContaining('the peer to connect') },
        { check: 'liquidity', message: 'no channel can be used now' },
      ].filter((f) => f.check === 'peers' || f.check === 'liquidity'),
    )
  })

  it('that wait for confirmations, and money on one side alone', async () => {
    world = await World.start(['alice', 'bob'])
    await world.fund()
    const { nodeId } = world.of('bob')
    const opening = world.of('alice').api.openChannel({ peer: nodeId, capacitySat: sat(400_000n) })
    await world.settle()
    const { id } = await opening
    expect(await worse('alice')).toMatchObject([
      { check: `channel ${id}`, level: 'warning', cure: 'wait for the blocks' },
      { check: 'liquidity' },
    ])
    await world.mine(6)
    expect(await worse('alice')).toMatchObject([{ check: 'liquidity', message: 'nothing can be received' }])
    expect(await worse('bob')).toMatchObject([{ check: 'liquidity', message: 'nothing can be paid' }])
  })

  it('whose end the wallet cannot pay for', async () => {
    const poor = await World.start(['alice', 'bob'])
    world = poor
    const { scriptPubKey } = await poor.of('alice').node!.reactor.run(() => poor.of('alice').node!.wallet.newAddress())
    poor.chain.mine(1, scriptPubKey)
    await poor.mine(100)
    await poor.open('alice', 'bob', 500_000, 100_000)
    expect(await worse('bob')).toMatchObject([
      { check: 'wallet reserve', level: 'problem', cure: 'send 10000 sat to an address of fulmen wallet address' },
    ])
    expect((await worse('alice')).map((f) => f.check)).toEqual([])
  })

  it('that a bug set aside', async () => {
    world = await World.start(['alice', 'bob'], base)
    const { channels, reactor } = world.of('alice').node!
    await reactor.run((scope) => channels.setAside(channels.all()[0]!, new Error('a bug'), scope))
    expect(await worse('alice')).toMatchObject([
      { check: `channel ${await channelId('alice')}`, level: 'problem', message: expect.stringContaining('set aside') },
      { check: 'liquidity', level: 'warning' },
    ])
  })

  it('that are in doubt after a lost write, until their peer has been there', async () => {
    const disk = new Map(base.disks.alice)
    disk.delete(keys.journal(3))
    world = await World.start(['alice'], { ...base, disks: { ...base.disks, alice: disk } })
    expect(await worse('alice')).toContainEqual(
      expect.objectContaining({ level: 'problem', message: expect.stringMatching(/^in doubt/) }),
    )
  })

  it('with an HTLC that is about to expire', async () => {
    world = await World.start(['alice', 'bob'], base)
    const paymentHash = 'ab'.repeat(32) as never
    const hold = (await world.attempt(
      world.of('bob').api.createInvoice({ amountMsat: msat(50_000_000n), paymentHash }),
    ))!
    await world.attempt(world.of('alice').api.pay({ bolt11: hold.bolt11 }))
    await world.settle()
    expect(await worse('alice')).toEqual([])
    const [htlc] = (await world.of('alice').api.channels({ limit: 1 }, {})).items[0]!.htlcs
    world.crash('bob')
    await world.mine(htlc!.cltvExpiry - world.of('alice').node!.chain.height - 10)
    expect(await worse('alice')).toContainEqual(
      expect.objectContaining({ level: 'problem', message: expect.stringContaining('expires in 10 blocks') }),
    )
  })
})
