import type { Command } from 'commander'
import type { GraphChannel, GraphNode } from '../../api/schemas.ts'
import { integer } from '../arguments.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand } from '../resources.ts'

export function register(program: Command): void {
  const graph = program.command('graph').description('the network graph')
  listCommand(graph, {
    name: 'nodes',
    about: 'nodes of the network',
    page: (client, query) => client.graph.nodes(query),
    table: (nodes: readonly GraphNode[]) =>
      table(
        ['node', 'alias', 'addresses'],
        nodes.map((n) => [n.nodeId, n.alias, n.addresses.join(' ')]),
      ),
  })
  listCommand(graph, {
    name: 'channels',
    about: 'channels of the network',
    page: (client, query) => client.graph.channels(query),
    table: (channels: readonly GraphChannel[]) =>
      table(
        ['channel', 'node 1', 'node 2', 'capacity sat'],
        channels.map((c) => [c.shortChannelId, c.nodeId1, c.nodeId2, c.capacitySat]),
      ),
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
