import { describe, expect, it } from 'vitest'
import { fundingSpent, onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import type { ChannelContext, ChannelSigner } from '../../../src/channel/types.ts'
import { channelOf, commitmentTx, contextOf, type HtlcSpec, START } from './fixture.ts'

const HTLCS = 50

describe('BOLT 5 §general-nomenclature: a block that confirms the claims of many HTLCs', () => {
  it.each(['alice', 'bob'] as const)('has none of the others made again for each, in the commitment of %s', (whose) => {
    const htlcs = Array.from(
      { length: HTLCS },
      (_, i): HtlcSpec => ({ from: 'bob', amountSat: 10_000 + i, cltvExpiry: START + 200, n: i + 1, knows: true }),
    )
    const setup = { type: 'anchors', opener: 'bob', number: 4, htlcs } as const
    let signed = 0
    const signer = Object.fromEntries(
      Object.entries(contextOf('alice', START).signer).map(([name, part]) => {
        if (typeof part !== 'function' || !name.startsWith('sign')) return [name, part]
        const call = (...args: unknown[]): unknown => {
          signed++
          return Reflect.apply(part, null, args)
        }
        return [name, call]
      }),
    ) as unknown as ChannelSigner
    const at = (height: number): ChannelContext => ({ ...contextOf('alice', height), signer })
    const [height, next] = [START + 1, START + 2]
    const spend = { tx: commitmentTx(whose, setup), height, mutual: false }
    let step = fundingSpent(channelOf('alice', setup), spend, at(height))
    step = onchainEvent(step.channel, step.onchain, { tag: 'block', height }, at(height))
    const claims = step.effects.flatMap((e) => (e.tag === 'broadcast' ? [e.tx] : []))
    expect(claims.length).toBeGreaterThanOrEqual(HTLCS)
    expect(signed).toBeGreaterThanOrEqual(HTLCS)
    signed = 0
    for (const tx of claims) {
      const { txid, index } = tx.inputs[0]!
      const spent = { tag: 'spent', outpoint: { txid, index }, tx, height: next } as const
      step = onchainEvent(step.channel, step.onchain, spent, at(next))
      expect(step.effects).toEqual([])
    }
    expect(signed).toBe(0)
    expect(step.onchain.sweeps).toEqual([])
  })
})
