import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { secpSigner } from '../../src/channel/signer.ts'
import { derivePublicKey, deriveRevocationPublicKey } from '../../src/crypto/channelKeys.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'

const seed = new Uint8Array(32).fill(1)
const nodeSecret = new Uint8Array(32).fill(2)
const signer = secpSigner(seed, nodeSecret)
const digest = crypto.sha256(Uint8Array.of(1, 2, 3))
/** Checked by the independent implementation. */
const valid = (signature: Uint8Array, key: Uint8Array): boolean => nobleProvider.ecdsaVerify(signature, digest, key)

describe('secpSigner', () => {
  it('derives the same keys from a seed for ever', () => {
    const { fundingPubkey, revocationBasepoint, paymentBasepoint, delayedPaymentBasepoint, htlcBasepoint } =
      signer.basepoints
    expect(
      [fundingPubkey, revocationBasepoint, paymentBasepoint, delayedPaymentBasepoint, htlcBasepoint].map(toHex),
    ).toMatchInlineSnapshot(`
      [
        "03fdfeb2f8bff1f57e1b19cb0ab078297fafcf8ba259c22f48e7c6000cd9093b20",
        "03fd5e4504bfafd7473d94402fbe6568c19f7c2c5c9bf61d04cdfe0b348b1647a1",
        "029660c7e12c80edd21f50f58fe5b469d739cb44379e1bdbd9bac48531acf204ca",
        "02c996324ae9ee39f90affa161ca3bcc1c6afdf22707906bbf32c778f378726ce3",
        "02e5d60071b7d89eff7c550dd7cd97d52ca92f4f9218754a8abe0e2fae2ba3e79f",
      ]
    `)
    expect(toHex(signer.commitmentPoint(0))).toMatchInlineSnapshot(
      `"025e52633578e75e437cec68d6209a8480f7cd4a89d0c41816f9e86e60badefa39"`,
    )
    expect(toHex(signer.commitmentSecret(1_000_000))).toMatchInlineSnapshot(
      `"b2d7b72488a0176c4c7000a46427ef3cf16b1fa5f5a31f7f99f51c0c8089f13c"`,
    )
  })

  it('signs with the key that each name says', () => {
    const b = signer.basepoints
    expect(valid(signer.signFunding(digest), b.fundingPubkey)).toBe(true)
    expect(valid(signer.signPayment(digest), b.paymentBasepoint)).toBe(true)
    expect(valid(signer.signAnnouncement(digest), crypto.publicKey(nodeSecret))).toBe(true)
  })

  it('signs with keys tweaked for whichever point is asked for', () => {
    const b = signer.basepoints
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }), (numbers) => {
        for (const n of numbers) {
          const point = signer.commitmentPoint(n)
          expect(valid(signer.signHtlc(digest, point), derivePublicKey(b.htlcBasepoint, point))).toBe(true)
          expect(valid(signer.signDelayed(digest, point), derivePublicKey(b.delayedPaymentBasepoint, point))).toBe(true)
          const secret = signer.commitmentSecret(n)
          const revocation = deriveRevocationPublicKey(b.revocationBasepoint, point)
          expect(valid(signer.signRevocation(digest, secret), revocation)).toBe(true)
        }
      }),
      { numRuns: 5 },
    )
  })

  it('gives the point of each secret, in any order of asking', () => {
    for (const n of [0, 7, 1, 7, 300, 2, 0, 299, 5, 6, 7]) {
      expect(signer.commitmentPoint(n)).toEqual(crypto.publicKey(signer.commitmentSecret(n)))
    }
  })

  it('verifies what it signed, and nothing else', () => {
    const signature = signer.signFunding(digest)
    expect(signer.verify(signature, digest, signer.basepoints.fundingPubkey)).toBe(true)
    expect(signer.verify(signature, digest, signer.basepoints.htlcBasepoint)).toBe(false)
  })
})

describe('BOLT 3 §appendix-b-funding-transaction-test-vectors: signatures', () => {
  it('are compact, the same for the same digest, also from another signer of the seed, and those of RFC 6979', () => {
    const again = secpSigner(seed, nodeSecret)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (d) => {
        expect(toHex(again.signFunding(d))).toBe(toHex(signer.signFunding(d)))
        expect(signer.signFunding(d).length).toBe(64)
        expect(toHex(again.signPayment(d))).toBe(toHex(signer.signPayment(d)))
        // The node's secret is the one that the test knows.
        expect(toHex(signer.signAnnouncement(d))).toBe(toHex(nobleProvider.ecdsaSign(d, nodeSecret)))
      }),
      { numRuns: 10 },
    )
  })
})
