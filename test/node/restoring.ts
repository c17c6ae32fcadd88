import { expect } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import type { StaticBackup } from '../../src/node/backup.ts'
import { onchainSat } from './accounts.ts'
import { type Name, type Snapshot, World } from './world.ts'

/** More than all fees of a close. */
const FEES = 20_000n
const CAPACITY = 1_000_000n
const PAID = 300_000n

/** Alice has opened a channel of 1,000,000 sat and paid Bob 300,000 in it. */
export interface Ground {
  readonly base: Snapshot
  readonly backup: StaticBackup
  /** What alice had on chain, in sat. */
  readonly before: bigint
}

export async function ground(): Promise<Ground> {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  const before = onchainSat(world).alice
  await world.open('alice', 'bob', Number(CAPACITY))
  await pay(world, 'alice', 'bob', PAID)
  // As it is after the next change of the set of channels, or the next start: the funding has confirmed.
  await world.of('alice').node!.backUp()
  const base = world.snapshot()
  const backup = world.of('alice').wholeBackup!
  world.close()
  return { base, backup, before }
}

async function pay(world: World, from: Name, to: Name, amountSat: bigint): Promise<void> {
  const { bolt11 } = await world.of(to).api.createInvoice({ amountMsat: (amountSat * 1000n) as never, description: '' })
  await world.of(from).api.pay({ bolt11 })
  await world.settle()
}
export const only = (world: World, name: Name) => world.of(name).node!.channels.all()[0]!
export const spender = (world: World, { backup }: Ground) =>
  world.chain.mempool.spender(outpointKey(backup.channels[0]!.funding))
export const pending = (world: World): number => [...world.chain.mempool.entries()].length
export const view = async (world: World) => (await world.of('alice').api.channels({ limit: 10 }, {})).items[0]!

/** Alice's disk is gone; she starts again on her seed and a backup. */
export async function restored(world: World, from: StaticBackup): Promise<void> {
  world.wipe('alice')
  world.of('alice').restoreFrom = from
  await world.boot('alice')
  world.of('alice').restoreFrom = null
}
/** Mines until nothing of the channel is left. */
export async function end(world: World): Promise<void> {
  for (let n = 0; n < 40 && only(world, 'alice').state.tag !== 'closed'; n++) await world.mine(1)
  expect(await view(world)).toMatchObject({ state: 'closed', waitsFor: null })
}
/** What the channel and its end have cost alice, beyond what she paid bob. */
export function expectAllButFees(world: World, { before }: Ground): void {
  const cost = before - PAID - onchainSat(world).alice
  expect(cost).toBeGreaterThan(0n)
  expect(cost).toBeLessThan(FEES)
}
