import { describe, expect, it } from 'vitest'
import type { Sat } from '../../../src/base/units.ts'
import { p2wsh } from '../../../src/bitcoin/script.ts'
import { type Transaction, unsignedInput } from '../../../src/bitcoin/transaction.ts'
import { strangerPlan } from '../../../src/channel/onchain/anchor.ts'
import { beginLocal, fundingSpent, onchainEvent } from '../../../src/channel/onchain/onchain.ts'
import { isGivenUp, readyAt } from '../../../src/channel/onchain/plan.ts'
import { describeOnchain } from '../../../src/channel/onchain/view.ts'
import { buildClosing } from '../../../src/channel/tx/closing.ts'
import { withFundingWitness } from '../../../src/channel/tx/funding.ts'
import { anchorScript, fundingScript } from '../../../src/channel/tx/scripts.ts'
import type { ChannelSigner } from '../../../src/channel/types.ts'
import { CAPACITY, channelOf, commitmentTx, contextOf, FUNDING, type HtlcSpec, START, walletScript } from './fixture.ts'
import { won, world } from './world.ts'

const signer = (who: 'alice' | 'bob'): ChannelSigner => contextOf(who, START).signer
const htlc = (from: 'alice' | 'bob', amountSat: number, n: number, knows: boolean): HtlcSpec => ({
  from,
  amountSat,
  cltvExpiry: START + n,
  n,
  knows,
})

/** A cooperative close as both signed it. */
function mutualClose(bobsScript = walletScript('bob')): Transaction {
  const [a, b] = [signer('alice'), signer('bob')]
  const closing = buildClosing({
    funding: FUNDING,
    capacitySat: CAPACITY,
    fundingScript: fundingScript(a.basepoints.fundingPubkey, b.basepoints.fundingPubkey),
    feeSat: 1000n as Sat,
    local: { amountMsat: (CAPACITY * 400n) as never, scriptPubKey: walletScript('alice') },
    remote: { amountMsat: (CAPACITY * 600n) as never, scriptPubKey: bobsScript },
    localIsOpener: true,
    dustLimitSat: 546n as Sat,
  })!
  const sign = (s: ChannelSigner) => ({
    publicKey: s.basepoints.fundingPubkey,
    signature: s.signFunding(closing.sighash),
  })
  return withFundingWitness(closing.tx, sign(a), sign(b))
}

describe('BOLT 5 §mutual-close-handling', () => {
  it('takes what the peer has paid to the script of our anchor for no anchor', () => {
    const script = anchorScript(signer('alice').basepoints.fundingPubkey)
    const tx = mutualClose(p2wsh(script))
    const w = world({ type: 'anchors', opener: 'alice', number: 2, htlcs: [] })
    const { effects } = beginLocal(w.alice.channel, w.alice.ctx)
    const ours = effects.find((e) => e.tag === 'broadcast')!
    expect(strangerPlan(ours.anchor!, ours.tx, tx)).toBeNull()
    expect(w.chain.broadcast(tx)).toBeNull()
    w.mine()
    expect(describeOnchain(w.alice.channel, w.alice.onchain!, w.alice.ctx).unclaimedSat).toBe(0n)
  })

  it('has nothing to claim, and is done once it is deep', () => {
    const w = world({ type: 'anchors', opener: 'alice', number: 2, htlcs: [] })
    expect(w.chain.broadcast(mutualClose())).toBeNull()
    w.mine()
    expect(w.alice.onchain).toMatchObject({
      how: 'cooperative',
      closing: { kind: 'mutual', feeSat: 1000n },
      outputs: [],
    })
    w.mine(4)
    expect(w.alice.done).toBe(false)
    w.mine()
    expect(w.alice.done).toBe(true)
    expect(won(w, 'alice')).toBe((CAPACITY * 4n) / 10n - 1000n)
  })

  it('wins over a commitment that we published, and the other way round', () => {
    const w = world({ type: 'anchors', opener: 'alice', number: 2, htlcs: [] })
    w.alice.forceClose()
    w.mine(1, () => false)
    const mutual = mutualClose()
    w.chain.reorg(0)
    expect(w.chain.broadcast(mutual)).toBeNull()
    w.mine()
    expect(w.alice.onchain?.how).toBe('cooperative')
    w.reorg(1)
    expect(w.alice.onchain?.closing.height).toBeNull()
    expect(w.chain.inMempool(w.alice.onchain!.closing.txid)).toBe(true)
    w.chain.reorg(0)
    expect(
      w.chain.broadcast(commitmentTx('bob', { type: 'anchors', opener: 'alice', number: 2, htlcs: [] })),
    ).toBeNull()
    w.mine()
    expect(w.alice.onchain).toMatchObject({ how: 'remote-force', closing: { kind: 'remote' } })
    w.finish()
    expect(won(w, 'bob')).toBe(CAPACITY / 2n)
  })
})

