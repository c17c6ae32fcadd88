import { type Command, Option } from 'commander'
import { integer } from '../arguments.ts'
import type { DemoOptions } from '../demo/demo.ts'

export function register(program: Command): void {
  program
    .command('demo')
    .description('a network of three nodes that pay each other, and an account of where every satoshi went')
    .option('--payments <n>', 'how many', integer, 1000)
    .option('--keep', 'leave the network up, and say how to reach and how to stop it')
    .option('--seed <n>', 'amounts and order of the payments', integer, 1)
    .addOption(new Option('--chain <url>', 'a Bitcoin node on regtest in place of the embedded chain'))
    .action(async (_options, command: Command) => {
      const { demo } = await import('../demo/demo.ts')
      process.exitCode = await demo(command.optsWithGlobals<DemoOptions>())
    })
}
