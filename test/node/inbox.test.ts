import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { type Connections, Peers, type PeersOptions } from '../../src/node/peers.ts'
import type { Reactor, TurnScope } from '../../src/node/reactor.ts'
import type { PeerCallbacks, PeerManagerOptions } from '../../src/peer/manager.ts'

const MIB = 1024 * 1024
const PEERS = 400
const idOf = (n: number): NodeId => `02${n.toString(16).padStart(64, '0')}` as NodeId

/** Peers whose reactor runs a task when it is told to. */
function start() {
  const tasks: ((scope: TurnScope) => void)[] = []
  const paused = new Set<number>()
  let callbacks!: PeerCallbacks
  const peers = new Peers({
    reactor: { post: (task: (scope: TurnScope) => void) => void tasks.push(task) } as Reactor,
    connections: (options: PeerManagerOptions) => {
      callbacks = options.callbacks
      return {
        pause: (_: NodeId, epoch: number) => void paused.add(epoch),
        resume: (_: NodeId, epoch: number) => void paused.delete(epoch),
        queuedBytes: () => 0,
      } as unknown as Connections
    },
    onConnected: () => {},
    onDisconnected: () => {},
    onMessage: () => {},
  } as unknown as PeersOptions)
  return {
    ...{ peers, paused },
    reads: (n: number, bytes: number) => callbacks.onMessages(idOf(n), n, [], bytes),
    turns: (most = Number.POSITIVE_INFINITY) => {
      for (const task of tasks.splice(0, most)) task({} as TurnScope)
    },
  }
}

describe('what waits for a turn', () => {
  it('of one peer is a mebibyte and one read: it is not read from until that is less', () => {
    const { paused, reads, turns } = start()
    for (let n = 0; n < 17; n++) reads(1, 64 * 1024)
    expect([...paused]).toEqual([1])
    turns(1)
    expect([...paused]).toEqual([])
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
