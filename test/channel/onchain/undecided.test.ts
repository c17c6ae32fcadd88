import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import type { PaymentHash } from '../../../src/base/ids.ts'
import { msat } from '../../../src/base/units.ts'
import { onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import { presume } from '../../../src/channel/presumed.ts'
import { crypto } from '../../../src/crypto/crypto.ts'
import { channelOf, contextOf, type HtlcSpec, preimageOf, START } from './fixture.ts'
import { world } from './world.ts'

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

  it('says nothing of it while blocks are caught up with: the next one may show the preimage', () => {
    const w = world({ ...about, number: 9, htlcs: [htlc] })
    w.alice.channel = channelOf('alice', { ...about, number: 4, htlcs: [htlc] })
    w.alice.about = { isBehind: true }
    w.bob.forceClose()
    w.mine()
    w.bob.learn(0n, preimageOf(htlc))
    w.mine(50, () => false)
    w.mine()
    w.alice.about = {}
    w.finish()
    expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', id: 0n, preimage: preimageOf(htlc) }])
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

  it('leaves open what became of an HTLC that was offered, perhaps, after ours that was published at that risk', () => {
    const w = world({ ...about, number: 9, htlcs: [] })
    const [amountMsat, cltvExpiry] = [msat(100_000_000), START + 40]
    const paymentHash = toHex(crypto.sha256(preimageOf(htlc))) as PaymentHash
    const origin = { tag: 'payment', paymentHash, attempt: 0 } as const
    const command = { tag: 'presumeHtlc', amountMsat, paymentHash, cltvExpiry, origin } as const
    w.alice.channel = presume(channelOf('alice', { ...about, number: 4, htlcs: [] }), command)!
    w.alice.forceClose()
    w.finish()
    expect([w.alice.onchain?.closing.kind, w.bob.onchain?.closing.kind]).toEqual(['local', 'revoked'])
    const failure = { tag: 'onchain', presumed: true, undecided: true }
    expect(w.alice.events).toEqual([{ tag: 'failed', id: 0n, origin, failure }])
  })
})
