import type { Command } from 'commander'
import { CliError } from '../errors.ts'

export function register(program: Command): void {
  program
    .command('bench')
    .description('measure (in a checkout: npm run bench)')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new CliError('the benchmarks need the sources and their rival: run "npm run bench" in a checkout')
    })
}
