import { channelId, type PaymentHash, type Txid } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { decodeMessage, encodeMessage, type Message } from '../../src/wire/registry.ts'
import { type Suite, type Task, task, timeSuite } from '../harness.ts'

const id = channelId('ab'.repeat(32))
const signature = new Uint8Array(64).fill(7)

const MESSAGES: readonly (readonly [string, Message])[] = [
  [
    'update_add_htlc',
    {
      type: 'update_add_htlc',
      channelId: id,
      id: 123n,
      amountMsat: msat(1_000_000),
      paymentHash: 'cd'.repeat(32) as PaymentHash,
      cltvExpiry: 800_000,
      onionRoutingPacket: new Uint8Array(1366).fill(5),
    },
  ],
  ['commitment_signed, no HTLC', commitmentSigned(0)],
  ['commitment_signed, 50 HTLCs', commitmentSigned(50)],
]

function commitmentSigned(htlcs: number): Message {
  return {
    type: 'commitment_signed',
    channelId: id,
    signature,
    htlcSignatures: Array.from({ length: htlcs }, () => signature),
    fundingTxid: 'ef'.repeat(32) as Txid,
  }
}

export const wireSuite = (): Promise<Suite> =>
  timeSuite(
    'Wire messages (BOLT 1, 2)',
    MESSAGES.flatMap(([name, message]): Task<unknown>[] => {
      const bytes = encodeMessage(message)
      return [
        task({ name: `${name}: encode`, run: () => encodeMessage(message), expect: bytes }),
        task({ name: `${name}: decode`, run: () => decodeMessage(bytes), expect: decodeMessage(bytes) }),
      ]
    }),
  )
