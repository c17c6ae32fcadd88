import type { Channel } from '../../api/schemas.ts'
import { FulmenClient } from '../../client/index.ts'
import { CliError, EXIT } from '../errors.ts'
import { notice, show } from '../output.ts'
import { readAdminKey } from '../processes.ts'
import { keepScrapeKeys } from './scrapeKeys.ts'
import { fund, mine, type Party, untilChannel, untilFunded, untilRoute } from './steps.ts'
import { until } from './wait.ts'

export interface SetupOptions {
  /** `name=url=dataDir[=publicUrl]`, in the order of the channels: each node opens one to the next. */
  readonly node: readonly string[]
  /** Where each node's key for Prometheus is kept. */
  readonly scrapeKeys?: string
  readonly json?: boolean
}

interface SetupNode extends Party {
  readonly url: string
  readonly nodeId: string
  /** nodeId@host:port, as the other nodes reach it. */
  readonly uri: string
  readonly dataDir: string
  /** Where people reach its API when that is not `url`: a port that a container publishes. */
  readonly publicUrl: string | null
}

const CAPACITY_SAT = 10_000_000
/** Half: both ends can pay from the start. */
const PUSH_MSAT = 5_000_000_000
const BLOCKS_EACH = 2
const CONFIRMATIONS = 6
const START_SECONDS = 120
const LIGHTNING_PORT = 9735
const UNCONFIRMED: ReadonlySet<string> = new Set(['opening', 'waiting-confirmations'])
const GONE: ReadonlySet<string> = new Set(['shutdown', 'negotiating', 'waiting-for-peer', 'closing', 'closed'])

/**
 * Brings a regtest network of running nodes into its first state: coins in every wallet, an announced channel from each node to the
 * next. Looks before it acts, so that it can be run as often as you like.
 * @returns the exit code
 */
export async function setup(options: SetupOptions): Promise<number> {
  const { signal } = new AbortController()
  const nodes = await Promise.all(options.node.map((text) => reach(text, signal)))
  const [first] = nodes
  const last = nodes[nodes.length - 1]
  if (!first || !last || nodes.length < 2)
    throw new CliError('a network has two nodes at least: give --node twice', EXIT.usage)
  const poor = await withoutCoins(nodes)
  if (poor.length > 0) notice(`mining for ${poor.map((node) => node.name).join(', ')}`)
  await fund(nodes, poor, BLOCKS_EACH, signal)
  const opened = await openMissing(nodes, signal)
  await untilRoute(first, last, 1_000_000, signal)
  const keyed = options.scrapeKeys === undefined ? [] : await keepScrapeKeys(nodes, options.scrapeKeys)
  const changed = poor.length + opened.length + keyed.length > 0
  const view = { changed, funded: poor.map((node) => node.name), opened, keyed, nodes: nodes.map(viewOf) }
  show(options.json === true, view, () =>
    [changed ? 'The network is ready.' : 'The network was ready.', ...howToPay(first, last)].join('\n'),
  )
  return 0
}

const viewOf = ({ name, url, nodeId }: SetupNode) => ({ name, url, nodeId })

/** Waits for the node's key and for its health. */
async function reach(text: string, signal: AbortSignal): Promise<SetupNode> {
  const [name, url, dataDir, publicUrl = null] = text.split('=')
  if (!name || !url || !dataDir || !URL.canParse(url)) {
    throw new CliError(`--node: expected name=url=dataDir[=publicUrl], got "${text}"`, EXIT.usage)
  }
  const wait = { signal, seconds: START_SECONDS }
  const key = await until(`${name}'s key in ${dataDir}`, () => readAdminKey(dataDir).catch(missing), wait)
  const client = new FulmenClient({ url, key, retries: 0 })
  await until(`${name} to be healthy`, async () => ((await isReady(client)) ? true : null), wait)
  const { nodeId, addresses } = await client.node()
  const port = addresses[0] === undefined ? LIGHTNING_PORT : Number(addresses[0].replace(/^.*:/, ''))
  return { name, url, client, nodeId, uri: `${nodeId}@${new URL(url).hostname}:${port}`, dataDir, publicUrl }
}

const missing = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw error
}

const isReady = (client: FulmenClient): Promise<boolean> =>
  client.ready().then(
    (health) => health.status === 'ok',
    () => false,
  )

/** Nodes that have nothing at all, in their wallet or in a channel. */
async function withoutCoins(nodes: readonly SetupNode[]): Promise<SetupNode[]> {
  const balances = await Promise.all(nodes.map(({ client }) => client.balance()))
  return nodes.filter((_, i) => {
    const b = balances[i]!
    return b.onchainConfirmedSat + b.onchainUnconfirmedSat + b.onchainClosingSat + b.channelLocalMsat === 0
  })
}

/** Opens what is missing and waits until all can be used. @returns the channels that were opened now */
async function openMissing(nodes: readonly SetupNode[], signal: AbortSignal): Promise<string[]> {
  const pairs = nodes.slice(1).map((to, i) => ({ from: nodes[i]!, to, label: `${nodes[i]!.name} → ${to.name}` }))
  const opened: string[] = []
  const waiting: { from: SetupNode; id: string }[] = []
  for (const { from, to, label } of pairs) {
    const there = await findChannel(from, to)
    if (there?.usable) continue
    if (there === null) {
      notice(`opening ${label}`)
      opened.push(label)
    }
    waiting.push({ from, id: there?.id ?? (await open(from, to)) })
  }
  const funded = await Promise.all(waiting.map(({ from, id }) => untilFunded(from, id, signal)))
  // A channel that is merely disconnected needs no blocks: it comes back by itself.
  if (funded.some((channel) => UNCONFIRMED.has(channel.state))) await mine(nodes, CONFIRMATIONS, { signal })
  for (const { from, id } of waiting) {
    await untilChannel(from, id, { signal, what: 'can be used', done: (channel) => channel.usable })
  }
  return opened
}

/** A channel between the two that is not on its way out; one that can be used rather than one that cannot yet. */
async function findChannel(from: SetupNode, to: SetupNode): Promise<Channel | null> {
  const { items } = await from.client.channels.list({ peer: to.nodeId, limit: 100 })
  const alive = items.filter((channel) => !GONE.has(channel.state))
  return alive.find((channel) => channel.usable) ?? alive[0] ?? null
}

async function open(from: SetupNode, to: SetupNode): Promise<string> {
  const request = { peer: to.uri, capacitySat: CAPACITY_SAT, pushMsat: PUSH_MSAT, announce: true }
  return (await from.client.channels.open(request)).id
}

/** Lines to pay with, from a shell on the machine of whoever reads them. */
function howToPay(payer: SetupNode, payee: SetupNode): string[] {
  const key = ({ name, dataDir, publicUrl }: SetupNode): string =>
    publicUrl === null ? `cat ${dataDir}/admin.key` : `docker compose exec -T ${name} cat /data/admin.key`
  const post = (node: SetupNode, path: string, body: string): string =>
    `curl -s '${node.publicUrl ?? node.url}${path}' -H "Authorization: Bearer $(${key(node)})" -H 'Content-Type: application/json' -d ${body}`
  const invoice = post(payee, '/v1/invoices', `'{"amountMsat":25000000,"description":"hello"}'`)
  return [
    `Pay from ${payer.name} to ${payee.name}:`,
    '',
    `BOLT11=$(${invoice} | sed 's/.*"bolt11":"\\([^"]*\\)".*/\\1/')`,
    post(payer, '/v1/payments?wait=30', `'{"bolt11":"'"$BOLT11"'"}'`),
  ]
}
