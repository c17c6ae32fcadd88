import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import { msat } from '../../src/base/units.ts'
import { REVOKED_PREFIX } from '../../src/channel/persist.ts'
import type { Bookable, Booked } from '../../src/node/recordBook.ts'
import type { NodeEvent } from '../../src/node/service.ts'
import { keys } from '../../src/store/schema.ts'
import type { Range } from '../../src/store/types.ts'
import { Disk } from './disk.ts'
import { type Snapshot, World } from './world.ts'

/* What a start and a page read must not grow with the history: counted, not timed. */

let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 500_000, 100_000)
  const { bolt11 } = (await world.attempt(world.of('bob').api.createInvoice({ amountMsat: msat(5_000_000n) })))!
  await world.attempt(world.of('alice').api.pay({ bolt11 }))
  await world.settle()
  base = world.snapshot()
  world.close()
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** The disk as it would be after so many payments more, each a copy of the one that was made. */
function longer(disk: ReadonlyMap<string, Uint8Array>, payments: number): ReadonlyMap<string, Uint8Array> {
  const all = new Map(disk)
  const last = (prefix: string) =>
    [...disk.keys()]
      .filter((key) => key.startsWith(prefix))
      .sort()
      .at(-1)!
  const [payment, event] = [last('payment/'), last('event/')]
  const booked = unpack<Booked<Bookable>>(disk.get(payment)!)
  const copied = unpack<NodeEvent>(disk.get(event)!)
  const revoked = [...disk.keys()].find((key) => key.includes(`/${REVOKED_PREFIX}`))!
  const head = revoked.slice(0, revoked.lastIndexOf('/') + 1)
  for (let n = 1; n <= payments; n++) {
    const paymentHash = n.toString(16).padStart(64, '0') as Bookable['paymentHash']
    const seq = booked.seq + n
    const id = n.toString(16).padStart(24, '0')
    all.set(
      keys.record('payment', paymentHash),
      pack({ ...booked, id, seq, record: { ...booked.record, paymentHash } }),
    )
    for (const status of ['all', booked.record.status])
      all.set(keys.recordAt('payment', status, seq), pack(paymentHash))
    all.set(keys.recordId('payment', id), pack(paymentHash))
    all.set(keys.event(copied.id + n), pack({ ...copied, id: copied.id + n }))
    all.set(`${head}${1_000_000 + n}`, disk.get(revoked)!)
  }
  all.set(keys.sumsPosition, pack(copied.id + payments))
  return all
}

/** Entries that Alice's disk is asked for, by what is done with her node. */
async function reads(payments: number): Promise<{ start: number; page: number }> {
  let count = 0
  const entries = Disk.prototype.entries
  vi.spyOn(Disk.prototype, 'entries').mockImplementation(async function* (this: Disk, range: Range) {
    for await (const entry of entries.call(this, range)) {
      count++
      yield entry
    }
  })
  const disks = { ...base.disks, alice: longer(base.disks.alice!, payments) }
  const world = await World.start(['alice'], { ...base, disks })
  const start = count
  const { api } = world.of('alice')
  const first = await api.payments({ limit: 20 }, {})
  const cursor = String(Math.floor(payments / 2)).padStart(16, '0')
  await api.payments({ limit: 20, cursor }, { status: 'succeeded' })
  expect(first.items).toHaveLength(Math.min(20, payments + 1))
  world.close()
  vi.restoreAllMocks()
  return { start, page: count - start }
}

describe('a long history', () => {
  it('is not read when the node starts, nor for a page of a list', async () => {
    const [short, long] = [await reads(50), await reads(3_000)]
    expect(long).toEqual(short)
    expect(short.page).toBeLessThanOrEqual(2 * 21)
  })
})
