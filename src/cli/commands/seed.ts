import { access } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { dataDirOf } from '../../node/config.ts'
import { readPassphrase, seedPath } from '../../node/seed.ts'
import { readSeedFile, writeSeedFile } from '../../store/seal.ts'
import { parseMnemonic } from '../../wallet/keys.ts'
import { CliError } from '../errors.ts'
import { notice, show } from '../output.ts'
import type { GlobalOptions } from '../remote.ts'

interface SeedOptions extends GlobalOptions {
  readonly passphraseFile?: string
  readonly newPassphraseFile?: string
  readonly remove?: boolean
}

interface SeedFile {
  readonly path: string
  readonly passphrase: string | null
  readonly options: SeedOptions
}

/** The seed never travels over REST: these commands work on the file. */
export function register(program: Command): void {
  const seed = program.command('seed').description('the seed words: everything of the wallet comes from them')
  const add = (name: string, describe: string, action: (file: SeedFile) => Promise<void>): Command =>
    seed
      .command(name)
      .description(describe)
      .option('--passphrase-file <file>', 'passphrase that the seed is encrypted with')
      .action(async (_options, command: Command) => action(await seedFile(command)))
  add('show', 'print the seed words', showSeed)
  add('restore', 'take seed words from standard input, into a data directory without a seed', restoreSeed)
  add('passphrase', 'encrypt the seed, or change its passphrase', changePassphrase)
    .option('--new-passphrase-file <file>', 'the new passphrase')
    .option('--remove', 'leave the seed unencrypted')
}

async function seedFile(command: Command): Promise<SeedFile> {
  const options = command.optsWithGlobals<SeedOptions>()
  const passphrase = await readPassphrase(options.passphraseFile ?? process.env.FULMEN_PASSPHRASE_FILE ?? null)
  return { path: seedPath(dataDirOf(options.dataDir, process.env)), passphrase, options }
}

async function existingWords({ path, passphrase }: SeedFile): Promise<string> {
  const found = await readSeedFile(path, passphrase)
  if (!found) throw new CliError(`there is no seed at ${path}: say where with --data-dir`)
  return found.secret
}

async function showSeed(file: SeedFile): Promise<void> {
  const words = await existingWords(file)
  if (process.stdout.isTTY) notice('Whoever sees these words has the money. Write them down on paper, in order:')
  show(file.options.json === true, { words: words.split(' ') }, () => words)
}

async function restoreSeed(file: SeedFile): Promise<void> {
  const isTaken = await access(file.path).then(
    () => true,
    () => false,
  )
  if (isTaken) throw new CliError(`there is a seed at ${file.path} already: restore into another --data-dir`)
  if (process.stdin.isTTY) notice('Type the seed words, then Enter and Ctrl-D:')
  const words = parseMnemonic(await text(process.stdin))
  await writeSeedFile(file.path, words, file.passphrase)
  const sealed = file.passphrase === null ? 'unencrypted: see "fulmen seed passphrase"' : 'encrypted'
  show(file.options.json === true, { file: file.path }, () => `seed restored to ${file.path}, ${sealed}`)
}

async function changePassphrase(file: SeedFile): Promise<void> {
  const { newPassphraseFile, remove } = file.options
  if ((newPassphraseFile === undefined) === (remove !== true)) {
    throw new CliError('say --new-passphrase-file FILE, or --remove')
  }
  const words = await existingWords(file)
  await writeSeedFile(file.path, words, await readPassphrase(newPassphraseFile ?? null))
  const result = remove ? 'no longer encrypted' : 'encrypted with the new passphrase'
  show(file.options.json === true, { file: file.path }, () => `the seed is ${result}`)
}
