import type { Channel } from '../../api/schemas.ts'
import { type Account, drawUp, type Funds } from './account.ts'
import { fundsOf, kindsOf, ownedOutpoints, readSpendings } from './chainFacts.ts'
import { type ClosingSide, mineUntilResolved, untilClosing } from './closing.ts'
import type { DemoNode, Network } from './network.ts'
import { createInvoices, type PaymentResults, payAll } from './payments.ts'
import { planPayments } from './plan.ts'
import type { Progress } from './progress.ts'
import { fund, mine, untilChannel, untilFunded, untilRoute } from './steps.ts'
import { until } from './wait.ts'

export interface FlowOptions {
  readonly payments: number
  readonly seed: number
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** A channel of the demo with its two ends, the opener first. */
export interface DemoChannel {
  readonly opener: DemoNode
  readonly acceptor: DemoNode
  /** Once it could be used. */
  readonly opened: Channel
}

export interface DemoClose extends DemoChannel {
  readonly how: 'cooperative' | 'force'
  /** The opener's and the acceptor's, when all was resolved. */
  readonly views: readonly [Channel, Channel]
}

export interface DemoResult {
  readonly nodes: readonly DemoNode[]
  readonly channels: readonly DemoChannel[]
  readonly payments: PaymentResults
  readonly closes: readonly DemoClose[]
  /** Every closing transaction and all that followed from it is in the chain. */
  readonly allConfirmed: boolean
  readonly account: Account
}

const BLOCKS_EACH = 2
const CAPACITY_SAT = 16_000_000
/** Bob's part of alice's channel, so that he can pay her from the start. */
const PUSH_MSAT = 6_000_000_000
/** What one direction may move before a channel runs dry. */
const BUDGET_MSAT = 5_000_000_000
const AT_ONCE = 40
const CONFIRMATIONS = 6

/** The demo from funding to the account, on a network that is up. */
export async function runFlow(network: Network, options: FlowOptions): Promise<DemoResult> {
  const { alice, bob, carol } = network.nodes
  const nodes = [alice, bob, carol]
  const { signal, progress } = options

  await fund(nodes, nodes, BLOCKS_EACH, signal)
  const before = await funds(nodes)
  const { height } = await alice.client.chain.get()
  progress.step(`funded by mining: ${before.map((b) => `${b.name} ${bitcoin(b.onchainSat)} BTC`).join(', ')}`)

  const channels = await openChannels(network, options)
  progress.step('open and announced: alice → bob and bob → carol; alice knows the way to carol')

  const payments = await makePayments(network, options)

  const closes = await closeChannels(nodes, channels, options)
  await untilSettled(nodes, signal)
  const tip = await alice.client.chain.get()
  const labelled = closes.map((close) => ({ label: labelOf(close), views: close.views }))
  const account = drawUp({
    before,
    after: await funds(nodes),
    owned: await ownedOutpoints(nodes),
    spendings: await readSpendings(alice.client, { fromHeight: height + 1, toHeight: tip.height }, kindsOf(labelled)),
  })
  return { nodes, channels, payments, closes, allConfirmed: closes.every(isConfirmed), account }
}

export const labelOf = ({ opener, acceptor }: DemoChannel): string => `${opener.name} → ${acceptor.name}`

const bitcoin = (sats: bigint): string => (Number(sats) / 100_000_000).toLocaleString('en-US')

async function funds(nodes: readonly DemoNode[]): Promise<Funds[]> {
  return Promise.all(nodes.map(async (node) => fundsOf(node, await node.client.balance())))
}

async function openChannels({ nodes }: Network, { signal }: FlowOptions): Promise<DemoChannel[]> {
  const { alice, bob, carol } = nodes
  const all = [alice, bob, carol]
  const opening = await Promise.all([open(alice, bob, PUSH_MSAT, signal), open(bob, carol, 0, signal)])
  await mine(all, CONFIRMATIONS, { signal })
  const channels = await Promise.all(
    opening.map(async ({ opener, acceptor, id }) => {
      const usable = { signal, what: 'can be used', done: (channel: Channel) => channel.usable }
      const opened = await untilChannel(opener, id, usable)
      await untilChannel(acceptor, opened.channelId ?? '', usable)
      return { opener, acceptor, opened }
    }),
  )
  await untilRoute(alice, carol, 1_000_000, signal)
  await untilRoute(bob, alice, 1_000_000, signal)
  return channels
}

async function open(opener: DemoNode, acceptor: DemoNode, pushMsat: number, signal: AbortSignal) {
  const request = { peer: acceptor.uri, capacitySat: CAPACITY_SAT, announce: true, ...(pushMsat > 0 && { pushMsat }) }
  const { id } = await opener.client.channels.open(request)
  await untilFunded(opener, id, signal)
  return { opener, acceptor, id }
}

async function makePayments({ nodes }: Network, options: FlowOptions): Promise<PaymentResults> {
  const { progress, signal } = options
  const count = options.payments
  const plan = planPayments(count, BUDGET_MSAT, options.seed)
  const run = (text: string) => ({
    atOnce: AT_ONCE,
    signal,
    onDone: (done: number) => progress.count(text, done, count),
  })
  const prepared = await createInvoices(nodes, plan, run('invoices'))
  const results = await payAll(nodes, prepared, run('payments'))
  progress.step(`paid: ${results.succeeded} of ${count}, ${results.perSecond} per second`)
  return results
}

/** Alice and bob close theirs together; bob closes the one with carol by force. */
async function closeChannels(
  all: readonly DemoNode[],
  channels: readonly DemoChannel[],
  { signal, progress }: FlowOptions,
): Promise<DemoClose[]> {
  const [together, alone] = channels as [DemoChannel, DemoChannel]
  await together.opener.client.channels.close(together.opened.id)
  await alone.opener.client.channels.close(alone.opened.id, { force: true })
  for (const { opener, opened } of channels) await untilClosing({ party: opener, channelId: opened.id }, signal)
  progress.step('closing: alice → bob cooperatively, bob → carol by force')

  const sides = channels.flatMap(({ opener, acceptor, opened }): ClosingSide[] => [
    { party: opener, channelId: opened.channelId ?? '' },
    { party: acceptor, channelId: opened.channelId ?? '' },
  ])
  let blocks = 0
  const views = await mineUntilResolved(all, sides, {
    signal,
    onBlocks: (mined) => {
      blocks = mined
    },
  })
  progress.step(`swept and resolved after ${blocks} blocks`)
  return channels.map((channel, i) => ({
    ...channel,
    how: i === 0 ? 'cooperative' : 'force',
    views: [views[2 * i]!, views[2 * i + 1]!],
  }))
}

/** Waits until the wallets have everything that the closes gave back. */
async function untilSettled(nodes: readonly DemoNode[], signal: AbortSignal): Promise<void> {
  for (const { name, client } of nodes) {
    await until(
      `the balance of ${name} to settle`,
      async () => {
        const b = await client.balance()
        return b.onchainClosingSat + b.onchainUnconfirmedSat + b.channelLocalMsat + b.channelPendingMsat === 0
          ? true
          : null
      },
      { signal },
    )
  }
}

/** Both sides have a closing transaction in the chain, and every transaction that they know of is confirmed. */
const isConfirmed = ({ views }: DemoClose): boolean =>
  views.every(
    ({ closing }) =>
      closing !== null &&
      closing.txid !== null &&
      closing.confirmations > 0 &&
      closing.resolved &&
      closing.transactions.every((tx) => tx.confirmed),
  )
