import { describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { World } from './harness.ts'

/** What bob is told to be the funding transaction, as the chain has it. */
function confirmAs(change: (tx: Transaction) => Transaction): World {
  const world = new World().open()
  const tx = world.alice.broadcasts[0]!
  const { funding } = world.bob.channel.commitments.active[0]!
  world.bob.step({
    tag: 'chain',
    event: { tag: 'confirmed', txid: funding.txid as Txid, tx: change(tx), height: 101, txIndex: 1 },
  })
  return world
}

describe('BOLT 2 §the-funding_created-message: the accepter looks at the funding output itself', () => {
  it('takes a transaction that pays the capacity to both keys', () => {
    expect(confirmAs((tx) => tx).bob.channel.funding.confirmed).toEqual({ height: 101, txIndex: 1 })
  })

  it.each([
    [
      'pays too little',
      (tx: Transaction) => ({ ...tx, outputs: tx.outputs.map((o) => ({ ...o, amountSat: sat(999_999) })) }),
    ],
    [
      'pays to another script',
      (tx: Transaction) => ({
        ...tx,
        outputs: tx.outputs.map((o) => ({ ...o, scriptPubKey: tx.outputs[0]!.scriptPubKey })),
      }),
    ],
    ['has no such output', (tx: Transaction) => ({ ...tx, outputs: tx.outputs.slice(0, 1) })],
  ])('never uses a channel whose funding transaction %s', (_what, change) => {
    const { bob } = confirmAs(change)
    expect(bob.state?.tag).toBe('closed')
    expect(bob.outbox.at(-1)?.type).toBe('error')
  })
})
