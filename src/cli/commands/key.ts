import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { CreateKey, IssuedKey, Key, UpdateKey } from '../../api/keySchemas.ts'
import { dataDirOf } from '../../node/config.ts'
import { collect, given, integer } from '../arguments.ts'
import { CliError, EXIT } from '../errors.ts'
import { fields, notice, show, table } from '../output.ts'
import { type GlobalOptions, remote } from '../remote.ts'
import { listCommand, oneCommand } from '../resources.ts'

const keyTable = (keys: readonly Key[]): string =>
  table(
    ['id', 'name', 'version', 'state', 'scopes', 'last used', 'rotate by', 'expires'],
    keys.map((k) => [k.id, k.name, k.version, k.state, k.scopes.join(' '), k.lastUsedAt, k.rotateBy, k.expiresAt]),
  )

/** The secret alone on standard output, so that it can be put into a file. */
const issued = (key: IssuedKey): string => {
  notice(`key ${key.id} version ${key.version}; the secret is shown this once`)
  if (key.stopped.length > 0) notice(`stopped: ${key.stopped.join(' ')}`)
  return key.secret
}

export function register(program: Command): void {
  const key = program.command('key').description('API keys')
  registerViews(key)
  settings(key.command('create').description('make a key; prints its secret').argument('<name>')).action(
    async (name: string, options: SettingOptions, command: Command) => {
      const { client, show } = remote(command)
      const created = await client.keys.create({ name, ...settingsOf(options) } as CreateKey)
      show(created, () => issued(created))
    },
  )
  settings(key.command('update').description('change a key').argument('<id>').option('--name <name>', 'a name')).action(
    async (id: string, options: SettingOptions & { name?: string }, command: Command) => {
      const { client, show } = remote(command)
      const changed = await client.keys.update(id, {
        ...settingsOf(options),
        ...given({ name: options.name }),
      } as UpdateKey)
      show(changed, () => fields(changed))
    },
  )
  registerRotation(key)
  key
    .command('revoke')
    .description('stop a key for good, at once')
    .argument('<id>')
    .action(async (id: string, _options, command: Command) => {
      const { client, show } = remote(command)
      const own = await client.keys.self()
      await client.keys.revoke(id)
      show({ id, state: 'revoked' }, () => `revoked ${id}`)
      if (own.id === id) notice('it was the key in use: "fulmen key reset", with the node stopped, makes another')
    })
  key
    .command('reset')
    .description('on the machine itself, with the node stopped: a new admin key, for whoever has none that works')
    .option('--stop-others', 'all other keys stop')
    .action(reset)
}

function registerViews(key: Command): void {
  listCommand(key, {
    about: 'the keys of the node, newest first',
    page: (client, query) => client.keys.list(query),
    table: keyTable,
  })
  key
    .command('show')
    .description('everything about one key, or about the one in use')
    .argument('[id]')
    .action(async (id: string | undefined, _options, command: Command) => {
      const { client, show } = remote(command)
      const one = id === undefined ? await client.keys.self() : await client.keys.get(id)
      show(one, () => fields(one))
    })
  key
    .command('usage')
    .description('how often each version of a key was used')
    .argument('<id>')
    .action(async (id: string, _options, command: Command) => {
      const { client, show } = remote(command)
      const usage = await client.keys.usage(id)
      const rows = usage.versions.map((v) => [v.version, v.state, v.requests, v.refused, v.lastUsedAt, v.lastAddress])
      show(usage, () => table(['version', 'state', 'requests', 'refused', 'last used', 'from'], rows))
    })
}

function registerRotation(key: Command): void {
  key
    .command('rotate')
    .description('issue the next version of a key; prints its secret')
    .argument('<id>')
    .option('--grace <seconds>', 'how long the version before works on', integer)
    .option('--activates-at <time>', 'the new version works from a time (RFC 3339), or a day in UTC, on')
    .option('--compromised', 'the secret is in wrong hands: the old version, and keys made with it, stop at once')
    .action(async (id: string, o, command: Command) => {
      const { client, show } = remote(command)
      const { grace, activatesAt, compromised } = o
      const rotated = await client.keys.rotate(id, given({ graceSeconds: grace, activatesAt, compromised }))
      show(rotated, () => issued(rotated))
    })
  oneCommand(key, 'rollback', {
    about: 'make the version before current again, while it is in its window',
    call: (client, id) => client.keys.rollback(id),
    text: (back) => keyTable([back]),
  })
  key
    .command('rotate-all')
    .description('emergency: every key but a new version of the one in use stops; prints its secret')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const rotated = await client.keys.rotateAll()
      show(rotated, () => issued(rotated))
    })
}

