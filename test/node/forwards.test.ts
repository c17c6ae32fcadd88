import { beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { localAlias } from '../../src/channel/alias.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { scidOf } from '../../src/node/holdings.ts'
import { payInvoice } from '../../src/payment/request.ts'
import { add, preimageOf } from '../channel/harness.ts'
import { forwardsOfBob } from './forwardsOfBob.ts'
import { Life } from './life.ts'
import { NOBODY, nodeIdOf, type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

describe('a forward over a restart', () => {
  it('is counted once, though both channels still hold its settled HTLCs at the start', async () => {
    const life = await Life.begin(base)
    const { world } = life
    await life.step({ tag: 'pay', from: 'alice', to: 'carol', amountMsat: 10_000_000, kind: 'invoice' })
    const bob = world.of('bob')
    const isSettled = () =>
      bob
        .node!.channels.all()
        .some(
          (e) =>
            e.state.tag === 'normal' &&
            [...e.state.channel.commitments.incoming.chunks.flat()].some((h) => h.removal !== null),
        )
    while (!isSettled()) await life.step({ tag: 'run', rounds: 1 })
    await world.turn()
    await world.restart('bob')
    await world.restart('bob')
    await life.finish()
    const count = async (type: string) => (await bob.api.eventsSince(0, 1000)).filter((e) => e.type === type).length
    expect(await count('forward.settled')).toBe(1)
    world.close()
  })
})

describe('BOLT 4 §non-strict-forwarding: forwards that come at once', () => {
  it('go over another channel with the same node where those before them have taken the room of the first', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    await world.settle()
    const invoice = async (sats: number) =>
      (await carol.api.createInvoice({ amountMsat: msat(sats * 1000), description: '' })).bolt11
    await bob.api.pay({ bolt11: await invoice(250_000) })
    await world.settle()
    await world.open('bob', 'carol', 500_000, 250_000)
    await world.settle()
    const { reactor, payments, channels } = alice.node!
    const requests = [await invoice(200_000), await invoice(200_000)].map((bolt11) => {
      const about = { now: alice.node!.now(), network: 'regtest' } as const
      const request = payInvoice({ invoice: decodeInvoice(bolt11), bolt11 }, { maxParts: 1 }, about)
      if (!request.ok) throw new Error(request.error.detail)
      return request.value
    })
    await reactor.run((scope) => {
      for (const request of requests) payments.start(request, scope)
      channels.drain(scope) // one commitment brings both
    })
    await world.settle()
    const paid = await Promise.all(requests.map(({ paymentHash }) => alice.api.payment(paymentHash)))
    expect(paid.map((p) => [p.status, p.parts.length])).toEqual([
      ['succeeded', 1],
      ['succeeded', 1],
    ])
    // Both were to go over the same channel.
    expect(new Set(paid.map((p) => p.parts[0]!.route[1]!.shortChannelId)).size).toBe(1)
    expect(bob.node!.payments.forwardsPending).toBe(0)
    world.close()
  })
})

describe('BOLT 4 §failure-messages: a forward that pays less than its channel asks', () => {
  it.each([
    ['has the next attempt pay that, by what the network knows of the channel', 'real', 'succeeded'],
    ['says nothing of a channel by another name than the one that the network knows', 'alias', 'failed'],
  ])('%s', async (_, name, status) => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    await world.settle()
    const { bolt11 } = await carol.api.createInvoice({ amountMsat: msat(10_000_000) })
    const request = payInvoice(
      { invoice: decodeInvoice(bolt11), bolt11 },
      {},
      { now: alice.node!.now(), network: 'regtest' },
    )
    if (!request.ok) throw new Error(request.error.detail)
    const { state } = bob.node!.channels.ofPeer(carol.nodeId)[0]!
    const shortChannelId = name === 'real' ? scidOf(state)! : localAlias(channelOf(state)!)
    const free = {
      nodeId: bob.nodeId,
      shortChannelId,
      feeBaseMsat: 0,
      feeProportionalMillionths: 0,
      cltvExpiryDelta: 40,
    }
    const { reactor, payments, channels, graph } = alice.node!
    await reactor.run((scope) => {
      for (const { shortChannelId: other, nodeId1, nodeId2 } of [...graph.channels()])
        if (name === 'alias' && [nodeId1, nodeId2].includes(carol.nodeId)) graph.removeChannel(other)
      const { paymentHash, target } = request.value
      payments.start({ paymentHash, target: { ...target, routeHints: [[free]] } }, scope)
      channels.drain(scope)
    })
    await world.settle()
    const { record } = payments.outgoing.get(request.value.paymentHash)!
    expect(record.status).toBe(status)
    expect(record.attempts[0]!.failure).toContain('fee_insufficient')
    expect(record.learned?.length ?? 0).toBe(name === 'real' ? 1 : 0)
    world.close()
  })
})

