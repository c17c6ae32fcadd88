import { describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { isForgettable, summary, watches } from '../../src/channel/describe.ts'
import { World } from './harness.ts'
import type { Side } from './side.ts'

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

describe('BOLT 2 §the-funding_created-message: the accepter looks at the funding output itself (unchecked funding output, CVE-2019-12998)', () => {
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

/** Bob's block at this height, with what alice has said to be the funding transaction, or one that the chain has in its place. */
function block(bob: Side, height: number, tx?: Transaction, txIndex = 1): void {
  const { txid } = bob.channel.commitments.active[0]!.funding
  bob.ctx = { ...bob.ctx, blockHeight: height }
  if (tx) bob.step({ tag: 'chain', event: { tag: 'confirmed', txid, tx, height, txIndex } })
  bob.step({ tag: 'chain', event: { tag: 'block', height } })
}

describe('BOLT 2 §the-funding_created-message: a transaction that does not fund the channel', () => {
  const lie = (tx: Transaction): Transaction => ({ ...tx, outputs: tx.outputs.slice(0, 1) })

  it('is none for a channel that was closed before it confirmed, either: nothing is watched for ever, and nothing kept', () => {
    const { alice, bob } = new World({ pushMsat: msat(5_000_000) }).open()
    const [tx] = alice.broadcasts
    const { channelId } = bob.channel.params
    bob.step({ tag: 'message', message: { type: 'error', channelId, data: new Uint8Array(0) } })
    expect(bob.state).toMatchObject({ tag: 'closing' })
    block(bob, 101, lie(tx!))
    expect(bob.state).toMatchObject({ tag: 'closed', onchain: null })
    expect(bob.notices.at(-1)).toMatchObject({ tag: 'closed', how: 'never-funded' })
    expect(watches(bob.state!)).toEqual([])
    expect(isForgettable(bob.state!)).toBe(true)
  })

  it('leaves nothing to remember, whatever the channel was to have of ours; one that may still come is remembered', () => {
    const lied = new World({ pushMsat: msat(5_000_000) }).open()
    block(lied.bob, 101, lie(lied.alice.broadcasts[0]!))
    const late = new World({ pushMsat: msat(5_000_000) }).open()
    block(late.bob, 100 + 2_017)
    expect([lied, late].map(({ bob }) => [bob.state!.tag, isForgettable(bob.state!)])).toEqual([
      ['closed', true],
      ['closed', false],
    ])
  })
})

describe('BOLT 2 §the-channel_ready-message: the output of a coinbase (coinbase funding)', () => {
  it('waits until it can be spent: before, no commitment could be published over what the channel carries', () => {
    const { alice, bob } = new World().open()
    block(bob, 101, alice.broadcasts[0]!, 0)
    for (let height = 102; height < 200; height++) block(bob, height)
    expect(bob.channel.localReady).toBe(false)
    expect(summary(bob.state!, bob.ctx).waitsFor).toBe('99 of 100 confirmations')
    block(bob, 200)
    expect(bob.channel.localReady).toBe(true)
  })

  it('is asked for no more where it comes back in another place', () => {
    const { alice, bob } = new World().open()
    block(bob, 101, alice.broadcasts[0]!, 0)
    bob.step({ tag: 'chain', event: { tag: 'reorg', height: 100 } })
    for (let height = 101; height < 104; height++) block(bob, height, alice.broadcasts[0]!, 3)
    expect(bob.channel.localReady).toBe(true)
  })
})
