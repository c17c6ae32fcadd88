import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { ChainEvent } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { type Name, World } from './world.ts'

describe('a node that does not know the height of now', () => {
  it('passes on and takes no HTLC, which may have expired; what is on its way goes on, over a restart, too', async () => {
    const world = await World.start(['alice', 'bob', 'carol'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000, 500_000)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    const status = async (paymentHash: string) => (await alice.api.payment(paymentHash)).status
    const pay = async (to: Name, paymentHash?: string): Promise<string> => {
      const hold = paymentHash === undefined ? {} : { paymentHash: paymentHash as never }
      const invoice = await world.of(to).api.createInvoice({ amountMsat: msat(50_000_000), description: '', ...hold })
      await alice.api.pay({ bolt11: invoice.bolt11, timeoutSeconds: 600 })
      await world.settle()
      return invoice.paymentHash
    }
    const held = [await pay('carol', '11'.repeat(32)), await pay('bob', '22'.repeat(32))]
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    for (const hash of held) expect(await status(hash)).toBe('pending')

    const { chain } = bob.node!
    expect(chain.isCurrent).toBe(true)
    // Blocks are being caught up with.
    Object.assign(chain.status, { synced: false, tipHeight: chain.height + 100 })
    expect(chain.isCurrent).toBe(false)
    for (const to of ['bob', 'carol'] as const) {
      const invoice = await world.of(to).api.createInvoice({ amountMsat: msat(50_000_000), description: '' })
      await alice.api.pay({ bolt11: invoice.bolt11, timeoutSeconds: 600 })
      for (let i = 0; i < 40; i++) {
        world.wire.deliver()
        await world.turn()
      }
      expect(await status(invoice.paymentHash)).toBe('failed')
    }
    for (const hash of held) expect(await status(hash)).toBe('pending')
    Object.assign(chain.status, { synced: true, tipHeight: chain.height })
    for (const to of ['bob', 'carol'] as const) expect(await status(await pay(to))).toBe('succeeded')
    expect(carol.complaints).toEqual([])
    world.close()
  })
})

describe('a payment of a node that is catching up with the chain', () => {
  it('is refused as that, and told by nobody as refused by its payee, by whose height it would have expired', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const { bolt11, paymentHash } = await bob.api.createInvoice({ amountMsat: msat(50_000_000) })
    const { chain } = alice.node!
    const here = chain.height
    // Alice has not been given the last thirty blocks yet.
    Object.defineProperty(chain, 'height', { configurable: true, get: () => here - 30 })
    Object.assign(chain.status, { synced: false, tipHeight: here })
    await expect(world.attempt(alice.api.pay({ bolt11 }))).rejects.toMatchObject({ code: 'CHAIN_UNAVAILABLE' })
    await expect(alice.api.payment(paymentHash)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    Reflect.deleteProperty(chain, 'height')
    Object.assign(chain.status, { synced: true, tipHeight: here })
    await alice.api.pay({ bolt11 })
    await world.settle()
    expect(await alice.api.payment(paymentHash)).toMatchObject({ status: 'succeeded' })
    world.close()
  })
})

describe('a hold invoice', () => {
  it('is not settled while its HTLC may have expired in blocks that the node does not know of', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const preimage = new Uint8Array(32).fill(7)
    const paymentHash = toHex(crypto.sha256(preimage)) as never
    const request = { amountMsat: msat(50_000_000), paymentHash, minFinalCltvExpiryDelta: 18 }
    const { bolt11, id } = await bob.api.createInvoice(request)
    await alice.api.pay({ bolt11, timeoutSeconds: 600 })
    await world.settle()
    const settle = () => world.attempt(bob.api.settleInvoice(id, preimage))
    const { chain } = bob.node!
    const { height } = chain
    const { cltvExpiry } = bob.node!.payments.invoices.get(paymentHash)!.record.htlcs[0]!
    const secondsAgo = (seconds: number): number => Math.floor(Date.now() / 1000) - seconds
    for (const unknown of [
      // Catching up, up to a block of any time, or to one at which it is too late; a chain that stands still.
      { synced: false, tipHeight: height + 100 },
      { synced: false, tipHeight: cltvExpiry - 12, tipTime: secondsAgo(0) },
      { synced: true, tipHeight: height, tipTime: secondsAgo(7_300) },
    ]) {
      Object.assign(chain.status, { tipTime: undefined }, unknown)
      expect(chain.isCurrent).toBe(false)
      await expect(settle()).rejects.toMatchObject({ code: 'CHAIN_UNAVAILABLE' })
      for (let i = 0; i < 10; i++) {
        world.wire.deliver()
        await world.turn()
      }
      expect((await bob.api.invoice(id)).status).toBe('accepted')
      expect((await alice.api.payment(paymentHash)).status).toBe('pending')
    }
    // There is time, though it is not in step.
    Object.assign(chain.status, { synced: false, tipHeight: height + 4, tipTime: secondsAgo(0) })
    expect(chain.isCurrent).toBe(false)
    expect((await settle())?.status).toBe('settled')
    Object.assign(chain.status, { synced: true, tipHeight: height, tipTime: undefined })
    await world.settle()
    expect((await alice.api.payment(paymentHash)).status).toBe('succeeded')
    world.close()
  })
})

describe('a channel whose funding a reorganisation took out of the chain', () => {
  it('has none of its HTLCs passed on or taken, since the funding may never come back', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const pay = async (): Promise<string> => {
      const { bolt11, paymentHash } = await bob.api.createInvoice({ amountMsat: msat(50_000_000), description: '' })
      await alice.api.pay({ bolt11, timeoutSeconds: 600 })
      await world.settle()
      return (await alice.api.payment(paymentHash)).status
    }
    expect(await pay()).toBe('succeeded')
    const preimage = new Uint8Array(32).fill(9)
    const hold = { description: '', paymentHash: toHex(crypto.sha256(preimage)) as never }
    const { bolt11, id } = await bob.api.createInvoice({ amountMsat: msat(50_000_000), ...hold })
    await alice.api.pay({ bolt11, timeoutSeconds: 600 })
    await world.settle()
    const { channels, reactor } = bob.node!
    const [entry] = channels.all()
    const tell = (event: ChainEvent) =>
      reactor.run((scope) => {
        channels.deliver(entry!, { tag: 'chain', event })
        channels.drain(scope)
      })
    const { confirmed } = channelOf(entry!.state)!.funding
    await tell({ tag: 'reorg', height: 1 })
    expect(channels.all()[0]!.state).toMatchObject({ tag: 'normal', channel: { funding: { confirmed: null } } })
    expect(await pay()).toBe('failed')
    // Nor is what it held paid for with a preimage, until the funding is back.
    await expect(world.attempt(bob.api.settleInvoice(id, preimage))).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await bob.api.invoice(id)).status).toBe('accepted')
    const { txid } = channelOf(entry!.state)!.commitments.active[0]!.funding
    const { tx } = (await bob.node!.source.locate(txid))!
    await tell({ tag: 'confirmed', txid, tx, ...confirmed! })
    expect((await world.attempt(bob.api.settleInvoice(id, preimage)))?.status).toBe('settled')
    world.close()
  })
})
