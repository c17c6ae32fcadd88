import { describe, expect, it } from 'vitest'
import { presume, presumeReceived } from '../../../src/channel/presumed.ts'
import { type HeldForward, offerOf } from '../../../src/payment/held.ts'
import { channelOf, contextOf, type HtlcSpec, preimageOf, START } from './fixture.ts'
import { world } from './world.ts'

const part = (amountSat: number): HtlcSpec => ({ from: 'bob', amountSat, cltvExpiry: START + 60, n: 7, knows: false })

describe('BOLT 5 §htlc-output-handling-remote-commitment-remote-offers: after a loss of data', () => {
  it('claims all parts with one hash by a preimage that another channel shows, also where it knows of some', () => {
    for (const known of [[], [part(100_000)], [part(200_000)]]) {
      const parts = [part(100_000), part(200_000)]
      const w = world({ type: 'anchors', opener: 'bob', number: 9, htlcs: parts })
      const older = channelOf('alice', { type: 'anchors', opener: 'bob', number: 4, htlcs: known })
      const { signer } = contextOf('bob', START)
      w.alice.channel = { ...older, toldPoint: signer.commitmentPoint(9) }
      w.bob.forceClose()
      w.mine()
      expect(w.alice.onchain?.closing.kind).toBe('future')
      const about = { isOpen: true, blockHeight: w.chain.height }
      const shown = presumeReceived(w.alice.channel, [preimageOf(parts[0]!)], about)!
      expect(presumeReceived(shown, [preimageOf(parts[0]!)], about)).toBeNull()
      w.alice.channel = shown
      w.alice.input({ tag: 'presumed' })
      w.mine(2)
      const claimed = w.alice.onchain!.outputs.filter((o) => o.spend.tag === 'claim-preimage' && o.spent !== null)
      expect(claimed.map((o) => o.amountSat).toSorted()).toEqual([100_000n, 200_000n])
    }
  })
})

describe('BOLT 5 §htlc-output-handling-remote-commitment-local-offers: after a loss of data', () => {
  it('has an end, whatever expiry the onion asks for of a forward that may have been offered', () => {
    const setup = { type: 'anchors', opener: 'bob', number: 9, htlcs: [] } as const
    const w = world(setup)
    w.alice.channel = channelOf('alice', { ...setup, number: 4 })
    w.bob.forceClose()
    w.mine()
    const htlc = { channelId: 'aa'.repeat(32), id: 3n, paymentHash: 'ab'.repeat(32), cltvExpiry: START + 60 }
    const onion = {
      next: { tag: 'node', nodeId: '02'.repeat(33) },
      amtToForward: 1_000n,
      outgoingCltvValue: 0xffffffff,
    }
    const { next: _, ...offer } = offerOf({ htlc, onion } as unknown as HeldForward)
    w.alice.channel = presume(w.alice.channel, { tag: 'presumeHtlc', ...offer })!
    w.alice.input({ tag: 'presumed' })
    w.finish(100)
    expect(w.alice.events).toMatchObject([{ tag: 'failed', failure: { presumed: true } }])
  })
})
