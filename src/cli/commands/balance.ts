import type { Command } from 'commander'
import { fields } from '../output.ts'
import { remote } from '../remote.ts'

export function register(program: Command): void {
  program
    .command('balance')
    .description('what can be spent')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const balance = await client.balance()
      show(balance, () => fields(balance))
    })
}
