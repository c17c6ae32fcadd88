import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { Intake } from '../../src/peer/intake.ts'
import { Turns, turnsFor } from '../../src/peer/turns.ts'
import { numbered, numberOf, RawPeer, TestNode } from './harness.ts'
import { ManualClock } from './manualClock.ts'

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Time passes by working, and where all wait for it. */
async function runAll(clock: ManualClock): Promise<void> {
  for (let idle = 0; idle < 3; ) {
    await immediate()
    const [wait] = clock.waits
    if (wait === undefined) idle++
    else {
      clock.advance(wait)
      idle = 0
    }
  }
}

describe('turns, which a flood of small messages has to wait for', () => {
  it('while there is time and nobody waits, one is served at once', () => {
    const clock = new ManualClock()
    const turns = new Turns(clock, { share: 0.25, burstMs: 100 })
    let served = 0
    for (let n = 0; n < 10; n++) turns.take(() => served++)
    expect(served).toBe(10)
  })

  it('however much is asked for, no more than the share of the time is taken beyond the burst, and all are served in their order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 60 }), async (works) => {
        const clock = new ManualClock()
        const turns = new Turns(clock, { share: 0.25, burstMs: 100 })
        const order: number[] = []
        let spent = 0
        for (const [n, ms] of works.entries())
          turns.take(() => {
            // Time was left when it began.
            expect(spent).toBeLessThanOrEqual(100 + 0.25 * clock.now())
            clock.advance(ms)
            spent += ms
            order.push(n)
          })
        await runAll(clock)
        expect(order).toEqual(works.map((_, n) => n))
      }),
      { numRuns: 40 },
    )
  })

  it('who comes back for more stands behind those that wait, with an iteration of the event loop before each', async () => {
    const turns = new Turns(new ManualClock(), { share: 0.25, burstMs: 100 })
    let greedy = 0
    const again = (): void => turns.take(() => (greedy++ < 100 ? again() : undefined))
    again()
    for (let n = 0; n < 10; n++) {
      const before = greedy
      let isServed = false
      turns.take(() => {
        isServed = true
      })
      for (; !isServed; await immediate()) expect(greedy - before).toBeLessThanOrEqual(1)
    }
    expect(greedy).toBeGreaterThan(5)
  })

  it('those that nobody wants any more, however many, keep nobody waiting', async () => {
    const clock = new ManualClock()
    const turns = new Turns(clock, { share: 0.25, burstMs: 100 })
    turns.take(() => clock.advance(1_000))
    let isServed = false
    for (let n = 0; n < 5_000; n++)
      turns.take(
        () => expect.unreachable(),
        () => true,
      )
    turns.take(() => {
      isServed = true
    })
    for (let n = 0; n < 2_500; n++)
      turns.take(
        () => expect.unreachable(),
        () => isServed,
      )
    clock.advance(clock.waits[0]!)
    expect(isServed).toBe(true)
    await immediate()
    turns.take(() => {
      isServed = false
    })
    await runAll(clock)
    expect(isServed).toBe(false)
  })

  it('a bug in one costs the others nothing', async () => {
    const turns = new Turns(new ManualClock(), { share: 0.25, burstMs: 100 })
    const bug = (): never => {
      throw new Error('bug')
    }
    expect(() => turns.take(bug)).toThrow('bug')
    let served = 0
    turns.take(() => served++)
    expect(served).toBe(1)
  })

  it('strangers, those who have not said who they are and chosen peers take none of each other’s', () => {
    const turnsOf = turnsFor(new ManualClock(), (peer) => peer === 'chosen')
    const three = [null, 'stranger' as NodeId, 'chosen' as NodeId].map(turnsOf)
    expect(new Set(three).size).toBe(3)
    expect(turnsOf('another stranger' as NodeId)).toBe(three[1])
  })
})

describe('bytes that wait for their turn', () => {
  const stop = { share: 0.25, burstMs: 0 }
  /** A socket that says whether it is read from, and bytes that are opened three at a time. */
  function start(turns: Turns | null, most = 3) {
    const socket = { isRead: true, pause: () => socket, resume: () => socket }
    socket.pause = () => Object.assign(socket, { isRead: false })
    socket.resume = () => Object.assign(socket, { isRead: true })
    const opened: number[] = []
    const open = (unread: Uint8Array): Uint8Array => {
      opened.push(...unread.subarray(0, most))
      return unread.subarray(most)
    }
    return { socket, opened, intake: new Intake({ socket: socket as never, turns: () => turns, open }) }
  }

  it('are opened once and in their order however they come, and nothing is read from the socket meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }), async (sizes) => {
        const { socket, opened, intake } = start(new Turns(new ManualClock(), { share: 0.25, burstMs: 100 }))
        let sent = 0
        for (const size of sizes) {
          // A socket may still hand over what it had when it was told to stop.
          intake.received(Uint8Array.from({ length: size }, () => sent++))
          expect(socket.isRead).toBe(opened.length === sent)
          if (size > 5) await immediate()
        }
        for (let n = 0; n < 40; n++) await immediate()
        expect(opened).toEqual(Array.from({ length: sent }, (_, n) => n))
        expect(socket.isRead).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  it('of a connection that has ended are dropped, and its socket is left alone', async () => {
    const { socket, opened, intake } = start(new Turns(new ManualClock(), { share: 0.25, burstMs: 100 }))
    intake.received(new Uint8Array(9))
    intake.end()
    socket.resume()
    intake.received(new Uint8Array(9))
    for (let n = 0; n < 9; n++) await immediate()
    expect([opened.length, socket.isRead]).toEqual([3, true])
  })

  it('no time is left: they wait for it, the owner pauses the socket or not', async () => {
    const clock = new ManualClock()
    const turns = new Turns(clock, stop)
    const { socket, opened, intake } = start(turns)
    intake.received(new Uint8Array(2))
    intake.pause()
    intake.resume()
    expect([opened.length, socket.isRead]).toEqual([0, false])
    intake.pause()
    await runAll(clock)
    expect([opened.length, socket.isRead]).toEqual([2, false])
    intake.resume()
    expect(socket.isRead).toBe(true)
  })

  it('who sends more than can be read at once is read from once in each iteration of the event loop', async () => {
    const { socket, intake } = start(null, 64 * 1024)
    intake.received(new Uint8Array(64 * 1024))
    expect(socket.isRead).toBe(false)
    await immediate()
    expect(socket.isRead).toBe(true)
  })
})

it('a flood of small messages, thousands at once, is taken in its order, a few hundred at a time', async () => {
  const node = await TestNode.start(1)
  const flooder = await RawPeer.ready(node)
  const count = 5_000
  flooder.send(Array.from({ length: count }, (_, n) => numbered(n)))
  await node.until(() => node.received.length === count)
  expect(node.received.map(numberOf)).toEqual(Array.from({ length: count }, (_, n) => n))
  expect(Math.max(...node.batches.map((b) => b.messages.length))).toBeLessThan(400)
})
