import { expect, it } from 'vitest'
import { scidParts } from '../../src/base/ids.ts'
import type { OwnChannel } from '../../src/node/gossipOwn.ts'
import { type AnnouncingParts, announce } from '../../src/node/ownAnnouncements.ts'
import { reachNormal } from '../channel/harness.ts'

it('BOLT 7 §the-channel_update-message: of a channel that is not announced, it goes by the alias that the peer gave, if it did', () => {
  const w = reachNormal()
  const { state } = w.alice
  const told: OwnChannel[] = []
  const parts = { gossip: { announceOwn: (own: OwnChannel) => told.push(own) }, peers: { link: () => null } }
  const entry = (remoteAlias: bigint | null) => ({
    meta: { peer: 'bob' },
    state: { ...state, channel: { ...w.alice.channel, remoteAlias } },
  })
  for (const alias of [w.alice.channel.remoteAlias!, null])
    announce(parts as unknown as AnnouncingParts, entry(alias) as never, {} as never)
  expect(told.map((own) => own.announcement)).toEqual([null, null])
  expect(told[0]!.shortChannelId).toBe(w.alice.channel.remoteAlias)
  expect(scidParts(told[1]!.shortChannelId).blockHeight).toBe(w.alice.channel.funding.confirmed!.height)
})
