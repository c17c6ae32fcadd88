// The profile bitcoind: two nodes, a compose project each, on one Bitcoin node that runs outside of both. Coins, a channel, payments,
// the Bitcoin node gone and back, both kinds of close. Called by composeDrill.mjs where FULMEN_BITCOIND names a bitcoind, in a
// directory that holds all that it needs.
import { dirname } from 'node:path'
import { check, checkNothingIsLeft, docker, project, say, showState, until } from './drillTools.mjs'

const BITCOIN = 'fulmen-drill-bitcoin'
const PORT = 28443
const CAPACITY_SAT = 1_000_000
const AMOUNT_MSAT = 100_000_000

/** In a container that sees nothing but the program's directory. Its RPC is where host.docker.internal points to. */
async function startBitcoin(program) {
  const gateway = await docker(['network', 'inspect', 'bridge', '-f', '{{(index .IPAM.Config 0).Gateway}}'])
  const directory = dirname(program)
  const container = ['-d', '--name', BITCOIN, '--user', '0:0', '-v', `${directory}:${directory}:ro`, '-v', '/bitcoin']
  const chain = ['-regtest', '-datadir=/bitcoin', '-server', '-txindex', '-listen=0', '-dnsseed=0', '-fixedseeds=0']
  const rpc = ['-rpcuser=drill', '-rpcpassword=drill', '-rpcbind=0.0.0.0', '-rpcallowip=0.0.0.0/0']
  const image = ['-p', `${gateway}:${PORT}:18443`, '--entrypoint', program, 'fulmen']
  await docker(['run', ...container, ...image, ...chain, ...rpc])
}

function nodeOf(name, more) {
  const url = `http://drill:drill@host.docker.internal:${PORT}`
  const one = project(name, 'bitcoind', { BITCOIND_URL: url, FULMEN_NETWORK: 'regtest', FULMEN_ALIAS: name, ...more })
  return { ...one, fulmen: (...args) => one.fulmen('node', ...args) }
}

const confirmedSat = async ({ fulmen }) => (await fulmen('wallet', 'show')).confirmedSat
const isSynced = async ({ fulmen }) => (await fulmen('chain', 'info')).synced

async function up(alice, bob) {
  for (const { compose } of [alice, bob]) await compose('up', '-d', '--wait', 'node')
  await docker(['network', 'connect', `${alice.name}_default`, `${bob.name}-node-1`])
  const { address } = await alice.fulmen('wallet', 'address')
  await alice.fulmen('chain', 'mine', '101', '--address', address)
  await until('coins', async () => (await confirmedSat(alice)) > 0)
  say('two nodes on a Bitcoin node of their own, one of them with coins')
}

/** A channel from alice to bob, of which a part is his. */
async function open(alice, bob) {
  const { nodeId } = await bob.fulmen('info')
  const uri = `${nodeId}@${bob.name}-node-1:9735`
  const { id } = await alice.fulmen('channel', 'open', uri, String(CAPACITY_SAT))
  await until('the channel', async () => {
    await alice.fulmen('chain', 'mine', '1')
    return (await alice.fulmen('channel', 'show', id)).usable
  })
  await pay(alice, bob)
  return id
}

async function pay(from, to) {
  const { bolt11 } = await to.fulmen('invoice', 'create', String(AMOUNT_MSAT), '--description', 'tea')
  const { status } = await from.fulmen('pay', bolt11)
  if (status !== 'succeeded') throw new Error(`a payment ${status}`)
}

async function withoutBitcoin(alice, bob) {
  await docker(['stop', BITCOIN])
  await until('the nodes to notice', async () => !(await isSynced(alice)) && !(await isSynced(bob)))
  await pay(alice, bob)
  await docker(['start', BITCOIN])
  await until('the nodes to catch up', async () => (await isSynced(alice)) && (await isSynced(bob)))
  say('the Bitcoin node gone and back: payments went on')
}

/** Mines until the channel is closed with both, and looks whether bob has what was his. */
async function settle(alice, bob, how) {
  const [{ id, localMsat }] = (await bob.fulmen('channel', 'list', '--state', 'normal')).items
  const before = await confirmedSat(bob)
  await bob.fulmen('channel', 'close', id, ...how)
  await until('the close', async () => {
    await alice.fulmen('chain', 'mine', '20')
    const all = await Promise.all([alice, bob].map((node) => node.fulmen('channel', 'list')))
    return all.every(({ items }) => items.every(({ state }) => state === 'closed'))
  })
  const gain = (await confirmedSat(bob)) - before
  const share = Math.round((100_000 * gain) / localMsat)
  check(share > 90, `bob closed ${how.join() || 'with alice'}: ${share} % of his balance, the rest are fees`)
}

/** @param program path of a bitcoind */
export async function bitcoindDrill(program) {
  const alice = nodeOf('fulmen-drill-alice', {})
  const bob = nodeOf('fulmen-drill-bob', { NODE_API_PORT: '9747', NODE_LIGHTNING: '127.0.0.1:9745' })
  const down = async () => {
    for (const { compose } of [bob, alice]) await compose('down', '-v')
    await docker(['rm', '-fv', BITCOIN]).catch(() => '') // not there yet, or no more
  }
  try {
    await down()
    await alice.compose('build', 'node')
    await startBitcoin(program)
    await up(alice, bob)
    await open(alice, bob)
    await withoutBitcoin(alice, bob)
    await settle(alice, bob, [])
    await open(alice, bob)
    await settle(alice, bob, ['--force'])
  } catch (error) {
    for (const one of [alice, bob]) await showState(one)
    throw error
  } finally {
    await down()
  }
  for (const one of [alice, bob]) await checkNothingIsLeft(one)
}
