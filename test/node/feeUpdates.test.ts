import { describe, expect, it, vi } from 'vitest'
import type { ChainSource } from '../../src/chain/source.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import type { ChannelCommand } from '../../src/channel/types.ts'
import type { ChannelEntry, Channels } from '../../src/node/channels.ts'
import { FeeRates } from '../../src/node/feeRates.ts'
import { FeeUpdates } from '../../src/node/feeUpdates.ts'
import type { Reactor, TurnScope } from '../../src/node/reactor.ts'
import { add, preimageOf, reachNormal } from '../channel/harness.ts'

describe('the feerate of a channel that we opened', () => {
  const side = reachNormal({ channelType: 'static_remotekey' }).alice
  const run = (state: ChannelState) => {
    const sent: number[] = []
    let now = 0
    const command = (_: ChannelEntry, c: ChannelCommand): void => {
      if (c.tag === 'updateFee') sent.push(c.feeratePerKw)
    }
    const updates = new FeeUpdates({ command }, () => now)
    const entry = { state } as ChannelEntry
    return {
      sent,
      wait: (ms: number) => (now += ms),
      consider: (estimate: number) => updates.consider(entry, estimate),
    }
  }

  it('follows the estimates neither for little nor often', () => {
    const { sent, wait, consider } = run(side.state!)
    for (const estimate of [800, 1_000, 1_200]) consider(estimate)
    expect(sent).toEqual([])
    // Whatever the estimates do in a day, at most one change in ten minutes.
    for (let minute = 0; minute < 24 * 60; minute++) {
      consider(minute % 2 ? 500 : 5_000)
      wait(60_000)
    }
    expect(sent.length).toBeGreaterThan(100)
    expect(sent.length).toBeLessThanOrEqual(24 * 6)
  })

  it('follows them also while HTLCs hang in a channel that shuts down', () => {
    const w = reachNormal({ channelType: 'static_remotekey' })
    w.alice.command(add(1, 50_000_000))
    w.settle()
    w.bob.command({ tag: 'close', requestId: 7 })
    w.settle()
    expect(w.alice.state!.tag).toBe('shutdown')
    const { sent, consider } = run(w.alice.state!)
    consider(4_000)
    expect(sent).toEqual([4_000])
    w.alice.command({ tag: 'updateFee', feeratePerKw: sent[0]! })
    w.settle()
    expect(w.sides.map((s) => s.channel.commitments.local.feeratePerKw)).toEqual([4_000, 4_000])
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    w.settle()
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['negotiating', 'negotiating'])
  })

  it('is left alone until there is an estimate: a Bitcoin node that has just started has none, and a peer would close over a guess', async () => {
    const { channel } = side.state as Extract<ChannelState, { tag: 'normal' }>
    const { commitments } = channel
    const next = { ...commitments.next, remote: { ...commitments.next.remote, feeratePerKw: 8_000 } }
    const state = { ...side.state!, channel: { ...channel, commitments: { ...commitments, next } } } as ChannelState
    const entry = { state } as ChannelEntry
    const stop = new AbortController()
    const sent: ChannelCommand[] = []
    const channels = {
      all: () => [entry],
      command: (_: ChannelEntry, command: ChannelCommand) => sent.push(command),
      drain: () => {},
    } as unknown as Channels
    const said = [null, null, 6_000, null]
    const reactor = { post: (task: (scope: TurnScope) => void) => task({} as TurnScope) } as Reactor
    const rates = new FeeRates(channels, reactor, () => 0)
    const estimate = vi.fn(async (blocks: number) => (blocks === 12 ? said.shift()! : null))
    vi.useFakeTimers()
    rates.follow(
      { mempoolMinFeerate: async () => 250, estimateFeerate: estimate } as unknown as ChainSource,
      stop.signal,
    )
    for (const expected of [[], [], [6_000], [6_000]]) {
      await vi.advanceTimersByTimeAsync(expected.length === 0 && said.length === 4 ? 0 : 60_000)
      expect(sent.map((c) => c.tag === 'updateFee' && c.feeratePerKw)).toEqual(expected)
    }
    stop.abort()
    vi.useRealTimers()
    expect(said).toEqual([])
  })
})
