import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { p2wpkhOfKey } from '../../src/bitcoin/script.ts'
import { SEQUENCE_FINAL, type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { HELD_BACK_BLOCKS } from '../../src/channel/heldBack.ts'
import { reestablishMessage } from '../../src/channel/reestablish.ts'
import type { Effect } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { add, reachNormal } from './harness.ts'
import { secret } from './side.ts'

/** Alice's disk has lost a payment, and a close to an address that is not the node's; that is in a block, and undone by a reorganisation. */
function undone(depth: number) {
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  const stored = new Map(w.alice.records)
  w.alice.command(add(1, 50_000_000))
  w.settle()
  w.disconnect()
  const { message: proof } = reestablishMessage(w.bob.channel, w.bob.ctx.signer) as Extract<Effect, { tag: 'send' }>
  w.alice.records.clear()
  for (const [key, value] of stored) w.alice.records.set(key, value)
  w.alice.crash()
  const { channel, ctx } = w.alice
  const ours = txidOf(signedLocal(channel, channel.commitments.active[0]!, ctx))
  const sent: string[] = []
  w.alice.handler = (effect) => effect.tag === 'broadcast' && sent.push(txidOf(effect.tx)) > 0
  const { txid, index } = channel.commitments.active[0]!.funding
  const close: Transaction = {
    version: 2,
    inputs: [{ txid, index, scriptSig: new Uint8Array(0), sequence: SEQUENCE_FINAL, witness: [] }],
    outputs: [{ amountSat: sat(540_000), scriptPubKey: p2wpkhOfKey(crypto.publicKey(secret('alice', 40))) }],
    lockTime: 0,
  }
  const before = w.height
  w.alice.broadcasts = [close]
  w.mine(depth)
  expect(w.alice.state).toMatchObject({ onchain: { closing: { kind: 'unknown' } } })
  w.reorg(before)
  return { w, ours, sent, close, proof }
}

describe('a close that nobody remembers, and that a reorganisation undoes', () => {
  it.each([1, 6])('after %i blocks: the peer may show that our newest commitment is revoked', (depth) => {
    const { w, ours, sent, proof } = undone(depth)
    expect(sent).not.toContain(ours)
    w.connect()
    w.receive('alice', proof)
    expect(w.alice.state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
    w.mine(HELD_BACK_BLOCKS + 2)
    expect(sent).not.toContain(ours)
  })
  it('comes back, or ours follows', () => {
    const first = undone(1)
    first.w.alice.broadcasts = [first.close]
    first.w.mine(HELD_BACK_BLOCKS + 2)
    expect(first.sent).not.toContain(first.ours)
    expect(first.w.alice.state).toMatchObject({ onchain: { closing: { txid: txidOf(first.close) } } })
    const { w, ours, sent } = undone(1)
    w.mine(HELD_BACK_BLOCKS)
    expect(sent).not.toContain(ours)
    w.mine()
    expect(sent).toContain(ours)
  })
})
