import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex, u16be, utf8Decode } from '../../src/base/bytes.ts'
import { DEFAULT_LIMITS, type PeerLimits } from '../../src/peer/limits.ts'
import type { Message } from '../../src/wire/registry.ts'
import { idOf, init, key, numbered, numberOf, RawPeer, TestNode } from './harness.ts'

const start = (limits: Partial<PeerLimits> = {}) => TestNode.start(1, { limits })
const PEER = idOf(key(77))
const { handshakeTimeoutMs, initTimeoutMs, pingIntervalMs, pongTimeoutMs, pingBurst, lingerMs } = DEFAULT_LIMITS

/** The text of the warning that it got, or null. */
const warningTo = (peer: RawPeer): string | null => {
  const m = peer.received.find((r) => r.type === 'warning')
  return m?.type === 'warning' ? utf8Decode(m.data) : null
}
const ping = (numPongBytes: number, ignored = 0): Message => ({
  type: 'ping',
  numPongBytes,
  ignored: new Uint8Array(ignored),
})
const pongs = (peer: RawPeer): number[] => peer.received.flatMap((m) => (m.type === 'pong' ? [m.ignored.length] : []))
/** One timer stands for each connection that waits for something. */
const accepted = (node: TestNode, n = 1) => turns(() => node.clock.waits.length === n)

/** Waits over turns of the event loop, for what no callback announces. */
async function turns(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve))
}

describe('a peer that stays silent, in the handshake too', () => {
  it('after TCP is cut off at the time limit of the handshake', async () => {
    const node = await start()
    const peer = await RawPeer.tcp(node.port)
    await accepted(node)
    node.clock.advance(handshakeTimeoutMs - 1)
    expect(node.clock.waits).toEqual([1])
    node.clock.advance(1)
    await peer.until(() => peer.closed)
  })

  it('within the handshake is cut off as well, however it doles out its bytes', async () => {
    const node = await start()
    const peer = await RawPeer.tcp(node.port)
    await accepted(node)
    for (let i = 0; i < 40; i++) {
      peer.socket.write(Uint8Array.of(0))
      node.clock.advance(handshakeTimeoutMs / 40)
    }
    await peer.until(() => peer.closed)
    expect(node.connected).toEqual([])
  })

  it('after the handshake is cut off at the time limit of init', async () => {
    const node = await start()
    const peer = await RawPeer.handshaken(node)
    await peer.until(() => peer.received.length === 1)
    node.clock.advance(initTimeoutMs - 1)
    expect(node.clock.waits).toEqual([1])
    node.clock.advance(1)
    await peer.until(() => peer.closed)
    expect(node.connected).toEqual([])
  })

  it('later is pinged, and cut off when no pong comes', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    node.clock.advance(pingIntervalMs)
    await peer.until(() => peer.received.some((m) => m.type === 'ping'))
    node.clock.advance(pongTimeoutMs - 1)
    expect(node.manager.list().length).toBe(1)
    node.clock.advance(1)
    await node.until(() => node.disconnected.length === 1)
    expect(node.disconnected[0]!.reason.code).toBe('UNRESPONSIVE')
    await peer.until(() => peer.closed)
  })

  it('is not cut off for a silence that is our own pause', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    const { epoch } = node.manager.list()[0]!
    node.clock.advance(pingIntervalMs)
    await peer.until(() => peer.received.some((m) => m.type === 'ping'))
    node.manager.pause(PEER, epoch)
    node.clock.advance(10 * pongTimeoutMs)
    node.manager.resume(PEER, epoch)
    node.clock.advance(pongTimeoutMs - 1)
    expect(node.disconnected).toEqual([])
    peer.send([{ type: 'pong', ignored: new Uint8Array(16) }, numbered(1)])
    await node.until(() => node.received.length === 1)
    node.clock.advance(pongTimeoutMs)
    expect(node.disconnected).toEqual([])
  })
})

