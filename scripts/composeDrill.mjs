// The network of docker-compose.yml in a life of its own: up, pay over REST, kill a container in mid-payment, up again, settle on
// chain, down; then, where FULMEN_BITCOIND is set, the profile bitcoind (composeBitcoindDrill.mjs). Needs a Docker engine with compose
// and the base image: `node scripts/composeDrill.mjs`. Talks to the nodes from inside their containers, wherever the engine publishes ports.
import { createHash, randomBytes } from 'node:crypto'
import { bitcoindDrill } from './composeBitcoindDrill.mjs'
import { check, checkNothingIsLeft, docker, project, say, showState, until } from './drillTools.mjs'

const PAYMENTS = 10
const AMOUNT_MSAT = 250_000

const network = project('fulmen-drill', 'demo')
const { compose, fulmen } = network

async function up() {
  await compose('up', '-d', '--build')
  const setup = await compose('ps', '-aq', 'setup')
  check((await docker(['wait', setup])) === '0', 'up: coins, and channels alice – bob – carol')
}

async function pay() {
  for (let n = 0; n < PAYMENTS; n++) {
    const { bolt11 } = await fulmen('carol', 'invoice', 'create', String(AMOUNT_MSAT), '--description', `tea ${n}`)
    const { status } = await fulmen('alice', 'pay', bolt11)
    if (status !== 'succeeded') throw new Error(`payment ${n}: ${status}`)
  }
  say(`${PAYMENTS} payments alice → carol`)
}

/** Carol holds the payment while Bob, between them, is killed and comes back. */
async function killInMidPayment() {
  const preimage = randomBytes(32)
  const hash = createHash('sha256').update(preimage).digest('hex')
  const { bolt11 } = await fulmen(
    'carol',
    'invoice',
    'create',
    String(AMOUNT_MSAT),
    '--payment-hash',
    hash,
    '--description',
    'held',
  )
  const paying = fulmen('alice', 'pay', bolt11, '--wait', '0').catch(() => null) // pending: its exit code is not 0
  await until(
    'the payment to arrive',
    async () => (await fulmen('carol', 'invoice', 'show', hash)).status === 'accepted',
  )
  await paying
  await compose('kill', '-s', 'SIGKILL', 'bob')
  await fulmen('carol', 'invoice', 'settle', hash, preimage.toString('hex'))
  await compose('up', '-d', 'bob')
  const isPaid = async () => (await fulmen('alice', 'payment', 'show', hash)).status === 'succeeded'
  check(await until('the payment to end', isPaid), 'bob killed in mid-payment: it succeeded once he was back')
}

/** Everything that the wallets hold, by node. */
const onchain = async (name) => (await fulmen(name, 'wallet', 'show')).confirmedSat
const channels = async (name) => (await fulmen(name, 'channel', 'list')).items

async function settle() {
  const [first] = await channels('alice')
  const second = (await channels('carol'))[0]
  const before = { alice: await onchain('alice'), carol: await onchain('carol') }
  await fulmen('alice', 'channel', 'close', first.id)
  await fulmen('carol', 'channel', 'close', second.id, '--force')
  const isClosed = async () => {
    await fulmen('alice', 'chain', 'mine', '20')
    const all = (await Promise.all(['alice', 'bob', 'carol'].map(channels))).flat()
    return all.every((c) => c.state === 'closed')
  }
  await until('every channel to be closed', isClosed)
  check((await onchain('alice')) > before.alice, 'alice has her side of the cooperative close')
  check((await onchain('carol')) > before.carol, 'carol has her side of the close by force')
}

async function restartKeepsAll() {
  const nodeId = (await fulmen('alice', 'info')).nodeId
  await compose('down')
  await up()
  check((await fulmen('alice', 'info')).nodeId === nodeId, 'down and up again: the same nodes')
}

async function demoDrill() {
  try {
    await compose('down', '-v')
    await up()
    await pay()
    await killInMidPayment()
    await restartKeepsAll()
    await pay()
    await settle()
  } catch (error) {
    await showState(network)
    throw error
  } finally {
    await compose('down', '-v')
  }
  await checkNothingIsLeft(network)
}

const isThere = await docker(['compose', 'version'])
  .then(() => docker(['info', '--format', '{{.ServerVersion}}']))
  .then(
    (version) => version !== '',
    () => false,
  )
if (!isThere) {
  console.error('compose drill: there is no Docker engine with compose here')
  process.exit(2)
}
const bitcoind = process.env.FULMEN_BITCOIND
try {
  await demoDrill()
  if (bitcoind) await bitcoindDrill(bitcoind)
  else say('FULMEN_BITCOIND names no bitcoind, the profile of that name is left out')
} catch (error) {
  console.error(`compose drill: ${error.message}`)
  process.exitCode = 1
}
