import { describe, expect, it } from 'vitest'
import { printable } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { expectNext, reachNormal, type World } from './harness.ts'

describe('BOLT 2 §message-retransmission: a peer that reestablishes a channel that has ended', () => {
  const said = (w: World, message: Parameters<World['receive']>[1]): string => {
    w.bob.outbox = []
    w.receive('bob', message)
    return w.bob.outbox.map((m) => (m.type === 'error' ? printable(m.data) : m.type)).join()
  }
  for (const how of ['close', 'forceClose'] as const) {
    it(`is told by which transaction, and does not wait for an answer that never comes: ${how}`, () => {
      const w = reachNormal({ pushMsat: msat(300_000_000) })
      w.disconnect()
      w.connect()
      const late = expectNext(w, 'alice', 'channel_reestablish')
      w.receive('bob', late)
      w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
      w.alice.command({ tag: how, requestId: 5 })
      // What alice says of a close by force is lost.
      if (how === 'forceClose') w.alice.outbox = []
      w.settle()
      const txid = txidOf(w.alice.broadcasts.at(-1)!)
      w.disconnect()
      w.mine()
      expect([w.bob.state!.tag, said(w, late)]).toEqual(['closing', expect.stringContaining(txid)])
      w.mine(200)
      expect([w.bob.state!.tag, said(w, late)]).toEqual(['closed', expect.stringContaining(txid)])
    })
  }
})
