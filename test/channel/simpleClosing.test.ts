import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes } from '../../src/base/bytes.ts'
import { type Sat, sat } from '../../src/base/units.ts'
import { p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'
import { txidOf, weightOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { fundingScriptOf } from '../../src/channel/commitments.ts'
import { closingDustSat, isShutdownScript } from '../../src/channel/scripts.ts'
import { featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { expectNext, faultsOf, sentBy, type World, type WorldOptions } from './harness.ts'
import {
  amounts,
  blocks,
  CAPACITY,
  type Complete,
  close,
  feeOf,
  formsIn,
  highS,
  lastReply,
  offering,
  opReturn,
  phase,
  published,
  type Sig,
  world,
} from './simpleClose.ts'

describe('BOLT 2 §closing-initiation-shutdown: scripts of option_simple_close', () => {
  it('OP_RETURN with one push of 6 to 80 bytes, and only where it is negotiated', () => {
    const both = ourInitFeatures()
    const none = featuresFromBits([27])
    for (const length of [6, 75, 76, 80]) {
      expect([length, isShutdownScript(opReturn(length), both)]).toEqual([length, true])
      expect([length, isShutdownScript(opReturn(length), none)]).toEqual([length, false])
    }
    for (const bad of [
      opReturn(5),
      opReturn(81),
      opReturn(6).subarray(1),
      concatBytes(opReturn(10), Uint8Array.of(0)),
    ]) {
      expect(isShutdownScript(bad, both)).toBe(false)
    }
    expect(isShutdownScript(concatBytes(Uint8Array.of(0x6a, 0x4c, 20), new Uint8Array(20)), both)).toBe(false)
  })

  it('dust is by the table of BOLT 3', () => {
    expect(closingDustSat(p2wpkh(new Uint8Array(20)))).toBe(294n)
    expect(closingDustSat(p2wsh(new Uint8Array(32)))).toBe(330n)
    expect(closingDustSat(concatBytes(Uint8Array.of(0x51, 32), new Uint8Array(32)))).toBe(354n)
    expect(closingDustSat(Uint8Array.of(0x51, 2, 0x4e, 0x73))).toBe(240n)
    expect(closingDustSat(opReturn(6))).toBe(0n)
  })
})

describe('BOLT 2 §closing-negotiation: sender of closing_complete', () => {
  it('both offer to pay for a transaction at once, and both end up with both', () => {
    const w = close(world(300_000, { realSignatures: true }))
    w.settle()
    const [a, b] = w.sides.map((s) => published(s).map(txidOf))
    expect(a).toHaveLength(2)
    expect(new Set(a)).toEqual(new Set(b))
    const { params } = w.alice.channel
    const funding = { amountSat: sat(CAPACITY), scriptPubKey: fundingScriptOf(params.local, params.remote) }
    for (const tx of published(w.alice)) {
      expect(verifyTransaction(tx, [funding])).toEqual({ ok: true })
      expect(tx).toMatchObject({ version: 2, lockTime: w.height, inputs: [{ sequence: 0xfffffffd }] })
      expect(Number(feeOf(tx)) / weightOf(tx)).toBeGreaterThan(0.98)
      expect(Number(feeOf(tx)) / weightOf(tx)).toBeLessThan(1.02)
    }
    // Alice paid for one and bob for the other.
    expect(
      published(w.alice)
        .map((tx) => amounts(tx).includes(700_000n))
        .sort(),
    ).toEqual([false, true])
    expect(
      published(w.alice)
        .map((tx) => amounts(tx).includes(300_000n))
        .sort(),
    ).toEqual([false, true])
    expect(faultsOf(w.alice)).toEqual([])
  })

  it('says where both are paid, by the last script of each, and the height as lock time', () => {
    const { alice } = offering(world())
    const w = world()
    expect(alice).toMatchObject({
      closerScriptPubKey: w.alice.ctx.sweepScriptPubKey,
      closeeScriptPubKey: w.bob.ctx.sweepScriptPubKey,
      locktime: w.height,
    })
  })

  it.each([
    ['less: both outputs', 300_000, ['closerAndCloseeOutputs']],
    ['less by a millisatoshi would do; as much: like more', 500_000, ['closerOutputOnly', 'closerAndCloseeOutputs']],
    ['more: the other may leave its own out', 700_000, ['closerOutputOnly', 'closerAndCloseeOutputs']],
    ['dust: only the other', 250, ['closeeOutputOnly']],
  ] as const)('who has %s', (_, bobSat, forms) => {
    expect(formsIn(offering(world(bobSat)).bob)).toEqual(forms)
  })

  it('the output of a closee that has dust is left out', () => {
    const sent = offering(world(293))
    expect(formsIn(sent.alice)).toEqual(['closerOutputOnly'])
    expect(formsIn(offering(world(294)).alice)).toEqual(['closerOutputOnly', 'closerAndCloseeOutputs'])
  })

  it('nothing is offered by who cannot pay what nodes relay; the other pays', () => {
    const w = close(world(0)).settle()
    expect(w.sides.map((s) => published(s).length)).toEqual([1, 1])
    expect(amounts(published(w.bob)[0]!)).toEqual([BigInt(CAPACITY) - feeOf(published(w.bob)[0]!)])
    // Nor to send at a feerate that would leave no output: a fee of all but dust.
    const dear = close(world(20_000), { feeratePerKw: 200_000_000 }).settle()
    const most = published(dear.alice).reduce((max, tx) => (feeOf(tx) > max ? feeOf(tx) : max), 0n)
    expect(most).toBe(980_000n - 294n)
  })

  it('nobody gives more than half of what it has, nor all but dust, since the other pays it in full, unless asked to', () => {
    const w = close(world(400), {}, 'bob').settle()
    expect(published(w.bob).map((tx) => amounts(tx).includes(400n))).toEqual([true])
    const asked = close(world(400), { feeratePerKw: 900 }, 'bob').settle()
    expect(published(asked.bob).map(amounts)).toContainEqual([999_600n])
    const half = close(world(1_000), {}, 'bob').settle()
    expect(
      published(half.bob)
        .map((tx) => Math.min(...amounts(tx).map(Number)))
        .sort(),
    ).toEqual([1_000, 500])
  })

  it('in a close that the peer asked for, its offer goes first, and ours is no dearer than what has a day', () => {
    const w = world()
    w.bob.ctx = { ...w.bob.ctx, feerates: { commitment: 1000, closing: 1000, claim: 1000, slow: 300 } }
    close(w)
    w.deliver('alice')
    expect(sentBy(w.bob)).toEqual(['shutdown'])
    w.deliver('bob')
    w.deliver('alice')
    expect(sentBy(w.bob)).toEqual(['closing_sig', 'closing_complete'])
    const { feeSatoshis } = w.bob.outbox[1] as Complete
    expect(Number(feeSatoshis)).toBeLessThan(210)
    w.settle()
    expect(w.sides.map((s) => published(s).length)).toEqual([2, 2])
  })

  it('who is to get an OP_RETURN gets nothing: all that it had is fee', () => {
    const w = close(world(300_000, { realSignatures: true }), { scriptPubKey: opReturn(20) }, 'bob').settle()
    const tx = published(w.alice).find((t) => amounts(t).includes(700_000n))!
    expect([...amounts(tx)].sort()).toEqual([0n, 700_000n])
    expect(feeOf(tx)).toBe(300_000n)
    // Bob's output is nothing in alice's transaction as well.
    expect(published(w.bob).every((t) => t.outputs.some((o) => o.scriptPubKey[0] === 0x6a && o.amountSat === 0n))).toBe(
      true,
    )
    expect(faultsOf(w.alice)).toEqual([])
  })

  it('another offer waits for closing_sig', () => {
    const w = world()
    const { bob, alice } = offering(w)
    w.alice.command({ tag: 'close', requestId: 6, feeratePerKw: 3000 })
    expect(lastReply(w.alice)).toBe('done')
    expect(sentBy(w.alice)).toEqual([])
    w.receive('bob', alice)
    w.receive('alice', bob)
    expectNext(w, 'alice', 'closing_sig')
    w.receive('alice', expectNext(w, 'bob', 'closing_sig'))
    expect(expectNext(w, 'alice', 'closing_complete').feeSatoshis).toBeGreaterThan(alice.feeSatoshis * 2n)
  })

  it('hangs up on a peer that does not answer', () => {
    const w = world()
    offering(w)
    blocks(w, 5)
    expect(faultsOf(w.alice)).toEqual([])
    blocks(w, 1)
    expect(faultsOf(w.alice)).toMatchObject([
      { response: 'warn-peer', requirement: expect.stringContaining('closing_sig') },
    ])
    expect(w.alice.wantsDisconnect).toBe(true)
  })
})

describe('BOLT 2 §closing-negotiation: receiver of closing_complete', () => {
  const told = (change: (m: Complete, w: World) => Partial<Complete>, bobSat = 300_000, more: WorldOptions = {}) => {
    const w = world(bobSat, more)
    const { bob } = offering(w)
    w.alice.outbox = []
    w.receive('alice', { ...bob, ...change(bob, w) } as Complete)
    return { w, fault: faultsOf(w.alice)[0] }
  }
  const kept = ({ w }: ReturnType<typeof told>) => {
    expect(published(w.alice)).toEqual([])
    expect(w.alice.state!.tag).toBe('offline')
  }

  it.each([
    ['a fee above what the closer has', () => ({ feeSatoshis: sat(300_001) }), 'PROTOCOL_VIOLATION'],
    [
      'a script of ours that is not our last',
      () => ({ closeeScriptPubKey: p2wpkh(new Uint8Array(20)) }),
      'PROTOCOL_VIOLATION',
    ],
    ['a closer script of another form', () => ({ closerScriptPubKey: new Uint8Array(25) }), 'INVALID_SCRIPT'],
    ['a signature for something else', (m: Complete) => ({ locktime: m.locktime - 1 }), 'BAD_SIGNATURE'],
    [
      'no signature for the form that we take',
      () => ({ closerAndCloseeOutputs: undefined, closerOutputOnly: new Uint8Array(64) }),
      'PROTOCOL_VIOLATION',
    ],
  ] as const)('warns and hangs up at %s', (_, change, code) => {
    const seen = told(change as never)
    expect(seen.fault).toMatchObject({ code, response: 'warn-peer' })
    kept(seen)
  })

  it('names the balance where the fee is above it', () => {
    const { fault } = told(() => ({ feeSatoshis: sat(300_001) }))
    expect(fault!.requirement).toContain('the closer can pay the fee')
  })

  it('at a signature with a high S', () => {
    const seen = told((m) => ({ closerAndCloseeOutputs: highS(m.closerAndCloseeOutputs!) }), 300_000, {
      realSignatures: true,
    })
    expect(seen.fault).toMatchObject({ code: 'BAD_SIGNATURE' })
    kept(seen)
  })

  it('and at a script that is not the one committed to at the opening', () => {
    const w = world()
    const { bob } = offering(w)
    const state = phase(w.alice)
    const { params } = state.channel
    const remote = { ...params.remote, upfrontShutdownScript: p2wpkh(new Uint8Array(20).fill(3)) }
    w.alice.state = { ...state, channel: { ...state.channel, params: { ...params, remote } } }
    w.receive('alice', bob)
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'INVALID_SCRIPT' }])
  })

  it('answers with one signature in the same field, and repeats the rest', () => {
    const w = world(700_000)
    const { bob } = offering(w)
    w.receive('alice', bob)
    const sig = expectNext(w, 'alice', 'closing_sig')
    expect(formsIn(sig)).toEqual(['closerAndCloseeOutputs'])
    const { type: _, closerOutputOnly: __, closerAndCloseeOutputs: ___, ...said } = bob
    expect(sig).toMatchObject(said)
    expect(w.alice.broadcasts.map(txidOf)).toEqual(published(w.alice).map(txidOf))
  })

  it('takes the form without its own output where that is dust', () => {
    const w = world(293)
    const { alice } = offering(w)
    w.receive('bob', alice)
    expect(formsIn(expectNext(w, 'bob', 'closing_sig'))).toEqual(['closerOutputOnly'])
  })

  it('does not give up its output because the richer peer offers no other form', () => {
    const w = world(300_000)
    const { alice } = offering(w)
    const { closerAndCloseeOutputs: _, ...one } = alice
    w.receive('bob', one)
    expect(faultsOf(w.bob)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })

  it('takes the form without the closer where that is all there is', () => {
    const w = world(250)
    const { bob } = offering(w)
    w.receive('alice', bob)
    expect(formsIn(expectNext(w, 'alice', 'closing_sig'))).toEqual(['closeeOutputOnly'])
    expect(amounts(published(w.alice)[0]!)).toEqual([999_750n])
  })

  it('pays to the new script of the closer from then on', () => {
    const w = close(world()).settle()
    const moved = p2wpkh(new Uint8Array(20).fill(8))
    close(w, { scriptPubKey: moved }, 'bob').settle()
    expect(phase(w.alice).remoteScript).toEqual(moved)
    expect(lastReply(w.bob)).toBe('done')
    close(w, { feeratePerKw: 4000 }).settle()
    const best = published(w.bob).reduce((a, b) => (feeOf(a) > feeOf(b) ? a : b))
    expect(best.outputs.find((o) => equalBytes(o.scriptPubKey, moved))?.amountSat).toBe(300_000n)
  })

  it('a peer that has us sign without end is hung up on', () => {
    const w = close(world()).settle()
    const { fee, scripts } = { fee: phase(w.bob).simple!.offer!, scripts: phase(w.bob) }
    const channel = w.bob.channel
    for (let n = 0; n < 400 && faultsOf(w.alice).length === 0; n++) {
      const moved = { ...scripts, simple: { ready: true, awaitsSince: null, offer: { ...fee, feeSat: sat(1000 + n) } } }
      w.bob.state = { ...moved, channel: { ...channel, closings: [] }, published: [] }
      w.bob.command({ tag: 'close', requestId: n, feeratePerKw: 10_000 + 1000 * n })
      w.settle()
    }
    expect(faultsOf(w.alice)).toMatchObject([{ detail: expect.stringContaining('far too many') }])
    expect(w.alice.channel.closings!.length).toBeLessThanOrEqual(200)
  })
})

describe('BOLT 2 §closing-negotiation: receiver of closing_sig', () => {
  const answered = (change: (m: Sig) => object, more: WorldOptions = {}) => {
    const w = world(300_000, more)
    const { alice } = offering(w)
    w.receive('bob', alice)
    const sig = expectNext(w, 'bob', 'closing_sig')
    w.receive('alice', { ...sig, ...change(sig) } as Sig)
    return { fault: faultsOf(w.alice)[0], held: published(w.alice).length }
  }
  it.each([
    ['another fee', (m: Sig) => ({ feeSatoshis: m.feeSatoshis + 1n })],
    ['another lock time', (m: Sig) => ({ locktime: m.locktime + 1 })],
    ['another closer script', () => ({ closerScriptPubKey: p2wpkh(new Uint8Array(20)) })],
    ['another closee script', () => ({ closeeScriptPubKey: p2wpkh(new Uint8Array(20)) })],
    ['no signature', () => ({ closerAndCloseeOutputs: undefined })],
    ['two signatures', () => ({ closerOutputOnly: new Uint8Array(64) })],
    [
      'a field that was not on offer',
      (m: Sig) => ({ closerAndCloseeOutputs: undefined, closeeOutputOnly: m.closerAndCloseeOutputs }),
    ],
    ['a wrong signature', () => ({ closerAndCloseeOutputs: new Uint8Array(64).fill(1) })],
    [
      'a signature of the other form',
      (m: Sig) => ({ closerAndCloseeOutputs: undefined, closerOutputOnly: m.closerAndCloseeOutputs }),
    ],
  ] as const)('warns and hangs up at %s', (_, change) => {
    expect(answered(change as never)).toMatchObject({ fault: { response: 'warn-peer' }, held: 0 })
  })
  it('and at a high S', () => {
    const change = (m: Sig) => ({ closerAndCloseeOutputs: highS(m.closerAndCloseeOutputs!) })
    expect(answered(change, { realSignatures: true })).toMatchObject({ fault: { code: 'BAD_SIGNATURE' }, held: 0 })
    expect(answered(() => ({}), { realSignatures: true })).toEqual({ fault: undefined, held: 1 })
  })
  it('one that nothing was offered for', () => {
    const w = close(world(0)).settle()
    const sig: Sig = { ...expectSig(w), feeSatoshis: 1n as Sat }
    w.receive('bob', sig)
    expect(faultsOf(w.bob)).toMatchObject([{ response: 'warn-peer' }])
  })
  const expectSig = (w: World): Sig => ({
    type: 'closing_sig',
    channelId: w.bob.channel.params.channelId,
    closerScriptPubKey: w.bob.ctx.sweepScriptPubKey,
    closeeScriptPubKey: w.alice.ctx.sweepScriptPubKey,
    feeSatoshis: sat(0),
    locktime: 0,
  })
})
