import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes } from '../../src/base/bytes.ts'
import { msat, type Sat, sat } from '../../src/base/units.ts'
import { p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf, weightOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { fundingScriptOf } from '../../src/channel/commitments.ts'
import { rebroadcasts, summary } from '../../src/channel/describe.ts'
import { loadChannel } from '../../src/channel/persist.ts'
import { closingDustSat, isShutdownScript } from '../../src/channel/scripts.ts'
import type { ChannelState, NegotiatingState } from '../../src/channel/state.ts'
import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage, MessageNamed } from '../../src/wire/registry.ts'
import {
  canonical,
  expectNext,
  faultsOf,
  type Name,
  other,
  reachNormal,
  type Side,
  sentBy,
  type World,
  type WorldOptions,
} from './harness.ts'

const CAPACITY = 1_000_000
type Complete = MessageNamed<'closing_complete'>
type Sig = MessageNamed<'closing_sig'>
const FIELDS = ['closerOutputOnly', 'closeeOutputOnly', 'closerAndCloseeOutputs'] as const

const world = (bobSat = 300_000, more: WorldOptions = {}): World =>
  reachNormal({ simpleClose: true, pushMsat: msat(bobSat * 1000), ...more })
const close = (w: World, more: object = {}, who: Name = 'alice'): World => {
  w.side(who).command({ tag: 'close', requestId: 5, ...more })
  return w
}
/** Both have exchanged shutdown and said closing_complete, which waits to be delivered. */
function offering(w: World, more: object = {}): { readonly alice: Complete; readonly bob: Complete } {
  // Both ask for it.
  w.bob.command({ tag: 'close', requestId: 4 })
  const shutdown = w.take('bob')!
  close(w, more)
  w.deliver('alice') // shutdown
  const bob = w.take('bob')!
  w.receive('alice', shutdown)
  return { alice: expectNext(w, 'alice', 'closing_complete'), bob: bob as Complete }
}
const phase = (side: Side): NegotiatingState => {
  if (side.phase.tag !== 'negotiating') throw new Error(`${side.name} is ${side.phase.tag}`)
  return side.phase
}
const published = (side: Side): readonly Transaction[] => phase(side).published
const formsIn = (m: Complete | Sig) => FIELDS.filter((f) => m[f] !== undefined)
const feeOf = (tx: Transaction): bigint => tx.outputs.reduce((left, o) => left - o.amountSat, BigInt(CAPACITY))
const amounts = (tx: Transaction): readonly bigint[] => tx.outputs.map((o) => o.amountSat)
const opReturn = (length: number): Uint8Array =>
  concatBytes(Uint8Array.of(0x6a, ...(length > 75 ? [0x4c] : []), length), new Uint8Array(length).fill(9))
