import { describe, expect, it } from 'vitest'
import { concatBytes, toHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { p2pkh, p2sh, p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf, weightOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { fundingScriptOf } from '../../src/channel/commitments.ts'
import { rebroadcasts, summary, watches } from '../../src/channel/describe.ts'
import { isShutdownScript } from '../../src/channel/scripts.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import { add, faultsOf, preimageOf, reachNormal, sentBy, type World } from './harness.ts'

const close = (w: World, more: object = {}): World => {
  w.alice.command({ tag: 'close', requestId: 5, ...more })
  return w
}
const published = (w: World) =>
  w.sides.map((s) => {
    if (s.phase.tag !== 'negotiating') throw new Error(`${s.name} is ${s.phase.tag}`)
    return s.phase.published
  })

describe('BOLT 2 §closing-initiation-shutdown', () => {
  it('a channel without HTLCs closes by one transaction that both hold and anyone can verify', () => {
    for (const opener of ['alice', 'bob'] as const) {
      const w = close(reachNormal({ opener, pushMsat: msat(300_000_000), realSignatures: true })).settle()
      const [a, b] = published(w)
      expect(a!.map(txidOf)).toEqual(b!.map(txidOf))
      const tx = a![0]!
      const { params, commitments } = w.alice.channel
      const funding = {
        amountSat: commitments.active[0]!.capacitySat,
        scriptPubKey: fundingScriptOf(params.local, params.remote),
      }
      expect(verifyTransaction(tx, [funding])).toEqual({ ok: true })
      const fee = funding.amountSat - tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)
      expect(Number(fee)).toBeGreaterThanOrEqual(weightOf(tx))
      expect(Number(fee)).toBeLessThan(weightOf(tx) * 1.1)
      const own = tx.outputs.find((o) =>
        o.scriptPubKey.every((x, i) => x === w.side(opener === 'alice' ? 'bob' : 'alice').ctx.sweepScriptPubKey[i]),
      )
      expect(own?.amountSat).toBe(300_000n)
      expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 5, result: 'done' })
      w.mine()
      expect(w.sides.map((s) => s.state!.tag)).toEqual(['closing', 'closing'])
      w.mine(5)
      expect(w.sides.map((s) => s.state!.tag)).toEqual(['closed', 'closed'])
      expect(w.sides.map((s) => faultsOf(s))).toEqual([[], []])
    }
  })

  it('is refused by what has become of the channel, with the transaction that ended it', () => {
    const w = close(reachNormal()).settle()
    const txid = txidOf(published(w)[0]![0]!)
    w.mine()
    const said = () => close(w).alice.replies.at(-1)!.result
    expect(said()).toMatchObject({
      code: 'CHANNEL_CLOSING',
      detail: `the channel is closing on chain already, by ${txid}`,
    })
    w.mine(5)
    expect(said()).toMatchObject({ code: 'CHANNEL_CLOSING', detail: `the channel is closed already, by ${txid}` })
  })

  it('is refused by a rule about closes, not about HTLCs, wherever it comes', () => {
    const w = reachNormal({ pushMsat: msat(300_000_000) })
    w.alice.command(add(1, 5_000_000))
    close(w.settle()).settle()
    const told = [w.alice.state!.tag, close(w).alice.replies.at(-1)!.result]
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    w.settle()
    told.push(w.alice.state!.tag, close(w).alice.replies.at(-1)!.result)
    w.mine()
    told.push(w.alice.state!.tag, close(w).alice.replies.at(-1)!.result)
    const once = {
      code: 'CHANNEL_CLOSING',
      requirement: 'BOLT 2 §closing-initiation-shutdown: a channel is closed once',
    }
    expect(told).toMatchObject(['shutdown', once, 'negotiating', once, 'closing', once])
    const away = reachNormal()
    away.disconnect()
    expect(close(away).alice.replies.at(-1)!.result).toMatchObject({
      code: 'PEER_OFFLINE',
      requirement: 'BOLT 2 §channel-close: both agree on the closing transaction',
    })
  })

  it('shows what its transaction pays us as ours, as long as that waits for a block', () => {
    const w = close(reachNormal({ pushMsat: msat(300_000_000) })).settle()
    expect(summary(w.bob.state!, w.bob.ctx).closing).toMatchObject({ pendingSat: 300_000n })
    const elsewhere = close(reachNormal(), { scriptPubKey: p2wpkh(new Uint8Array(20)) }).settle()
    expect(summary(elsewhere.alice.state!, elsewhere.alice.ctx).closing).toMatchObject({ pendingSat: 0n })
  })

  it('HTLCs are settled first, none is added', () => {
    const w = reachNormal({ pushMsat: msat(300_000_000) })
    w.alice.command(add(1, 5_000_000))
    w.bob.command(add(2, 5_000_000))
    close(w.settle()).settle()
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['shutdown', 'shutdown'])
    for (const side of w.sides) {
      side.command(add(3, 1000))
      expect(side.events.at(-1)).toMatchObject({ tag: 'rejected', fault: { code: 'CHANNEL_CLOSING' } })
    }
    expect(summary(w.alice.state!, w.alice.ctx)).toMatchObject({
      state: 'shutdown',
      usable: false,
      waitsFor: '2 HTLCs to be settled',
    })
    w.alice.command({ tag: 'updateFee', feeratePerKw: 1200 })
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    w.settle()
    w.reconnect()
    w.alice.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(1) })
    w.settle()
    const [a, b] = published(w)
    expect(a!.map(txidOf)).toEqual(b!.map(txidOf))
    expect(w.alice.channel.commitments.local.feeratePerKw).toBe(1200)
  })

  it('goes on after a broken connection that took an update_fee of the peer with it, the last that was left', () => {
    for (const simpleClose of [false, true]) {
      const w = reachNormal({ pushMsat: msat(300_000_000), simpleClose })
      w.bob.command(add(1, 5_000_000))
      close(w.settle()).settle()
      w.alice.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(1) })
      while (w.deliver('alice'));
      while (w.deliver('bob'));
      expect(sentBy(w.alice)[0]).toBe('revoke_and_ack')
      const { channelId } = w.bob.channel.params
      w.receive('bob', { type: 'update_fee', channelId, feeratePerKw: 1200 })
      w.deliver('alice')
      expect(w.bob.channel.commitments).toMatchObject({ outgoing: { size: 0 }, feeUpdates: [{ stage: 'proposed' }] })
      w.reconnect().settle()
      expect(w.sides.map((s) => s.phase.tag)).toEqual(['negotiating', 'negotiating'])
      expect(published(w).every((p) => p.length > 0)).toBe(true)
    }
  })

  it('shutdown waits for what is not signed yet', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.alice.command(add(2, 5_000_000), false)
    w.alice.command({ tag: 'close', requestId: 5 }, false)
    expect(sentBy(w.alice)).not.toContain('shutdown')
    w.settle()
    expect(w.bob.events.map((e) => e.tag)).toEqual(['received', 'received'])
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['shutdown', 'shutdown'])
  })

  it('shutdown, also as an answer, follows what the peer revoked for our HTLCs: LND may look at it ahead of an update_add_htlc', () => {
    for (const by of ['alice', 'bob'] as const) {
      for (const isCut of [false, true]) {
        const w = reachNormal()
        w.alice.command(add(1, 5_000_000))
        w.side(by).command({ tag: 'close', requestId: 5 })
        if (isCut) {
          while (w.deliver('bob'));
          w.disconnect()
          w.connect()
        }
        const said: string[] = []
        const say = (from: 'alice' | 'bob'): boolean => {
          said.push(`${from} ${w.side(from).outbox[0]?.type}`)
          return w.deliver(from)
        }
        while (say('alice') || say('bob'));
        const at = (what: string): number => said.indexOf(what)
        expect(at('alice update_add_htlc')).toBeGreaterThanOrEqual(0)
        expect(at('alice shutdown')).toBeGreaterThan(at('bob revoke_and_ack'))
        expect(w.sides.map((s) => s.state!.tag)).toEqual(['shutdown', 'shutdown'])
      }
    }
  })

  it('may come before channel_ready', () => {
    const w = reachNormal({ policy: { minimumDepth: 1 } })
    const early = new (w.constructor as typeof World)().open()
    close(early).settle()
    expect(published(early).map((p) => p.length)).toEqual([1, 1])
  })

  it('before channel_ready, no HTLC is taken by way of it: the funding may never come', () => {
    const w = new (reachNormal().constructor as typeof World)().open()
    const { channelId } = w.alice.channel.params
    w.bob.command({ tag: 'close', requestId: 5 })
    w.bob.outbox = []
    // Alice says that all is well, and goes on by herself.
    const ready = { type: 'channel_ready', channelId } as const
    const { alice, bob } = w
    const confirmed = { tag: 'confirmed', height: 101, txIndex: 1 } as const
    const { tx } = alice.channel.funding
    alice.ctx = { ...alice.ctx, blockHeight: 200 }
    alice.step({ tag: 'chain', event: { ...confirmed, tx: tx!, txid: txidOf(tx!) } })
    w.receive('alice', { ...ready, secondPerCommitmentPoint: bob.ctx.signer.commitmentPoint(1) })
    expect(alice.phase.tag).toBe('normal')
    alice.command(add(1, 50_000_000))
    w.settle()
    expect(bob.events).toEqual([])
    expect(bob.channel.commitments.incoming.size).toBe(0)
    expect(faultsOf(bob)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })

  it('a second request, a bad script and an absent peer are refused', () => {
    const w = reachNormal()
    close(w, { scriptPubKey: new Uint8Array(25) })
    expect(w.alice.replies.at(-1)!.result).toMatchObject({ code: 'INVALID_SCRIPT' })
    close(close(w))
    expect(w.alice.replies.at(-1)!.result).toMatchObject({ code: 'CHANNEL_CLOSING' })
    const away = reachNormal()
    away.disconnect()
    close(away)
    expect(away.alice.replies.at(-1)!.result).toMatchObject({ code: 'PEER_OFFLINE' })
  })

  it('refuses a script that is no witness program, or not the one committed to (replaced shutdown script)', () => {
    const say = (scriptPubKey: Uint8Array, w = reachNormal()) => {
      w.receive('alice', { type: 'shutdown', channelId: w.alice.channel.params.channelId, scriptPubKey })
      return faultsOf(w.alice)[0]?.code
    }
    expect(say(new Uint8Array(25))).toBe('INVALID_SCRIPT')
    expect(say(p2wpkh(new Uint8Array(20)))).toBeUndefined()
    const w = reachNormal()
    const { state } = w.alice
    if (state?.tag !== 'normal') throw new Error('not normal')
    const remote = { ...state.channel.params.remote, upfrontShutdownScript: p2wpkh(new Uint8Array(20).fill(1)) }
    w.alice.state = { ...state, channel: { ...state.channel, params: { ...state.channel.params, remote } } }
    expect(say(p2wpkh(new Uint8Array(20).fill(2)), w)).toBe('INVALID_SCRIPT')
  })

  const OLD_FORMS = [
    { form: 'P2PKH', script: p2pkh(new Uint8Array(20).fill(3)), dustSat: 546 },
    { form: 'P2SH', script: p2sh(new Uint8Array(20).fill(4)), dustSat: 540 },
  ]
  describe.each([true, false])('a peer’s script of an older form, option_simple_close: %s', (simpleClose) => {
    const asked = (script: Uint8Array, bobSat: number) => {
      const w = reachNormal({ simpleClose, realSignatures: true, pushMsat: msat(bobSat * 1000) })
      w.bob.command({ tag: 'close', requestId: 4, scriptPubKey: script })
      expect(w.bob.replies.at(-1)!.result).toMatchObject({ code: 'INVALID_SCRIPT' })
      w.bob.ctx = { ...w.bob.ctx, sweepScriptPubKey: script } // as LND is: it lets its operator ask for one
      return close(w).settle()
    }
    it.each(OLD_FORMS)('$form is paid', ({ script }) => {
      const w = asked(script, 300_000)
      const [[tx]] = published(w) as [[Transaction]]
      const { params, commitments } = w.alice.channel
      const funding = {
        amountSat: commitments.active[0]!.capacitySat,
        scriptPubKey: fundingScriptOf(params.local, params.remote),
      }
      expect(tx.outputs.map((o) => toHex(o.scriptPubKey))).toContain(toHex(script))
      expect(verifyTransaction(tx, [funding])).toEqual({ ok: true })
      expect(faultsOf(w.alice)).toEqual([])
    })
    it.each(OLD_FORMS)('$form, where that would be dust', ({ script, dustSat }) => {
      const w = asked(script, dustSat - 1)
      if (simpleClose) for (const tx of published(w).flat()) expect(tx.outputs).toHaveLength(1)
      else expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { how: 'local-force' } })
      const enough = asked(script, dustSat)
      expect(enough.sides.map((side) => faultsOf(side))).toEqual([[], []])
      expect(
        published(enough)
          .flat()
          .some((tx) => tx.outputs.length === 2),
      ).toBe(true)
    })
  })

  it('refuses an HTLC after the peer said shutdown, and a shutdown between update and signature', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000), false)
    const htlc = w.alice.outbox[0]!
    w.receive('bob', {
      type: 'shutdown',
      channelId: w.bob.channel.params.channelId,
      scriptPubKey: w.alice.ctx.sweepScriptPubKey,
    })
    w.receive('bob', htlc)
    expect(faultsOf(w.bob)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
    const other = reachNormal()
    other.alice.command(add(1, 5_000_000), false)
    other.deliver('alice', false)
    other.receive('bob', {
      type: 'shutdown',
      channelId: other.bob.channel.params.channelId,
      scriptPubKey: other.alice.ctx.sweepScriptPubKey,
    })
    expect(faultsOf(other.bob)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })

  it('knows the forms of scripts', () => {
    const anySegwit = featuresFromBits([27])
    const none = new Uint8Array(0)
    expect(isShutdownScript(p2wpkh(new Uint8Array(20)), none)).toBe(true)
    expect(isShutdownScript(p2wsh(new Uint8Array(3)), none)).toBe(true)
    const taproot = concatBytes(Uint8Array.of(0x51, 32), new Uint8Array(32))
    expect([isShutdownScript(taproot, none), isShutdownScript(taproot, anySegwit)]).toEqual([false, true])
    for (const bad of [
      [0, 21],
      [0x61, 20],
      [0x51, 1],
      [0x51, 41],
      [0x6a, 10],
    ] as const) {
      expect(isShutdownScript(concatBytes(Uint8Array.of(...bad), new Uint8Array(bad[1])), anySegwit)).toBe(false)
    }
  })
})

