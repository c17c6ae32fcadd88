import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Held, hold, refuse, refused, settle, settled } from './held.ts'
import { type ChannelType, World } from './world.ts'

/** One that is trimmed and one that is not. */
const AMOUNTS = [3_000, 20_000_000]

let w: World
beforeAll(async () => {
  w = await World.start()
})
afterAll(() => w.stop())

describe.each(['anchors', 'static_remotekey'] satisfies ChannelType[])('HTLCs in flight with LDK, %s', (type) => {
  let id: string
  let held: Held
  beforeAll(async () => {
    id = (await w.openFromLdk(type, 10_000_000, 5_000_000)).id
  })
  afterAll(() => w.close(id))
  afterEach(() => expect(w.us.events.filter((e) => e.type === 'node.alert')).toEqual([]))

  const begin = async () => {
    held = await hold(w, AMOUNTS)
    expect((await w.us.service.channel(id)).htlcs).toHaveLength(4)
  }

  it('go on after a lost connection', async () => {
    await begin()
    await w.cut()
    await w.connect()
    await w.usable(id)
    await settle(w, held)
    await settled(w, held)
    await w.quiet(id)
  })

  it('go on when it is LDK that comes back', async () => {
    await begin()
    await w.cut()
    await w.ldk.cmd('connect', { pubkey: w.us.nodeId, port: w.us.port })
    await w.usable(id)
    expect((await w.peer()).inbound).toBe(true)
    await settle(w, held)
    await settled(w, held)
    await w.quiet(id)
    await w.ldk.cmd('disconnect', { pubkey: w.us.nodeId })
    await w.lost()
    await w.connect()
    await w.usable(id)
  })

  it('are settled while the connection is gone', async () => {
    await begin()
    await w.cut()
    await settle(w, held)
    await w.connect()
    await settled(w, held)
    await w.quiet(id)
  })

  it('fail while the connection is gone', async () => {
    const had = (await w.us.service.channel(id)).localMsat
    await begin()
    await w.cut()
    await refuse(w, held)
    await w.connect()
    await refused(w, held)
    expect((await w.quiet(id)).localMsat).toBe(had)
  })

  it('outlive a restart of ours, and are settled after it', async () => {
    await begin()
    await w.us.stop()
    await w.us.restart()
    await w.ldk.waitFor('socket_closed')
    await w.connect()
    await w.usable(id)
    await settle(w, held)
    await settled(w, held)
    await w.quiet(id)
  })

  it('are settled by LDK while our node is stopped, and by us before it connects', async () => {
    await begin()
    await w.us.stop()
    await w.ldk.waitFor('socket_closed')
    for (const { hash } of held.toLdk) await w.ldk.cmd('claim', { hash })
    await w.us.restart()
    // No preimage is given out before it is known what time it is in the chain.
    await w.until('the chain', () => w.us.service.info().synced)
    for (const { id, preimage } of held.toUs) await w.us.service.settleInvoice(id, preimage)
    await w.connect()
    await settled(w, held)
    await w.quiet(id)
  })
})
