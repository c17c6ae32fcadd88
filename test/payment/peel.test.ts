import { describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { failDust, peelIncoming } from '../../src/payment/peel.ts'
import { incoming, LAST, NEXT, readBack } from './onions.ts'
import { HEIGHT, IDS, SECRETS } from './world.ts'

describe('BOLT 4 §payload-format: the reader', () => {
  it('reads what is for it, and treats a total that is not given as the amount', () => {
    expect(incoming([LAST]).onion).toMatchObject({
      tag: 'final',
      amtToForward: 100_000n,
      outgoingCltvValue: HEIGHT + 18,
      totalMsat: 100_000n,
      paymentSecret: null,
      keysendPreimage: null,
    })
    const paymentData = { paymentSecret: new Uint8Array(32).fill(4), totalMsat: msat(9n) }
    expect(incoming([{ ...LAST, paymentData }]).onion).toMatchObject(paymentData)
  })

  const { amtToForward: _a, ...noAmount } = NEXT
  const { outgoingCltvValue: _c, ...noExpiry } = LAST
  const { shortChannelId: _s, ...noChannel } = NEXT
  it.each([
    ['an amount', [noAmount, LAST], 2n],
    ['an expiry', [noExpiry], 4n],
    ['a channel to go on over', [noChannel, LAST], 6n],
    ['a reason for a path key', [{ ...LAST, currentPathKey: fromHex(IDS[3]!) }], 12n],
    ['meaning in an even record', [Uint8Array.of(2, 0, 4, 0, 20, 0)], 20n],
  ] as const)('fails a payload that lacks %s, and names the record', (_what, payloads, type) => {
    const { onion, sharedSecrets } = incoming(payloads)
    if (onion.tag !== 'refused') throw new Error(onion.tag)
    expect(readBack(sharedSecrets, onion.command)).toMatchObject({
      hop: 0,
      received: { failure: { name: 'invalid_onion_payload', type } },
    })
  })

  it('answers an onion that it cannot read with update_fail_malformed_htlc', () => {
    const { htlc } = incoming([LAST])
    const onion = Uint8Array.from(htlc.onion)
    for (const [at, code] of [
      [0, 0xc004],
      [1, 0xc006],
      [500, 0xc005],
    ] as const) {
      const changed = onion.map((b, i) => (i === at ? b ^ 0x55 : b))
      expect(peelIncoming({ ...htlc, onion: changed }, SECRETS[1]!)).toMatchObject({
        tag: 'refused',
        command: { tag: 'failMalformedHtlc', id: 5n, failureCode: code, sha256OfOnion: crypto.sha256(changed) },
      })
    }
  })
})

describe('BOLT 2 §bounding-exposure: an HTLC that is too much dust', () => {
  it('fails with what a node of its place may say: one on the way of its channel, the last of itself', () => {
    const failed = (payloads: Parameters<typeof incoming>[0]) => {
      const { htlc, onion, sharedSecrets } = incoming(payloads)
      if (onion.tag === 'refused') throw new Error(onion.tag)
      return readBack(sharedSecrets, failDust(htlc, onion))?.received.failure?.name
    }
    expect([failed([NEXT, LAST]), failed([LAST])]).toEqual(['temporary_channel_failure', 'temporary_node_failure'])
  })
})
