import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { Node } from '../../src/node/node.ts'
import { peersFirst } from '../../src/node/peersFirst.ts'
import { type Snapshot, World } from './world.ts'

const NOW = 1_800_000_000_000
const HASH = createHash('sha256').update(new Uint8Array(32).fill(7)).digest('hex') as PaymentHash

/** Alice's disk is put back as it was when an HTLC of hers hung, which has been failed and has expired since. */
let copiedBack: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  const { api } = world.of('bob')
  const { bolt11, id } = await api.createInvoice({ amountMsat: msat(50_000_000), paymentHash: HASH })
  await world.attempt(world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 }))
  await world.settle()
  const hanging = () => world.channelsOf('bob')[0]!.commitments.incoming.chunks.flat()
  for (let n = 0; n < 1_000 && hanging()[0]?.stage !== 'committed'; n++) await world.settle()
  const { cltvExpiry } = hanging()[0]!.add
  const alice = world.of('alice').disk.snapshot()
  await world.attempt(api.cancelInvoice(id))
  await world.settle()
  expect(hanging()).toEqual([])
  await world.mine(cltvExpiry - world.chain.state.height + 20)
  const { blocks, disks } = world.snapshot()
  copiedBack = { blocks, disks: { ...disks, alice } }
  world.close()
})

const published = (world: World): number => [...world.chain.mempool.entries()].length

describe('a disk that is put back from a snapshot, after which an HTLC in it has expired', () => {
  it('hears from the peer that its commitment is revoked before the deadline is met, and publishes nothing', async () => {
    const world = await World.start(['alice', 'bob'], copiedBack, { peersFirstMs: 20_000 })
    const state = () => world.of('alice').node!.channels.all()[0]!.state
    expect(state()).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
    await world.mine(1)
    expect(state()).toMatchObject({ onchain: { how: 'remote-force' } })
    world.close()
  })

  it('would have it published, and lose the channel, if the chain were quicker than the peer', async () => {
    const world = await World.start(['alice'], copiedBack)
    expect([world.of('alice').node!.channels.all()[0]!.state.tag, published(world) > 0]).toEqual(['closing', true])
    world.close()
  })

  it('waits for no peer for ever: the deadline counts when nobody comes', async () => {
    const world = await World.start(['alice'], copiedBack, { peersFirstMs: 200 })
    expect([world.of('alice').node!.channels.all()[0]!.state.tag, published(world) > 0]).toEqual(['closing', true])
    world.close()
  })

  it.each([
    ['is of now, and all blocks are here', { height: 100 }, false],
    ['is some blocks ahead', { height: 106 }, true],
    ['was put back with it, and catches up itself', { height: 100, syncing: true }, true],
    ['was put back with it, and has heard of no block since', { height: 100, time: NOW / 1000 - 3_601 }, true],
    ['has a block of the last hour', { height: 100, time: NOW / 1000 - 3_599 }, false],
  ])('gives peers time, or none, where the Bitcoin node %s', async (_what, tip, waits) => {
    let looks = 0
    const all = () => {
      looks++
      return []
    }
    const source = { tip: async () => ({ syncing: false, ...tip }) }
    const node = { source, chain: { height: 100 }, channels: { all }, now: () => NOW } as unknown as Node
    await peersFirst(node, new AbortController().signal)
    expect(looks > 0).toBe(waits)
  })
})