describe('a peer that sends rubbish', () => {
  it('in place of a handshake is cut off on its first 50 bytes, whatever the amount', async () => {
    const node = await start()
    const peer = await RawPeer.tcp(node.port)
    peer.socket.write(new Uint8Array(1_000_000).fill(0x47))
    await peer.until(() => peer.closed)
    expect(node.connected).toEqual([])
    await turns(() => node.clock.waits.length === 0)
  })

  it('as a frame ends with BAD_FRAME, after the messages before it', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    const good = peer.seal([fromHex(`0002${'00'.repeat(31)}0501`)])
    peer.socket.write(concatBytes(good, new Uint8Array(70_000)))
    await node.until(() => node.disconnected.length === 1)
    expect(node.received.map(numberOf)).toEqual([5])
    expect(node.disconnected[0]!.reason.code).toBe('BAD_FRAME')
  })

  const closing = [
    ['a known message that is too short', fromHex('0080ffff'), /update_add_htlc/],
    ['an unknown even type', fromHex('7ffe00'), /even type 32766/],
    ['less than a type', fromHex('00'), /2 bytes/],
    ['nothing at all', new Uint8Array(0), /2 bytes/],
    ['a second init', fromHex('001000000000'), /second init/],
  ] as const
  it.each(closing)(
    'BOLT 1 §lightning-message-format: %s ends the connection with a warning',
    async (_, frame, text) => {
      const node = await start()
      const peer = await RawPeer.ready(node)
      peer.socket.write(peer.seal([frame]))
      await node.until(() => node.disconnected.length === 1)
      expect(node.disconnected[0]!.reason).toMatchObject({
        code: 'PROTOCOL_VIOLATION',
        message: expect.stringMatching(text),
      })
      await peer.until(() => peer.closed)
      expect(warningTo(peer)).toMatch(text)
    },
  )

  it('a closing peer that does not hang up itself is cut off after a moment', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    peer.socket.pause()
    peer.socket.write(peer.seal([fromHex('7ffe00')]))
    await node.until(() => node.disconnected.length === 1)
    expect(node.clock.waits).toEqual([lingerMs])
    node.clock.advance(lingerMs)
    peer.socket.resume()
    await peer.until(() => peer.closed)
  })

  it('a message before init ends the connection, without one in return', async () => {
    const node = await start()
    const peer = await RawPeer.handshaken(node)
    peer.send([numbered(1), init()])
    await peer.until(() => peer.closed)
    expect(peer.received.map((m) => m.type)).toEqual(['init'])
    expect(node.connected).toEqual([])
  })

  it('unknown odd messages of the largest size are skipped', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    const large = concatBytes(u16be(0x7fff), new Uint8Array(65_533))
    for (let i = 0; i < 20; i++) peer.socket.write(peer.seal([large]))
    peer.send([numbered(9)])
    await node.until(() => node.received.length > 0)
    expect(node.received.map(numberOf)).toEqual([9])
  })
})

describe('BOLT 1 §the-ping-and-pong-messages', () => {
  it('a ping is answered with as many bytes as it asks for, from 65,532 on with none', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    peer.send([ping(0), ping(65_531), ping(65_532), ping(65_535), ping(3, 1_000)])
    await peer.until(() => pongs(peer).length === 3)
    expect(pongs(peer)).toEqual([0, 65_531, 3])
    expect(node.received).toEqual([])
  })

  it('a flood of pings ends the connection, pings at a moderate pace do not', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    peer.send(Array(pingBurst).fill(ping(1)))
    await peer.until(() => pongs(peer).length === pingBurst)
    node.clock.advance(DEFAULT_LIMITS.pingRefillMs)
    peer.send([ping(2)])
    await peer.until(() => pongs(peer).length === pingBurst + 1)
    peer.send([ping(2)])
    await node.until(() => node.disconnected.length === 1)
    expect(node.disconnected[0]!.reason.code).toBe('PING_FLOOD')
  })

  it('a pong of another length is no answer', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    node.clock.advance(pingIntervalMs)
    peer.send([{ type: 'pong', ignored: new Uint8Array(3) }, numbered(1)])
    await node.until(() => node.received.length === 1)
    node.clock.advance(pongTimeoutMs)
    await node.until(() => node.disconnected.length === 1)
    expect(node.disconnected[0]!.reason.code).toBe('UNRESPONSIVE')
  })

  it('a peer that goes on talking has four times as long for its pong, not for ever', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    node.clock.advance(pingIntervalMs)
    for (let i = 1; i <= 8; i++) {
      peer.send([numbered(i)])
      await node.until(() => node.received.length === i)
      expect(node.disconnected).toEqual([])
      node.clock.advance(pongTimeoutMs / 2)
    }
    await node.until(() => node.disconnected.length === 1)
    expect(node.disconnected[0]!.reason.code).toBe('UNRESPONSIVE')
  })
})

