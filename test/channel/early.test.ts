import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { getHtlc } from '../../src/channel/htlcTable.ts'
import { expectAgreement } from './checks.ts'
import { add, expectNext, preimageOf, reachNormal, sentBy, type World } from './harness.ts'

/** Bob has signed for alice's HTLC, and her revocation, which would commit it, has not come. */
function signed(): World {
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  w.alice.command(add(1, 5_000_000))
  w.receive('bob', expectNext(w, 'alice', 'update_add_htlc'))
  w.receive('bob', expectNext(w, 'alice', 'commitment_signed'))
  return w
}
const htlcOfBob = (w: World) => getHtlc(w.bob.channel.commitments.incoming, 0n)
const fulfil = { tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) } as const

describe('BOLT 2 §removing-an-htlc: a preimage that is known before the HTLC is committed', () => {
  it('is noted, and sent as soon as it is', () => {
    const w = signed()
    expect(htlcOfBob(w)!.stage).toBe('signed')
    const before = sentBy(w.bob).length
    w.bob.command(fulfil)
    expect([htlcOfBob(w)!.stage, sentBy(w.bob).length]).toEqual(['signed', before])
    w.settle()
    expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', id: 0n }])
    expect(w.bob.events).toEqual([])
    expectAgreement(w)
  })

  it('survives restarts on the way', () => {
    const w = signed()
    w.bob.command(fulfil)
    w.disconnect()
    w.bob.crash()
    w.alice.crash()
    w.connect()
    w.settle()
    expect(w.alice.events.map((e) => e.tag)).toContain('fulfilled')
    expect(w.alice.channel.commitments.outgoing.size + w.bob.channel.commitments.incoming.size).toBe(0)
    expectAgreement(w)
  })

  it('a failure is not: the HTLC is decided on when it is committed', () => {
    const w = signed()
    w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(256) })
    w.settle()
    expect(w.bob.events).toMatchObject([{ tag: 'received', htlc: { id: 0n } }])
  })
})
