import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { add, expectNext, preimageOf, reachNormal, sentBy, type World } from './harness.ts'

/** Alice stands at commitment `local` of her own and has signed up to `remote` of Bob's; both are above 3. */
function met(): { w: World; local: number; remote: number } {
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  for (let n = 0; n < 3; n++) {
    w.alice.command(add(n, 5_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: BigInt(n), preimage: preimageOf(n) })
    w.settle()
  }
  w.disconnect()
  w.connect()
  w.take('alice')
  const { local, remote } = w.alice.channel.commitments
  return { w, local: local.number, remote: remote.number }
}

/** What Bob shows of Alice's secrets: the one that his next_revocation_number calls for, another of hers, a made-up one, or none. */
type Shown = 'right' | 'older' | 'newer' | 'invented' | 'zeros'

interface Case {
  /** next_commitment_number beyond the next that Alice would sign; 'zero': 0. */
  readonly commitment: number | 'zero' | 'huge'
  /** next_revocation_number beyond the commitment that Alice stands at; 'zero': 0. */
  readonly revocation: number | 'zero' | 'huge'
  readonly secret: Shown
  readonly then: 'in step' | 'we are behind' | 'we may be behind' | 'peer is behind' | 'fails'
}
const row = (
  commitment: Case['commitment'],
  revocation: Case['revocation'],
  secret: Shown,
  then: Case['then'],
): Case => ({ commitment, revocation, secret, then })

const CASES: readonly Case[] = [
  row(0, 0, 'right', 'in step'),
  // Her last revocation, or her last signature, was lost with the connection.
  row(0, -1, 'right', 'in step'),
  // He has fallen behind: with signatures, with revocations, with both.
  row(-1, 0, 'right', 'peer is behind'),
  row(0, -2, 'right', 'peer is behind'),
  row(-2, -2, 'right', 'peer is behind'),
  row(-3, 'zero', 'zeros', 'peer is behind'),
  // He claims to be behind, with a secret that is not of his number.
  row(-1, 0, 'older', 'fails'),
  row(-1, 0, 'zeros', 'fails'),
  row(0, -2, 'invented', 'fails'),
  row(-3, 'zero', 'invented', 'fails'),
  // She has fallen behind, and he proves it.
  row(0, 1, 'right', 'we are behind'),
  row(1, 1, 'right', 'we are behind'),
  row(5, 5, 'right', 'we are behind'),
  row(-1, 3, 'right', 'we are behind'),
  row('huge', 2, 'right', 'we are behind'),
  row('zero', 1, 'right', 'we are behind'),
  // He says so, and does not prove it: that is not believed.
  row(1, 1, 'older', 'fails'),
  row(1, 1, 'newer', 'fails'),
  row(1, 1, 'invented', 'fails'),
  row(1, 1, 'zeros', 'fails'),
  row(0, 5, 'older', 'fails'),
  row('huge', 'huge', 'invented', 'fails'),
  row(0, 'huge', 'zeros', 'fails'),
  // He expects a signature that she has never made, or that she has lost: there is no proof of it.
  row(1, 0, 'right', 'we may be behind'),
  row('huge', 0, 'right', 'we may be behind'),
  // He asks for a close, as who has lost everything does.
  row('zero', 0, 'right', 'fails'),
  row('zero', 'zero', 'zeros', 'fails'),
  // In step but for the secret.
  row(0, 0, 'older', 'fails'),
  row(0, 0, 'zeros', 'fails'),
  row(0, 0, 'invented', 'fails'),
]

const HUGE = 2n ** 64n - 1n

describe('BOLT 2 §message-retransmission: what a channel_reestablish leads to', () => {
  it.each(CASES)('commitment $commitment, revocation $revocation, secret $secret: $then', (c) => {
    const { w, local, remote } = met()
    const said = expectNext(w, 'bob', 'channel_reestablish')
    const revocation = c.revocation === 'zero' ? 0 : c.revocation === 'huge' ? null : local + c.revocation
    const secretOf = (n: number): Uint8Array => w.alice.ctx.signer.commitmentSecret(n)
    const secrets: Readonly<Record<Shown, () => Uint8Array>> = {
      right: () => secretOf(revocation! - 1),
      older: () => secretOf(0),
      newer: () => secretOf(revocation! + 1),
      invented: () => new Uint8Array(32).fill(9),
      zeros: () => new Uint8Array(32),
    }
    w.receive('alice', {
      ...said,
      nextCommitmentNumber:
        c.commitment === 'zero' ? 0n : c.commitment === 'huge' ? HUGE : BigInt(remote + 1 + c.commitment),
      nextRevocationNumber: revocation === null ? HUGE : BigInt(revocation),
      yourLastPerCommitmentSecret: secrets[c.secret](),
    })
    const { state, broadcasts } = w.alice
    const seen = { tag: state!.tag, published: broadcasts.length, sent: sentBy(w.alice).at(-1) }
    const expected: Readonly<Record<Case['then'], typeof seen>> = {
      'in step': { tag: 'normal', published: 0, sent: c.revocation === -1 ? 'revoke_and_ack' : undefined },
      'we are behind': { tag: 'waiting-for-peer', published: 0, sent: 'error' },
      'we may be behind': { tag: 'waiting-for-peer', published: 0, sent: 'error' },
      'peer is behind': { tag: 'syncing', published: 0, sent: 'warning' },
      fails: { tag: 'closing', published: 1, sent: 'error' },
    }
    expect(seen).toEqual(expected[c.then])
    // Of what is published, nothing is revoked: the harness sees to it.
  })
})
