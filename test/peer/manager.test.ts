import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { PeerError } from '../../src/peer/errors.ts'
import { featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { HOST, idOf, key, numbered, numberOf, RawPeer, silentServer, TestNode } from './harness.ts'

const codeOf = async (p: Promise<unknown>): Promise<string> => {
  try {
    await p
    return 'none'
  } catch (e) {
    expect(e).toBeInstanceOf(PeerError)
    return (e as PeerError).code
  }
}

describe('PeerManager: connecting', () => {
  it('connects two nodes: each learns the other’s id, features and who dialled', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    const session = await alice.connectTo(bob)
    await bob.until(() => bob.connected.length === 1)

    expect(session).toEqual(alice.connected[0]!.session)
    expect(toHex(session.theirFeatures)).toBe(toHex(ourInitFeatures()))
    expect([session.inbound, bob.connected[0]!.session.inbound]).toEqual([false, true])
    expect([alice.connected[0]!.nodeId, bob.connected[0]!.nodeId]).toEqual([bob.id, alice.id])
    expect(session.address).toBe(`${HOST}:${bob.port}`)
  })

  it('carries messages both ways in order, sealed in one write', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    const { epoch } = await alice.connectTo(bob)
    await bob.until(() => bob.connected.length === 1)
    const sent = Array.from({ length: 1200 }, (_, i) => i)

    expect(alice.send(bob.id, epoch, sent.map(numbered))).toBe(true)
    await bob.until(() => bob.received.length === sent.length)
    expect(bob.received.map(numberOf)).toEqual(sent)
    expect(bob.batches.length).toBeLessThan(20)
    expect(bob.batches.reduce((n, b) => n + b.byteCount, 0)).toBe(sent.length * 35)

    expect(bob.send(alice.id, bob.connected[0]!.session.epoch, [numbered(7)])).toBe(true)
    await alice.until(() => alice.received.length === 1)
    expect(alice.received.map(numberOf)).toEqual([7])
  })

  it('gives callers that ask at once the same connection, and later ones the one that stands', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    const [a, b] = await Promise.all([alice.connectTo(bob), alice.connectTo(bob)])
    expect([b.epoch, (await alice.connectTo(bob)).epoch]).toEqual([a.epoch, a.epoch])
    expect(alice.connected.length).toBe(1)
  })

  it('is over with a peer that is no longer wanted, also where an attempt is under way', async () => {
    const alice = await TestNode.start(1)
    const { port, sockets } = await silentServer()
    const wanted = alice.manager.connect(idOf(key(2)), HOST, port)
    const other = alice.manager.connect(idOf(key(3)), HOST, port)
    await expect.poll(() => sockets.length).toBe(2)
    alice.manager.drop(idOf(key(2)))
    expect(await codeOf(wanted)).toBe('ABORTED') // for want of an answer otherwise
    alice.manager.drop(idOf(key(3)))
    expect(await codeOf(other)).toBe('ABORTED')
  })

  it('says UNREACHABLE where nobody listens', async () => {
    const alice = await TestNode.start(1)
    const { port, server } = await silentServer()
    server.close()
    expect(await codeOf(alice.manager.connect(idOf(key(2)), HOST, port))).toBe('UNREACHABLE')
  })

  it('says WRONG_KEY when another node answers', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    expect(await codeOf(alice.manager.connect(idOf(key(3)), HOST, bob.port))).toBe('WRONG_KEY')
    expect(bob.connected).toEqual([])
  })

  it('says SELF for our own node id', async () => {
    const alice = await TestNode.start(1)
    expect(await codeOf(alice.connectTo(alice))).toBe('SELF')
  })

  it('BOLT 1 §init: closes on an unknown even feature, on both ends', async () => {
    const [alice, bob] = [
      await TestNode.start(1),
      await TestNode.start(2, { features: featuresFromBits([0, 8, 12, 14, 44, 222]) }),
    ]
    expect(await codeOf(alice.connectTo(bob))).toBe('INCOMPATIBLE_FEATURES')
    expect(alice.connected).toEqual([])
  })

  it('BOLT 1 §init: closes when the networks of the peer hold none of ours', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2, { chainHash: new Uint8Array(32).fill(3) })]
    expect(['WRONG_CHAIN', 'CLOSED']).toContain(await codeOf(alice.connectTo(bob)))
    expect([alice.connected, bob.connected]).toEqual([[], []])
  })

  it('gives up at the caller’s signal', async () => {
    const alice = await TestNode.start(1)
    const { port, sockets } = await silentServer()
    const abort = new AbortController()
    const attempt = codeOf(alice.manager.connect(idOf(key(2)), HOST, port, abort.signal))
    abort.abort()
    expect(await attempt).toBe('ABORTED')
    expect(sockets.length).toBeLessThanOrEqual(1)
    expect(await codeOf(alice.manager.connect(idOf(key(2)), HOST, port, abort.signal))).toBe('ABORTED')
  })

  it('reaches a node at another address while an attempt at a dead one hangs', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    const { port } = await silentServer()
    const hanging = codeOf(alice.manager.connect(bob.id, HOST, port))
    expect((await alice.connectTo(bob)).address).toBe(`${HOST}:${bob.port}`)
    alice.clock.advance(10_000)
    expect(await hanging).toBe('none')
    expect(alice.manager.list().length).toBe(1)
  })

  it('gives up on a handshake that is never answered', async () => {
    const alice = await TestNode.start(1)
    const { port, server } = await silentServer()
    const accepted = new Promise<void>((resolve) => server.once('connection', (s) => s.once('data', () => resolve())))
    const attempt = codeOf(alice.manager.connect(idOf(key(2)), HOST, port))
    await accepted // act one is there
    alice.clock.advance(9_999)
    expect(alice.clock.waits.length).toBe(1)
    alice.clock.advance(1)
    expect(await attempt).toBe('TIMEOUT')
  })

  it('refuses to listen on an address that is taken', async () => {
    const [alice, bob] = [await TestNode.start(1), new TestNode(2)]
    expect(await codeOf(bob.manager.listen(HOST, alice.port))).toBe('UNREACHABLE')
  })
})

