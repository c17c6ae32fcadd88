import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChannelId, NodeId } from '../../src/base/ids.ts'
import type { Link } from '../../src/node/outbox.ts'
import { type Connections, Peers, type PeersOptions } from '../../src/node/peers.ts'
import type { Reactor, TurnScope } from '../../src/node/reactor.ts'
import { PeerError } from '../../src/peer/errors.ts'
import type { PeerCallbacks, PeerManagerOptions, PeerSession } from '../../src/peer/manager.ts'
import type { Message } from '../../src/wire/registry.ts'
import { NOW, updateOf } from '../gossip/network.ts'

const MIB = 1024 * 1024
const PEERS = 400
const idOf = (n: number): NodeId => `02${n.toString(16).padStart(64, '0')}` as NodeId

const GONE = new PeerError('DISCONNECTED', 'gone')

/** Peers whose reactor runs a task when it is told to. */
function start() {
  const tasks: ((scope: TurnScope) => void)[] = []
  const paused = new Set<number>()
  const taken: Message[] = []
  let callbacks!: PeerCallbacks
  const peers = new Peers({
    reactor: { post: (task: (scope: TurnScope) => void) => void tasks.push(task) } as Reactor,
    connections: (options: PeerManagerOptions) => {
      callbacks = options.callbacks
      return {
        pause: (_: NodeId, epoch: number) => void paused.add(epoch),
        resume: (_: NodeId, epoch: number) => void paused.delete(epoch),
        queuedBytes: () => 0,
        disconnect: (id: NodeId, _: string, epoch: number) => callbacks.onDisconnected(id, epoch, GONE),
      } as unknown as Connections
    },
    onConnected: () => {},
    onDisconnected: () => {},
    onMessage: (link: Link, message: Message, scope: TurnScope) => {
      taken.push(message)
      if (message === BAD) peers.hangUp(link, 'bad', scope)
    },
  } as unknown as PeersOptions)
  return {
    ...{ peers, paused, taken },
    connects: (n: number) => callbacks.onConnected(idOf(n), { epoch: n } as PeerSession),
    delivers: (n: number, messages: readonly Message[], bytes: number) =>
      callbacks.onMessages(idOf(n), n, messages, bytes),
    reads: (n: number, bytes: number) => callbacks.onMessages(idOf(n), n, [], bytes),
    turns: (most = Number.POSITIVE_INFINITY) => {
      const acts: (() => void)[] = []
      const scope = { after: (act: () => void) => void acts.push(act) } as TurnScope
      for (const task of tasks.splice(0, most)) task(scope)
      for (const act of acts) act()
    },
  }
}

const BAD: Message = { type: 'stfu', channelId: '0b'.repeat(32) as ChannelId, initiator: 0 }

describe('what waits for a turn (infinite inbox)', () => {
  it('of a peer that is hung up on is not handled, in that turn and after; what comes over the next connection is', () => {
    const { taken, connects, delivers, turns } = start()
    const [first, second, third, fourth] = Array.from({ length: 4 }, (): Message => ({ ...BAD }))
    connects(1)
    delivers(1, [first!, BAD, second!], 100)
    delivers(1, [third!], 100)
    turns(2)
    delivers(1, [third!], 100)
    turns()
    turns()
    expect(taken).toEqual([first, BAD])
    connects(2)
    delivers(2, [fourth!], 100)
    turns()
    expect(taken).toEqual([first, BAD, fourth])
  })

  it('of one peer is a mebibyte and one read: it is not read from until that is less', () => {
    const { paused, reads, turns } = start()
    for (let n = 0; n < 17; n++) reads(1, 64 * 1024)
    expect([...paused]).toEqual([1])
    turns(1)
    expect([...paused]).toEqual([])
  })

  it('of a large read is taken in pieces, in its order, and counts until the last', () => {
    const gossip = updateOf({ block: 100, n: 0 }, 0, NOW)
    const channel = { type: 'stfu', channelId: '00'.repeat(32) as ChannelId, initiator: 0 } as const
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300, size: 'max' }), (kinds) => {
        const { peers, taken, connects, delivers, turns } = start()
        connects(1)
        turns()
        const reads = [kinds, kinds.toReversed()].map((some) =>
          some.map((is): Message => ({ ...(is ? gossip : channel) })),
        )
        for (const read of reads) delivers(1, read, 1000)
        expect(peers.queued().inBytes).toBe(2000)
        let tasks = 0
        for (let before = 0; peers.queued().inBytes > 0; before = taken.length) {
          turns(1)
          tasks++
          expect(taken.length - before).toBeLessThanOrEqual(8)
        }
        expect(taken.length).toBe(2 * kinds.length)
        expect(reads.flat().every((m, i) => m === taken[i])).toBe(true)
        // Small ones are one task.
        expect(tasks).toBe(2 * Math.max(1, Math.ceil(kinds.length / 8)))
      }),
      { numRuns: 50 },
    )
  })

  it('of all peers is bounded as well, and all are read from again once it is less', () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(
          fc.record({ peer: fc.nat(PEERS - 1), turns: fc.nat(8), size: fc.integer({ min: 1, max: 64 }) }),
        ),
        (steps) => {
          const { peers, paused, reads, turns } = start()
          let most = 0
          for (const { peer, turns: some, size } of steps.take(8_000)) {
            if (!paused.has(peer)) reads(peer, 1024 * size)
            if (some === 8) turns(1)
            most = Math.max(most, peers.queued().inBytes)
          }
          // Every one has a share at most of what is beyond the limit for all, and one read.
          expect(most).toBeLessThanOrEqual(64 * MIB + PEERS * 2 * 64 * 1024)
          turns()
          expect([peers.queued().inBytes, paused.size]).toEqual([0, 0])
        },
      ),
      { numRuns: 4 },
    )
  })
})