describe('BOLT 5 §unilateral-close-handling-remote-commitment-transaction: two valid commitments', () => {
  const before = [htlc('alice', 100_000, 20, false)]
  const after = [...before, htlc('alice', 200_000, 30, true)]

  it('handles the commitment that we signed and that is not answered yet', () => {
    const w = world({ type: 'anchors', opener: 'alice', number: 4, htlcs: after })
    const older = channelOf('alice', { type: 'anchors', opener: 'alice', number: 3, htlcs: before })
    const { commitments } = w.alice.channel
    // As alice has it after signing bob's commitment 4: the second HTLC is in that one alone.
    w.alice.channel = {
      ...older,
      commitments: {
        ...older.commitments,
        outgoing: {
          size: 2,
          chunks: [
            [
              older.commitments.outgoing.chunks[0]![0]!,
              { ...commitments.outgoing.chunks[0]![1]!, stage: 'signed', remoteFrom: 4 },
            ],
          ],
        },
        remoteSigned: { ...commitments.remote, localNumber: 3 },
      },
    }
    w.bob.forceClose()
    w.mine()
    expect(w.alice.onchain?.closing.kind).toBe('remote-next')
    w.finish()
    expect(w.alice.events).toMatchObject([
      { tag: 'fulfilled', id: 1n },
      { tag: 'failed', id: 0n },
    ])
    expect(won(w, 'bob')).toBe(CAPACITY / 2n + 200_000n)
  })
})

