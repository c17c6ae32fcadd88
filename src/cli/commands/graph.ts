import type { Command } from 'commander'
import { given, integer } from '../arguments.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'

export function register(program: Command): void {
  const graph = program.command('graph').description('the network graph')
  graph
    .command('nodes')
    .description('nodes of the network')
    .option('--limit <n>', 'at most so many', integer, 100)
    .option('--cursor <cursor>', 'from the page before')
    .action(async (options, command: Command) => {
      const { client, show } = remote(command)
      const page = await client.graph.nodes(given(options))
      const rows = page.items.map((n) => [n.nodeId, n.alias, n.addresses.join(' ')])
      show(page, () => table(['node', 'alias', 'addresses'], rows))
    })
  graph
    .command('channels')
    .description('channels of the network')
    .option('--limit <n>', 'at most so many', integer, 100)
    .option('--cursor <cursor>', 'from the page before')
    .action(async (options, command: Command) => {
      const { client, show } = remote(command)
      const page = await client.graph.channels(given(options))
      const rows = page.items.map((c) => [c.shortChannelId, c.nodeId1, c.nodeId2, c.capacitySat])
      show(page, () => table(['channel', 'node 1', 'node 2', 'capacity sat'], rows))
    })
  graph
    .command('route')
    .description('find a route')
    .argument('<nodeId>')
    .argument('<amountMsat>', 'millisatoshis', integer)
    .action(async (nodeId: string, amountMsat: number, _options, command: Command) => {
      const { client, show } = remote(command)
      const route = await client.graph.route({ nodeId, amountMsat })
      const rows = route.hops.map((h) => [h.shortChannelId, h.nodeId, h.amountMsat, h.cltvExpiry])
      show(route, () => `${table(['channel', 'to', 'amount msat', 'expiry'], rows)}\nfee ${route.feeMsat} msat`)
    })
}
