import { expect, it } from 'vitest'
import { EMPTY } from '../../../src/base/bytes.ts'
import { pack } from '../../../src/base/pack.ts'
import { sat } from '../../../src/base/units.ts'
import { type Transaction, txidOf, unsignedInput } from '../../../src/bitcoin/transaction.ts'
import { isBlind, outputSpent, shownBy } from '../../../src/channel/onchain/events.ts'
import type { OnchainState } from '../../../src/channel/onchain/types.ts'

/** Most that a commitment has. */
const HTLCS = 966

it('one transaction that takes all outputs of a commitment that we do not know is kept once', () => {
  const funding = { txid: 'ab'.repeat(32) as never, index: 0 }
  const outputs = Array.from({ length: HTLCS }, (_, i) => ({
    amountSat: sat(1_000n),
    scriptPubKey: new Uint8Array(34).fill(i & 255),
  }))
  const commitment: Transaction = { version: 2, inputs: [unsignedInput(funding)], outputs, lockTime: 0 }
  const txid = txidOf(commitment)
  const preimage = (i: number) => new Uint8Array(32).fill(i & 255).fill(i >> 8, 16)
  const signature = new Uint8Array(72)
  const inputs = outputs.map((_, index) => ({
    ...unsignedInput({ txid, index }),
    witness: [EMPTY, signature, signature, preimage(index), new Uint8Array(139)],
  }))
  const tx: Transaction = { version: 2, inputs, outputs, lockTime: 0 }
  const onchain: OnchainState = {
    how: 'remote-force',
    closing: { kind: 'future', tx: commitment, txid, funding, feeSat: sat(0n), height: 100, anchorsSat: sat(0n) },
    outputs: [],
    sweeps: [],
    failed: [],
    spenders: [],
    revoked: null,
  }
  expect(isBlind(onchain)).toBe(true)
  const spent = inputs.reduce((o, _, index) => outputSpent(o, { outpoint: { txid, index }, tx, height: 101 }), onchain)
  expect(shownBy(spent)).toHaveLength(HTLCS)
  expect(pack(spent).length).toBeLessThan(1_000_000)
})
