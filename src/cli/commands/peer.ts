import type { Command } from 'commander'
import type { Peer } from '../../api/schemas.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand, oneCommand } from '../resources.ts'

const peerTable = (peers: readonly Peer[]): string =>
  table(
    ['node', 'alias', 'address', 'connected', 'channels'],
    peers.map((p) => [p.nodeId, p.alias, p.address, p.connected, p.channels]),
  )

export function register(program: Command): void {
  const peer = program.command('peer').description('peers')
  listCommand(peer, {
    about: 'the peers of the node',
    page: (client, query) => client.peers.list(query),
    table: peerTable,
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
