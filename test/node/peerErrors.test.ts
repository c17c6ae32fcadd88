import { expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import type { ChannelId } from '../../src/base/ids.ts'
import { nodeIdOf, World } from './world.ts'

const tagsOf = (world: World, who: 'alice' | 'carol'): readonly string[] =>
  world
    .of('bob')
    .node!.channels.ofPeer(nodeIdOf(who))
    .map((c) => c.state.tag)

it('BOLT 1 §the-error-and-warning-messages: an error fails the channel that it names, if it is with who says it; all zeros, all with him', async () => {
  const world = await World.start(undefined, await World.line())
  await world.open('alice', 'bob', 300_000, 100_000)
  const { node } = world.of('alice')
  const say = async (type: 'error' | 'warning', channelId: string): Promise<void> => {
    const message = { type, channelId: channelId as ChannelId, data: utf8('no more') }
    await node!.reactor.run((scope) =>
      scope.after(() => node!.peers.send(node!.peers.link(nodeIdOf('bob'))!, [message])),
    )
    await world.settle()
  }
  const carols = world.channelsOf('carol')[0]!.params.channelId
  await say('error', 'ab'.repeat(32))
  await say('error', carols)
  await say('warning', '00'.repeat(32))
  expect([tagsOf(world, 'alice'), tagsOf(world, 'carol')]).toEqual([['normal', 'normal'], ['normal']])
  await say('error', world.channelsOf('alice')[1]!.params.channelId)
  expect(tagsOf(world, 'alice').toSorted()).toEqual(['closing', 'normal'])
  await say('error', '00'.repeat(32))
  expect([tagsOf(world, 'alice'), tagsOf(world, 'carol')]).toEqual([['closing', 'closing'], ['normal']])
  world.close()
})
