import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { NodeConfig } from '../../node/config.ts'
import type { PeerAddress } from '../../node/peers.ts'
import { type Prepared, parsePeer, prepareRestore } from '../../node/restore.ts'
import { readPassphrase } from '../../node/seed.ts'
import type { ChannelView } from '../../node/service.ts'
import type { RunningNode } from '../../node/start.ts'
import { readSeedFile } from '../../store/seal.ts'
import { parseMnemonic } from '../../wallet/keys.ts'
import { CliError, EXIT } from '../errors.ts'
import { logForPeople } from '../logText.ts'
import { addNodeOptions, nodeConfig } from '../nodeOptions.ts'
import { counted, notice, show } from '../output.ts'
import { stopSignal, upBefore } from '../signals.ts'

interface RestoreOptions {
  readonly wordsFile?: string
  readonly seedFile?: string
  readonly backup?: string
  readonly peer?: readonly string[]
  readonly prepare?: boolean
  readonly json?: boolean
}

const EXPLANATION = `
Makes a new data directory from the seed words and the newest channel backup, and runs a node on it: coins on chain are looked for, the
peer of every channel is asked to close it, and what it pays is moved to the wallet. Peers that cannot be reached are tried again and
again. It ends when nothing is left to do; stop it at any time, and go on with "fulmen start".
Never do this while the node still runs elsewhere: all its channels would be closed.`

export function register(program: Command): void {
  const command = program
    .command('restore')
    .description('bring back a lost node from its seed and a channel backup')
    .option('--words-file <file>', 'the seed words (default: asked for on standard input)')
    .option('--seed-file <file>', 'the seed file of the lost node in place of its words')
    .option('--backup <file>', 'the channel backup, channels.backup in the data directory of the lost node')
    .option('--peer <uri...>', 'nodeId@host:port of a peer that may have kept a copy of the backup')
    .option('--prepare', 'make the data directory and leave the rest to "fulmen start"')
    .addHelpText('after', EXPLANATION)
  addNodeOptions(command).action(async (_options, self: Command) => {
    const options = self.optsWithGlobals<RestoreOptions>()
    const { config, warnings } = nodeConfig(self)
    for (const warning of warnings) notice(`warning: ${warning}`)
    await restore(config, options)
  })
}

async function restore(config: NodeConfig, options: RestoreOptions): Promise<void> {
  const { backup, peer: uris = [], json = false } = options
  const stopped = stopSignal()
  const peers = uris.map(peerOf)
  const file = backup === undefined ? null : new Uint8Array(await read(backup))
  const passphrase = await readPassphrase(config.passphraseFile)
  const words = await seedWords(options, passphrase)
  const { dataDir, network } = config
  const prepared = await prepareRestore({ dataDir, network, words, passphrase, backup: file, peers })
  announce(prepared, config, json)
  if (options.prepare) return
  const { startNode } = await import('../../node/start.ts')
  const node = await upBefore(stopped, () => startNode(config, logForPeople(process.stderr)))
  try {
    await follow(node, stopped, json)
  } finally {
    await node.stop()
  }
}

function peerOf(uri: string): PeerAddress {
  const peer = parsePeer(uri)
  if (!peer) throw new CliError(`--peer ${uri}: expected nodeId@host:port`, EXIT.usage)
  return peer
}

const read = (path: string): Promise<Buffer> =>
  readFile(path).catch((e: Error) => {
    throw new CliError(`${path} cannot be read: ${e.message}`)
  })

/** Words never come from the command line, where other users of the machine would see them. */
async function seedWords({ wordsFile, seedFile }: RestoreOptions, passphrase: string | null): Promise<string> {
  if (seedFile !== undefined) {
    const seed = await readSeedFile(seedFile, passphrase)
    if (!seed) throw new CliError(`there is no seed file ${seedFile}`)
    return seed.secret
  }
  if (wordsFile !== undefined) return parseMnemonic((await read(wordsFile)).toString('utf8'))
  if (process.stdin.isTTY) notice('Type the seed words, then Enter and Ctrl-D:')
  const typed = await text(process.stdin)
  if (typed.trim() === '') throw new CliError('no seed words came: type them, or name a file with --words-file')
  return parseMnemonic(typed)
}

function announce({ nodeId, backup, silent }: Prepared, { dataDir, network }: NodeConfig, json: boolean): void {
  for (const { nodeId: peer, reason } of silent) notice(`${peer} gave back no backup: ${reason}`)
  const peers = new Set(backup.channels.map((c) => c.peer)).size
  const unreachable = backup.channels.filter((c) => c.address === null)
  show(json, { nodeId, dataDir, channels: backup.channels.length, peers }, () =>
    [
      `${nodeId} on ${network}, in ${dataDir}`,
      `the backup has ${counted(backup.channels.length, 'channel')} with ${counted(peers, 'peer')}; their balances are not known before they are closed`,
    ].join('\n'),
  )
  for (const { peer } of new Map(unreachable.map((c) => [c.peer, c])).values())
    notice(`the address of ${peer} is not known: "fulmen peer connect ${peer}@host:port" when the node runs`)
}

/** Tells of every change until nothing is left to do, or the operator has seen enough. */
async function follow({ service }: RunningNode, stopped: Promise<unknown>, json: boolean): Promise<void> {
  const told = new Map<string, string>()
  let isStopped = false
  let wake: () => void = () => {}
  const off = service.onEvent(() => wake())
  void stopped.then(() => {
    isStopped = true
    wake()
  })
  for (;;) {
    const change = new Promise<void>((resolve) => {
      wake = resolve
    })
    const { items } = await service.channels({ limit: 100_000 }, {})
    for (const channel of items) tell(channel, told, json)
    const { onchainConfirmedSat, onchainUnconfirmedSat } = await service.balance()
    const done = items.every((c) => c.state === 'closed')
    const coins = {
      onchainConfirmedSat: Number(onchainConfirmedSat),
      onchainUnconfirmedSat: Number(onchainUnconfirmedSat),
    }
    if (done || isStopped) {
      off()
      const left = items.filter((c) => c.state !== 'closed').length
      return show(json, { done, left, ...coins }, () =>
        [
          done ? 'everything is brought in' : `not done: ${counted(left, 'channel')}; go on with "fulmen start"`,
          `on chain ${coins.onchainConfirmedSat} sat, and ${coins.onchainUnconfirmedSat} sat unconfirmed`,
        ].join('\n'),
      )
    }
    await change
  }
}

function tell(channel: ChannelView, told: Map<string, string>, json: boolean): void {
  const { id, channelId, peer, peerConnected, state, waitsFor, closing } = channel
  const where =
    state === 'waiting-for-peer' ? (peerConnected ? ', which is connected' : ', which is not reached yet') : ''
  const text = `${channelId} with ${peer}${where}: ${state}${waitsFor === null ? '' : `, waits for ${waitsFor}`}`
  if (told.get(id) === text) return
  told.set(id, text)
  const closingTxid = closing?.txid ?? null
  show(json, { channelId, peer, peerConnected, state, waitsFor, closingTxid }, () => text)
}
