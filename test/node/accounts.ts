import { unpack } from '../../src/base/pack.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { localBalance, remoteBalance } from '../../src/channel/limits.ts'
import { walletBalance } from '../../src/wallet/status.ts'
import type { Life } from './life.ts'
import { NAMES, type Name, type World } from './world.ts'

export type Balances = Record<Name, bigint>
const nothing = (): Balances => ({ alice: 0n, bob: 0n, carol: 0n })

interface End {
  readonly name: Name
  readonly localMsat: bigint
  readonly remoteMsat: bigint
}

/**
 * What each node has in channels that are not over.
 * @throws when the two ends of a channel do not say the same
 */
export function channelMsat(world: World): Balances {
  const ends = new Map<string, End[]>()
  for (const { name, node } of world.alive) {
    for (const { state } of node!.channels.all()) {
      const channel = channelOf(state)
      if (channel === null || state.tag === 'closing' || state.tag === 'closed') continue
      const totals = channel.commitments.next.local
      const end = { name, localMsat: localBalance(channel, totals), remoteMsat: remoteBalance(channel, totals) }
      const { channelId } = channel.params
      ends.set(channelId, [...(ends.get(channelId) ?? []), end])
    }
  }
  const sums = nothing()
  for (const [id, [a, b]] of ends) {
    if (a?.localMsat !== b?.remoteMsat || a?.remoteMsat !== b?.localMsat) {
      throw new Error(
        `the ends of channel ${id} disagree: ${a?.localMsat}/${a?.remoteMsat}, ${b?.localMsat}/${b?.remoteMsat}`,
      )
    }
    for (const end of [a!, b!]) sums[end.name] += end.localMsat
  }
  return sums
}

/** What each node owns on chain. */
export function onchainSat(world: World): Balances {
  const sums = nothing()
  for (const { name, node } of world.alive) {
    const b = walletBalance(node!.wallet.state)
    sums[name] = b.confirmedSat + b.unconfirmedSat + b.immatureSat + b.lockedSat
  }
  return sums
}

/** What each node should have gained by payments, by its own records: received, less paid with fees, and earned by forwards. */
export async function gainedMsat({ world }: Life): Promise<Balances> {
  const sums = nothing()
  for (const name of NAMES) {
    const { payments, driver } = world.of(name).node!
    for (const book of [payments.outgoing, payments.invoices] as const) {
      for (const { record } of (await book.page({ limit: 1_000 }, undefined)).items) {
        if ('attempts' in record) {
          for (const a of record.attempts) if (a.status === 'succeeded') sums[name] -= a.amountMsat + a.feeMsat
        } else if (record.status === 'settled') for (const h of record.htlcs) sums[name] += h.amountMsat
      }
    }
    for await (const [, value] of driver.entries({ gte: 'forward/', lt: 'forward0' })) {
      sums[name] += BigInt(unpack<{ feeMsat: number }>(value).feeMsat)
    }
  }
  return sums
}