describe('BOLT 5 §general-requirements: what is not expected', () => {
  it('salvages to_remote from a commitment that is newer than our state, for both types', () => {
    for (const type of ['static_remotekey', 'anchors'] as const) {
      const w = world({ type, opener: 'bob', number: 9, htlcs: [] })
      w.alice.channel = channelOf('alice', { type, opener: 'bob', number: 4, htlcs: [] })
      w.bob.forceClose()
      w.finish()
      expect(w.alice.onchain?.closing.kind).toBe('future')
      expect(won(w, 'alice')).toBe(CAPACITY / 2n)
    }
  })

  it('tries to save to_local from an older commitment of ours', () => {
    const w = world({ type: 'anchors', opener: 'bob', number: 5, htlcs: [] })
    expect(
      w.chain.broadcast(commitmentTx('alice', { type: 'anchors', opener: 'bob', number: 2, htlcs: [] })),
    ).toBeNull()
    w.bob.channel = channelOf('bob', { type: 'anchors', opener: 'bob', number: 2, htlcs: [] })
    w.finish()
    expect(w.alice.onchain?.closing.kind).toBe('local-old')
    expect(won(w, 'alice')).toBe(CAPACITY / 2n)
  })

  it('takes to_local from a commitment of ours that lost writes know nothing of, and publishes no older one after it', () => {
    for (const type of ['static_remotekey', 'anchors'] as const) {
      const newer = { type, opener: 'bob', number: 9, htlcs: [] } as const
      const w = world(newer)
      const older = channelOf('alice', { ...newer, number: 4 })
      w.alice.channel = older
      const tx = commitmentTx('alice', newer)
      expect(w.chain.broadcast(tx)).toBeNull()
      w.finish()
      expect(w.alice.onchain?.closing.kind).toBe('local-old')
      expect(won(w, 'alice')).toBe(CAPACITY / 2n)

      const height = START + 1
      const { channel, onchain } = fundingSpent(older, { tx, height, mutual: false }, contextOf('alice', height))
      const undone = onchainEvent(channel, onchain, { tag: 'reorg', height: START }, contextOf('alice', START))
      expect(undone.effects.filter((e) => e.tag === 'broadcast')).toEqual([])
    }
  })

  it('warns of a transaction that nobody remembers, and fails its HTLCs only when they have expired', () => {
    const w = world({ type: 'anchors', opener: 'alice', number: 2, htlcs: [htlc('alice', 100_000, 40, false)] })
    const tx: Transaction = {
      version: 2,
      inputs: [unsignedInput(FUNDING)],
      outputs: [{ amountSat: (CAPACITY - 5000n) as Sat, scriptPubKey: walletScript('bob') }],
      lockTime: 0,
    }
    const step = fundingSpent(w.alice.channel, { tx, height: START + 1, mutual: false }, contextOf('alice', START + 1))
    expect(step.onchain.closing.kind).toBe('unknown')
    expect(step.effects).toContainEqual(
      expect.objectContaining({ tag: 'notify', event: expect.objectContaining({ tag: 'fault', byPeer: true }) }),
    )
    const at = (height: number) =>
      onchainEvent(step.channel, step.onchain, { tag: 'block', height }, contextOf('alice', height))
    expect(at(START + 45)).toMatchObject({ done: false, effects: [] })
    expect(at(START + 46)).toMatchObject({ done: true, effects: [{ tag: 'relay', event: { tag: 'failed', id: 0n } }] })
  })
})

describe('BOLT 5 §general-requirements: a reorganisation that undoes what should not have been published', () => {
  it('has our newest commitment take its place, as it may never come back', () => {
    const setup = { type: 'anchors', opener: 'alice', number: 5, htlcs: [] } as const
    const w = world(setup)
    const outputs = [{ amountSat: (CAPACITY - 5000n) as Sat, scriptPubKey: walletScript('bob') }]
    const strange: Transaction = { version: 2, inputs: [unsignedInput(FUNDING)], outputs, lockTime: 0 }
    const height = START + 1
    const spends = { unknown: strange, 'local-old': commitmentTx('alice', { ...setup, number: 2 }) }
    for (const [kind, tx] of Object.entries(spends)) {
      const step = fundingSpent(w.alice.channel, { tx, height, mutual: false }, contextOf('alice', height))
      expect(step.onchain.closing.kind).toBe(kind)
      const undone = (channel = w.alice.channel) =>
        onchainEvent(channel, step.onchain, { tag: 'reorg', height: START }, contextOf('alice', START)).effects
      expect(undone()).toContainEqual(
        expect.objectContaining({ tag: 'broadcast', tx: commitmentTx('alice', setup), purpose: 'commitment' }),
      )
      expect(undone({ ...w.alice.channel, unproven: true })).toEqual([])
    }
  })

  it('publishes nothing of ours once the peer has shown a commitment that is newer than our state, whatever it shows next', () => {
    const setup = { type: 'anchors', opener: 'bob', number: 9, htlcs: [] } as const
    const spends = {
      future: commitmentTx('bob', setup),
      revoked: commitmentTx('bob', { ...setup, number: 2 }),
      'local-old': commitmentTx('alice', { ...setup, number: 2 }),
    }
    const height = START + 1
    const ctx = contextOf('alice', height)
    const older = channelOf('alice', { ...setup, number: 4 })
    let step = fundingSpent(older, { tx: spends.future, height, mutual: false }, ctx)
    for (const [kind, tx] of Object.entries(spends)) {
      step = onchainEvent(step.channel, step.onchain, { tag: 'spent', outpoint: FUNDING, tx, height }, ctx)
      expect(step.onchain.closing.kind).toBe(kind)
      step = onchainEvent(step.channel, step.onchain, { tag: 'reorg', height: START }, contextOf('alice', START))
      expect(step.effects.filter((e) => e.tag === 'broadcast')).toEqual([])
    }
  })
})