describe('BOLT 2 §legacy-closing-negotiation', () => {
  it('uses the feerate that the operator chose', () => {
    const w = close(reachNormal(), { feeratePerKw: 5000 }).settle()
    const tx = published(w)[0]![0]!
    const fee = Number(1_000_000n - tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n))
    expect(fee / weightOf(tx)).toBeGreaterThan(4.9)
  })

  it('begins anew with another feerate when the operator asks again, until one is agreed on', () => {
    const w = close(reachNormal(), { feeratePerKw: 300 })
    while (w.alice.phase.tag !== 'negotiating') w.deliver('alice') || w.deliver('bob')
    // The peer finds that too little, says so at most, and waits.
    w.alice.outbox = []
    const again = (wish: { feeratePerKw?: number; scriptPubKey?: Uint8Array }) => {
      w.alice.command({ tag: 'close', requestId: 7, ...wish })
      return w.alice.replies.at(-1)
    }
    const refused = { requestId: 7, result: expect.objectContaining({ code: 'CHANNEL_CLOSING' }) }
    expect(again({})).toMatchObject(refused)
    expect(again({ feeratePerKw: 300 })).toMatchObject(refused)
    expect(again({ feeratePerKw: 5_000, scriptPubKey: p2wpkh(new Uint8Array(20).fill(9)) })).toMatchObject(refused)
    expect(w.alice.phase).toMatchObject({ tag: 'negotiating', closeRequest: { feeratePerKw: 300 } })
    expect(w.alice.wantsDisconnect).toBe(false)
    expect(again({ feeratePerKw: 5_000 })).toMatchObject({ requestId: 7, result: 'done' })
    expect(w.alice.wantsDisconnect).toBe(true)
    w.reconnect()
    const [[tx]] = published(w) as [[Transaction], [Transaction]]
    expect(Number(1_000_000n - tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)) / weightOf(tx)).toBeGreaterThan(
      4.9,
    )
    expect(published(w)[1]).toEqual([tx])
    expect(again({ feeratePerKw: 9_000 })).toMatchObject(refused)
  })

  it('refuses a signature that is for no form of the closing transaction', () => {
    const w = close(reachNormal())
    for (;;) {
      const message = w.take('alice') ?? null
      if (message?.type === 'closing_signed') {
        w.receive('bob', { ...message, signature: new Uint8Array(64).fill(3) })
        break
      }
      if (message) w.receive('bob', message)
      else w.deliver('bob')
    }
    expect(faultsOf(w.bob)).toMatchObject([{ code: 'BAD_SIGNATURE', response: 'warn-peer' }])
    w.connect()
    w.settle()
    expect(published(w).map((p) => p.length)).toEqual([1, 1])
  })

  it('an output below the dust limit is left out', () => {
    const w = close(reachNormal({ pushMsat: msat(353_999) })).settle()
    expect(published(w)[0]![0]!.outputs.length).toBe(1)
    const above = close(reachNormal({ pushMsat: msat(354_000) })).settle()
    expect(published(above)[0]![0]!.outputs.length).toBe(2)
  })

  it('the agreed transaction is published again and watched for, whatever the peer says after it', () => {
    const w = close(reachNormal()).settle()
    const [tx] = published(w)[0]!
    w.receive('alice', { type: 'error', channelId: w.alice.channel.params.channelId, data: new Uint8Array(0) })
    expect(w.alice.state!.tag).toBe('negotiating')
    expect(rebroadcasts(w.alice.state!, w.alice.ctx)).toEqual([{ tag: 'broadcast', tx, purpose: 'mutual-close' }])
    expect(watches(w.alice.state!).some((x) => x.tag === 'spend')).toBe(true)
    expect(summary(w.alice.state!, w.alice.ctx)).toMatchObject({
      state: 'closing',
      closing: { how: 'cooperative', txid: txidOf(tx!) },
    })
    w.alice.crash()
    expect(rebroadcasts(w.alice.state!, w.alice.ctx).length).toBe(1)
  })

  it('no update is taken any more', () => {
    const w = close(reachNormal()).settle()
    w.receive('bob', { type: 'update_fee', channelId: w.bob.channel.params.channelId, feeratePerKw: 1000 })
    expect(faultsOf(w.bob)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })
})
