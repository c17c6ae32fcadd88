import { describe, expect, it } from 'vitest'
import { type Transaction, unsignedInput } from '../../../src/bitcoin/transaction.ts'
import { advance } from '../../../src/channel/advance.ts'
import { getHtlc, replaceHtlc } from '../../../src/channel/htlcTable.ts'
import { beginLocal, fundingSpent, onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import type { OnchainStep } from '../../../src/channel/onchain/types.ts'
import { rescue } from '../../../src/channel/rescue.ts'
import type { ChannelState } from '../../../src/channel/state.ts'
import type { ChannelContext, ChannelInput, ChannelSigner } from '../../../src/channel/types.ts'
import { channelOf, commitmentTx, contextOf, type HtlcSpec, preimageOf, START } from './fixture.ts'

const HTLCS = 50
const HEIGHT = START + 1

/** Alice's channel, closed by a commitment of one of both with many HTLCs of Bob's. @param knows whether she has the preimages */
function closed(whose: 'alice' | 'bob', knows: boolean) {
  const htlcs = Array.from(
    { length: HTLCS },
    (_, i): HtlcSpec => ({ from: 'bob', amountSat: 10_000 + i, cltvExpiry: START + 200, n: i + 1, knows }),
  )
  const setup = { type: 'anchors', opener: 'bob', number: 4, htlcs } as const
  const counts = { signed: 0 }
  const signer = Object.fromEntries(
    Object.entries(contextOf('alice', START).signer).map(([name, part]) => {
      if (typeof part !== 'function' || !name.startsWith('sign')) return [name, part]
      const call = (...args: unknown[]): unknown => {
        counts.signed++
        return Reflect.apply(part, null, args)
      }
      return [name, call]
    }),
  ) as unknown as ChannelSigner
  const at = (height: number): ChannelContext => ({ ...contextOf('alice', height), signer })
  const spend = { tx: commitmentTx(whose, setup), height: HEIGHT, mutual: false }
  const step = fundingSpent(channelOf('alice', setup), spend, at(HEIGHT))
  return {
    counts,
    at,
    htlcs,
    step: onchainEvent(step.channel, step.onchain, { tag: 'block', height: HEIGHT }, at(HEIGHT)),
  }
}

/** The preimage of one of them has come. */
function fulfilled({ channel, onchain }: OnchainStep, spec: HtlcSpec, i: number, ctx: ChannelContext): OnchainStep {
  const { commitments } = channel
  const htlc = getHtlc(commitments.incoming, BigInt(i))!
  const removal = { tag: 'fulfilled', preimage: preimageOf(spec) } as const
  const incoming = replaceHtlc(commitments.incoming, { ...htlc, removal })
  const known = { ...channel, commitments: { ...commitments, incoming } }
  return onchainEvent(known, onchain, { tag: 'preimages', htlcIds: [BigInt(i)] }, ctx)
}

const sent = ({ effects }: OnchainStep): readonly Transaction[] =>
  effects.flatMap((e) => (e.tag === 'broadcast' ? [e.tx] : []))

describe.each(['alice', 'bob'] as const)(
  'BOLT 5 §general-nomenclature: many HTLCs in the commitment of %s',
  (whose) => {
    it('are not claimed anew for each of their claims in a block', () => {
      const { counts, at, step: before } = closed(whose, true)
      const claims = sent(before)
      expect(claims.length).toBeGreaterThanOrEqual(HTLCS)
      expect(counts.signed).toBeGreaterThanOrEqual(HTLCS)
      counts.signed = 0
      let step = before
      for (const tx of claims) {
        const { txid, index } = tx.inputs[0]!
        const spent = { tag: 'spent', outpoint: { txid, index }, tx, height: HEIGHT + 1 } as const
        step = onchainEvent(step.channel, step.onchain, spent, at(HEIGHT + 1))
        expect(step.effects).toEqual([])
      }
      expect(counts.signed).toBe(0)
      expect(step.onchain.sweeps).toEqual([])
    })

    it('are claimed one by one as their preimages come', () => {
      const { counts, at, htlcs, step: before } = closed(whose, false)
      let step = before
      counts.signed = 0
      htlcs.forEach((spec, i) => {
        step = fulfilled(step, spec, i, at(HEIGHT))
        expect(sent(step)).toHaveLength(1)
      })
      expect(counts.signed).toBe(HTLCS)
      const all = onchainEvent(step.channel, step.onchain, { tag: 'block', height: HEIGHT + 1 }, at(HEIGHT + 1))
      expect(sent(all).length).toBeGreaterThanOrEqual(HTLCS)
    })
  },
)

describe('BOLT 5 §failing-a-channel: many preimages come while our commitment is in no block', () => {
  it.each([
    ['is handed out with the next block, for the more that it is worth then', 100, 0],
    ['is handed out at once for HTLCs that are due', 20, HTLCS],
  ])('it %s', (_what, left, times) => {
    const { at, htlcs, step: spent } = closed('alice', false)
    const height = START + 200 - left
    const { channel } = spent
    let step = beginLocal(channel, at(height))
    expect(sent(step)).toHaveLength(1)
    let handed = 0
    htlcs.forEach((spec, i) => {
      step = fulfilled(step, spec, i, at(height))
      handed += sent(step).length
    })
    expect(handed).toBe(times)
    const next = onchainEvent(step.channel, step.onchain, { tag: 'block', height: height + 1 }, at(height + 1))
    expect(sent(next)).toHaveLength(1)
  })
})

describe('BOLT 5 §general-nomenclature: many preimages that come in one turn', () => {
  /** The channel as a node has it, its commitment in a block or not, before the preimages come. */
  function ending(left: number, inBlock: boolean) {
    const { htlcs, step: spent, at } = closed('alice', false)
    const height = START + 200 - left
    const { channel, onchain } = inBlock ? spent : beginLocal(spent.channel, at(height))
    const ctx = at(height)
    let state: ChannelState = { tag: 'closing', channel, error: null, onchain }
    const step = (input: ChannelInput, move: typeof advance = advance): readonly Transaction[] => {
      const next = move(state, input, ctx)
      state = next.state
      return next.effects.flatMap((e) => (e.tag === 'broadcast' ? [e.tx] : []))
    }
    const command = (i: number): ChannelInput => {
      return { tag: 'command', command: { tag: 'fulfillHtlc', id: BigInt(i), preimage: preimageOf(htlcs[i]!) } }
    }
    return { step, learnAll: () => htlcs.flatMap((_, i) => step(command(i))), onchain, height, state: () => state }
  }
  const SIGN: ChannelInput = { tag: 'sign' }

  it.each([
    ['all are claimed', 198, true, HTLCS],
    ['their commitment is handed out once, if they are due', 20, false, 1],
    ['their commitment is left for the next block, if they are not', 100, false, 0],
  ])('at its end %s', (_, left, inBlock, times) => {
    const { step, learnAll, state } = ending(left, inBlock)
    expect(learnAll()).toEqual([])
    expect(step(SIGN)).toHaveLength(times)
    const after = state()
    expect(step(SIGN)).toEqual([])
    expect(state()).toBe(after)
    expect(after).not.toHaveProperty('toClaim')
  })

  it('are claimed at its end also where a spend is heard of between, or a bug has set the channel aside', () => {
    const { step, learnAll, onchain, height, state } = ending(20, true)
    const { outpoint } = onchain.outputs.find((o) => o.htlc === null)!
    const tx: Transaction = { version: 2, inputs: [unsignedInput(outpoint)], outputs: [], lockTime: 0 }
    learnAll()
    const before = state()
    step({ tag: 'chain', event: { tag: 'spent', outpoint, tx, height } })
    expect(state()).not.toBe(before)
    expect(step(SIGN, rescue)).toHaveLength(HTLCS)
  })

  it('are claimed with a block that comes in it, and not a second time', () => {
    const { step, learnAll, height } = ending(20, true)
    learnAll()
    expect(step({ tag: 'chain', event: { tag: 'block', height } }).length).toBeGreaterThanOrEqual(HTLCS)
    expect(step(SIGN)).toEqual([])
  })
})
