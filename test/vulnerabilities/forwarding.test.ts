import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { outpointKey, type PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { NOBODY, type Snapshot, World } from '../node/world.ts'

let base: Snapshot | null = null
let world: World
beforeEach(async () => {
  base ??= await World.line()
  world = await World.start(['alice', 'bob', 'carol'], base)
  await world.settle()
  return () => world.close()
})

const preimage = new Uint8Array(32).fill(7)
const paymentHash = createHash('sha256').update(preimage).digest('hex') as PaymentHash
const AMOUNT = msat(100_000_000)

/** Alice pays a hold invoice of Carol's through Bob; the HTLCs are committed on both channels. */
async function held(hash: PaymentHash): Promise<string> {
  const { bolt11, id } = await world
    .of('carol')
    .api.createInvoice({ amountMsat: AMOUNT, description: '', paymentHash: hash })
  await world.of('alice').api.pay({ bolt11, timeoutSeconds: 1 })
  await world.settle()
  return id
}
const channelWith = (who: 'alice' | 'bob' | 'carol', peer: 'alice' | 'bob' | 'carol') =>
  world
    .of(who)
    .node!.channels.all()
    .find((c) => c.meta.peer === world.of(peer).nodeId)!
const forceClose = async (who: 'alice' | 'carol') => {
  const { api } = world.of(who)
  await world.attempt(api.closeChannel(channelWith(who, 'bob').meta.localId, { force: true }))
  await world.settle()
}
const statusOf = async (hash: PaymentHash) => (await world.of('alice').api.payment(hash)).status

describe('replacement cycling (CVE-2023-40231 to -40234), transaction relay jamming (2024-12)', () => {
  it('a preimage that the next node shows in the mempool goes upstream before any block takes it', async () => {
    const id = await held(paymentHash)
    await forceClose('carol')
    await world.mine(1)
    expect(await statusOf(paymentHash)).toBe('pending')
    const { height } = world.chain.state
    await world.attempt(world.of('carol').api.settleInvoice(id, preimage))
    await world.settle()
    world.of('bob').node!.mempoolWatch.tick(true)
    await world.settle()
    expect(world.chain.state.height).toBe(height)
    expect(await statusOf(paymentHash)).toBe('succeeded')
  })

  it('a claim that was taken out of the mempools is there again after the next block', async () => {
    await held(paymentHash)
    await forceClose('carol')
    await world.mine(1)
    const expiry = [...world.channelsOf('bob')].flatMap((c) => [...c!.commitments.outgoing.chunks.flat()])[0]!.add
      .cltvExpiry
    while (world.chain.state.height < expiry) await world.mine(1)
    const spent = () => [...world.chain.mempool.entries()].flatMap((e) => e.tx.inputs.map(outpointKey))
    for (let n = 0; n < 4; n++) {
      const before = spent()
      expect(before.length).toBeGreaterThan(0)
      for (const entry of [...world.chain.mempool.entries()].reverse()) world.chain.mempool.undoAdd(entry, [])
      expect(spent()).toEqual([])
      world.chain.mineExactly([], NOBODY)
      await world.settle()
      expect(before.filter((o) => spent().includes(o))).toEqual(before)
    }
    await world.mine(8)
    expect(await statusOf(paymentHash)).toBe('failed')
  })
})

describe('invoice preimage theft (CVE-2020-26896): a preimage is only for the HTLC that pays for it', () => {
  it('an invoice of the same hash gives nothing away to an HTLC that is forwarded through, on chain or off', async () => {
    const { bob } = { bob: world.of('bob').api }
    const own = await bob.createInvoice({ amountMsat: AMOUNT, description: 'not for Carol' })
    // Carol pretends to be paid by Bob's hash; Alice has the channel closed to get at the preimage.
    await held(own.paymentHash)
    expect(await statusOf(own.paymentHash)).toBe('pending')
    await forceClose('alice')
    await world.mine(30)
    expect(await statusOf(own.paymentHash)).not.toBe('succeeded')
    expect((await bob.invoice(own.id)).status).toBe('open')
    const shown = Array.from(
      { length: world.chain.state.height },
      (_, h) => world.chain.state.at(h + 1)!.block.transactions,
    )
      .flat()
      .flatMap((tx) => tx.inputs.flatMap((i) => i.witness))
      .filter((w) => w.length === 32 && createHash('sha256').update(w).digest('hex') === own.paymentHash)
    expect(shown).toEqual([])
  })
})

// BOLT 2 §forwarding-htlcs
describe('excessive failback (LND, 2025-03, and its variant 2025-09), eclair preimage extraction (2025-09)', () => {
  for (const closer of ['bob', 'carol'] as const) {
    it(`an HTLC that the next node has taken is paid upstream after a restart, ${closer === 'bob' ? 'our' : 'its'} commitment in the chain`, async () => {
      const id = await held(paymentHash)
      if (closer === 'carol') await forceClose('carol')
      else {
        const { api } = world.of('bob')
        await world.attempt(api.closeChannel(channelWith('bob', 'carol').meta.localId, { force: true }))
        await world.settle()
      }
      world.wire.cut(world.of('alice').nodeId, world.of('bob').nodeId)
      await world.mine(1)
      await world.attempt(world.of('carol').api.settleInvoice(id, preimage))
      await world.settle()
      await world.mine(3)
      // The upstream HTLC is still there while Bob starts again, twice.
      await world.restart('bob')
      await world.mine(8)
      await world.restart('bob')
      world.connectAll()
      await world.settle()
      expect(await statusOf(paymentHash)).toBe('succeeded')
      expect(channelWith('alice', 'bob').state.tag).toBe('normal')
    })
  }
})