describe('uneconomical outputs', () => {
  it('are left alone while the feerate is high, claimed when it falls, and listed meanwhile', () => {
    const w = world({ type: 'anchors', opener: 'alice', number: 2, htlcs: [htlc('bob', 2_000, 80, true)] })
    w.alice.claim = 20_000
    w.bob.forceClose()
    w.mine(3)
    const view = describeOnchain(w.alice.channel, w.alice.onchain!, w.alice.ctx)
    expect(view.unclaimedSat).toBe(660n + 2_000n)
    expect(w.alice.onchain!.outputs.filter((o) => o.spent).length).toBe(1)
    w.alice.claim = 500
    w.mine(2)
    expect(w.alice.onchain!.outputs.every((o) => o.spent)).toBe(true)
    w.finish()
    expect(won(w, 'alice') - (CAPACITY / 2n + 2_000n) + w.alice.onchain!.closing.feeSat).toBe(-660n)
  })

  it('go together in one sweep when they become worth it', () => {
    const setup = {
      type: 'static_remotekey',
      opener: 'alice',
      number: 2,
      htlcs: [htlc('alice', 100_000, 5, false)],
    } as const
    const w = world(setup)
    w.alice.claim = 20_000_000
    w.alice.forceClose()
    w.mine(30)
    expect(w.alice.onchain!.outputs.filter((o) => o.spent === null).length).toBe(2)
    w.alice.claim = 1_000
    w.mine()
    expect(w.alice.onchain!.sweeps).toMatchObject([{ outpoints: { length: 2 } }])
    w.finish()
    expect(w.alice.onchain!.spenders.map((s) => s.kind)).toEqual(['htlc', 'sweep'])
    expect(w.alice.raced).toEqual([])
  })

  it('are failed upstream once they have expired, so that no other channel must close over them', () => {
    const w = world({ type: 'anchors', opener: 'alice', number: 2, htlcs: [htlc('alice', 1_000, 10, false)] })
    w.alice.forceClose()
    w.mine(15)
    expect(w.alice.events).toEqual([])
    w.mine()
    expect(w.alice.events).toMatchObject([{ tag: 'failed', id: 0n }])
    expect(w.alice.onchain!.outputs.find((o) => o.htlc)!.spent).toBeNull()
  })

  it('are waited for no more at once when no feerate that nodes relay is low enough, else after a week', () => {
    const w = world({ type: 'static_remotekey', opener: 'alice', number: 2, htlcs: [] })
    w.bob.forceClose()
    w.mine()
    const [output] = w.alice.onchain!.outputs
    const ready = readyAt(output!, null)!
    const { channel } = w.alice
    const ctx = (height: number) => contextOf('alice', height, 50_000)
    const poor = { ...output!, amountSat: 60n as Sat }
    const dear = { ...output!, amountSat: 10_000n as Sat }
    expect(isGivenUp(channel, poor, ready, ctx(ready - 1))).toBe(false)
    expect(isGivenUp(channel, poor, ready, ctx(ready))).toBe(true)
    expect(isGivenUp(channel, dear, ready, ctx(ready + 1007))).toBe(false)
    expect(isGivenUp(channel, dear, ready, ctx(ready + 1008))).toBe(true)
    expect(isGivenUp(channel, output!, ready, ctx(ready + 1008))).toBe(false)
  })
})
