import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { EXIT, EXIT_HELP, explainFailure, failureJson } from './errors.ts'

interface CommandModule {
  /** Adds the command, with its options and subcommands, to the program. */
  register(program: Command): void
}

/** Name → what it does and where it is. Only the module of the command that was typed is loaded, and all for completions. */
const COMMANDS: Readonly<Record<string, readonly [string, () => Promise<CommandModule>]>> = {
  start: ['run a node', () => import('./commands/start.ts')],
  chain: ['run the embedded chain alone; look at the chain of a node', () => import('./commands/chain.ts')],
  config: ['print the configuration in force and where it comes from', () => import('./commands/config.ts')],
  seed: ['the seed words: show, restore, passphrase', () => import('./commands/seed.ts')],
  restore: ['bring back a lost node from its seed and a channel backup', () => import('./commands/restore.ts')],
  info: ['what the node is and how it stands', () => import('./commands/info.ts')],
  balance: ['what can be spent', () => import('./commands/balance.ts')],
  peer: ['peers: list, connect, disconnect', () => import('./commands/peer.ts')],
  channel: ['channels: list, show, open, close, policy', () => import('./commands/channel.ts')],
  invoice: ['invoices: create, list, show, settle, cancel', () => import('./commands/invoice.ts')],
  pay: ['pay an invoice or a node', () => import('./commands/pay.ts')],
  payment: ['payments: list, show, cancel', () => import('./commands/payment.ts')],
  wallet: [
    'the on-chain wallet: show, address, utxos, transactions, send, bump, psbt',
    () => import('./commands/wallet.ts'),
  ],
  forward: ['forwarded payments: list', () => import('./commands/forward.ts')],
  analytics: [
    'sums for the books: summary, forwards, payments, channels, balances',
    () => import('./commands/analytics.ts'),
  ],
  graph: ['the network graph: nodes, channels, route', () => import('./commands/graph.ts')],
  decode: ['what an invoice or an offer says', () => import('./commands/decode.ts')],
  backup: ['the static channel backup', () => import('./commands/backup.ts')],
  key: ['API keys: list, create, rotate, revoke, reset …', () => import('./commands/key.ts')],
  webhook: ['webhooks: list, create, update, rotate, ping, deliveries …', () => import('./commands/webhook.ts')],
  audit: ['the audit log: list, verify', () => import('./commands/audit.ts')],
  'log-level': ['what the running node logs: show, change', () => import('./commands/log.ts')],
  alert: ['what somebody should see to: list, acknowledge', () => import('./commands/alert.ts')],
  logs: ['the log of the running node: show, follow', () => import('./commands/logs.ts')],
  events: ['follow what happens', () => import('./commands/events.ts')],
  demo: ['a network of three nodes that pay each other', () => import('./commands/demo.ts')],
  doctor: ['find what is wrong with a node, and say the cure', () => import('./commands/doctor.ts')],
  setup: ['fund nodes and open channels between them (compose)', () => import('./commands/setup.ts')],
  completion: ['a script that completes command lines in bash, zsh or fish', () => import('./commands/completion.ts')],
  bench: ['measure', () => import('./commands/bench.ts')],
}

/** Global options that take a value, so that it is not mistaken for the command. */
const VALUED: ReadonlySet<string> = new Set(['--url', '--key', '--data-dir', '--tls-pin', '--tls-ca'])

/** The words of a command line that are neither options nor their values. */
function operands(argv: readonly string[]): string[] {
  return argv.filter((word, i) => !word.startsWith('-') && !VALUED.has(argv[i - 1] ?? ''))
}

/** What is to be done, by its name; undefined: nothing is said. */
export function commandOf(argv: readonly string[]): string | undefined {
  const [first, second] = operands(argv)
  return first === 'help' ? second : first
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

async function build(argv: readonly string[]): Promise<Command> {
  const program = new Command('fulmen')
    .description('A Lightning node.')
    .option('--url <url>', 'API of the node (FULMEN_URL; else the one running from the data directory)')
    .option('--key <bearer>', 'API key (better in FULMEN_KEY; else admin.key in the data directory)')
    .option('--tls-pin <pin>', 'sha256//… of the public key of the node, for https (FULMEN_TLS_PIN)')
    .option('--tls-ca <file>', 'certificates to trust for https, PEM (FULMEN_TLS_CA)')
    .option('--data-dir <dir>', 'data directory of the node (FULMEN_DATA_DIR; default ~/.fulmen)')
    .option('--json', 'print JSON')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(see --help)')
    .addHelpText('after', EXIT_HELP)
    .exitOverride()
  if (wantsJson(argv)) program.configureOutput({ writeErr: () => {} })
  const typed = commandOf(argv)
  for (const [name, [summary, load]] of Object.entries(COMMANDS)) {
    if (name === typed || typed === 'completion') (await load()).register(program)
    else program.command(name).description(summary)
  }
  if (argv.includes('--version') || argv.includes('-V')) program.version(packageVersion())
  else program.option('-V, --version', 'print the version')
  return program
}

/** Whether what is wrong is told as JSON: also where the command line cannot be read. */
const wantsJson = (argv: readonly string[]): boolean => argv.includes('--json')

/** Help on a command that there is not, said as that command itself is refused: with the name that was meant. */
function withoutHelpOnNothing(argv: readonly string[]): readonly string[] {
  const [first, second] = operands(argv)
  return first === 'help' && second !== undefined && !Object.hasOwn(COMMANDS, second) && second !== 'help'
    ? [second]
    : argv
}

/** Runs one command line. @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  const argv = withoutHelpOnNothing(args)
  try {
    await (await build(argv)).parseAsync([...argv], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    const isUsage = error instanceof CommanderError
    // Help, version and usage errors have been printed by commander.
    if (isUsage && (error.exitCode === 0 || argv.length === 0)) return 0
    const { text, exitCode } = explainFailure(error)
    if (wantsJson(argv)) process.stderr.write(`${JSON.stringify(failureJson(error))}\n`)
    else if (!isUsage) process.stderr.write(`fulmen: ${text}\n`)
    return isUsage ? EXIT.usage : exitCode
  }
}