describe('bounded memory', () => {
  it('a peer that does not read is cut off at the limit of bytes that wait for it', async () => {
    const maxOutboundBytes = 300_000
    const node = await start({ maxOutboundBytes })
    const peer = await RawPeer.ready(node)
    peer.socket.pause()
    const { epoch } = node.manager.list()[0]!
    const batch: Message[] = [{ type: 'peer_storage', blob: new Uint8Array(50_000) }]
    let most = 0
    while (node.send(PEER, epoch, batch)) {
      most = Math.max(most, node.manager.queuedBytes(PEER, epoch))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(node.disconnected).toEqual([]) // told later, never from within a call
    await node.until(() => node.disconnected.length === 1)
    expect(node.disconnected[0]!.reason.code).toBe('SLOW_READER')
    expect(most).toBeLessThanOrEqual(maxOutboundBytes)
    expect(most).toBeGreaterThan(maxOutboundBytes / 2)
  })

  it('peers that do not read have a limit together, too: past it, one with more than its share is cut off', async () => {
    const maxOutboundTotal = 600_000
    const node = await start({ maxOutboundTotal, maxPeers: 4 })
    for (const n of [80, 81, 82, 83]) (await RawPeer.ready(node, n)).socket.pause()
    const peers = node.manager.list()
    const waiting = (): number[] => peers.map((p) => node.manager.queuedBytes(p.nodeId, p.epoch))
    const batch: Message[] = [{ type: 'peer_storage', blob: new Uint8Array(50_000) }]
    const fill = async (n: number, most: number): Promise<boolean> => {
      const { nodeId, epoch } = peers[n]!
      while (waiting()[n]! < most) {
        if (!node.send(nodeId, epoch, batch)) return false
        expect(waiting().reduce((a, b) => a + b)).toBeLessThanOrEqual(maxOutboundTotal)
        await new Promise((resolve) => setImmediate(resolve))
      }
      return true
    }
    expect(await fill(0, 300_000)).toBe(true)
    expect(await fill(1, 100_000)).toBe(true)
    expect(await fill(2, 1e9)).toBe(false)
    await node.until(() => node.disconnected.length === 1)
    expect(node.disconnected[0]).toMatchObject({ nodeId: peers[2]!.nodeId, reason: { code: 'SLOW_READER' } })
    // Its room is free again, and who has little waiting is never cut off.
    expect(await fill(3, 100_000)).toBe(true)
    expect(node.manager.list()).toHaveLength(3)
  })

  it('a paused peer is not read from: the rest of what it sends waits on its side (infinite inbox, LND, 2025)', async () => {
    const node = await start()
    const peer = await RawPeer.ready(node)
    const { epoch } = node.manager.list()[0]!
    node.manager.pause(PEER, epoch)
    const large = concatBytes(u16be(0x7fff), new Uint8Array(65_533))
    let refused = 0
    for (let i = 0; i < 400; i++) {
      if (!peer.socket.write(peer.seal([large]))) refused++
    }
    peer.send([numbered(1)])
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(refused).toBeGreaterThan(0)
    expect(peer.socket.writableLength).toBeGreaterThan(1_000_000)
    expect(node.received).toEqual([])
    node.manager.resume(PEER, epoch)
    await node.until(() => node.received.length === 1)
    expect(peer.socket.writableLength).toBe(0)
  })

  it('inbound connections that have not said who they are are limited: the oldest goes', async () => {
    const node = await start({ maxPendingInbound: 2 })
    const first = await RawPeer.tcp(node.port)
    await accepted(node, 1)
    const second = await RawPeer.tcp(node.port)
    await accepted(node, 2)
    expect(first.closed).toBe(false)
    const third = await RawPeer.ready(node)
    await first.until(() => first.closed)
    expect([second.closed, third.closed]).toEqual([false, false])
  })

  it('peers are limited, save those that the owner of the connections has something with', async () => {
    const node = await TestNode.start(1, { limits: { maxPeers: 1 }, isWelcome: (id) => id === idOf(key(72)) })
    await RawPeer.ready(node, 70)
    const stranger = await RawPeer.handshaken(node, 71)
    stranger.send([init()])
    await stranger.until(() => stranger.closed)
    await RawPeer.ready(node, 72)
    expect(node.manager.list().map((p) => p.nodeId)).toEqual([idOf(key(70)), idOf(key(72))])
  })

  it('peers are limited, save those that the node keeps', async () => {
    const node = await start({ maxPeers: 1 })
    await RawPeer.ready(node, 70)
    const stranger = await RawPeer.handshaken(node, 71)
    stranger.send([init()])
    await stranger.until(() => stranger.closed)
    node.manager.keep(idOf(key(72)), '127.0.0.1', 1)
    await RawPeer.ready(node, 72)
    expect(node.manager.list().map((p) => p.nodeId)).toEqual([idOf(key(70)), idOf(key(72))])
  })

  it('one address cannot take all places: who comes from elsewhere gets one, as long as others have more', async () => {
    const node = await TestNode.start(1, { limits: { maxPeers: 4 }, isWelcome: (id) => id === idOf(key(70)) })
    await RawPeer.ready(node, 70)
    const crowd: RawPeer[] = []
    for (const n of [71, 72, 73]) crowd.push(await RawPeer.ready(node, n))
    const ready = (n: number): boolean => node.manager.list().some((p) => p.nodeId === idOf(key(n)))
    const elsewhere = await RawPeer.handshaken(node, 74, '127.0.0.2')
    elsewhere.send([init()])
    await node.until(() => ready(74))
    expect([70, 71, 72, 73].map(ready)).toEqual([true, false, true, true])
    const more = await RawPeer.handshaken(node, 75, '127.0.0.2')
    more.send([init()])
    await more.until(() => more.closed)
    const another = await RawPeer.handshaken(node, 76)
    another.send([init()])
    await another.until(() => another.closed)
    expect([70, 72, 73, 74].map(ready)).toEqual([true, true, true, true])
    expect(crowd[1]!.closed || crowd[2]!.closed || elsewhere.closed).toBe(false)
  })
})
