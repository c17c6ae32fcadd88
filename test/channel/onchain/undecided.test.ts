import { describe, expect, it } from 'vitest'
import { onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import { channelOf, contextOf, type HtlcSpec, preimageOf, START, world } from './fixture.ts'

const htlc: HtlcSpec = { from: 'alice', amountSat: 100_000, cltvExpiry: START + 40, n: 7, knows: false }
const about = { type: 'anchors', opener: 'alice' } as const

describe('BOLT 5 §htlc-output-handling-remote-commitment-local-offers: a commitment that we do not know', () => {
  it('leaves open what became of an HTLC whose output cannot be recognised, and proves it by a preimage however late', () => {
    const w = world({ ...about, number: 9, htlcs: [htlc] })
    // Of a commitment five later its point is not known.
    w.alice.channel = channelOf('alice', { ...about, number: 4, htlcs: [htlc] })
    w.bob.forceClose()
    w.mine()
    expect(w.alice.onchain).toMatchObject({ closing: { kind: 'future' }, outputs: [{ htlc: null }] })
    w.bob.learn(0n, preimageOf(htlc))
    w.mine(50, () => false)
    expect(w.alice.events).toMatchObject([{ tag: 'failed', id: 0n, failure: { tag: 'onchain', undecided: true } }])
    const { txid } = w.alice.onchain!.closing
    const claim = w.chain.mine().find((tx) => tx.inputs.some((i) => i.txid === txid))!
    const outpoint = claim.inputs.find((i) => i.txid === txid)!
    const input = { tag: 'spent', outpoint, tx: claim, height: w.chain.height } as const
    const { effects } = onchainEvent(w.alice.channel, w.alice.onchain!, input, w.alice.ctx)
    const event = { tag: 'fulfilled', id: 0n, preimage: preimageOf(htlc) }
    expect(effects.filter((e) => e.tag === 'relay')).toMatchObject([{ event }])
  })

  it('decides on an HTLC whose output is claimed after its expiry', () => {
    const w = world({ ...about, number: 5, htlcs: [htlc] })
    const toldPoint = contextOf('bob', START).signer.commitmentPoint(5)
    w.alice.channel = { ...channelOf('alice', { ...about, number: 4, htlcs: [htlc] }), toldPoint }
    w.bob.forceClose()
    w.finish()
    expect(w.alice.onchain?.closing.kind).toBe('future')
    expect(w.alice.events).toEqual([{ tag: 'failed', id: 0n, origin: expect.anything(), failure: { tag: 'onchain' } }])
  })
})
