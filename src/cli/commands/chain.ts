import type { Command } from 'commander'
import { integer } from '../arguments.ts'
import { counted, fields, table } from '../output.ts'
import { remote } from '../remote.ts'
import { oneCommand } from '../resources.ts'
import type { ChainOptions } from '../runChain.ts'

export function register(program: Command): void {
  const chain = program
    .command('chain')
    .description('run the embedded chain alone, for several nodes; its subcommands look at the chain of a node')
    .option('--rpc <host:port>', 'where its JSON-RPC listens', '127.0.0.1:18443')
    .option('--rpc-auth <user:password>', 'ask for these')
    .option('--mine-every <seconds>', 'mine a block regularly; 0: only when asked', integer, 0)
    .action(async (_options, command: Command) => {
      const { runChain } = await import('../runChain.ts')
      await runChain(command.optsWithGlobals<ChainOptions>())
    })
  registerViews(chain)
  chain
    .command('mine')
    .description('mine blocks (embedded chain and regtest); --json has all their hashes')
    .argument('[blocks]', 'how many', integer, 1)
    .option('--address <address>', 'pay the subsidy to this address')
    .action(async (blocks: number, { address }: { address?: string }, command: Command) => {
      const { client, show } = remote(command)
      const mined = await client.chain.mine(blocks, address)
      const { blockHashes } = mined
      show(mined, () => `${counted(blockHashes.length, 'block')}, the last ${blockHashes.at(-1)}`)
    })
}

function registerViews(chain: Command): void {
  chain
    .command('info')
    .description('the tip, as the node sees it')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const tip = await client.chain.get()
      show(tip, () => fields(tip))
    })
  oneCommand(chain, 'block', {
    about: 'one block',
    argument: ['<heightOrHash>'],
    call: (client, heightOrHash) => client.chain.block(heightOrHash),
    text: (block) => fields(block),
  })
  oneCommand(chain, 'transaction', {
    about: 'one transaction',
    argument: ['<txid>'],
    call: (client, txid) => client.chain.transaction(txid),
    text: (tx) => fields(tx),
  })
  chain
    .command('fees')
    .description('fee estimates')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const items = await client.chain.fees()
      const rows = items.map((f) => [f.targetBlocks, f.feerateSatPerVbyte])
      show({ items }, () => table(['within blocks', 'sat per vbyte'], rows))
    })
}
