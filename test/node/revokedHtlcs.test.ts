import { expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { RevokedHtlc } from '../../src/channel/htlc.ts'
import { REVOKED_PREFIX } from '../../src/channel/persist.ts'
import { encodeRevoked } from '../../src/channel/revokedRecord.ts'
import { revokedIn } from '../../src/node/revokedHtlcs.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { keys } from '../../src/store/schema.ts'
import { World } from './world.ts'

const PAYMENTS = 3

it('what is kept to punish by stays until the end of its channel is 100 blocks deep, and goes then, also in the face of crashes', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  const alice = world.of('alice')
  for (const kept of [false, true]) {
    const { id } = await world.open('alice', 'bob', 500_000, 100_000)
    for (let n = 0; n < PAYMENTS; n++) {
      const { bolt11 } = await world.of('bob').api.createInvoice({ amountMsat: msat(5_000_000n) })
      await world.attempt(alice.api.pay({ bolt11 }))
      await world.settle()
    }
    const left = (): number =>
      [...alice.disk.snapshot().keys()].filter((k) => k.includes(`${id}/${REVOKED_PREFIX}`)).length
    expect(left()).toBe(PAYMENTS)
    if (kept) continue
    await world.attempt(alice.api.closeChannel(id, { force: true }))
    await world.settle()
    for (let n = 0; n < 20; n++) await world.mine(1)
    expect((await alice.api.channel(id)).state).toBe('closed')
    await world.mine(80)
    expect(left()).toBe(PAYMENTS)

    // The process dies with the batch that would delete them.
    alice.disk.judge = (ops) => {
      const isDrop = ops.some((op) => op.key.includes(REVOKED_PREFIX) && op.value === undefined)
      return isDrop ? { tag: 'die', kept: [] } : null
    }
    for (let n = 0; n < 30 && alice.node; n++) await world.mine(1)
    expect([alice.node, left()]).toEqual([null, PAYMENTS])
    await world.boot('alice')
    world.connectAll()
    await world.settle()
    expect(left()).toBe(0)
  }
  const all = [...alice.disk.snapshot().keys()].filter((k) => k.includes(REVOKED_PREFIX))
  expect(all.length).toBe(PAYMENTS)
  world.close()
})

it('a damaged record keeps no other from being punished by', async () => {
  const driver = new MemoryDriver()
  const key = (n: number): string => keys.channel('a', `${REVOKED_PREFIX}${n}`)
  const htlc = (n: number): RevokedHtlc => ({
    ...{ direction: 'out', amountMsat: msat(n), paymentHash: `${n}`.repeat(64) as PaymentHash },
    ...{ cltvExpiry: 500, remoteFrom: n, remoteTo: n + 10 },
  })
  await driver.batch([1, 2, 3].map((n) => ({ key: key(n), value: encodeRevoked(htlc(n)) })))
  expect(await revokedIn(driver, 'a', 5)).toEqual({ htlcs: [1, 2, 3].map(htlc), unreadable: 0 })
  for (const damaged of [encodeRevoked(htlc(2)).slice(0, 30), new Uint8Array(0)]) {
    await driver.batch([{ key: key(2), value: damaged }])
    expect(await revokedIn(driver, 'a', 5)).toEqual({ htlcs: [1, 3].map(htlc), unreadable: 1 })
  }
})
