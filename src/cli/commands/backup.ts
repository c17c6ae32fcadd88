import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { writeFileAtomic } from '../../store/files.ts'
import { CliError, EXIT } from '../errors.ts'
import { counted } from '../output.ts'
import { type Remote, remote } from '../remote.ts'

export function register(program: Command): void {
  program
    .command('backup')
    .description('the static channel backup, encrypted from the seed')
    .option('--out <file>', 'where to write it')
    .option('--verify <file>', 'look whether a copy is whole and has every channel')
    .action(async ({ out, verify }: { out?: string; verify?: string }, command: Command) => {
      if ((out === undefined) === (verify === undefined))
        throw new CliError('say --out FILE or --verify FILE', EXIT.usage)
      const node = remote(command)
      await (out === undefined ? check(node, verify!) : write(node, out))
    })
}

async function write({ client, show }: Remote, out: string): Promise<void> {
  const { data } = await client.backup()
  const file = new Uint8Array(Buffer.from(data, 'base64'))
  await writeFileAtomic(out, file).catch((e: Error) => {
    throw new CliError(`${out} cannot be written: ${e.message}`)
  })
  show({ file: out, bytes: file.length }, () => `${file.length} bytes in ${out}`)
}

async function check({ client, show }: Remote, path: string): Promise<void> {
  const file = await readFile(path).catch((e: Error) => {
    throw new CliError(`${path} cannot be read: ${e.message}`)
  })
  const found = await client.verifyBackup(file.toString('base64'))
  show(found, () => {
    if (!found.valid) return `not valid: ${found.problem}`
    if (found.complete) return `good: it has every channel that is open (${counted(found.channels, 'channel')})`
    return [`old: these channels are not in it`, ...found.missing].join('\n')
  })
  if (!found.complete) process.exitCode = EXIT.failed
}
