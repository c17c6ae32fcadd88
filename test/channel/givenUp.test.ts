import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { watches } from '../../src/channel/describe.ts'
import { reachNormal, World } from './harness.ts'

/** Both have stored the channel, and the opener forgot it in a crash: it says so when bob wants to go on with it. */
function forgotten(pushMsat: bigint): World {
  const w = new World({ pushMsat: msat(pushMsat) }).open()
  w.alice.broadcasts = []
  const { channelId } = w.bob.channel.params
  w.receive('bob', { type: 'error', channelId, data: utf8('unknown channel') })
  return w
}

/** Blocks in which nothing of the channel is: an unfunded commitment cannot confirm. */
function emptyBlocks({ bob }: World, blocks: number): void {
  for (let i = 0; i < blocks; i++) {
    const height = bob.ctx.blockHeight + 1
    bob.ctx = { ...bob.ctx, blockHeight: height }
    bob.step({ tag: 'chain', event: { tag: 'block', height } })
  }
}

describe('BOLT 1 §the-error-and-warning-messages: an opener that gives up an unfunded channel', () => {
  it('is believed by an accepter who has no share in it: nothing is published', () => {
    const w = forgotten(0n)
    expect(w.bob.state).toMatchObject({ tag: 'closed', reason: expect.stringContaining('unknown channel') })
    expect(w.bob.broadcasts).toEqual([])
    expect(w.bob.notices.at(-1)).toMatchObject({ tag: 'closed', how: 'never-funded' })
  })

  it('is not believed where it could cheat: the commitment is published until the funding has had its time', () => {
    const w = forgotten(5_000_000n)
    expect(w.bob.state!.tag).toBe('closing')
    expect(w.bob.broadcasts.length).toBe(1)
    expect(watches(w.bob.state!).map((x) => x.tag)).toContain('confirmation')
    emptyBlocks(w, 2016)
    expect(w.bob.state!.tag).toBe('closing')
    emptyBlocks(w, 1)
    expect(w.bob.state!.tag).toBe('closed')
  })

  it('once the funding has confirmed the end is awaited, however long it takes', () => {
    const w = new World({ pushMsat: msat(5_000_000) }).open()
    w.mine()
    const { channelId } = w.bob.channel.params
    w.receive('bob', { type: 'error', channelId, data: utf8('unknown channel') })
    emptyBlocks(w, 2100)
    expect(w.bob.state!.tag).toBe('closing')
    expect(w.bob.state).toMatchObject({ onchain: { how: 'local-force' } })
  })

  it('the funding of a channel that was in use is awaited, where a reorganisation has undone it: there is money in it', () => {
    const w = reachNormal({ pushMsat: msat(5_000_000) })
    const { channelId } = w.bob.channel.params
    w.receive('bob', { type: 'error', channelId, data: utf8('closed') })
    w.reorg(100)
    w.bob.ctx = { ...w.bob.ctx, blockHeight: 2_117 }
    w.bob.step({ tag: 'chain', event: { tag: 'block', height: 2_117 } })
    expect(w.bob.state!.tag).toBe('closing')
    expect(watches(w.bob.state!).map((x) => x.tag)).toEqual(expect.arrayContaining(['confirmation', 'spend']))
  })
})
