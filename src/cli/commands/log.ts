import type { Command } from 'commander'
import { readLogLevels } from '../../node/logLevels.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'

export function register(program: Command): void {
  program
    .command('log-level')
    .description('show at what level each part of the running node logs, or change it until the node stops')
    .argument('[levels]', 'like info,peer=debug: a level for all parts, then what is different')
    .action(async (text: string | undefined, _options, command: Command) => {
      const { client, show } = remote(command)
      const levels = text === undefined ? await client.logLevels() : await client.setLogLevels(readLogLevels(text))
      show(levels, () => table(['part', 'level'], Object.entries(levels.parts)))
    })
}
