import type { Command } from 'commander'
import { collect } from '../arguments.ts'
import type { SetupOptions } from '../demo/setup.ts'

export function register(program: Command): void {
  program
    .command('setup')
    .description('fund nodes on regtest and open channels from each to the next; does nothing where that is done')
    .requiredOption('--node <name=url=dataDir>', 'a node of the network, in order; repeat it for each', collect, [])
    .option('--scrape-keys <dir>', 'keep a key that may read metrics in dir/NAME.key, for each node')
    .action(async (_options, command: Command) => {
      const { setup } = await import('../demo/setup.ts')
      process.exitCode = await setup(command.optsWithGlobals<SetupOptions>())
    })
}