/** Alice has paid Carol less than a channel is closed over, and Carol keeps it. */
async function satOn() {
  const world = await World.start(['alice', 'bob', 'carol'], base)
  const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
  await world.settle()
  const paymentHash = '11'.repeat(32) as never
  const { bolt11 } = await carol.api.createInvoice({ amountMsat: msat(400_000), description: '', paymentHash })
  await alice.api.pay({ bolt11, timeoutSeconds: 1 })
  await world.settle()
  return { world, alice, bob, paymentHash }
}

describe('a forward that the next node sits on (tiny HTLCs)', () => {
  it('is failed back before the one before closes its channel over it, when it is too small to close one over', async () => {
    const { world, alice, bob, paymentHash } = await satOn()
    expect(alice.node!.channels.all()[0]!.state).toMatchObject({ channel: { commitments: { outgoing: { size: 1 } } } })

    world.crash('carol')
    await world.mine(150)
    await world.settle()
    expect(
      bob
        .node!.channels.all()
        .map((c) => c.state.tag)
        .sort(),
    ).toEqual(['normal', 'offline'])
    expect(alice.node!.channels.all().map((c) => c.state.tag)).toEqual(['normal'])
    expect(await alice.api.payment(paymentHash)).toMatchObject({ status: 'failed' })
    world.close()
  })

  it('is failed back as well when the channel was closed, and no block takes the commitment', async () => {
    const { world, alice, bob, paymentHash } = await satOn()
    const toCarol = bob.node!.channels.all().find((c) => c.meta.peer === nodeIdOf('carol'))!
    await world.attempt(bob.api.closeChannel(toCarol.meta.localId, { force: true }))
    world.crash('carol')
    for (let n = 0; n < 150; n++) {
      world.chain.mineExactly([], NOBODY)
      await world.settle()
    }
    expect(toCarol.state).toMatchObject({ tag: 'closing', onchain: { closing: { height: null } } })
    expect(await alice.api.payment(paymentHash)).toMatchObject({ status: 'failed' })
    world.close()
  })
})

describe('a forward over a channel that holds its commitment back', () => {
  it('is failed back in time, when it is too small to close a channel over', async () => {
    const { world, alice, bob, paymentHash } = await satOn()
    world.crash('carol')
    await world.settle()
    const { reactor, channels, chain } = bob.node!
    const [fromAlice] = channels.ofPeer(nodeIdOf('alice'))
    const { cltvExpiry } = channelOf(fromAlice!.state)!.commitments.incoming.chunks.flat()[0]!.add
    await world.mine(cltvExpiry - 14 - chain.height)
    await world.settle()
    const [toCarol] = channels.ofPeer(nodeIdOf('carol'))
    const { channelId } = channelOf(toCarol!.state)!.params
    await reactor.run((scope) => {
      channels.deliver(toCarol!, { tag: 'connected', theirFeatures: new Uint8Array(0) })
      channels.deliver(toCarol!, { tag: 'message', message: { type: 'error', channelId, data: new Uint8Array(0) } })
      channels.drain(scope)
    })
    expect(toCarol!.state).toMatchObject({ tag: 'waiting-for-peer', publishAfter: chain.height + 18 })
    await world.mine(4)
    await world.settle()
    expect(toCarol!.state.tag).toBe('waiting-for-peer')
    expect(await alice.api.payment(paymentHash)).toMatchObject({ status: 'failed' })
    world.close()
  })
})

