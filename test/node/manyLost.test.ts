import { expect, it } from 'vitest'
import { EMPTY } from '../../src/base/bytes.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { txidOf, unsignedInput } from '../../src/bitcoin/transaction.ts'
import { fundingSpent } from '../../src/channel/onchain/onchain.ts'
import type { Channel, ClosingState } from '../../src/channel/state.ts'
import type { IncomingHtlc } from '../../src/channel/types.ts'
import { type ChannelEntry, Channels } from '../../src/node/channels.ts'
import { Forwards } from '../../src/node/forwards.ts'
import { ShownPreimages } from '../../src/node/shownPreimages.ts'
import { holdForwards, standingsOf } from '../../src/node/standings.ts'
import type { ForwardOnion } from '../../src/payment/peel.ts'
import { channelOf, commitmentTx, contextOf, type HtlcSpec, preimageOf, START } from '../channel/onchain/fixture.ts'

const HEIGHT = START + 1
const ctx = contextOf('alice', HEIGHT)
const CHANNELS = 6
const HTLCS = 40
const specs = Array.from(
  { length: HTLCS },
  (_, i): HtlcSpec => ({ from: 'alice', amountSat: 10_000 + i, cltvExpiry: START + 60, n: i + 1, knows: true }),
)
const newer = { type: 'anchors', opener: 'bob', number: 9, htlcs: specs } as const
const commitment = commitmentTx('bob', newer)

/** It ended by a commitment of the peer that is newer than our state. */
function lost(index: number): ChannelEntry {
  const older = channelOf('alice', { ...newer, number: 4, htlcs: [] })
  const channel: Channel = { ...older, toldPoint: contextOf('bob', START).signer.commitmentPoint(9) }
  const step = fundingSpent(channel, { tx: commitment, height: HEIGHT, mutual: false }, ctx)
  const state: ClosingState = { tag: 'closing', channel: step.channel, error: null, onchain: step.onchain }
  expect(state.onchain.closing.kind).toBe('future')
  const meta = { localId: `${index}`, peer: channel.params.remoteNodeId } as ChannelEntry['meta']
  return { meta, signer: ctx.signer, state, stored: state, quarantined: null }
}

/** All that a start on an old copy of the disk has, and how many inputs its channels took. */
function world(count: number) {
  const counts = { inputs: 0, looks: 0 }
  const channels: Channels = new Channels({
    context: () => {
      counts.inputs++
      return ctx
    },
    onEffect: () => {},
    onRelay: () => {},
    onChanged: () => {},
    onSettled: (entry, scope) => holdForwards({ shown, payments } as never, entry, scope),
    onQuarantine: (_, error) => {
      throw error
    },
  })
  const forwards = new Forwards({
    blockHeight: () => HEIGHT,
    incomingHtlc: (channelId: string, id: bigint) => ({ channelId, id }),
    standings: (origin: never, next: never) => {
      counts.looks++
      return { isSound: true, incoming: 'unheard', outgoing: standingsOf({ channels }, next, origin) }
    },
    tryPreimage: () => false,
  } as never)
  const command = (effects: ReturnType<Forwards['goOn']>): void => {
    for (const e of effects) if (e.tag === 'command') channels.command(entries[0]!, e.command)
  }
  const shown = new ShownPreimages(() => channels)
  const payments = { goOn: () => command(forwards.goOn()), holdForwards: () => {} }
  const entries = Array.from({ length: count }, (_, i) => lost(i))
  for (const entry of entries) channels.restore(entry)
  return { counts, channels, shown, entries, forwards, command }
}

/** @returns how many HTLCs of the commitment are spent in one block, each with its preimage */
function spendAll({
  channels,
  entries,
  shown,
}: Pick<ReturnType<typeof world>, 'channels' | 'entries' | 'shown'>): number {
  const txid = txidOf(commitment)
  let spends = 0
  commitment.outputs.forEach((output, index) => {
    const spec = specs.find((s) => BigInt(s.amountSat) === output.amountSat)
    if (!spec) return
    spends++
    const witness = [EMPTY, new Uint8Array(72), new Uint8Array(72), preimageOf(spec), new Uint8Array(139)]
    const inputs = [{ ...unsignedInput({ txid, index }), witness }]
    const tx: Transaction = { version: 2, inputs, outputs: [output], lockTime: 0 }
    const event = { tag: 'spent', outpoint: { txid, index }, tx, height: HEIGHT } as const
    channels.deliver(entries[0]!, { tag: 'chain', event })
  })
  shown.tell({} as never)
  return spends
}

it('what the spends of many HTLCs in a block show is tried on each lost channel together', () => {
  const w = world(CHANNELS)
  const { counts, entries } = w
  expect(spendAll(w)).toBe(HTLCS)
  for (const { state } of entries) expect((state as ClosingState).channel.commitments.incoming.size).toBe(HTLCS)
  expect(counts.inputs).toBeLessThan(HTLCS + 3 * CHANNELS)
})

it('what spends have shown is tried on a channel that turns out to be lost later', () => {
  const w = world(2)
  const late = w.entries[1]!
  const { state } = late
  late.state = { ...(state as ClosingState), tag: 'await-ready' } as never
  spendAll(w)
  late.state = state
  expect((late.state as ClosingState).channel.commitments.incoming.size).toBe(0)
  w.shown.look(late)
  w.shown.tell({} as never)
  expect((late.state as ClosingState).channel.commitments.incoming.size).toBe(HTLCS)
})

it('forwards that wait are noted in the channel that has lost them once', () => {
  const { counts, channels, entries, forwards, command } = world(1)
  const onion = { tag: 'forward', next: { tag: 'node', nodeId: entries[0]!.meta.peer }, blinding: 'inside' }
  for (const spec of specs) {
    const htlc = {
      channelId: 'aa'.repeat(32),
      id: BigInt(spec.n),
      cltvExpiry: START + 200,
      onion: EMPTY,
      paymentHash: `${spec.n}`.padStart(64, '0'),
    }
    const about = { amtToForward: 1_000n, outgoingCltvValue: START + 100 }
    command(forwards.hold(htlc as unknown as IncomingHtlc, { ...onion, ...about } as unknown as ForwardOnion))
  }
  channels.drain({} as never)
  expect((entries[0]!.state as ClosingState).channel.commitments.outgoing.size).toBe(HTLCS)
  expect(counts.inputs).toBeLessThan(2 * HTLCS)
  expect(counts.looks).toBeLessThan(3 * HTLCS)
})
