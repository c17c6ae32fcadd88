import type { Command } from 'commander'
import { CliError } from '../errors.ts'

export function register(program: Command): void {
  program
    .command('bench')
    .description('measure')
    .argument('[name]', 'payments; all when absent')
    .action(async () => {
      throw new CliError('the benchmarks are not part of this build yet')
    })
}
