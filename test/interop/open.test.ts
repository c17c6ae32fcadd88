import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Direction } from './link.ts'
import { World } from './world.ts'

const TYPES = ['anchors', 'static_remotekey'] as const
/** Less than any message of the opening on the wire. */
const STRIDE = 100

describe('BOLT 2 §channel-establishment-v1 with LDK', () => {
  let w: World
  beforeAll(async () => {
    w = await World.start()
  })
  afterAll(() => w.stop())
  // LDK publishes its commitment of a channel that was never funded; ours never does.
  afterEach(() => expect(w.refused('fulmen')).toEqual([]))

  const agreed = async (id: string) => {
    const ours = await w.quiet(id)
    return { ours, theirs: (await w.ldkChannel(ours))! }
  }

  it.each(TYPES)('we open, %s; both know who has what', async (type) => {
    const { id } = await w.openToLdk(type, 1_000_000, 200_000)
    const { ours, theirs } = await agreed(id)
    expect(ours).toMatchObject({ type, isOpener: true, state: 'normal', localMsat: 800_000_000n })
    expect(theirs).toMatchObject({ anchors: type === 'anchors', initiator: false, sat: 1_000_000 })
    await w.close(id)
  })

  it.each(TYPES)('LDK opens, %s; both know who has what', async (type) => {
    const { id } = await w.openFromLdk(type, 1_000_000, 200_000)
    const { ours, theirs } = await agreed(id)
    expect(ours).toMatchObject({ type, isOpener: false, state: 'normal', localMsat: 200_000_000n })
    expect(theirs).toMatchObject({ anchors: type === 'anchors', initiator: true, sat: 1_000_000 })
    await w.close(id)
  })

  it.each([
    { who: 'we open', begin: () => w.beginOpen('anchors') },
    { who: 'LDK opens', begin: () => w.beginOpenFromLdk('anchors') },
  ])('$who, through a cut between any two messages: both have the channel, or neither', async ({ begin }) => {
    const ends = { both: 0, neither: 0 }
    for (const direction of ['out', 'in'] as const) {
      for (let bytes = 0, cut = true; cut; bytes += STRIDE) {
        const { created, cut: wasCut } = await openCutAt(direction, bytes, begin)
        cut = wasCut
        const ours = await created()
        const theirs = (await w.ldk.cmd('list_channels')).find((c) => c.channel_id === ours?.channelId)
        if (ours?.usable) {
          expect(theirs?.usable).toBe(true)
          ends.both++
          await w.close(ours.id)
        } else {
          expect([undefined, 'closed']).toContain(ours?.state)
          expect(theirs).toBe(undefined)
          ends.neither++
        }
      }
    }
    expect(Math.min(ends.both, ends.neither)).toBeGreaterThan(0)
    expect((await w.us.service.wallet()).lockedSat).toBe(0n)
  })

  /** Opens a channel with the link cut once, and goes on from there. */
  async function openCutAt(direction: Direction, bytes: number, begin: () => Promise<unknown>) {
    const before = new Set((await w.us.channels()).map((c) => c.id))
    const created = async () => (await w.us.channels()).find((c) => !before.has(c.id))
    const connected = async () => (await w.peer()).connected
    const isPublished = async () => {
      const funding = (await created())?.funding
      return funding != null && w.ground.chain.mempool.get(funding.txid) !== undefined
    }
    const isReady = async () => {
      const ours = await created()
      return ours?.usable === true && (await w.ldkChannel(ours))?.usable === true
    }
    const isOver = async () => [undefined, 'closed'].includes((await created())?.state)
    let begun = false
    w.link.cutAfter(direction, bytes)
    begin()
      .catch(() => undefined)
      .finally(() => (begun = true))
    await w.until('the cut, or the funding', async () => !(await connected()) || (await isPublished()))
    if (await connected()) {
      await w.mine(3)
      await w.until('the cut, or the channel', async () => !(await connected()) || (await isReady()))
    }
    const cut = w.link.disarm()
    if (cut) {
      await w.lost()
      await w.connect() // LDK offers again what was not answered
    }
    await w.until('what comes of it', async () => {
      return (await isPublished()) || (await isReady()) || (begun && (await isOver()))
    })
    if (await isPublished()) await w.mine(3)
    await w.until('the end', async () => (await isReady()) || (await isOver()))
    return { created, cut }
  }
})