interface SettingOptions {
  readonly scope?: readonly string[]
  readonly preset?: string
  readonly expiresAt?: string
  readonly cidr?: readonly string[]
  readonly rate?: readonly [number, number]
  readonly budgetMsat?: number
  readonly budgetPeriod?: number
  readonly rotateEvery?: number
  readonly meta?: Readonly<Record<string, string>>
}

function pair(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Expected name=value.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

function rate(text: string): readonly [number, number] {
  const match = /^(\d+)\/(\d+)$/.exec(text)
  if (!match) throw new InvalidArgumentError('Expected requests/seconds, like 100/60.')
  return [Number(match[1]), Number(match[2])]
}

function settings(command: Command): Command {
  return command
    .option('--scope <scope>', 'what it may do; may be given several times', collect)
    .addOption(new Option('--preset <name>', 'scopes for a purpose').choices(['readonly', 'invoice', 'spend', 'admin']))
    .option('--expires-at <time>', 'a time (RFC 3339), or a day in UTC: at its beginning')
    .option('--cidr <network>', 'only from there; may be given several times', collect)
    .option('--rate <requests/seconds>', 'no more requests than that', rate)
    .option('--budget-msat <msat>', 'may spend no more, fees included', integer)
    .option('--budget-period <seconds>', 'the budget is renewed after', integer)
    .option('--rotate-every <seconds>', 'it is to be rotated that often', integer)
    .option('--meta <name=value>', 'a note; may be given several times', pair)
}

function settingsOf(o: SettingOptions): Omit<UpdateKey, 'name'> {
  if (o.budgetPeriod !== undefined && o.budgetMsat === undefined) {
    throw new CliError(
      '--budget-period alone limits nothing: say what may be spent in it, with --budget-msat',
      EXIT.usage,
    )
  }
  const budget =
    o.budgetMsat === undefined ? undefined : { maxMsat: o.budgetMsat, ...given({ periodSeconds: o.budgetPeriod }) }
  const [maxRequests, periodSeconds] = o.rate ?? []
  const rateLimit = maxRequests === undefined ? undefined : { maxRequests, periodSeconds }
  return given({
    scopes: o.scope,
    preset: o.preset,
    expiresAt: o.expiresAt,
    allowedCidrs: o.cidr,
    rateLimit,
    budget,
    rotateEverySeconds: o.rotateEvery,
    metadata: o.meta,
  }) as Omit<UpdateKey, 'name'>
}

/** Works on the store, not over REST: whoever can write to the data directory owns the node. */
async function reset(options: { stopOthers?: boolean }, command: Command): Promise<void> {
  const { dataDir: flag, json } = command.optsWithGlobals<GlobalOptions>()
  const dataDir = dataDirOf(flag, process.env)
  const [
    { LevelDriver },
    { checkedIfSealed },
    { checkJournal, Journal },
    { offlineApiStore },
    { KeyRing },
    { resetAdminKey },
  ] = await Promise.all([
    import('../../store/level.ts'),
    import('../../store/checked.ts'),
    import('../../store/journal.ts'),
    import('../../node/apiStore.ts'),
    import('../../api/auth/keys.ts'),
    import('../../api/auth/adminKey.ts'),
  ])
  await access(join(dataDir, 'db')).catch(() => {
    throw new CliError(`there is no node at ${dataDir}: say where with --data-dir`)
  })
  const level = await LevelDriver.open(join(dataDir, 'db'))
  try {
    const driver = await checkedIfSealed(level)
    const { last } = await checkJournal(driver)
    const journal = new Journal(driver, last)
    const ring = await KeyRing.open(offlineApiStore(driver, async (ops) => void (await journal.commit(ops))))
    if (ring.size === 0) throw new CliError(`the node at ${dataDir} has no keys yet: its first start makes one`)
    const { path, created } = await resetAdminKey(ring, dataDir, options.stopOthers === true)
    notice(`a new admin key is in ${path}; start the node`)
    show(json === true, { path, secret: created }, () => created ?? '')
  } finally {
    await level.close()
  }
}
