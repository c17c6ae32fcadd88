import type { Command } from 'commander'
import { fields } from '../output.ts'
import { remote } from '../remote.ts'

export function register(program: Command): void {
  program
    .command('info')
    .description('what the node is and how it stands')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const node = await client.node()
      show(node, () => fields(node))
    })
}
