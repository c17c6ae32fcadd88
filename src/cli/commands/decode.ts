import type { Command } from 'commander'
import { fields } from '../output.ts'
import { remote } from '../remote.ts'

export function register(program: Command): void {
  program
    .command('decode')
    .description('what an invoice or an offer says')
    .argument('<text>', 'a BOLT 11 invoice, or a BOLT 12 offer, invoice request or invoice')
    .action(async (text: string, _options, command: Command) => {
      const { client, show } = remote(command)
      const decoded = await client.decode(text)
      show(decoded, () => fields(decoded))
    })
}
