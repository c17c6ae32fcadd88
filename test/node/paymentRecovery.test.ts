import { expect, it } from 'vitest'
import type { ChannelId } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { PaymentRecovery } from '../../src/node/paymentRecovery.ts'
import type { Standing } from '../../src/payment/held.ts'
import { onPaymentInput, startPayment } from '../../src/payment/outgoing.ts'
import type { PaymentRecord } from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import { HEIGHT, hashOf, IDS, NOW, paymentTarget, preimageOf } from '../payment/world.ts'
import { channelId, scid } from '../routing/network.ts'

const HASH = hashOf(preimageOf(3))
const [FIRST, SECOND] = [channelId(1), channelId(2)]
const local = (id: ChannelId, n: number) => ({
  channelId: id,
  shortChannelId: scid(n),
  remoteNodeId: IDS[1]!,
  sendableMsat: msat(600_000n),
  htlcMinimumMsat: msat(1n),
})
const context = () => ({
  now: NOW,
  blockHeight: HEIGHT,
  nodeId: IDS[0]!,
  graph: new Graph(),
  localChannels: [local(FIRST, 1), local(SECOND, 2)],
  entropy: new Uint8Array(32).fill(1),
})

it('what is sent after a start is under way, though no channel has taken it in yet', () => {
  const target = paymentTarget(IDS[1]!)
  const started = startPayment(undefined, { paymentHash: HASH, target }, context())
  if (!started.ok) throw new Error(started.error.detail)
  let { record } = started.value
  expect(record.attempts.map((a) => a.channelId).toSorted()).toEqual([FIRST, SECOND].toSorted())

  // At the start the channels know of neither part, and their peer has not been heard.
  const standings = new Map<ChannelId, Standing>([FIRST, SECOND].map((id) => [id, 'unheard']))
  const recovery = new PaymentRecovery(
    { standingOf: (id) => standings.get(id)!, hasGap: false, offered: () => [] },
    {
      record: () => record,
      context,
      apply: (turn) => {
        record = turn.record
      },
      effects: () => {},
    },
  )
  const statuses = (): readonly string[] => record.attempts.map((a) => a.status)
  recovery.begin([], [HASH])
  recovery.goOn()
  expect(statuses()).toEqual(['pending', 'pending'])

  const first = record.attempts[0]!.channelId
  standings.set(first, 'current')
  recovery.goOn()
  expect(statuses()).toEqual(['failed', 'pending', 'pending'])
  recovery.goOn()
  recovery.review()
  expect(statuses()).toEqual(['failed', 'pending', 'pending'])

  for (const id of standings.keys()) standings.set(id, 'current')
  recovery.goOn()
  expect(statuses()).toEqual(['failed', 'failed', 'pending', 'pending'])
  const paid: PaymentRecord = onPaymentInput(
    record,
    { tag: 'fulfilled', attempt: 2, preimage: preimageOf(3) },
    context(),
  ).record
  expect(paid.status).toBe('succeeded')
})
