import { describe, expect, it } from 'vitest'
import { HELD_BACK_BLOCKS } from '../../src/channel/heldBack.ts'
import { rescue } from '../../src/channel/rescue.ts'
import type { ChannelInput, Turn } from '../../src/channel/types.ts'
import { add, preimageOf, reachNormal, type World } from './harness.ts'

/** Alice offered one HTLC to bob, who is then set aside: everything further goes to `rescue`. */
function quarantinedBob(before: (world: World) => void = () => {}): {
  world: World
  step: (input: ChannelInput) => Turn
} {
  const world = reachNormal()
  world.alice.command(add(1, 50_000_000))
  world.settle()
  before(world)
  let state = world.bob.state!
  const step = (input: ChannelInput): Turn => {
    const turn = rescue(state, input, { ...world.bob.ctx, blockHeight: height(input) ?? world.bob.ctx.blockHeight })
    state = turn.state
    return turn
  }
  return { world, step }
}
/** Alice fails the channel before bob knows where she stands. */
function withheldFromPeer(world: World): void {
  world.disconnect()
  world.connect()
  const { channelId } = world.bob.channel.params
  world.receive('bob', { type: 'error', channelId, data: new Uint8Array(0) })
  expect(world.bob.state!.tag).toBe('waiting-for-peer')
}
const height = (input: ChannelInput): number | null =>
  input.tag === 'chain' && 'height' in input.event ? input.event.height : null
const block = (h: number): ChannelInput => ({ tag: 'chain', event: { tag: 'block', height: h } })

describe('a channel that was set aside after a bug', () => {
  it('says nothing and hears nothing', () => {
    const { world, step } = quarantinedBob()
    for (const input of [
      { tag: 'sign' },
      { tag: 'disconnected' },
      { tag: 'command', command: add(2, 1_000) },
      {
        tag: 'message',
        message: { type: 'error', channelId: world.bob.channel.params.channelId, data: new Uint8Array(0) },
      },
    ] as ChannelInput[]) {
      expect(step(input)).toEqual({ state: world.bob.state, effects: [] })
    }
  })

  it('keeps the deadline of an HTLC whose preimage it has learnt, and publishes its commitment', () => {
    const { world, step } = quarantinedBob()
    const { cltvExpiry } = [...world.bob.channel.commitments.incoming.chunks.flat()][0]!.add
    step({ tag: 'command', command: { tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) } })
    expect(step(block(cltvExpiry - 100)).effects).toEqual([])
    const { state, effects } = step(block(cltvExpiry - 3))
    expect(state.tag).toBe('closing')
    expect(effects.map((e) => (e.tag === 'broadcast' ? e.purpose : e.tag))).toContain('commitment')
    expect(effects.some((e) => e.tag === 'send')).toBe(false)
  })

  it('lets go what nobody has signed for, so that it can go another way, and keeps all else', () => {
    const world = reachNormal()
    world.alice.command(add(1, 50_000_000))
    world.take('alice') // bob does not answer, so that the second waits for a signature
    world.alice.command(add(2, 50_000_000))
    const before = world.alice.channel.commitments.outgoing
    expect([...before.chunks.flat()].map((h) => h.stage)).toEqual(['signed', 'proposed'])
    const { state, effects } = rescue(world.alice.state!, { tag: 'disconnected' }, world.alice.ctx)
    expect(effects).toMatchObject([{ tag: 'relay', event: { tag: 'rejected', origin: { attempt: 2 } } }])
    expect(state).toMatchObject({
      tag: 'normal',
      channel: { commitments: { nextOutgoingId: 1n, outgoing: { size: 1 } } },
    })
  })

  it('notices that the peer has closed', () => {
    const { world, step } = quarantinedBob()
    world.alice.command({ tag: 'forceClose', requestId: 9 })
    const tx = world.alice.broadcasts.at(-1)!
    const { funding } = world.bob.channel.commitments.active[0]!
    const { state } = step({ tag: 'chain', event: { tag: 'spent', outpoint: funding, tx, height: 150 } })
    expect(state).toMatchObject({ tag: 'closing', onchain: { how: 'remote-force' } })
  })

  it('says nothing either where its commitment was held back for the peer, or its funding turns out never to be', () => {
    const { world, step } = quarantinedBob(withheldFromPeer)
    const { state, effects } = step(block(world.bob.ctx.blockHeight + HELD_BACK_BLOCKS + 1))
    expect(state.tag).toBe('closing')
    expect(effects.map((e) => (e.tag === 'broadcast' ? e.purpose : e.tag))).toEqual(['notify', 'commitment'])
    const { txid } = world.bob.channel.commitments.active[0]!.funding
    step({ tag: 'chain', event: { tag: 'reorg', height: 100 } })
    const tx = { ...world.alice.channel.funding.tx!, outputs: [] }
    const never = step({ tag: 'chain', event: { tag: 'confirmed', txid, tx, height: 101, txIndex: 1 } })
    expect(never.state.tag).toBe('closed')
    expect(never.effects.filter((e) => e.tag === 'send')).toEqual([])
  })
})
