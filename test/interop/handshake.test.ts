import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { DEFAULT_LIMITS } from '../../src/peer/limits.ts'
import { hasFeature } from '../../src/wire/features.ts'
import type { Message } from '../../src/wire/registry.ts'
import { HOST, idOf, key, REGTEST, TestNode } from '../peer/harness.ts'
import { type LdkPeer, startLdkPeer } from './ldk.ts'

const query: Message = { type: 'query_channel_range', chainHash: REGTEST, firstBlocknum: 0, numberOfBlocks: 10 }

/** Asks LDK something and waits for the answers: all that was sent before has been read by then, in both directions. */
async function ask(node: TestNode, times = 1): Promise<void> {
  const { nodeId, epoch } = node.manager.list()[0]!
  const answers = () => node.received.filter((m) => m.type === 'reply_channel_range').length
  const before = answers()
  node.send(nodeId, epoch, Array(times).fill(query))
  await node.until(() => answers() === before + times)
}

/** What LDK says of its connection to us. */
const seenBy = async (peer: LdkPeer, node: TestNode) => (await peer.cmd('list_peers')).find((p) => p.pubkey === node.id)

describe('BOLT 8 and BOLT 1 §the-init-message with LDK', () => {
  let peer: LdkPeer
  let nodes = 0
  /** Each test is another node to LDK. */
  const start = () => TestNode.start(++nodes)
  beforeAll(async () => {
    peer = await startLdkPeer()
  })
  afterAll(() => peer.stop())

  it('we dial: LDK knows us by our node id, and each side has the other’s features', async () => {
    const node = await start()
    const session = await node.manager.connect(peer.nodeId, peer.host, peer.port)
    expect(session.inbound).toBe(false)
    for (const f of ['option_static_remotekey', 'option_anchors', 'payment_secret'] as const) {
      expect(hasFeature(session.theirFeatures, f)).toBe(true)
    }
    await ask(node)
    const seen = await seenBy(peer, node)
    expect(seen?.inbound).toBe(true)
    expect(hasFeature(fromHex(seen!.features), 'option_anchors')).toBe(true)
  })

  it('LDK dials: the same from the other side', async () => {
    const node = await start()
    await peer.cmd('connect', { pubkey: node.id, port: node.port })
    await node.until(() => node.connected.length === 1)
    expect(node.connected[0]!.nodeId).toBe(peer.nodeId)
    expect(node.connected[0]!.session.inbound).toBe(true)
    expect((await seenBy(peer, node))?.inbound).toBe(false)
  })

  it('messages flow over several key rotations of both directions', async () => {
    const node = await start()
    await node.manager.connect(peer.nodeId, peer.host, peer.port)
    await ask(node, 1_300)
    await ask(node)
    expect(node.disconnected).toEqual([])
  })

  it('LDK answers our pings', async () => {
    const node = await start()
    await node.manager.connect(peer.nodeId, peer.host, peer.port)
    for (let i = 0; i < 4; i++) {
      node.clock.advance(DEFAULT_LIMITS.pingIntervalMs)
      await ask(node)
    }
    node.clock.advance(DEFAULT_LIMITS.pongTimeoutMs - 1)
    expect(node.disconnected).toEqual([])
  })

  it('sees the other side close, whoever closes', async () => {
    const node = await start()
    await node.manager.connect(peer.nodeId, peer.host, peer.port)
    await ask(node)
    const gone = async () => {
      while (await seenBy(peer, node)) await peer.waitFor('socket_closed')
    }
    await peer.cmd('disconnect', { pubkey: node.id })
    await node.until(() => node.disconnected.length === 1)
    expect(node.disconnected[0]!.reason.code).toBe('CLOSED')
    await gone()

    await node.manager.connect(peer.nodeId, peer.host, peer.port)
    await ask(node)
    node.manager.disconnect(peer.nodeId, 'test')
    await gone()
  })

  it('LDK hangs up on who dials it under another node id', async () => {
    const node = await start()
    await expect(node.manager.connect(idOf(key(9)), HOST, peer.port)).rejects.toMatchObject({ code: 'WRONG_KEY' })
  })
})