// BOLT 1 §connection-handling-and-multiplexing
describe('PeerManager: one connection per node', () => {
  it('a newer connection of the same node replaces the older, whose epoch is over', async () => {
    const alice = await TestNode.start(1)
    const first = await RawPeer.ready(alice)
    const { epoch } = alice.manager.list()[0]!
    await RawPeer.ready(alice)
    await alice.until(() => alice.connected.length === 2)
    await first.until(() => first.closed)

    expect(alice.disconnected.map((d) => [d.epoch, d.reason.code])).toEqual([[epoch, 'REPLACED']])
    expect(alice.manager.list().map((p) => p.epoch)).toEqual([alice.connected[1]!.session.epoch])
    expect(alice.send(idOf(key(77)), epoch, [numbered(1)])).toBe(false)
    expect(alice.send(idOf(key(77)), epoch + 1, [numbered(1)])).toBe(true)
  })

  it.each([
    [1, 2],
    [2, 1],
  ])('both ends dialling at once settle on one and the same connection (keys %i, %i)', async (a, b) => {
    const [alice, bob] = [await TestNode.start(a), await TestNode.start(b)]
    await Promise.all([alice.connectTo(bob), bob.connectTo(alice)])
    // Once each end has said something over what it holds and heard the answer, nothing of the race is under way any more.
    const settled = () => {
      const [x, y] = [alice.manager.list()[0], bob.manager.list()[0]]
      return x !== undefined && y !== undefined && x.inbound !== y.inbound
    }
    await Promise.race([alice.until(settled), bob.until(settled)])
    const lower = alice.id < bob.id ? alice : bob
    await lower.until(() => lower.manager.list()[0]?.inbound === false)
    const higher = lower === alice ? bob : alice
    await higher.until(() => higher.manager.list()[0]?.inbound === true)

    expect(lower.send(higher.id, lower.manager.list()[0]!.epoch, [numbered(5)])).toBe(true)
    await higher.until(() => higher.received.length === 1)
    expect(higher.batches[0]!.epoch).toBe(higher.manager.list()[0]!.epoch)
  })

  it('tells its owner of one epoch at a time: connected, messages, disconnected', async () => {
    const log: string[] = []
    const alice = await TestNode.start(1, {
      callbacks: {
        onConnected: (_, s) => void log.push(`connected ${s.epoch}`),
        onMessages: (_, epoch, m) => void log.push(`messages ${epoch} ${m.map(numberOf)}`),
        onDisconnected: (_, epoch, reason) => void log.push(`disconnected ${epoch} ${reason.code}`),
      },
    })
    const first = await RawPeer.tcp(alice.port).then(() => RawPeer.handshaken(alice))
    first.send([{ type: 'init', globalFeatures: new Uint8Array(0), features: ourInitFeatures() }, numbered(1)])
    await first.until(() => first.received.length === 1)
    const second = await RawPeer.handshaken(alice)
    second.send([{ type: 'init', globalFeatures: new Uint8Array(0), features: ourInitFeatures() }, numbered(2)])
    await first.until(() => first.closed)
    await alice.manager.close()
    expect(log).toEqual([
      'connected 1',
      'messages 1 1',
      'disconnected 1 REPLACED',
      'connected 2',
      'messages 2 2',
      'disconnected 2 SHUTTING_DOWN',
    ])
  })
})

