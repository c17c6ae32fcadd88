import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type NodeId, nodeId } from '../../src/base/ids.ts'
import { backoffDelay, DEFAULT_BACKOFF } from '../../src/peer/backoff.ts'
import { newerWins } from '../../src/peer/duplicates.ts'
import { Keeper } from '../../src/peer/keeper.ts'
import { ManualClock } from './manualClock.ts'

describe('backoffDelay', () => {
  it('doubles up to the limit, and jitter takes off up to half', () => {
    const full = [0, 1, 2, 3, 10, 1000].map((n) => backoffDelay(DEFAULT_BACKOFF, n, 1))
    expect(full).toEqual([1_000, 2_000, 4_000, 8_000, 60_000, 60_000])
    expect(backoffDelay(DEFAULT_BACKOFF, 3, 0)).toBe(4_000)
  })
})

describe('newerWins', () => {
  const [low, high] = [nodeId(`02${'11'.repeat(32)}`), nodeId(`02${'22'.repeat(32)}`)]
  const side = fc.record({ inbound: fc.boolean(), readyAt: fc.nat({ max: 30_000 }) })

  it('both ends of a simultaneous pair keep the same connection, in whatever order each saw them', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 9_999 }),
        fc.nat({ max: 9_999 }),
        fc.boolean(),
        fc.boolean(),
        (gapLow, gapHigh, lowFirst, highFirst) => {
          /** Whether this end keeps the connection that the low node dialled. */
          const keepsLows = (ours: NodeId, theirs: NodeId, lowsFirst: boolean, gap: number): boolean => {
            const lows = { inbound: ours === high, readyAt: lowsFirst ? 0 : gap }
            const highs = { inbound: ours === low, readyAt: lowsFirst ? gap : 0 }
            return lowsFirst
              ? !newerWins({ ours, theirs }, lows, highs, 10_000)
              : newerWins({ ours, theirs }, highs, lows, 10_000)
          }
          return keepsLows(low, high, lowFirst, gapLow) && keepsLows(high, low, highFirst, gapHigh)
        },
      ),
    )
  })

  it('a later connection takes over when both come from one side, or well after the first', () => {
    fc.assert(
      fc.property(side, side, fc.boolean(), (a, b, swap) => {
        const ids = swap ? { ours: low, theirs: high } : { ours: high, theirs: low }
        const newer = { ...b, readyAt: a.readyAt + (a.inbound === b.inbound ? b.readyAt : 10_000 + b.readyAt) }
        return newerWins(ids, a, newer, 10_000)
      }),
    )
  })
})

describe('Keeper', () => {
  const PEER = nodeId(`02${'11'.repeat(32)}`)

  function setUp() {
    const clock = new ManualClock()
    const dials: { address: string; finish: (ok: boolean) => Promise<void> }[] = []
    let up = false
    const keeper = new Keeper({
      clock,
      backoff: { firstMs: 100, maxMs: 800, stableMs: 1_000 },
      jitter: () => 0.5,
      isConnected: () => up,
      dial: (_, host, port) =>
        new Promise<void>((resolve, reject) => {
          dials.push({
            address: `${host}:${port}`,
            async finish(ok) {
              if (ok) connect()
              ok ? resolve() : reject(new Error('no'))
              await Promise.resolve().then(() => undefined)
            },
          })
        }),
    })
    const connect = (): void => {
      up = true
      keeper.connected(PEER)
    }
    const disconnect = (): void => {
      up = false
      keeper.disconnected(PEER)
    }
    return { clock, dials, keeper, connect, disconnect }
  }

  it('dials at once, then after growing waits, one attempt at a time', async () => {
    const { clock, dials, keeper } = setUp()
    keeper.keep(PEER, 'a', 1)
    const waits: number[] = []
    for (let i = 1; i <= 6; i++) {
      expect(dials.length).toBe(i)
      expect(clock.waits).toEqual([])
      await dials[i - 1]!.finish(false)
      waits.push(...clock.waits)
      clock.advance(clock.waits[0]!)
    }
    expect(waits).toEqual([75, 150, 300, 600, 600, 600])
  })

  it('starts from the first wait again only after a connection that lasted', async () => {
    const { clock, dials, keeper, disconnect } = setUp()
    keeper.keep(PEER, 'a', 1)
    await dials[0]!.finish(false)
    clock.advance(75)
    await dials[1]!.finish(true)
    clock.advance(999)
    disconnect()
    expect(clock.waits).toEqual([150])
    clock.advance(150)
    await dials[2]!.finish(true)
    clock.advance(1_000)
    disconnect()
    expect(clock.waits).toEqual([75])
  })

  it('an inbound connection of the peer ends the wait', async () => {
    const { clock, dials, keeper, connect } = setUp()
    keeper.keep(PEER, 'a', 1)
    await dials[0]!.finish(false)
    connect()
    expect(clock.waits).toEqual([])
    clock.advance(10_000)
    expect(dials.length).toBe(1)
  })

  it('a new address is tried without waiting, the same one again changes nothing', async () => {
    const { clock, dials, keeper } = setUp()
    keeper.keep(PEER, 'a', 1)
    await dials[0]!.finish(false)
    keeper.keep(PEER, 'a', 1)
    expect(dials.length).toBe(1)
    keeper.keep(PEER, 'b', 2)
    expect(dials.map((d) => d.address)).toEqual(['a:1', 'b:2'])
    expect(clock.waits).toEqual([])
  })

  it('does nothing more after drop(), even for an attempt under way', async () => {
    const { clock, dials, keeper } = setUp()
    keeper.keep(PEER, 'a', 1)
    keeper.drop(PEER)
    await dials[0]!.finish(false)
    expect(clock.waits).toEqual([])
    expect(keeper.has(PEER)).toBe(false)
  })

  it('a peer that hangs up before its dial has settled is waited for like any other', async () => {
    const { clock, dials, keeper, connect, disconnect } = setUp()
    keeper.keep(PEER, 'a', 1)
    connect()
    disconnect()
    expect(clock.waits).toEqual([])
    await dials[0]!.finish(false)
    expect(clock.waits).toEqual([75])
  })
})
