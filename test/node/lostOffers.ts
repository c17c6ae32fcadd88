import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { channelOf, onchainOf } from '../../src/channel/describe.ts'
import { localBalance } from '../../src/channel/limits.ts'
import { onchainSat } from './accounts.ts'
import { type Name, nodeIdOf, type World } from './world.ts'

/** More than all fees of the close. */
export const FEES = 40_000n
export const AMOUNT = 100_000n
export const PREIMAGE = new Uint8Array(32).fill(7)
export const HASH = createHash('sha256').update(PREIMAGE).digest('hex') as PaymentHash

export const entryOf = (world: World, peer: Name) =>
  world
    .of('bob')
    .node!.channels.all()
    .find((e) => e.meta.peer === nodeIdOf(peer))!
export const stateOf = (world: World, peer: Name) => entryOf(world, peer).state
export const htlcsOf = (world: World, peer: Name) => {
  const { incoming, outgoing } = channelOf(stateOf(world, peer))!.commitments
  return { incoming: incoming.chunks.flat(), outgoing: outgoing.chunks.flat() }
}
export const statusOf = async (world: World) => (await world.of('alice').api.payment(HASH)).status

/** What was on Bob's disk. */
export type Disk = ReadonlyMap<string, Uint8Array>
export const isOffer = (localId: string) => (key: string) => key.startsWith(`channel/${localId}/add/out/`)

/** @returns the invoice that Carol keeps the payment of */
export async function invoice(world: World, sats = AMOUNT): Promise<{ readonly bolt11: string; readonly id: string }> {
  const amountMsat = msat(sats * 1000n)
  return world.of('carol').api.createInvoice({ amountMsat, description: '', paymentHash: HASH })
}

/**
 * Alice has paid Carol, who keeps it.
 * @returns what was on Bob's disk when he had heard of it first, when he had not offered it yet, and had already
 */
export async function forwarded(world: World) {
  const { bolt11, id } = await invoice(world)
  const { disk } = world.of('bob')
  const disks: Disk[] = []
  disk.judge = () => {
    disks.push(disk.snapshot())
    return null
  }
  await world.attempt(world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 }))
  await world.settle()
  disk.judge = () => null
  expect([await statusOf(world), htlcsOf(world, 'carol').outgoing]).toMatchObject(['pending', [{ stage: 'committed' }]])
  const has = (data: Disk): boolean => [...data.keys()].some(isOffer(entryOf(world, 'carol').meta.localId))
  const came = `channel/${entryOf(world, 'alice').meta.localId}/add/in/`
  const heard = disks.find((d) => [...d.keys()].some((key) => key.startsWith(came)))!
  return { id, heard, before: disks.findLast((d) => !has(d))!, after: disks.find(has)! }
}

/** Bob's process dies, and starts again on another content of his disk. @param gap the loss shows: a number of the journal is missing */
export async function putBack(world: World, data: Disk, gap = false, name: Name = 'bob'): Promise<void> {
  const { disk } = world.of(name)
  world.crash(name)
  await disk.wipe([...disk.snapshot().keys()])
  for (const [key, value] of data) await disk.harm(key, value)
  if (gap)
    await disk.wipe([
      [...data.keys()]
        .filter((key) => key.startsWith('journal/'))
        .sort()
        .at(-3)!,
    ])
  await world.boot(name)
}
export async function reconnect(world: World): Promise<void> {
  world.connectAll()
  await world.settle()
}
/** Bob's money: on chain, and in his channel with Alice. */
export function wealth(world: World): bigint {
  const channel = channelOf(stateOf(world, 'alice'))!
  return onchainSat(world).bob + localBalance(channel, channel.commitments.next.local) / 1000n
}
/** What of the channel with Carol pays out is there, less fees; what Alice paid for the forward, too. */
export function expectNothingLost(world: World, before: bigint): void {
  const gained = wealth(world) - before - 500_000n
  expect(gained).toBeGreaterThan(-FEES)
  expect(gained).toBeLessThanOrEqual(11n)
}
/** Carol closes her channels while Bob is away. */
export async function closeAlone(world: World): Promise<void> {
  const { api, node } = world.of('carol')
  world.crash('bob')
  for (const { meta } of node!.channels.all()) await world.attempt(api.closeChannel(meta.localId, { force: true }))
  await world.mine(1)
}
export async function endOfCarols(world: World): Promise<void> {
  for (let n = 0; n < 150 && stateOf(world, 'carol').tag !== 'closed'; n++) await world.mine(1)
  expect(stateOf(world, 'carol').tag).toBe('closed')
}
export const kindOf = (world: World) => onchainOf(stateOf(world, 'carol'))?.closing.kind
