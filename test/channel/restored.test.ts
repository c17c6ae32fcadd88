import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { isForgettable, summary, watches } from '../../src/channel/describe.ts'
import { HELD_BACK_BLOCKS } from '../../src/channel/heldBack.ts'
import { remoteKeys, restoreChannel } from '../../src/channel/restored.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import { add, expectNext, preimageOf, reachNormal, sentBy, type World, type WorldOptions } from './harness.ts'

/** Both have money in the channel; then alice has nothing left but her keys and what a backup knows. */
function lost(options: WorldOptions = {}, before: (w: World) => void = () => {}): World {
  const w = reachNormal({ pushMsat: msat(400_000_000), realSignatures: true, ...options })
  before(w)
  w.disconnect()
  const { channel } = w.alice
  const { params, commitments } = channel
  const { funding, capacitySat } = commitments.active[0]!
  w.alice.records.clear()
  w.alice.crash()
  const state = restoreChannel({ ...params, funding, capacitySat, remote: remoteKeys(channel) }, w.alice.ctx.signer)
  w.alice.begin({ state, effects: [] })
  return w
}
const paid = (w: World): void => {
  w.alice.command(add(0, 5_000_000))
  w.settle()
  w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(0) })
  w.settle()
}

describe('BOLT 2 §message-retransmission: a channel restored from a backup, no backup without a key (Electrum before 4.8.2)', () => {
  it.each(['channel_reestablish', 'error'] as const)('asks the peer to close; its %s alone would do', (heard) => {
    const w = lost()
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    w.connect()
    expect(sentBy(w.alice)).toEqual(['channel_reestablish', 'error'])
    const [request, error] = [expectNext(w, 'alice', 'channel_reestablish'), expectNext(w, 'alice', 'error')]
    expect(request).toMatchObject({ nextCommitmentNumber: 0n, nextRevocationNumber: 0n })
    expect(request.yourLastPerCommitmentSecret).toEqual(new Uint8Array(32))
    w.receive('bob', heard === 'error' ? error : request)
    // Without his numbers, Bob waits a while first: it may be he who has lost data.
    if (heard === 'error') w.mine(HELD_BACK_BLOCKS + 1)
    expect([w.bob.state!.tag, w.bob.broadcasts.length]).toEqual(['closing', 1])
  })

  it('asks again at every connection, also after a restart, and publishes nothing', () => {
    const w = lost()
    for (let n = 0; n < 3; n++) {
      w.alice.crash()
      w.alice.step({ tag: 'connected', theirFeatures: ourInitFeatures() }, false)
      expect(sentBy(w.alice)).toEqual(['channel_reestablish', 'error'])
    }
    w.alice.command({ tag: 'forceClose', requestId: 4 })
    expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 4, result: { code: 'DATA_LOSS' } })
    const height = w.height + 3000
    w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
    w.alice.step({ tag: 'chain', event: { tag: 'block', height } })
    expect([w.alice.state!.tag, w.alice.broadcasts]).toEqual(['waiting-for-peer', []])
  })

  it.each(['anchors', 'static_remotekey'] as const)(
    '%s: sweeps what the peer’s newest commitment pays it',
    (channelType) => {
      const w = lost({ channelType }, paid)
      w.connect()
      w.settle()
      w.mine()
      expect(w.alice.state).toMatchObject({
        tag: 'closing',
        onchain: { how: 'remote-force', closing: { kind: 'future' } },
      })
      w.mine()
      const [sweep] = [...w.mined.values()].filter(
        (m) => m.tx.outputs[0]!.scriptPubKey === w.alice.ctx.sweepScriptPubKey,
      )
      expect(sweep!.tx.outputs[0]!.amountSat).toBeGreaterThan(590_000n)
      w.mine(6)
      expect(w.alice.state!.tag).toBe('closed')
    },
  )

  it('takes no more than its balance from a revoked commitment: what punishes is lost', () => {
    let revoked: ReturnType<typeof signedLocal>
    const w = lost({}, (before) => {
      const { channel, ctx } = before.bob
      revoked = signedLocal(channel, channel.commitments.active[0]!, ctx)
      paid(before)
    })
    const height = w.height + 1
    w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
    w.alice.step({ tag: 'chain', event: { tag: 'spent', outpoint: revoked!.inputs[0]!, tx: revoked!, height } })
    expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { outputs: [{ spend: { tag: 'to-remote' } }] } })
    expect(w.alice.broadcasts.map((tx) => tx.inputs.map((i) => i.txid))).toEqual([[txidOf(revoked!)]])
  })

  it('claims to_local of a commitment of its own that was published before the loss', () => {
    let own: ReturnType<typeof signedLocal>
    const w = lost({}, (before) => {
      paid(before)
      const { channel, ctx } = before.alice
      own = signedLocal(channel, channel.commitments.active[0]!, ctx)
    })
    const height = w.height + 1
    w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
    w.alice.step({ tag: 'chain', event: { tag: 'spent', outpoint: own!.inputs[0]!, tx: own!, height } })
    const outputs = [{ spend: { tag: 'delayed', delay: 144 } }]
    expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { closing: { kind: 'local-old' }, outputs } })
  })
})

