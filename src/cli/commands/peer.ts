import type { Command } from 'commander'
import type { Peer } from '../../api/schemas.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'
import { oneCommand } from '../resources.ts'

const peerTable = (peers: readonly Peer[]): string =>
  table(
    ['node', 'alias', 'address', 'connected', 'channels'],
    peers.map((p) => [p.nodeId, p.alias, p.address, p.connected, p.channels]),
  )

export function register(program: Command): void {
  const peer = program.command('peer').description('peers')
  peer
    .command('list')
    .description('the peers of the node')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const page = await client.peers.list({ limit: 500 })
      show(page, () => peerTable(page.items))
    })
  oneCommand(peer, 'connect', {
    about: 'connect, now and after each restart',
    argument: ['<uri>', 'nodeId@host:port'],
    call: (client, uri) => client.peers.connect(uri),
    text: (connected) => peerTable([connected]),
  })
  peer
    .command('disconnect')
    .description('disconnect and forget the address')
    .argument('<nodeId>')
    .action(async (nodeId: string, _options, command: Command) => {
      const { client, show } = remote(command)
      await client.peers.disconnect(nodeId)
      show({ nodeId }, () => `disconnected from ${nodeId}`)
    })
}
