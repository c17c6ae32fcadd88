import { expect, it } from 'vitest'
import { channelAnnouncement } from '../../src/channel/announcement.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { Channel } from '../../src/channel/state.ts'
import { isAnnounced } from '../../src/node/holdings.ts'
import { type Name, nodeIdOf, World } from './world.ts'

it("a peer's half that was lost is taken from the whole announcement, which is all that LND says once it has both", async () => {
  const world = await World.start(['alice', 'bob'])
  const [alice, bob] = (['alice', 'bob'] as const).map((name: Name) => world.of(name).node!)
  const { outbox } = bob!
  const push = outbox.push.bind(outbox)
  outbox.push = (link, message) => {
    if (message.type !== 'announcement_signatures') push(link, message)
  }
  await world.fund(1)
  await world.open('alice', 'bob', 1_000_000, 400_000)
  const ours = (): Channel => channelOf(alice!.channels.all()[0]!.state)!
  const [entry] = bob!.channels.all()
  const theirs = channelOf(entry!.state)!
  expect([isAnnounced(ours()), isAnnounced(theirs)]).toEqual([false, true])

  const whole = channelAnnouncement(theirs, bob!.context(entry!))!
  const say = async (message: typeof whole): Promise<void> => {
    bob!.peers.send(bob!.peers.link(nodeIdOf('alice'))!, [message])
    await world.settle()
  }
  // Whoever says something else of it cannot have us announce it.
  await say({ ...whole, bitcoinSignature1: whole.bitcoinSignature2, bitcoinSignature2: whole.bitcoinSignature1 })
  expect(isAnnounced(ours())).toBe(false)
  world.connectAll()
  await world.settle()
  await say(whole)
  expect(isAnnounced(ours())).toBe(true)
  const { shortChannelId } = ours().announcement.remote!
  expect(alice!.gossip.publicUpdate(shortChannelId).length).toBeGreaterThan(0)
  world.close()
}, 30_000)