describe('BOLT 2 §the-channel_ready-message: a restored channel whose funding may never have been', () => {
  /** Alice has a backup of a channel; no block has its funding. */
  function unfunded(options: WorldOptions = {}): { w: World; block: (height: number) => void; openedAt: number } {
    const w = lost(options)
    const block = (height: number): void => {
      w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
      w.alice.step({ tag: 'chain', event: { tag: 'block', height } })
    }
    w.alice.notices.length = 0
    return { w, block, openedAt: w.alice.channel.params.openedAt }
  }
  const searched = (w: World, fromHeight: number): void => w.alice.step({ tag: 'searched', fromHeight })
  const confirm = (w: World, height: number): void => {
    const { txid, index } = w.alice.channel.commitments.active[0]!.funding
    const { tx } = w.mined.get(txid)!
    w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
    w.alice.step({ tag: 'chain', event: { tag: 'confirmed', txid, tx, height, txIndex: index } })
  }
  const reorg = (w: World, height: number): void => {
    w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
    w.alice.step({ tag: 'chain', event: { tag: 'reorg', height } })
  }
  const waitsFor = (w: World) => summary(w.alice.state!, w.alice.ctx).waitsFor

  it.each(['alice', 'bob'] as const)('opened by %s: ends 2,016 blocks after its opening, and says why', (opener) => {
    const { w, block, openedAt } = unfunded({ opener })
    searched(w, openedAt)
    expect(waitsFor(w)).toContain(`height ${openedAt + 2016}`)
    block(openedAt + 2016)
    w.alice.crash()
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    block(openedAt + 2017)
    expect(w.alice.state).toMatchObject({ tag: 'closed', onchain: null })
    const { txid } = w.alice.channel.commitments.active[0]!.funding
    const why = expect.stringContaining(txid)
    expect(w.alice.notices).toEqual([{ tag: 'closed', how: 'never-funded', txid: null, reason: why }])
    // What the peer gave us in it is not known: it is not forgotten.
    expect(isForgettable(w.alice.state!)).toBe(false)
    expect(w.alice.broadcasts).toEqual([])
  })

  it('ends at once when it is restored later than that', () => {
    const { w, block, openedAt } = unfunded()
    block(openedAt + 5000)
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    searched(w, openedAt)
    expect(w.alice.state!.tag).toBe('closed')
  })

  it('never ends before all blocks since its opening have been looked through', () => {
    const { w, block, openedAt } = unfunded()
    searched(w, openedAt + 1)
    block(openedAt + 10_000)
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    expect(waitsFor(w)).toContain('looked for')
  })

  it('a backup that does not know when it was opened counts from the restoring', () => {
    const { w, block } = unfunded()
    const { params, commitments } = w.alice.channel
    const { funding, capacitySat } = commitments.active[0]!
    const known = { ...params, funding, capacitySat, remote: null, openedAt: 0, since: 700_000 }
    w.alice.begin({ state: restoreChannel(known, w.alice.ctx.signer), effects: [] })
    searched(w, 0)
    block(702_016)
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    block(702_017)
    expect(w.alice.state!.tag).toBe('closed')
  })

  it('ends sooner where another transaction has spent its coins for good, and only then', () => {
    const { w, block, openedAt } = unfunded()
    const { params, commitments } = w.alice.channel
    const { funding, capacitySat } = commitments.active[0]!
    const { tx } = w.mined.get(funding.txid)!
    const inputs = tx.inputs.map(({ txid, index }) => ({ txid, index }))
    const begin = (): void => {
      const known = { ...params, funding, capacitySat, remote: null, inputs }
      w.alice.begin({ state: restoreChannel(known, w.alice.ctx.signer), effects: [] })
      searched(w, openedAt)
      w.alice.crash()
    }
    const spent = (by: Transaction, height: number): void => {
      w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
      w.alice.step({ tag: 'chain', event: { tag: 'spent', outpoint: inputs[0]!, tx: by, height } })
    }
    const rival = { ...tx, lockTime: 1 }
    const height = openedAt + 10
    begin()
    expect(watches(w.alice.state!)).toContainEqual(expect.objectContaining({ tag: 'spend', outpoint: inputs[0] }))
    spent(rival, height)
    block(height + 3)
    reorg(w, height - 1)
    block(height + 30)
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    spent(rival, height + 31)
    block(height + 36)
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    block(height + 37)
    expect(w.alice.state!.tag).toBe('closed')
    expect(w.alice.notices.at(-1)).toMatchObject({ reason: expect.stringContaining('spent its coins') })

    begin()
    spent(tx, height + 40)
    confirm(w, height + 40)
    block(height + 60)
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    expect(watches(w.alice.state!).length).toBe(2)
  })

  it('a reorganisation that undoes the funding gives it its time again', () => {
    const { w, block, openedAt } = unfunded()
    const height = openedAt + 4000
    confirm(w, height)
    searched(w, openedAt)
    block(height)
    reorg(w, height - 1)
    block(height)
    w.alice.crash()
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    confirm(w, height + 2)
    block(height + 9000)
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    reorg(w, height + 1)
    block(height + 1 + 2017)
    expect(w.alice.state!.tag).toBe('closed')
  })

  it.each(['its confirmation', 'the peer’s commitment'])('given up, it comes back with %s', (what) => {
    const { w, block, openedAt } = unfunded()
    searched(w, openedAt)
    const height = openedAt + 3000
    block(height)
    expect(w.alice.state!.tag).toBe('closed')
    w.alice.crash()
    const { funding } = w.alice.channel.commitments.active[0]!
    expect(watches(w.alice.state!)).toMatchObject([{ txid: funding.txid }, { outpoint: funding }])
    if (what === 'its confirmation') {
      confirm(w, height + 1)
      expect(w.alice.state!.tag).toBe('waiting-for-peer')
      expect(sentBy(w.alice)).toEqual(['channel_reestablish', 'error'])
      block(height + 9000)
    }
    const tx = signedLocal(w.bob.channel, w.bob.channel.commitments.active[0]!, w.bob.ctx)
    const at = w.alice.ctx.blockHeight + 1
    w.alice.ctx = { ...w.alice.ctx, blockHeight: at }
    w.alice.step({ tag: 'chain', event: { tag: 'spent', outpoint: funding, tx, height: at } })
    expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { outputs: [{ spend: { tag: 'to-remote' } }] } })
    expect(w.alice.broadcasts.map((b) => b.inputs.map((i) => i.txid))).toEqual([[txidOf(tx)]])
  })
})