describe('PeerManager: keeping peers', () => {
  it('dials at once, then with growing waits, until the peer is there', async () => {
    const alice = await TestNode.start(1, { random: () => new Uint8Array(32).fill(128) })
    const { port, server } = await silentServer()
    server.close()
    alice.manager.keep(idOf(key(2)), HOST, port)
    const waits: number[] = []
    for (let i = 0; i < 4; i++) {
      await expectSoon(() => alice.clock.waits.length === 1 && alice.clock.waits[0] !== 10_000)
      waits.push(alice.clock.waits[0]!)
      alice.clock.advance(alice.clock.waits[0]!)
    }
    expect(waits).toEqual([750, 1500, 3000, 6000])

    const bob = new TestNode(2)
    await expectSoon(() => alice.clock.waits[0] === 12_000)
    bob.port = await bob.manager.listen(HOST, port)
    alice.clock.advance(12_000)
    await bob.until(() => bob.connected.length === 1)
  })

  it('comes back after the peer has gone away, and not after drop()', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    alice.keep(bob)
    await bob.until(() => bob.connected.length === 1)
    bob.manager.disconnect(alice.id, 'test')
    await alice.until(() => alice.disconnected.length === 1)
    expect(alice.disconnected[0]!.reason.code).toBe('CLOSED')
    alice.clock.advance(1_000)
    await bob.until(() => bob.connected.length === 2)
    await alice.until(() => alice.connected.length === 2)

    alice.manager.drop(bob.id)
    alice.manager.disconnect(bob.id, 'test')
    await bob.until(() => bob.disconnected.length === 2)
    alice.clock.advance(3_600_000)
    expect(alice.clock.waits).toEqual([])
    expect([alice.connected.length, alice.manager.list()]).toEqual([2, []])
  })

  it('both ends that keep each other end up with one connection, and stay so', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    alice.keep(bob)
    bob.keep(alice)
    const [lower, higher] = alice.id < bob.id ? [alice, bob] : [bob, alice]
    await lower.until(() => lower.manager.list()[0]?.inbound === false)
    await higher.until(() => higher.manager.list()[0]?.inbound === true)
    const before = [alice.connected.length, bob.connected.length]
    alice.clock.advance(20_000)
    bob.clock.advance(20_000)
    alice.send(bob.id, alice.manager.list()[0]!.epoch, [numbered(1)])
    await bob.until(() => bob.received.length === 1)
    expect([alice.connected.length, bob.connected.length]).toEqual(before)
    expect(before.every((n) => n <= 2)).toBe(true)
  })
})

describe('PeerManager: closing', () => {
  it('delivers what was sent before a disconnect', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    const { epoch } = await alice.connectTo(bob)
    alice.send(
      bob.id,
      epoch,
      Array.from({ length: 500 }, (_, i) => numbered(i)),
    )
    alice.manager.disconnect(bob.id, 'done')
    await bob.until(() => bob.disconnected.length === 1)
    expect(bob.received.length).toBe(500)
    expect(alice.disconnected.map((d) => d.reason.code)).toEqual(['DISCONNECTED'])
  })

  it('ends the connection that is meant, not the one after it', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    const { epoch } = await alice.connectTo(bob)
    alice.manager.disconnect(bob.id, 'an earlier one', epoch - 1)
    expect(alice.manager.list()).toHaveLength(1)
    alice.send(bob.id, epoch, [numbered(1)])
    await bob.until(() => bob.received.length === 1)
    alice.manager.disconnect(bob.id, 'this one', epoch)
    await bob.until(() => bob.disconnected.length === 1)
    expect(alice.manager.list()).toEqual([])
  })

  it('ends every connection and takes no more', async () => {
    const [alice, bob] = [await TestNode.start(1), await TestNode.start(2)]
    await alice.connectTo(bob)
    await alice.manager.close()
    expect(alice.disconnected.map((d) => d.reason.code)).toEqual(['SHUTTING_DOWN'])
    await bob.until(() => bob.disconnected.length === 1)
    expect(await codeOf(bob.connectTo(alice))).toBe('UNREACHABLE')
    expect(await codeOf(alice.connectTo(bob))).toBe('SHUTTING_DOWN')
    expect(alice.clock.waits).toEqual([])
  })
})

/** Waits over turns of the event loop, for what no callback announces. */
async function expectSoon(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve))
}
