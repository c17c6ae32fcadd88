import { beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000, 500_000)
  await world.open('alice', 'bob', 500_000)
  base = world.snapshot()
  world.close()
})

/** Alice starts again, and the database has lost these records of her first channel without a word, or has these bytes there; their names end so. */
const without = (...lost: readonly RegExp[]) => harmed(null, ...lost)

async function harmed(record: Uint8Array | null, ...lost: readonly RegExp[]) {
  const world = await World.start(['alice', 'bob'], base)
  const alice = world.of('alice')
  const { localId, seq } = alice.node!.channels.all().find(({ meta }) => meta.seq === 1)!.meta
  expect(seq).toBe(1)
  world.crash('alice')
  for (const key of alice.disk.snapshot().keys())
    if (key.includes(localId) && lost.some((name) => name.test(key))) await alice.disk.harm(key, record)
  await world.boot('alice')
  const before = alice.node!.channels.all().map(({ meta }) => meta.localId)
  world.connectAll()
  await world.settle()
  const alerts = (await alice.api.eventsSince(0, 1_000)).filter((e) => e.data.code === 'CHANNEL_DAMAGED')
  const states = () => alice.node!.channels.all().map((c) => c.state.tag)
  return { world, alice, localId, before, states, messages: alerts.map((e) => String(e.data.message)) }
}

describe('a channel that the backup knows, and the database has lost without a word', () => {
  it.each([
    ['lost', null],
    ['damaged', Uint8Array.of(0x93)],
  ])('goes on where its name alone is %s, now and after the next start', async (_, record) => {
    const { world, alice, localId, before, states, messages } = await harmed(record, /^channel-meta/)
    expect(before).toContain(localId)
    expect(messages).toEqual([expect.stringContaining('made anew, and the channel goes on')])
    expect(states()).toEqual(['normal', 'normal'])
    await world.restart('alice')
    world.connectAll()
    await world.settle()
    expect(states()).toEqual(['normal', 'normal'])
    const { bolt11 } = (await world.attempt(world.of('bob').api.createInvoice({ amountMsat: msat(600_000_000) })))!
    const { paymentHash } = (await world.attempt(alice.api.pay({ bolt11 })))!
    await world.settle()
    expect((await alice.api.payment(paymentHash)).status).toBe('succeeded')
    expect(alice.wholeBackup!.channels).toHaveLength(2)
    world.close()
  })

  it('is no such one where it was given up, or never on disk, and a crash came before the backup was written without it', async () => {
    for (const lost of [/^channel-meta|core$/, /^channel/]) {
      const { world, localId, before, states, messages } = await without(lost)
      expect([before.length, before.includes(localId), messages]).toEqual([1, false, []])
      expect(states()).toEqual(['normal'])
      world.close()
    }
  })
})

describe('two channels that have lost records, one of which the rest of its records name', () => {
  const BAD = Uint8Array.of(0x93)
  const NAMES = /^channel-meta/

  /** @param lost of the first, whose name is damaged, too */
  async function mixed(lost: 'fixed' | 'core' = 'fixed') {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    const [first, second] = alice.node!.channels.all().map(({ meta }) => meta.localId)
    world.crash('alice')
    for (const key of [`channel-meta/${first}`, `channel-meta/${second}`, `channel/${first}/${lost}`])
      await alice.disk.harm(key, BAD)
    await world.boot('alice')
    const look = async () => {
      const { channels, damaged, driver } = alice.node!
      const names: string[] = []
      for await (const [key] of driver.entries({})) if (NAMES.test(key)) names.push(key)
      const states = channels.all().map(({ state }) => state.tag)
      return {
        damaged: [...damaged.keys()],
        names: names.length,
        isFirst: names.includes(`channel-meta/${first}`),
        states,
      }
    }
    const messages = async () =>
      (await alice.api.eventsSince(0, 1_000)).flatMap(({ data }) =>
        data.code === 'CHANNEL_DAMAGED' ? [String(data.message)] : [],
      )
    return { world, alice, first: first!, look, messages }
  }
  const whole = { damaged: [], names: 2, isFirst: false }

  it('are both there: what the backup has of the other takes its place', async () => {
    const { world, look, messages } = await mixed()
    expect(await look()).toEqual({ ...whole, states: ['offline', 'waiting-for-peer'] })
    expect(await messages()).toEqual([
      expect.stringContaining('what the backup has of it takes its place'),
      expect.stringContaining('made anew, and the channel goes on'),
    ])
    await world.restart('alice')
    expect(await look()).toMatchObject(whole)
    expect(await messages()).toHaveLength(2)
    world.close()
  })

  it.each([
    { what: 'damaged', name: BAD, lost: 'fixed' },
    { what: 'damaged', name: BAD, lost: 'core' },
    { what: 'whole', name: null, lost: 'fixed' },
  ] as const)(
    'are both there, too, where an earlier start left the $what name, and $lost damaged, beside what came from the backup',
    async ({ name, lost }) => {
      const { world, alice, first, look, messages } = await mixed(lost)
      await world.mine(1)
      world.crash('alice')
      const key = `channel-meta/${first}`
      await alice.disk.harm(key, name ?? base.disks.alice!.get(key)!)
      await world.boot('alice')
      expect(await look()).toMatchObject(whole)
      expect((await messages()).at(-1)).toContain('what the backup has of it takes its place')
      world.close()
    },
  )
})
