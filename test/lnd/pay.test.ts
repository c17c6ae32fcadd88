import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { ChannelView } from '../../src/node/service.ts'
import { hold, refuse, refused, settle, settled } from './held.ts'
import { type Lnd, withLnd } from './lnd.ts'
import { base64 } from './rest.ts'
import { World } from './world.ts'

const CAPACITY = 1_000_000
const PUSH = 500_000
/** bLIP 3. */
const KEYSEND_RECORD = 5482373484

withLnd('channels with a real LND, and payments', () => {
  let w: World
  let lnd: Lnd
  const channels: ChannelView[] = []
  beforeAll(async () => {
    w = await World.start([[]])
    lnd = w.lnds[0]!
    await w.connect(lnd)
  })
  afterAll(() => w?.stop())
  afterEach(async () => {
    for (const { id } of channels) await w.quiet(id, lnd)
    expect(w.alerts()).toEqual([])
  })

  it.each([
    { type: 'anchors', opener: 'us' },
    { type: 'anchors', opener: 'LND' },
    { type: 'static_remotekey', opener: 'us' },
    { type: 'static_remotekey', opener: 'LND' },
  ] as const)('a channel with $type that $opener opens', async ({ type, opener }) => {
    const size = { type, capacity: CAPACITY, push: PUSH }
    const channel = opener === 'us' ? await w.openTo(lnd, size) : await w.openFrom(lnd, size)
    channels.push(channel)
    expect(channel).toMatchObject({ type, isOpener: opener === 'us', localMsat: 500_000_000n })
    const commitment_type = type === 'anchors' ? 'ANCHORS' : 'STATIC_REMOTE_KEY'
    expect(await w.lndChannel(lnd, channel)).toMatchObject({ commitment_type, initiator: opener === 'LND' })
  })

  it('pay each other, one after the other and twenty at once', async () => {
    expect((await w.payLnd(lnd, 10_000_000)).status).toBe('succeeded')
    expect((await w.payUs(lnd, 10_000_001)).status).toBe('settled')
    const amounts = Array.from({ length: 20 }, (_, i) => (i % 2 ? 1_000 + i : 3_000_000 + i))
    const [ours, theirs] = await Promise.all([
      Promise.all(amounts.map((amount) => w.payLnd(lnd, amount))),
      Promise.all(amounts.map((amount) => w.payUs(lnd, amount))),
    ])
    expect(new Set(ours.map((p) => p.status))).toEqual(new Set(['succeeded']))
    expect(new Set(theirs.map((i) => i.status))).toEqual(new Set(['settled']))
  })

  it('and agree on who has what', async () => {
    for (const { id } of channels) {
      const ours = await w.quiet(id, lnd)
      const theirs = await w.lndChannel(lnd, ours)
      // LND takes off what the opener pays for the commitment, which has no parts of a satoshi.
      const costs = Number(theirs.commit_fee) + (ours.type === 'anchors' ? 660 : 0)
      const [own, peer] = [Number(theirs.local_balance), Number(theirs.remote_balance)]
      const [remote, local] = ours.isOpener ? [own, peer + costs] : [own + costs, peer]
      expect(Math.abs(remote - Number(ours.remoteMsat) / 1000)).toBeLessThan(2)
      expect(Math.abs(local - Number(ours.localMsat) / 1000)).toBeLessThan(2)
    }
  })

  it('in parts over several channels, where one is too small', async () => {
    const views = await Promise.all(channels.map(({ id }) => w.us.service.channel(id)))
    // More than the fullest has, on either side: what came before has moved them.
    const most = views.map((c) => (c.localMsat > c.remoteMsat ? c.localMsat : c.remoteMsat))
    const amount = Number(most.reduce((a, b) => (a > b ? a : b))) + 100_000_000
    const paid = await w.payLnd(lnd, amount)
    expect(paid).toMatchObject({ status: 'succeeded', feeMsat: 0n })
    expect(paid.parts.filter((p) => p.status === 'succeeded').length).toBeGreaterThan(1)
    const got = await w.payUs(lnd, amount)
    expect(got).toMatchObject({ status: 'settled', receivedMsat: BigInt(amount) })
  })

  it('without an invoice', async () => {
    const { id } = await w.us.service.pay({ nodeId: lnd.nodeId, amountMsat: msat(7_000_000) })
    expect((await w.settledPayment(id)).status).toBe('succeeded')
    const preimage = new Uint8Array(randomBytes(32))
    const end = await w.lndPays(lnd, {
      ...{ dest: base64(w.us.nodeId), amt_msat: 8_000_000, payment_hash: base64(toHex(crypto.sha256(preimage))) },
      dest_custom_records: { [KEYSEND_RECORD]: base64(toHex(preimage)) },
    })
    expect(end.status).toBe('SUCCEEDED')
  })

  it('held ones, that are settled or fail', async () => {
    const amounts = [2_000, 20_000_000]
    const [paid, unpaid] = [await hold(w, lnd, amounts), await hold(w, lnd, amounts)]
    await settle(lnd, paid, w.us)
    await settled(w, paid)
    await refuse(lnd, unpaid, w.us)
    await refused(w, unpaid)
  })

  it('held ones in parts, that no channel could carry alone, are settled or fail as a whole', async () => {
    for (const isPaid of [true, false]) {
      const views = await Promise.all(channels.map(({ id }) => w.quiet(id, lnd)))
      const most = views.flatMap((c) => [c.localMsat, c.remoteMsat]).reduce((a, b) => (a > b ? a : b))
      const held = await hold(w, lnd, [Number(most) + 50_000_000])
      expect((await w.us.service.payment(held.toLnd[0]!.id)).parts.length).toBeGreaterThan(1)
      if (isPaid) {
        await settle(lnd, held, w.us)
        await settled(w, held)
      } else {
        await refuse(lnd, held, w.us)
        await refused(w, held)
      }
    }
  })

  it('a failure of the payee is understood by the payer', async () => {
    const { payment_request, r_hash } = await lnd.rest.post('/v1/invoices', { value_msat: 1_000_000, private: true })
    await lnd.rest.post('/v2/invoices/cancel', { payment_hash: r_hash })
    const { id } = await w.us.service.pay({ bolt11: payment_request })
    expect((await w.settledPayment(id)).failure!.detail).toContain('incorrect_or_unknown_payment_details')

    const ours = await w.us.service.createInvoice({ amountMsat: msat(1_000_000) })
    await w.us.service.cancelInvoice(ours.id)
    const end = await w.lndPays(lnd, { payment_request: ours.bolt11 })
    expect(end.failure_reason).toBe('FAILURE_REASON_INCORRECT_PAYMENT_DETAILS')
    expect(end.htlcs[0].failure).toMatchObject({
      code: 'INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS',
      failure_source_index: 1,
    })
  })
})
