import { expect, it } from 'vitest'
import { GossipServing } from '../../src/node/gossipServing.ts'
import type { Link } from '../../src/node/outbox.ts'
import { Reactor } from '../../src/node/reactor.ts'
import type { PeerManager } from '../../src/peer/manager.ts'
import { Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { TestNode } from '../peer/harness.ts'
import { announcementOf, CHAIN, scidOf, tableOf, take } from './network.ts'

/** Together far more than the sockets of both sides hold, or than may wait for a peer before it counts as one that does not read. */
const CHANNELS = 6_000
const EXTENSION = new Uint8Array(4_000)

it('over a socket, a peer that stops reading makes nothing wait in memory, and goes on getting when it reads again', async () => {
  const table = tableOf()
  const some = announcementOf({ block: 1, n: 1 })
  for (let n = 0; n < CHANNELS; n++)
    take(table, { ...some, extension: EXTENSION, shortChannelId: scidOf({ block: 1_000 + n, n: 1 }) })
  const reactor = new Reactor({
    journal: new Journal(new MemoryDriver(), 0),
    endOfTurn: () => {},
    onFatal: (e) => expect(e).toBeUndefined(),
    now: () => performance.now(),
  })
  let manager: PeerManager | null = null
  let link: Link | null = null
  let most = 0
  const serving = new GossipServing({
    table,
    reactor,
    send: ({ nodeId, epoch }, messages) => {
      expect(manager!.sendEncoded(nodeId, epoch, messages)).toBe(true)
      most = Math.max(most, manager!.queuedBytes(nodeId, epoch))
    },
    queuedBytes: ({ nodeId, epoch }) => manager!.queuedBytes(nodeId, epoch),
    blame: (_, reason) => expect(reason).toBe(''),
    flushMs: 0,
    now: () => performance.now(),
  })
  const server = await TestNode.start(1, {
    callbacks: {
      onConnected: (nodeId, { epoch }) => {
        link = { nodeId, epoch }
        serving.connected(link)
      },
      onMessages: (_, __, messages) => {
        for (const m of messages) if (m.type === 'query_short_channel_ids') serving.onQuery(link!, m)
      },
      onDisconnected: () => {},
      onDrained: (nodeId, epoch) => serving.drained({ nodeId, epoch }),
    },
  })
  manager = server.manager
  const client = await TestNode.start(2)
  const { epoch } = await client.connectTo(server)
  const shortChannelIds = [...table.scids(0n, 1n << 64n, CHANNELS)]
  client.send(server.id, epoch, [{ type: 'query_short_channel_ids', chainHash: CHAIN, shortChannelIds }])
  client.manager.pause(server.id, epoch)
  while (most <= 64 * 1024) await new Promise((resolve) => setImmediate(resolve))
  expect(client.received.length).toBeLessThan(CHANNELS)
  client.manager.resume(server.id, epoch)
  await client.until(() => client.batches.at(-1)?.messages.at(-1)?.type === 'reply_short_channel_ids_end')
  expect(client.received.filter((m) => m.type === 'channel_announcement')).toHaveLength(CHANNELS)
  expect(most).toBeLessThan(128 * 1024)
  await reactor.stop()
})
