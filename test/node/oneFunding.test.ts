import { expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import type { ChannelBackup } from '../../src/node/backup.ts'
import { BackupWriter } from '../../src/node/backupWriter.ts'
import { type ChannelEntry, Channels, type ChannelsOptions } from '../../src/node/channels.ts'
import type { Node } from '../../src/node/node.ts'
import { channelOf } from '../channel/onchain/fixture.ts'

it('a backup has the channel that a backup brought back, and not what another peer says is funded by the same', async () => {
  const channels = new Channels({} as ChannelsOptions)
  const channel = channelOf('alice', { type: 'anchors', opener: 'bob', number: 1, htlcs: [] })
  const entryOf = (peer: string, state: unknown): ChannelEntry => {
    const meta = { localId: peer, peer: peer as NodeId } as ChannelEntry['meta']
    return { meta, state: state as ChannelState, stored: null, quarantined: null } as unknown as ChannelEntry
  }
  const [liar, honest] = ['02aa', '02bb']
  const funding = { tx: null, confirmed: null }
  const backups: (readonly ChannelBackup[])[] = []
  const node = {
    channels,
    resources: {
      journal: { durable: 1, commit: async () => 1 },
      writeBackup: async (written: readonly ChannelBackup[]) => void backups.push(written),
    },
    ...{ own: { nodeId: '02cc' }, numbers: { nextKeyIndex: 3 }, wallet: { state: { next: [0, 0] } }, backups: [] },
    ...{ storage: { backedUp: () => {} }, peers: { address: () => undefined }, graph: { node: () => undefined } },
  } as unknown as Node
  const writer = new BackupWriter(node)
  channels.restore(entryOf(liar, { tag: 'await-ready', channel: { ...channel, funding } }))
  await writer.write()
  const restored = { ...channel, funding, restored: true }
  channels.restore(entryOf(honest, { tag: 'waiting-for-peer', channel: restored, error: '' }))
  await writer.write()
  expect(backups.map((b) => b.map((c) => c.peer))).toEqual([[liar], [honest]])
})
