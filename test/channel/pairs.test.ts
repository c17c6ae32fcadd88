import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { remoteKeys, restoreChannel } from '../../src/channel/restored.ts'
import { add, featuresOf, preimageOf, reachNormal, type World } from './harness.ts'
import type { Name } from './side.ts'

/** What may become of a side while its peer is away. */
const ENDS: Readonly<Record<string, (w: World, who: Name) => void>> = {
  open: () => {},
  held: (w, who) => {
    const side = w.side(who)
    side.step({ tag: 'connected', theirFeatures: featuresOf({}) }, false)
    const about = { type: 'error', channelId: side.channel.params.channelId } as const
    side.step({ tag: 'message', message: { ...about, data: utf8('no') } }, false)
  },
  doubted: (w, who) => w.side(who).step({ tag: 'doubted' }, false),
  lost: (w, who) => w.side(who).step({ tag: 'doubted', isLate: true }, false),
  closing: (w, who) => w.side(who).command({ tag: 'forceClose', requestId: 9 }, false),
  old: (w, who) => {
    const side = w.side(who)
    side.records.clear()
    for (const [key, value] of before.get(w)![who]) side.records.set(key, value)
    side.crash()
  },
  restored: (w, who) => {
    const side = w.side(who)
    const { channel } = side
    const { funding, capacitySat } = channel.commitments.active[0]!
    const known = { ...channel.params, funding, capacitySat, remote: remoteKeys(channel) }
    side.records.clear()
    side.crash()
    side.begin({ state: restoreChannel(known, side.ctx.signer), effects: [] })
  },
}
const before = new WeakMap<World, Readonly<Record<Name, ReadonlyMap<string, Uint8Array>>>>()

/** Messages until both are quiet. */
function quiet(w: World): number {
  let count = 0
  while (w.deliver('alice') || w.deliver('bob')) if (++count > MOST * 10) throw new Error('they never come to rest')
  return count
}

/** channel_reestablish, an error and the answer to the first, of each side. */
const MOST = 6
const names = Object.keys(ENDS)
/** Who has lost writes without knowing it and is asked to close by a peer that knows nothing of where both stand cannot know it. */
const isHopeless = (pair: readonly string[]): boolean =>
  pair.includes('old') && (pair.includes('lost') || pair.includes('restored'))
const pairs = names.flatMap((a, i) => names.slice(i).map((b) => [a, b] as const)).filter((pair) => !isHopeless(pair))

describe('BOLT 2 §message-retransmission: both sides of a channel, in whatever state each is, say little and come to rest', () => {
  it.each(pairs)('%s and %s', (a, b) => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    before.set(w, { alice: new Map(w.alice.records), bob: new Map(w.bob.records) })
    w.alice.command(add(1, 20_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    w.settle()
    w.disconnect()
    ENDS[a]!(w, 'alice')
    ENDS[b]!(w, 'bob')
    for (const side of w.sides) side.outbox = []
    const counts = [1, 2, 3].map(() => {
      w.connect()
      const count = quiet(w)
      w.disconnect()
      return count
    })
    expect(Math.max(...counts)).toBeLessThanOrEqual(MOST)
    expect(counts[2]).toBe(counts[1])
  })
})
