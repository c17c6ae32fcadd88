import type { Command } from 'commander'
import { writeFileAtomic } from '../../store/files.ts'
import { remote } from '../remote.ts'

export function register(program: Command): void {
  program
    .command('backup')
    .description('the static channel backup, encrypted from the seed')
    .requiredOption('--out <file>', 'where to write it')
    .action(async ({ out }: { out: string }, command: Command) => {
      const { client, show } = remote(command)
      const { data } = await client.backup()
      const file = new Uint8Array(Buffer.from(data, 'base64'))
      await writeFileAtomic(out, file)
      show({ file: out, bytes: file.length }, () => `${file.length} bytes in ${out}`)
    })
}
