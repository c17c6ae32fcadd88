import type { Command } from 'commander'
import { integer } from '../arguments.ts'
import { CliError } from '../errors.ts'

export interface DemoOptions {
  readonly payments: number
  readonly keep: boolean
  readonly json: boolean
}

export function register(program: Command): void {
  program
    .command('demo')
    .description('a network of three nodes that pay each other')
    .option('--payments <n>', 'how many', integer, 1000)
    .option('--keep', 'leave the network up, and say how to reach it')
    .action(async () => {
      throw new CliError('the demo is not part of this build yet')
    })
}
