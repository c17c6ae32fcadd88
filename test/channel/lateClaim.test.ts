import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { RESOLVED_DEPTH } from '../../src/channel/onchain/plan.ts'
import { add, preimageOf, reachNormal } from './harness.ts'

const htlc = expect.objectContaining({ spend: expect.objectContaining({ tag: 'htlc-success' }) })

it('a preimage that comes when the channel counts as closed claims what the peer has left', () => {
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  w.alice.command(add(1, 50_000_000))
  w.settle()
  w.disconnect()
  // Her machine is gone.
  w.alice.handler = (effect) => effect.tag === 'broadcast'
  w.bob.command({ tag: 'forceClose', requestId: 1 })
  w.mine()
  expect(w.bob.state).toMatchObject({ onchain: { outputs: expect.arrayContaining([htlc]) } })
  w.mine(600 + RESOLVED_DEPTH - w.height)
  expect(w.bob.state!.tag).toBe('closed')
  const sent: Transaction[] = []
  w.bob.handler = (effect) => effect.tag === 'broadcast' && sent.push(effect.tx) > 0
  w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
  expect(sent.map((tx) => tx.inputs[0]!.txid)).toContain(txidOf([...w.mined.values()].at(1)!.tx))
  w.bob.handler = () => false
  w.mine(400)
  expect(w.bob.state!.tag).toBe('closed')
})
