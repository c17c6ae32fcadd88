import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { fundingSpent } from '../../src/channel/onchain/onchain.ts'
import type { ChannelState, ClosingState } from '../../src/channel/state.ts'
import type { ChannelContext, Effect, HtlcEvent } from '../../src/channel/types.ts'
import { type ChannelEntry, Channels } from '../../src/node/channels.ts'
import { add, reachNormal } from '../channel/harness.ts'
import * as onchain from '../channel/onchain/fixture.ts'

const entryOf = (localId: string, state: ChannelState, { signer }: ChannelContext): ChannelEntry =>
  ({ meta: { localId, peer: localId }, signer, state, stored: state, quarantined: null }) as unknown as ChannelEntry

/**
 * Two channels: by the first came an HTLC that the second has passed on. What the second says of that at the end of a turn is
 * failed back over the first, as a forward does it. Gives what the first says to its peer.
 */
function forwarding(second: ChannelState, contextOf: () => ChannelContext) {
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  w.bob.command(add(1, 50_000_000))
  w.settle()
  const first = entryOf('first', w.alice.state!, w.alice.ctx)
  const entry = entryOf('second', second, contextOf())
  const said: string[] = []
  const told: HtlcEvent['tag'][] = []
  const channels: Channels = new Channels({
    context: (e) => (e === first ? w.alice.ctx : contextOf()),
    onEffect: (e, effect: Effect) => {
      if (e === first && effect.tag === 'send') said.push(effect.message.type)
    },
    onRelay: (_, event) => {
      told.push(event.tag)
      channels.command(first, { tag: 'failHtlc', id: 0n, reason: new Uint8Array(292) })
    },
    onChanged: () => {},
    onSettled: () => {},
    onQuarantine: () => {},
  })
  for (const e of [first, entry]) channels.restore(e)
  return { channels, entry, said, told, endOfTurn: () => channels.endOfTurn({ write: () => {} } as never) }
}
const SIGNED = ['update_fail_htlc', 'commitment_signed']

it('what a preimage has a closing channel give up at the end of a turn, as fees have risen, is failed and signed for in that turn', () => {
  const { START } = onchain
  const about = { cltvExpiry: START + 10, knows: false }
  const theirs = { ...about, from: 'bob', amountSat: 90_000, cltvExpiry: START + 300, n: 2 } as const
  const setup = {
    ...({ type: 'anchors', opener: 'bob', number: 4 } as const),
    htlcs: [{ ...about, from: 'alice', amountSat: 1_000, n: 1 }, theirs],
  } as const
  let feerate = 253
  const contextOf = (): ChannelContext => {
    const feerates = { commitment: feerate, closing: feerate, claim: feerate }
    return { ...onchain.contextOf('alice', START + 60), feerates }
  }
  const tx = onchain.commitmentTx('alice', setup)
  const end = fundingSpent(onchain.channelOf('alice', setup), { tx, height: START + 1, mutual: false }, contextOf())
  const closing: ClosingState = { tag: 'closing', channel: end.channel, error: null, onchain: end.onchain }
  const { channels, entry, said, told, endOfTurn } = forwarding(closing, contextOf)
  expect(end.onchain.failed).toEqual([])
  feerate = 5_000
  channels.command(entry, { tag: 'fulfillHtlc', id: 0n, preimage: onchain.preimageOf(theirs) })
  endOfTurn()
  expect(told).toEqual(['failed'])
  expect(said).toEqual(SIGNED)
})

it('what a bug at the end of a turn has a channel take back is failed and signed for in that turn', () => {
  const w = reachNormal()
  let isBroken = false
  const contextOf = (): ChannelContext => {
    if (!isBroken) return w.alice.ctx
    isBroken = false
    throw new Error('a bug')
  }
  const { channels, entry, said, told, endOfTurn } = forwarding(w.alice.state!, contextOf)
  channels.command(entry, add(1, 40_000_000))
  channels.drain({} as never)
  isBroken = true
  endOfTurn()
  expect(entry.quarantined).toContain('a bug')
  expect(told).toEqual(['rejected'])
  expect(said).toEqual(SIGNED)
})
