import { expect, it } from 'vitest'
import { type ChannelId, type NodeId, shortChannelId, txid } from '../../src/base/ids.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import { type ChannelEntry, Channels, type ChannelsOptions } from '../../src/node/channels.ts'
import { channelOf } from '../channel/onchain/fixture.ts'

/* A reorganisation may put the funding of another channel where that of one had been. */

it('BOLT 7 §definition-of-short_channel_id: the id of a place in the chain is that of the channel which is there now', () => {
  const channels = new Channels({} as ChannelsOptions)
  const channel = channelOf('alice', { type: 'anchors', opener: 'bob', number: 1, htlcs: [] })
  const [commitment] = channel.commitments.active
  const stateOf = (n: number, height: number | null): ChannelState => ({
    ...{ tag: 'normal', localShutdown: null, remoteShutdown: null, closeRequest: null },
    channel: {
      ...channel,
      params: { ...channel.params, channelId: `${n}`.repeat(64) as ChannelId },
      commitments: {
        ...channel.commitments,
        active: [{ ...commitment!, funding: { txid: txid(`${n}`.repeat(64)), index: 0 } }],
      },
      funding: { tx: null, confirmed: height === null ? null : { height, txIndex: 1 } },
    },
  })
  const tell = (n: number, height: number | null): ChannelEntry => {
    const meta = { localId: `${n}`, peer: `02${`${n}`.repeat(64)}` as NodeId } as ChannelEntry['meta']
    const entry = channels.get(meta.localId) ?? ({ meta, stored: null, quarantined: null } as unknown as ChannelEntry)
    entry.state = stateOf(n, height)
    channels.restore(entry)
    return entry
  }
  const place = shortChannelId(500, 1, 0)
  const first = tell(1, 500)
  expect(channels.byScid(place)).toBe(first)
  tell(1, null)
  const second = tell(2, 500)
  expect(channels.byScid(place)).toBe(second)
  tell(1, 501)
  expect([channels.byScid(place), channels.byScid(shortChannelId(501, 1, 0))]).toEqual([second, first])
})
