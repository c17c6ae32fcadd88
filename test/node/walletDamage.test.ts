import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { type Snapshot, World } from './world.ts'

/** Bob has paid alice, and she has paid him: each in a block of its own. Her wallet's records before, and after. */
let late: Snapshot
let early: ReadonlyMap<string, Uint8Array>
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  early = world.of('alice').disk.snapshot()
  const [alice, bob] = [world.of('alice').api, world.of('bob').api]
  const pay = async (from: typeof alice, to: typeof alice, amountSat: number): Promise<void> => {
    const { address } = (await world.attempt(to.newAddress()))!
    await world.attempt(from.sendOnChain({ outputs: [{ address, amountSat: sat(amountSat) }] }))
    await world.mine(1)
  }
  await pay(bob, alice, 77_000)
  await pay(alice, bob, 55_000)
  await world.mine(2)
  late = world.snapshot()
  world.close()
})

const RECORDS_DAMAGED = (count: number) => expect.stringMatching(`^RECORDS_DAMAGED: .* ${count} of wallet;`)
const isOfWallet = (key: string): boolean => key.startsWith('wallet/')
/** Alice's wallet has what the unspent set has for it, and nothing else, after a restart too; and it can spend it. */
async function expectWhole(disk: Map<string, Uint8Array>): Promise<readonly unknown[]> {
  const world = await World.start(['alice', 'bob'], { ...late, disks: { ...late.disks, alice: disk } })
  const alice = world.of('alice')
  for (const restart of [false, true]) {
    if (restart) await world.restart('alice')
    const { source, wallet } = alice.node!
    const { outputs } = await source.scanUnspent([...wallet.state.scripts.keys()].map(fromHex))
    expect([...wallet.state.coins.keys()].sort()).toEqual(outputs.map((o) => outpointKey(o.outpoint)).sort())
  }
  await world.settle()
  const { address } = (await world.attempt(world.of('bob').api.newAddress()))!
  const { onchainConfirmedSat } = await alice.api.balance()
  await world.attempt(alice.api.sendOnChain({ outputs: [{ address, amountSat: sat(onchainConfirmedSat - 100_000n) }] }))
  await world.mine(1)
  const alerts = (await alice.api.eventsSince(0, 5_000)).filter((e) => e.data.code !== undefined)
  expect((await alice.api.balance()).onchainConfirmedSat).toBeLessThan(100_001n)
  world.close()
  return alerts.map((e) => `${e.data.code}: ${e.data.message}`)
}

describe('a wallet that has lost records', () => {
  it('to a write that was lost has what the chain says: what came is there, and what went is gone', async () => {
    const disk = new Map([...late.disks.alice!].filter(([key]) => !isOfWallet(key)))
    for (const [key, value] of early) if (isOfWallet(key)) disk.set(key, value)
    const numbers = [...disk.keys()].filter((k) => k.startsWith('journal/'))
    disk.delete(numbers.at(-4)!)
    expect(await expectWhole(disk)).toEqual([])
  })

  it.each(['wallet/numbers', 'wallet/coin/', 'wallet/tx/'])(
    'as they are damaged has the same, and says so: %s',
    async (prefix) => {
      const disk = new Map(late.disks.alice!)
      const damaged = [...disk.keys()].filter((key) => key.startsWith(prefix))
      for (const key of damaged) disk.set(key, Uint8Array.of(0x93, 1))
      expect(await expectWhole(disk)).toEqual([RECORDS_DAMAGED(damaged.length)])
    },
  )

  it.each(['wallet/numbers', 'wallet/coin/', 'wallet/tx/'])(
    'one alone and without a trace has the same, and says so: %s',
    async (prefix) => {
      const disk = new Map(late.disks.alice!)
      disk.delete([...disk.keys()].findLast((key) => key.startsWith(prefix))!)
      expect(await expectWhole(disk)).toEqual([RECORDS_DAMAGED(1)])
    },
  )
})