const lastReply = (side: Side) => side.replies.at(-1)!.result
const blocks = (w: World, n: number): void => {
  for (let i = 0; i < n; i++) {
    for (const side of w.sides) {
      const height = side.ctx.blockHeight + 1
      side.ctx = { ...side.ctx, blockHeight: height }
      side.step({ tag: 'chain', event: { tag: 'block', height } })
    }
  }
}
const estimate = (w: World, closing: number, claim = closing): void => {
  for (const side of w.sides) side.ctx = { ...side.ctx, feerates: { ...side.ctx.feerates, closing, claim } }
}
const confirm = (w: World, tx: Transaction): void => {
  const height = w.height + 1
  for (const side of w.sides) {
    side.ctx = { ...side.ctx, blockHeight: height }
    const outpoint = side.channel.commitments.active[0]!.funding
    side.step({ tag: 'chain', event: { tag: 'spent', outpoint, tx, height } })
    side.step({ tag: 'chain', event: { tag: 'block', height } })
  }
}
/** The n of a curve order minus S: as valid to ECDSA, refused by LOW-S. */
function highS(signature: Uint8Array): Uint8Array {
  const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`)
  return concatBytes(
    signature.subarray(0, 32),
    new Uint8Array(Buffer.from((n - s).toString(16).padStart(64, '0'), 'hex')),
  )
}

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

describe('BOLT 2 §message-retransmission: option_simple_close', () => {
  it('closing_complete waits for the shutdown of the peer in each connection, and offers the same transaction', () => {
    const w = world()
    const { alice } = offering(w)
    w.disconnect()
    blocks(w, 3)
    w.connect()
    w.receive('bob', expectNext(w, 'alice', 'channel_reestablish'))
    w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
    expect(sentBy(w.alice)).toEqual(['channel_ready', 'shutdown'])
    w.settle()
    expect(published(w.bob).some((tx) => tx.lockTime === alice.locktime)).toBe(true)
    expect(new Set(w.alice.channel.closings).size).toBe(3) // two forms of ours, and the one of the peer's that we signed
    expect(published(w.alice)).toHaveLength(2)
  })

  it('what both have signed is not offered once more in a new connection, and raised in it all the same', () => {
    const w = close(world()).settle()
    const signed = w.sides.map((side) => published(side).length)
    w.disconnect()
    w.connect()
    const said: string[] = []
    for (const side of w.sides)
      side.handler = (effect) => {
        if (effect.tag === 'send') said.push(effect.message.type)
        return false
      }
    w.settle()
    expect(said.filter((type) => type !== 'channel_ready')).toEqual(['shutdown', 'shutdown'])
    w.alice.command({ tag: 'close', requestId: 8, feeratePerKw: 9000 })
    w.settle()
    expect(w.sides.map((side) => published(side).length)).toEqual(signed.map((n) => n + 1))
  })

  it('both name new scripts at once: a new connection puts them in step', () => {
    const w = close(world()).settle()
    const [a, b] = [p2wpkh(new Uint8Array(20).fill(1)), p2wpkh(new Uint8Array(20).fill(2))]
    w.alice.command({ tag: 'close', requestId: 7, scriptPubKey: a })
    w.bob.command({ tag: 'close', requestId: 7, scriptPubKey: b })
    while (w.connected && (w.deliver('alice') || w.deliver('bob'))) {}
    expect(w.connected).toBe(false)
    w.connect()
    w.settle()
    for (const side of w.sides) {
      const last = published(side).filter((tx) =>
        [a, b].every((s) => tx.outputs.some((o) => equalBytes(o.scriptPubKey, s))),
      )
      expect(last).toHaveLength(2)
    }
  })

  it.each(['alice', 'bob'] as const)('%s dies at any message and goes on from its disk', (who) => {
    for (let cut = 0; cut < 8; cut++) {
      const w = close(world())
      for (let n = 0; n < cut; n++) w.deliver('alice') || w.deliver('bob')
      w.side(who).crash()
      w.disconnect()
      w.connect()
      w.settle()
      expect([cut, w.sides.map((s) => published(s).length)]).toEqual([cut, [2, 2]])
    }
  })

  it('a peer that drops the feature closes by closing_signed, and one that gains it by closing_complete', () => {
    const legacy = featuresFromBits(
      featureBits(ourInitFeatures()).filter((x) => x !== FEATURES.option_simple_close.bit + 1),
    )
    for (const [first, then] of [
      [ourInitFeatures(), legacy],
      [legacy, ourInitFeatures()],
    ] as const) {
      const w = world(300_000, { simpleClose: first !== legacy })
      close(w)
      w.deliver('alice')
      w.deliver('bob')
      w.disconnect()
      w.connected = true
      for (const side of w.sides) side.step({ tag: 'connected', theirFeatures: then }, false)
      w.settle()
      for (const side of w.sides)
        expect(published(side)[0]!.inputs[0]!.sequence).toBe(then === legacy ? 0xffffffff : 0xfffffffd)
      expect(w.sides.map((s) => faultsOf(s))).toEqual([[], []])
    }
  })

  it('a message of the way that is not spoken is refused', () => {
    const w = close(world()).settle()
    const { channelId } = w.alice.channel.params
    const wrong: ChannelMessage = {
      type: 'closing_signed',
      channelId,
      feeSatoshis: sat(1),
      signature: new Uint8Array(64),
    }
    w.receive('alice', wrong)
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
    const other = reachNormal({ pushMsat: msat(300_000_000) })
    close(other).settle()
    const complete = offering(world()).alice
    other.receive('bob', complete)
    expect(faultsOf(other.bob)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })
})

describe('higher fees', () => {
  const best = (side: Side) => summary(side.state!, side.ctx).closing!
  const fees = (side: Side) => published(side).map(feeOf)

  it('asked to close again with a higher feerate, it offers that', () => {
    const w = close(world()).settle()
    close(w, { feeratePerKw: 5000 }).settle()
    const top = best(w.alice)
    expect(Number(top.transactions[0]!.feeSat)).toBeGreaterThan(3300)
    expect(top.transactions.map((t) => t.txid)).toHaveLength(3)
    expect(best(w.bob).txid).toBe(top.txid)
    expect(rebroadcasts(w.bob.state!, w.bob.ctx)).toMatchObject([
      { tx: published(w.bob).find((t) => txidOf(t) === top.txid) },
    ])
  })

  it('refuses what raises nothing, with the feerate that would', () => {
    const w = close(world()).settle()
    const before = fees(w.alice)
    close(w)
    expect(lastReply(w.alice)).toMatchObject({ code: 'CHANNEL_CLOSING' })
    close(w, { feeratePerKw: 1100 })
    expect(lastReply(w.alice)).toMatchObject({ code: 'UNACCEPTABLE_FEERATE' })
    const least = /choose ([\d.]+) sat/.exec((lastReply(w.alice) as { detail: string }).detail)![1]!
    w.settle()
    expect(fees(w.alice)).toEqual(before)
    close(w, { feeratePerKw: Math.ceil(Number(least) * 250) }).settle()
    expect(lastReply(w.alice)).toBe('done')
    expect(fees(w.alice)).toHaveLength(3)
    close(w, { scriptPubKey: new Uint8Array(25) })
    expect(lastReply(w.alice)).toMatchObject({ code: 'INVALID_SCRIPT' })
  })

  it('and what the balance does not pay for', () => {
    const w = close(world(800)).settle()
    close(w, { feeratePerKw: 20_000 }, 'bob')
    expect(lastReply(w.bob)).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
  })

  it('follows the estimates up, and not for a trifle', () => {
    const w = close(world()).settle()
    estimate(w, 1200)
    blocks(w, 1)
    w.settle()
    expect(fees(w.alice)).toHaveLength(2)
    estimate(w, 2000)
    blocks(w, 1)
    w.settle()
    expect(fees(w.alice)).toHaveLength(4)
    expect(Number(best(w.alice).transactions[0]!.feeSat)).toBeGreaterThan(1300)
    blocks(w, 1)
    w.settle()
    expect(fees(w.alice)).toHaveLength(4)
  })

  it('raises what does not confirm in six blocks, up to twice what the next block should cost', () => {
    const w = close(world()).settle()
    blocks(w, 5)
    w.settle()
    expect(fees(w.alice)).toHaveLength(2)
    for (let n = 0; n < 60; n++) {
      blocks(w, 1)
      w.settle()
    }
    const top = Number(best(w.alice).transactions[0]!.feeSat)
    expect(top).toBeGreaterThan(1100)
    expect(top).toBeLessThanOrEqual(1400)
    expect(w.sides.map((s) => faultsOf(s))).toEqual([[], []])
  })

  it('does not raise by itself to more than half of what is ours', () => {
    const w = close(world(3_000)).settle()
    const before = phase(w.bob).simple!.offer
    estimate(w, 3000)
    blocks(w, 1)
    w.settle()
    expect([before!.feeSat, phase(w.bob).simple!.offer!.feeSat]).toEqual([676n, 1500n])
    expect(phase(w.alice).simple!.offer!.feeSat).toBeGreaterThan(2000n)
  })

  it('leaves the feerate that the operator chose alone', () => {
    const w = world()
    estimate(w, 253)
    close(w, { feeratePerKw: 1500 }).settle()
    const before = fees(w.alice).length
    estimate(w, 4000)
    for (let n = 0; n < 20; n++) {
      blocks(w, 1)
      w.alice.outbox = w.alice.outbox.filter((m) => m.type !== 'closing_complete')
      w.bob.outbox = []
    }
    expect(fees(w.alice)).toHaveLength(before)
    expect(phase(w.alice).simple!.offer!.since).toBe(w.height - 20)
  })

  it('pays nothing for a script that the peer changes again and again', () => {
    const w = close(world()).settle()
    const before = phase(w.alice).simple!.offer!.feeSat
    for (let n = 1; n < 10; n++) {
      close(w, { scriptPubKey: p2wpkh(new Uint8Array(20).fill(n)) }, 'bob').settle()
      w.reconnect()
    }
    expect(phase(w.alice).simple!.offer!.feeSat).toBe(before)
  })
})

describe('BOLT 5 §mutual-close-handling: option_simple_close', () => {
  it('whichever of the signed transactions confirms is the agreed end, told once, also after a crash and a reorg', () => {
    const w = close(world()).settle()
    close(w, { feeratePerKw: 5000 }).settle()
    for (const tx of published(w.alice)) {
      for (const side of w.sides) side.crash()
      confirm(w, tx)
      for (const side of w.sides) {
        expect(side.state).toMatchObject({
          tag: 'closing',
          onchain: { how: 'cooperative', closing: { txid: txidOf(tx) } },
        })
      }
      const rival = published2(w).find((t) => t !== tx)!
      w.reorg(w.height - 1)
      confirm(w, rival)
      for (const side of w.sides) {
        expect(side.state).toMatchObject({ onchain: { how: 'cooperative', closing: { txid: txidOf(rival) } } })
        expect(side.notices.filter((n) => n.tag === 'closing')).toHaveLength(1)
        expect(faultsOf(side)).toEqual([])
      }
      break
    }
    blocks(w, 5)
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['closed', 'closed'])
  })
  const published2 = (w: World) => [...w.alice.broadcasts]

  it('the form that the peer chose is one that was noted before we signed', () => {
    const w = world(700_000)
    const { bob } = offering(w)
    // Alice has less than bob, who signed two forms: of both bob's note is on disk, though only one comes back.
    expect(loaded(w.bob).channel.closings).toHaveLength(2)
    w.receive('alice', bob)
    expect(loaded(w.alice).channel.closings).toContain(txidOf(published(w.alice)[0]!))
  })
  const loaded = (side: Side) => {
    const state = side.load()
    return ('from' in state ? state.from : state) as NegotiatingState
  }

  it('a transaction that we did not sign is an alert', () => {
    const w = close(world()).settle()
    const [tx] = published(w.alice)
    confirm(w, { ...tx!, lockTime: 7 })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'DATA_LOSS' }])
    expect(w.alice.state).toMatchObject({ onchain: { closing: { kind: 'unknown' } } })
  })

  it('an error of the peer is no reason to close by force, unless no miner would take what is agreed', () => {
    const error = (w: World): ChannelMessage => ({
      type: 'error',
      channelId: w.alice.channel.params.channelId,
      data: new Uint8Array(0),
    })
    const w = close(world()).settle()
    w.receive('alice', error(w))
    expect(w.alice.state!.tag).toBe('negotiating')
    const far = world()
    const { bob } = offering(far)
    const state = phase(far.bob)
    far.bob.ctx = { ...far.bob.ctx, blockHeight: 400_000 }
    far.bob.state = { ...state, simple: { ready: true, offer: null, awaitsSince: null } }
    far.bob.command({ tag: 'close', requestId: 5, feeratePerKw: 3000 })
    const late = expectNext(far, 'bob', 'closing_complete')
    expect(late.locktime).toBe(400_000)
    expect(bob.locktime).toBe(far.alice.ctx.blockHeight)
    far.receive('alice', late)
    expect(published(far.alice)).toHaveLength(1)
    far.receive('alice', error(far))
    expect(far.alice.state).toMatchObject({ tag: 'closing', onchain: { how: 'local-force' } })
  })

  it.each(['alice', 'bob'] as const)('%s goes on from what an older version stored', (who) => {
    const w = reachNormal({ pushMsat: msat(300_000_000) })
    close(w)
    while (!w.sides.every((s) => s.phase.tag === 'negotiating')) w.deliver('alice') || w.deliver('bob')
    const side = w.side(who)
    const strip = (state: ChannelState): ChannelState => {
      const { simple: _, ...old } = state as NegotiatingState
      const { closings: __, ...channel } = old.channel
      return { ...old, channel }
    }
    side.state = strip(side.state!)
    side.flush()
    const restored = loadChannel([...side.records])
    expect(canonical(restored)).toEqual(canonical(side.state))
    side.crash()
    w.disconnect()
    w.connected = true
    for (const s of w.sides) s.step({ tag: 'connected', theirFeatures: ourInitFeatures() }, false)
    w.settle()
    expect(w.sides.map((s) => published(s).length)).toEqual([2, 2])
    confirm(w, published(w.side(other(who)))[0]!)
    expect(w.sides.map((s) => s.state)).toMatchObject([
      { onchain: { how: 'cooperative' } },
      { onchain: { how: 'cooperative' } },
    ])
  })
})
