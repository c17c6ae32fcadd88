import { expect, it } from 'vitest'
import { fundingSpent } from '../../src/channel/onchain/onchain.ts'
import type { ClosingState } from '../../src/channel/state.ts'
import { type ChannelEntry, Channels } from '../../src/node/channels.ts'
import { channelOf, commitmentTx, contextOf, type HtlcSpec, preimageOf, START } from '../channel/onchain/fixture.ts'

const HTLCS = 40
const ctx = contextOf('alice', START + 1)
const htlcs = Array.from(
  { length: HTLCS },
  (_, i): HtlcSpec => ({ from: 'bob', amountSat: 10_000 + i, cltvExpiry: START + 200, n: i + 1, knows: false }),
)
const setup = { type: 'anchors', opener: 'bob', number: 4, htlcs } as const

it('many preimages of one turn claim their HTLCs at its end, and what the channel watches is not gone through for each', () => {
  const channel = channelOf('alice', setup)
  const end = fundingSpent(channel, { tx: commitmentTx('alice', setup), height: START + 1, mutual: false }, ctx)
  const state: ClosingState = { tag: 'closing', channel: end.channel, error: null, onchain: end.onchain }
  const entry = {
    ...{ meta: { localId: 'a', peer: channel.params.remoteNodeId }, signer: ctx.signer },
    ...{ state, stored: state, quarantined: null },
  } as ChannelEntry
  const counts = { changed: 0, written: 0 }
  const claimed: string[] = []
  const channels = new Channels({
    context: () => ctx,
    onEffect: (_, effect) => void claimed.push(effect.tag === 'broadcast' ? effect.purpose : effect.tag),
    onRelay: () => {},
    onChanged: () => counts.changed++,
    onSettled: () => {},
    onQuarantine: (_, error) => {
      throw error
    },
  })
  channels.restore(entry)
  const scope = { write: () => counts.written++ } as never
  htlcs.forEach((spec, i) => {
    channels.command(entry, { tag: 'fulfillHtlc', id: BigInt(i), preimage: preimageOf(spec) })
  })
  channels.drain(scope)
  expect(claimed).toEqual([])
  channels.endOfTurn(scope)
  expect(claimed.filter((c) => c === 'htlc')).toHaveLength(HTLCS)
  expect(counts.changed).toBeLessThanOrEqual(1)
  expect(counts.written).toBeGreaterThanOrEqual(HTLCS)
})
