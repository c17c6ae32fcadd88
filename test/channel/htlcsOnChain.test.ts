import { expect, it } from 'vitest'
import { expiryOf } from '../../src/channel/describe.ts'
import { Ending } from './ending.ts'
import { add, preimageOf, reachNormal } from './harness.ts'

const DELAY = { realSignatures: true, policy: { toSelfDelay: 10 } }

it('an HTLC of the peer is gone, for what was forwarded of it, once its end on chain is deep', () => {
  const w = reachNormal(DELAY)
  w.alice.command(add(1, 50_000_000, { cltvExpiry: 130 }))
  w.settle()
  const end = new Ending(w)
  w.alice.command({ tag: 'forceClose', requestId: 1 })
  end.mine()
  expect(expiryOf(w.bob.state!, 0n, w.height)).toBe(130)
  end.finish()
  expect(w.bob.state!.tag).toBe('closed')
  expect(expiryOf(w.bob.state!, 0n, w.height)).toBeNull()
})

it('BOLT 5 §htlc-output-handling-remote-commitment-local-offers: a preimage on chain takes the place of a failure, over a start, too', () => {
  const w = reachNormal(DELAY)
  w.alice.command(add(1, 50_000_000, { cltvExpiry: 200 }))
  w.settle()
  w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(292).fill(9) })
  // Her commitment_signed is open, so the failure has left her next commitment and not yet his.
  w.alice.command(add(2, 5_000_000, { cltvExpiry: 200 }))
  const stage = () => w.alice.channel.commitments.outgoing.chunks.flat()[0]!.stage
  while (stage() !== 'removed' && w.deliver('bob'));
  expect(stage()).toBe('removed')
  const end = new Ending(w)
  w.bob.command({ tag: 'forceClose', requestId: 1 })
  w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
  // Each input checks that what is stored makes the same state again.
  end.mine()
  end.finish()
  expect(w.alice.events.filter((e) => e.tag === 'fulfilled')).toMatchObject([{ id: 0n }])
})
