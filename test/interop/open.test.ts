import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { World } from './world.ts'

let w: World
beforeAll(async () => {
  w = await World.start()
})
afterAll(() => w.stop())

describe.each(['anchors', 'static_remotekey'] as const)('BOLT 2 §channel-establishment-v1 with LDK, %s', (type) => {
  it('we open, with a push; both sides agree on who has what', async () => {
    const ours = await w.openToLdk(type, 1_000_000, 200_000)
    const theirs = (await w.ldkChannel(ours))!
    expect(ours).toMatchObject({ type, isOpener: true, state: 'normal', usable: true })
    expect(theirs).toMatchObject({ anchors: type === 'anchors', initiator: false, sat: 1_000_000 })
    expect(w.refused()).toEqual([])
  })
  it('LDK opens, with a push', async () => {
    const ours = await w.openFromLdk(type, 1_000_000, 200_000)
    const theirs = (await w.ldkChannel(ours))!
    expect(ours).toMatchObject({ type, isOpener: false, state: 'normal', usable: true })
    expect(theirs).toMatchObject({ anchors: type === 'anchors', initiator: true, sat: 1_000_000 })
    expect(w.refused()).toEqual([])
  })
  it('pays', async () => {
    expect(await w.payLdk(10_000)).toMatchObject({ status: 'succeeded' })
    expect(await w.payUs(10_000_000)).toMatchObject({ status: 'settled' })
    for (const c of await w.us.channels()) await w.quiet(c.id)
  })
})