describe('a forward whose incoming channel is closing on chain', () => {
  it.each([
    ['closing still', 50_000_000],
    ['closed', 300_000],
  ])('is told to have failed once, however often the node starts: %s', async (_, amountMsat) => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    await world.settle()
    const paymentHash = '11'.repeat(32) as never
    const { bolt11 } = await carol.api.createInvoice({ amountMsat: msat(amountMsat), description: '', paymentHash })
    await alice.api.pay({ bolt11, timeoutSeconds: 60 })
    await world.settle()
    const failures = async () => (await bob.api.eventsSince(0, 1000)).filter((e) => e.type === 'forward.failed').length
    for (const { api, node } of [carol, alice]) {
      await world.attempt(api.closeChannel(node!.channels.all()[0]!.meta.localId, { force: true }))
    }
    for (let n = 0; n < 300 && (await failures()) === 0; n++) await world.mine(1)
    const tags = bob.node!.channels.all().map((c) => [c.meta.peer === nodeIdOf('alice'), c.state.tag])
    expect(tags).toContainEqual([true, amountMsat > 1_000_000 ? 'closing' : 'closed'])
    for (const _ of [1, 2]) {
      await world.restart('bob')
      await world.settle()
    }
    expect([await failures(), bob.node!.payments.forwardsPending]).toEqual([1, 0])
    world.close()
  })

  it('is paid by a preimage that comes after it was failed, when the peer has not taken that', () => {
    const { w, origin, forwards } = forwardsOfBob()
    const learn = (): boolean => {
      const event = { tag: 'fulfilled', id: 7n, origin, preimage: preimageOf(1) } as const
      const effects = forwards.end(event, origin)
      for (const effect of effects) if (effect.tag === 'command') w.bob.command(effect.command)
      return effects.length > 0
    }
    w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(292) })
    w.bob.outbox = []
    // While the channel is open, the failure stands.
    expect(learn()).toBe(false)
    w.bob.command({ tag: 'forceClose', requestId: 1 })
    w.mine()
    w.bob.broadcasts = []
    expect([learn(), learn()]).toEqual([true, false])
    expect(w.bob.broadcasts).toHaveLength(1)
    expect(w.bob.state).toMatchObject({ onchain: { closing: { txid: w.bob.broadcasts[0]!.inputs[0]!.txid } } })
  })
})

describe('a channel that was set aside after a bug', () => {
  it('lets a forward go back that it had not signed for', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const bob = world.of('bob')
    await world.settle()
    const broken = bob.node!.channels.all().find((c) => c.meta.peer === nodeIdOf('carol'))!
    const { reactor, channels, payments } = bob.node!
    const seen: string[] = []
    const onRelay = payments.onRelay.bind(payments)
    payments.onRelay = (event, scope) => {
      seen.push(event.tag)
      onRelay(event, scope)
    }
    await reactor.run((scope) => {
      channels.command(broken, add(1, 50_000_000))
      channels.drain(scope)
      channels.setAside(broken, new Error('a bug'), scope)
    })
    expect(seen).toEqual(['rejected'])
    expect(channelOf(broken.state)!.commitments.outgoing.size).toBe(0)
    world.close()
  })

  it('takes no HTLC, and nobody waits for it: a forward goes back at once, and a command is answered', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
    await world.settle()
    const { bolt11 } = await carol.api.createInvoice({ amountMsat: msat(50_000_000), description: '' })
    const broken = bob.node!.channels.all().find((c) => c.meta.peer === nodeIdOf('carol'))!
    const { reactor, channels } = bob.node!
    expect(bob.node!.localChannels()).toHaveLength(2)
    await reactor.run((scope) => channels.setAside(broken, new Error('a bug'), scope))
    expect(bob.node!.localChannels()).toHaveLength(1)
    await alice.api.pay({ bolt11, timeoutSeconds: 60 })
    await world.settle()
    for (const name of ['alice', 'bob'] as const) {
      expect(world.of(name).node!.channels.all()[0]!.state).toMatchObject({
        channel: { commitments: { outgoing: { size: 0 }, incoming: { size: 0 } } },
      })
    }
    expect(bob.node!.payments.forwardsPending).toBe(0)
    // One that was chosen before, or that a payment of its own picks.
    const { channelId } = channelOf(broken.state)!.params
    const seen: string[] = []
    const [origin, command] = [
      { tag: 'payment', paymentHash: 'ab'.repeat(32), attempt: 0 },
      { tag: 'addHtlc' },
    ] as const
    await reactor.run((scope) => {
      channels.command(channels.byChannelId(channelId)!, { ...command, origin } as never)
      const onRelay = bob.node!.payments.onRelay.bind(bob.node!.payments)
      bob.node!.payments.onRelay = (event, within) => {
        seen.push(event.tag)
        onRelay(event, within)
      }
      channels.drain(scope)
    })
    expect(seen).toEqual(['rejected'])
    await expect(world.attempt(bob.api.closeChannel(broken.meta.localId, {}))).rejects.toMatchObject({
      code: 'CHANNEL_NOT_READY',
    })
    world.close()
  })
})
