import type { Channel } from '../../api/schemas.ts'
import { utf8 } from '../../base/bytes.ts'
import { encodeAddress } from '../../bitcoin/address.ts'
import { p2wpkh } from '../../bitcoin/script.ts'
import { ApiError } from '../../client/errors.ts'
import type { FulmenClient } from '../../client/index.ts'
import { crypto } from '../../crypto/crypto.ts'
import { until } from './wait.ts'

/** What the steps need of a node. */
export interface Party {
  readonly name: string
  readonly client: FulmenClient
}

/** An address that nobody has a key for, so that mining rewards are in nobody's balance. */
const nobody = (): string => encodeAddress(p2wpkh(crypto.hash160(utf8('fulmen: nobody'))), 'regtest') ?? ''

/** Blocks after which a mining reward can be spent. */
const MATURITY = 100

/** Mines blocks to `address` and waits until every node has seen them. */
export async function mine(
  parties: readonly Party[],
  blocks: number,
  { address = nobody(), signal }: { address?: string; signal: AbortSignal },
): Promise<void> {
  const miner = parties[0]!.client
  const { blockHashes } = await miner.chain.mine(blocks, address)
  const { height } = await miner.chain.block(blockHashes[blockHashes.length - 1]!)
  await allAt(parties, height, signal)
}

async function allAt(parties: readonly Party[], height: number, signal: AbortSignal): Promise<void> {
  await Promise.all(
    parties.map(({ name, client }) =>
      until(`${name} to see block ${height}`, async () => ((await client.node()).blockHeight >= height ? true : null), {
        signal,
      }),
    ),
  )
}

/** Mines rewards to each of `poor`, and the blocks that make them spendable. */
export async function fund(
  parties: readonly Party[],
  poor: readonly Party[],
  blocksEach: number,
  signal: AbortSignal,
): Promise<void> {
  if (poor.length === 0) return
  for (const { client } of poor) {
    await mine(parties, blocksEach, { address: (await client.wallet.newAddress()).address, signal })
  }
  await mine(parties, MATURITY, { signal })
  for (const { name, client } of poor) {
    await until(
      `the coins of ${name} to be spendable`,
      async () => ((await client.wallet.get()).confirmedSat > 0 ? true : null),
      { signal },
    )
  }
}

/**
 * Waits until a channel's funding transaction is on the chain or waits for a block. It is made before the peer has signed, so that
 * blocks mined as soon as it has an id might come before it.
 */
export async function untilFunded(party: Party, id: string, signal: AbortSignal): Promise<Channel> {
  const wait = { signal, what: 'has its funding transaction', done: (c: Channel) => c.funding !== null }
  const channel = await untilChannel(party, id, wait)
  const isKnown = async (): Promise<true | null> => {
    try {
      await party.client.chain.transaction(channel.funding!.split(':')[0]!)
      return true
    } catch (error) {
      if (error instanceof ApiError && error.code === 'NOT_FOUND') return null
      throw error
    }
  }
  const isYoung = channel.state === 'opening' || channel.state === 'waiting-confirmations'
  if (isYoung)
    await until(`the funding transaction of a channel of ${party.name} to reach the chain`, isKnown, { signal })
  return channel
}

export interface ChannelWait {
  readonly signal: AbortSignal
  readonly what: string
  readonly done: (channel: Channel) => boolean
}

export async function untilChannel(party: Party, id: string, wait: ChannelWait): Promise<Channel> {
  let last: Channel | null = null
  return until(
    `a channel of ${party.name} that ${wait.what}`,
    async () => {
      last = await party.client.channels.get(id)
      return wait.done(last) ? last : null
    },
    { signal: wait.signal, hint: () => `it is ${last?.state}, ${last?.waitsFor ?? 'waits for nothing'}` },
  )
}

/** Waits until `from` knows a way to `nodeId`: channels are announced some blocks after they can be used. */
export async function untilRoute(
  from: Party,
  to: { name: string; nodeId: string },
  amountMsat: number,
  signal: AbortSignal,
): Promise<void> {
  await until(
    `a route from ${from.name} to ${to.name}`,
    async () => {
      try {
        return (await from.client.graph.route({ nodeId: to.nodeId, amountMsat })).hops.length > 0 ? true : null
      } catch (error) {
        if (error instanceof ApiError && error.code === 'NO_ROUTE') return null
        throw error
      }
    },
    { signal },
  )
}
