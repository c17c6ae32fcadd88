import type { Command } from 'commander'
import { addNodeOptions, nodeConfig } from '../nodeOptions.ts'
import { notice, table } from '../output.ts'

export function register(program: Command): void {
  addNodeOptions(
    program.command('config').description('print the configuration in force and where each part comes from'),
  ).action((_options, command: Command) => {
    const { entries, warnings } = nodeConfig(command)
    for (const warning of warnings) notice(`warning: ${warning}`)
    if (command.optsWithGlobals().json) return void process.stdout.write(`${JSON.stringify(entries)}\n`)
    const rows = entries.map((e) => [e.name, e.value, e.from])
    process.stdout.write(`${table(['option', 'value', 'from'], rows)}\n`)
  })
}
