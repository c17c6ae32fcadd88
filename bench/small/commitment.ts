import { buildCommitment } from '../../src/channel/tx/commitment.ts'
import { htlcSighashes } from '../../src/channel/tx/htlc.ts'
import { commitmentKeys } from '../../src/channel/tx/keys.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { alice, bob, htlc, NUMBER, scene } from '../../test/channel/tx/fixture.ts'
import { type Suite, task, timeSuite } from '../harness.ts'

const COUNTS = [0, 50, 483]

/** What one side does for a commitment_signed: the other side's transaction and every signature for it. */
export function commitmentSuite(): Promise<Suite> {
  return timeSuite(
    'Commitments with anchors (BOLT 3): built and signed, built and checked',
    COUNTS.flatMap((count) => {
      const htlcs = Array.from({ length: count }, (_, i) => htlc((i % 255) + 1, 5_000 + i, 500 + i))
      const { commitment } = scene('anchors', alice, { offered: htlcs, received: [], feeratePerKw: 253 })
      const point = alice.commitmentPoint(NUMBER)
      // Every commitment has a point of its own: its keys are derived anew.
      const build = () =>
        buildCommitment({ ...commitment.params, keys: commitmentKeys(alice.basepoints, bob.basepoints, point.slice()) })
      const sign = () => {
        const built = build()
        return [bob.signFunding(built.sighash), ...htlcSighashes(built).map((hash) => bob.signHtlc(hash, point))]
      }
      const signatures = sign()
      const htlcKey = commitment.params.keys.counterpartyHtlc
      const check = () => {
        const built = build()
        const [first, ...rest] = signatures
        return (
          crypto.ecdsaVerify(first!, built.sighash, bob.basepoints.fundingPubkey) &&
          htlcSighashes(built).every((hash, i) => crypto.ecdsaVerify(rest[i]!, hash, htlcKey))
        )
      }
      return [
        task({ name: `${count} HTLCs: build`, run: build, expect: (built) => built.txid === commitment.txid }),
        task({ name: `${count} HTLCs: build and sign`, run: sign, expect: (s) => s.length === count + 1 && check() }),
        task({ name: `${count} HTLCs: build and check`, run: check, expect: true }),
      ]
    }),
  )
}
