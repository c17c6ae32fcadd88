import { describe, expect, it } from 'vitest'
import { channelId, nodeId, paymentHash, txid } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { Outbox } from '../../src/node/outbox.ts'
import { Reactor, type TurnScope } from '../../src/node/reactor.ts'
import { Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { decodeMessage, type Message } from '../../src/wire/registry.ts'
import { World } from './world.ts'

const bob = nodeId(`02${'bb'.repeat(32)}`)
const [x, y] = [channelId('01'.repeat(32)), channelId('02'.repeat(32))]
const add = (channel: typeof x, id: bigint): Message => ({
  type: 'update_add_htlc',
  channelId: channel,
  id,
  amountMsat: msat(1),
  paymentHash: paymentHash('00'.repeat(32)),
  cltvExpiry: 1,
  onionRoutingPacket: new Uint8Array(1366),
})
const signed = (channel: typeof x): Message => ({
  type: 'commitment_signed',
  channelId: channel,
  signature: new Uint8Array(64),
  htlcSignatures: [],
  fundingTxid: txid('00'.repeat(32)),
})
const revoked = (channel: typeof x): Message => ({
  type: 'revoke_and_ack',
  channelId: channel,
  perCommitmentSecret: new Uint8Array(32),
  nextPerCommitmentPoint: Uint8Array.from(Buffer.from(bob, 'hex')),
})
const warning = (channel: typeof x): Message => ({ type: 'warning', channelId: channel, data: new Uint8Array(0) })

/** What leaves, turn by turn, when each turn pushes these messages in these epochs. */
async function sentBy(turns: readonly { readonly epoch?: number; readonly messages: readonly Message[] }[]) {
  const sent: string[][] = []
  const outbox = new Outbox({
    send: (_link, bytes) =>
      sent.push(
        bytes.map((b) => {
          const m = decodeMessage(b)
          if (m.type === 'unknown' || !('channelId' in m)) throw new Error(m.type)
          return `${m.type === 'update_add_htlc' ? `add ${m.id}` : m.type} ${m.channelId === x ? 'x' : 'y'}`
        }),
      ),
    onUnsendable: (_link, _message, error) => {
      throw error
    },
  })
  const reactor = new Reactor({
    journal: new Journal(new MemoryDriver(), 0),
    endOfTurn: (scope) => outbox.flush(scope),
    onFatal: (e) => {
      throw e
    },
    now: () => 0,
  })
  for (const { epoch = 1, messages } of turns) {
    await reactor.run(() => {
      for (const m of messages) outbox.push({ nodeId: bob, epoch }, m)
    })
  }
  return sent
}

describe('the outbox', () => {
  it('keeps an update until something goes that binds it, and only the updates of that channel', async () => {
    const turns = [
      { messages: [add(x, 0n)] },
      { messages: [add(y, 0n), revoked(x)] },
      { messages: [add(x, 1n), signed(x)] },
      { messages: [signed(y)] },
    ]
    expect(await sentBy(turns)).toEqual([
      ['revoke_and_ack x'],
      ['add 0 x', 'add 1 x', 'commitment_signed x'],
      ['add 0 y', 'commitment_signed y'],
    ])
  })

  it('never lets another message of the channel overtake an update', async () => {
    expect(await sentBy([{ messages: [add(x, 0n)] }, { messages: [warning(x)] }])).toEqual([['add 0 x', 'warning x']])
  })

  it('forgets with the connection what it kept', async () => {
    const turns = [{ messages: [add(x, 0n)] }, { epoch: 2, messages: [signed(x)] }]
    expect(await sentBy(turns)).toEqual([['commitment_signed x']])
  })

  it('loses nothing of a connection to what comes late for the one before', async () => {
    const sent: string[][] = []
    const outbox = new Outbox({
      send: ({ epoch }, bytes) => sent.push(bytes.map((b) => `${epoch} ${decodeMessage(b).type}`)),
      onUnsendable: () => {},
    })
    const scope = { meanwhile: (work: () => void) => work(), first: (act: () => void) => act() } as TurnScope
    outbox.push({ nodeId: bob, epoch: 2 }, signed(x))
    outbox.push({ nodeId: bob, epoch: 1 }, warning(x))
    outbox.push({ nodeId: bob, epoch: 2 }, add(x, 0n))
    outbox.push({ nodeId: bob, epoch: 2 }, signed(x))
    outbox.flush(scope)
    expect(sent).toEqual([['2 commitment_signed', '2 update_add_htlc', '2 commitment_signed']])
    // What is kept back for the next turn, too.
    outbox.push({ nodeId: bob, epoch: 2 }, add(x, 1n))
    outbox.flush(scope)
    outbox.push({ nodeId: bob, epoch: 1 }, warning(x))
    outbox.push({ nodeId: bob, epoch: 2 }, signed(x))
    outbox.flush(scope)
    expect(sent.at(-1)).toEqual(['2 update_add_htlc', '2 commitment_signed'])
  })

  it('sets a channel aside whose signature cannot be made, and the node goes on', async () => {
    const world = await World.start(['alice', 'bob', 'carol'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    await world.open('bob', 'carol', 1_000_000, 500_000)
    const { node, api } = world.of('bob')
    const broken = node!.channels.all().find((c) => c.meta.peer === world.of('alice').node!.own.nodeId)!
    const works = node!.channels.all().find((c) => c !== broken)!
    Object.assign(broken.signer, {
      signFunding: () => {
        throw new Error('no signature')
      },
    })
    const { bolt11 } = await api.createInvoice({ amountMsat: msat(50_000_000), description: '' })
    await world.of('alice').api.pay({ bolt11 })
    await world.settle()
    expect([broken.quarantined, works.quarantined]).toEqual([expect.stringContaining('no signature'), null])

    const other = await world.of('carol').api.createInvoice({ amountMsat: msat(50_000_000), description: '' })
    await api.pay({ bolt11: other.bolt11 })
    await world.settle()
    expect(await api.payment(other.paymentHash)).toMatchObject({ status: 'succeeded' })
    world.close()
  })
})
