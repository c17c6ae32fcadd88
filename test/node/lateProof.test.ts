import { beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { AMOUNT, HASH, PREIMAGE } from './lostOffers.ts'
import { type Snapshot, World } from './world.ts'

/**
 * Alice has lost what her channel with Bob had of a payment. He has closed it with the HTLC in it, and nobody knows where in that.
 * `claim` is his, which has the preimage.
 */
let lost: Snapshot
let claim: Transaction
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'], await World.pair(1_000_000))
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const { localId } = alice.node!.channels.all()[0]!.meta
  const isChannels = (key: string): boolean => key.startsWith(`channel/${localId}/`)
  const older = [...alice.disk.snapshot()].filter(([key]) => isChannels(key))
  const other = await bob.api.createInvoice({ amountMsat: msat(1_000_000n), description: '' })
  await world.attempt(alice.api.pay({ bolt11: other.bolt11 }))
  await world.settle()
  const about = { amountMsat: msat(AMOUNT * 1000n), description: '', paymentHash: HASH }
  const { bolt11, id } = await bob.api.createInvoice(about)
  await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 60 }))
  await world.settle()
  const rest = [...alice.disk.snapshot()].filter(([key]) => !isChannels(key))
  world.crash('alice')
  await world.attempt(bob.api.closeChannel(bob.node!.channels.all()[0]!.meta.localId, { force: true }))
  await world.mine(1)
  const { blocks } = world.snapshot()
  lost = { disks: { alice: new Map([...rest, ...older]) }, blocks }
  await world.attempt(bob.api.settleInvoice(id, PREIMAGE))
  await world.settle()
  claim = [...world.chain.mempool.entries()].find(({ tx }) => tx.inputs.some((i) => i.witness.length === 5))!.tx
  world.close()
})

describe('a payment that is proved only after it was told that its outcome is unknown', () => {
  it.each([[false], [true]])('has succeeded, after another start too: %s', async (again) => {
    const world = await World.start(['alice'], lost)
    const outcome = async () => {
      const { status, failure } = await world.of('alice').api.payment(HASH)
      return [status, failure?.code ?? null]
    }
    for (let n = 0; n < 200 && (await outcome())[0] === 'pending'; n++) await world.mine(1)
    expect(await outcome()).toEqual(['failed', 'OUTCOME_UNKNOWN'])
    const told = async () => {
      const events = await world.of('alice').api.eventsSince(0, 1_000)
      return events.flatMap(({ type, data }) =>
        data.paymentHash === HASH && type !== 'payment.pending' ? [[type, data.failureCode]] : [],
      )
    }
    expect(await told()).toEqual([['payment.failed', 'OUTCOME_UNKNOWN']])
    if (again) await world.restart('alice')
    expect(world.chain.submit(claim)).toMatchObject({ ok: true })
    await world.mine(1)
    expect(await outcome()).toEqual(['succeeded', null])
    expect((await told()).slice(1)).toEqual([['payment.succeeded', undefined]])
    world.close()
  })
})
