import { beforeAll, describe, expect, it } from 'vitest'
import { pack } from '../../src/base/pack.ts'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import type { IncomingHtlc } from '../../src/channel/types.ts'
import { OnionsSeen } from '../../src/node/onionsSeen.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { keys } from '../../src/store/schema.ts'
import type { Op } from '../../src/store/types.ts'
import { channelId } from '../routing/network.ts'
import { type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

describe('BOLT 4 §onion-decryption: a payment whose HMAC was received before (onion replay)', () => {
  it('goes no further: while the first is held, after that failed, and after a restart', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    await world.settle()
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    const paymentHash = '22'.repeat(32) as never
    const { bolt11 } = await carol.api.createInvoice({ amountMsat: msat(400_000), description: '', paymentHash })
    await alice.api.pay({ bolt11, timeoutSeconds: 1 })
    await world.settle()
    const entry = () => alice.node!.channels.all()[0]!
    const { amountMsat, cltvExpiry, onion } = [...eachHtlc(channelOf(entry().state)!.commitments.outgoing)][0]!.add
    const replay = async (attempt: number) => {
      const origin = { tag: 'payment', paymentHash, attempt } as const
      await alice.node!.reactor.run((scope) => {
        alice.node!.channels.command(entry(), { tag: 'addHtlc', amountMsat, paymentHash, cltvExpiry, onion, origin })
        alice.node!.channels.drain(scope)
      })
      await world.settle()
    }
    const cameTo = (name: 'bob' | 'carol', at: number) =>
      Number(channelOf(world.of(name).node!.channels.all()[at]!.state)!.commitments.nextIncomingId)

    await replay(7)
    expect([cameTo('bob', 0), cameTo('carol', 0)]).toEqual([2, 1])
    await carol.api.cancelInvoice(paymentHash)
    await world.settle()
    await replay(8)
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    await replay(9)
    expect([cameTo('bob', 0), cameTo('carol', 0)]).toEqual([4, 1])
    expect(channelOf(entry().state)!.commitments.outgoing.size).toBe(0)
    expect(bob.complaints).toEqual([])
    world.close()
  })
})

describe('the list of onions', () => {
  const htlc = (id: number, onion: number, cltvExpiry = 100): IncomingHtlc => ({
    channelId: channelId(1),
    id: BigInt(id),
    amountMsat: msat(1n),
    paymentHash: '00'.repeat(32) as never,
    cltvExpiry,
    onion: new Uint8Array(1366).fill(onion, 1334),
  })
  /** Runs a turn on the list, and writes what it wrote. */
  const turn = async (driver: MemoryDriver, list: OnionsSeen, act: (scope: TurnScope) => void) => {
    const ops: Op[] = []
    const scope = { write: (op: Op) => void ops.push(op) } as TurnScope
    act(scope)
    list.endOfTurn(scope)
    await driver.batch(ops)
    return ops.length
  }

  it('takes an HTLC that is there again for the same, also after a restart, and any other with its onion for a replay', async () => {
    const driver = new MemoryDriver()
    const list = new OnionsSeen(driver)
    const first: boolean[] = []
    const writes = await turn(driver, list, () => {
      for (const n of [1, 2]) first.push(list.isReplay(htlc(n, n), 50))
    })
    expect([first, writes]).toEqual([[false, false], 1])
    const later = new OnionsSeen(driver)
    await later.load()
    for (const l of [list, later])
      expect(
        [
          [1, 1],
          [2, 2],
          [3, 1],
          [1, 2],
        ].map(([id, o]) => l.isReplay(htlc(id!, o!), 50)),
      ).toEqual([false, false, true, true])
    expect(await turn(driver, later, () => {})).toBe(0)
  })

  it('tells channels apart that a peer has funded until their ids began alike, and knows what an earlier version has noted', async () => {
    const driver = new MemoryDriver()
    const of = (end: string, onion: number) => ({
      ...htlc(1, onion),
      channelId: `${'ab'.repeat(8)}${end.repeat(48)}` as never,
    })
    const owner = `${'ab'.repeat(8)}:1`
    await driver.batch([{ key: keys.onionsAt(1), value: pack({ onions: [['02'.repeat(16), owner]], until: 100 }) }])
    const list = new OnionsSeen(driver)
    await list.load()
    expect(list.isReplay(of('1', 1), 50)).toBe(false)
    expect(list.isReplay(of('1', 1), 50)).toBe(false)
    expect(list.isReplay(of('2', 1), 50)).toBe(true)
    expect(list.isReplay(of('1', 2), 50)).toBe(false)
  })

  it('forgets what has expired, what would for longer than any forward may last, and the oldest of too many', async () => {
    const driver = new MemoryDriver()
    const list = new OnionsSeen(driver, 3)
    const see = (id: number, expiry: number) => turn(driver, list, () => void list.isReplay(htlc(id, id, expiry), 50))
    await see(1, 60)
    await see(2, 400_000_000)
    await turn(driver, list, (scope) => list.review(60, scope))
    expect(list.size).toBe(2)
    await turn(driver, list, (scope) => list.review(61, scope))
    expect(list.size).toBe(1)
    await turn(driver, list, (scope) => list.review(50 + 2017, scope))
    expect([list.size, driver.snapshot().size]).toEqual([0, 0])
    for (const id of [3, 4, 5, 6, 7]) await see(id, 90)
    expect([list.size, driver.snapshot().size]).toEqual([3, 3])
    expect([4, 5].map((onion) => list.isReplay(htlc(9, onion), 50))).toEqual([false, true])
  })
})
