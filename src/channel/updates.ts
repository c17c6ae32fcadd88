import { ok } from '../base/result.ts'
import type { MessageNamed } from '../wire/registry.ts'
import { type Judged, refuse, warn } from './faults.ts'
import {
  addMessage,
  type FeeUpdate,
  type Htlc,
  hashes,
  type RemovalMessage,
  removalMessage,
  removalOf,
  shownPreimage,
} from './htlc.ts'
import { appendHtlc, getHtlc, replaceHtlc } from './htlcTable.ts'
import { isTooRisky, judgeFee, judgeIncoming, judgeIncomingFee, judgeOffer, leftAfterFee } from './limits.ts'
import type { Channel, Commitments } from './state.ts'
import { recount, restage } from './totals.ts'
import type { ChannelCommand, ChannelContext, Effect, Removal } from './types.ts'

/** A changed channel and what to do about it. */
export interface Change {
  readonly channel: Channel
  readonly effects: readonly Effect[]
}

const change = (channel: Channel, effects: readonly Effect[] = []): { readonly ok: true; readonly value: Change } =>
  ok({ channel, effects })

export const withCommitments = (channel: Channel, commitments: Partial<Commitments>): Channel => ({
  ...channel,
  commitments: { ...channel.commitments, ...commitments },
})

type AddCommand = Extract<ChannelCommand, { tag: 'addHtlc' }>

function append(channel: Channel, direction: 'out' | 'in', htlc: Htlc): Channel {
  const { params, commitments } = channel
  const next = restage(params, commitments.next, { direction, before: null, after: htlc })
  return direction === 'out'
    ? withCommitments(channel, {
        outgoing: appendHtlc(commitments.outgoing, htlc),
        nextOutgoingId: commitments.nextOutgoingId + 1n,
        next,
      })
    : withCommitments(channel, {
        incoming: appendHtlc(commitments.incoming, htlc),
        nextIncomingId: commitments.nextIncomingId + 1n,
        next,
      })
}

function replace(channel: Channel, direction: 'out' | 'in', before: Htlc, after: Htlc): Channel {
  const { params, commitments } = channel
  const next = restage(params, commitments.next, { direction, before, after })
  return direction === 'out'
    ? withCommitments(channel, { outgoing: replaceHtlc(commitments.outgoing, after), next })
    : withCommitments(channel, { incoming: replaceHtlc(commitments.incoming, after), next })
}

/** We offer an HTLC. @source BOLT 2 §adding-an-htlc */
export function offerHtlc(channel: Channel, command: AddCommand, ctx: ChannelContext): Judged<Change> {
  const judged = judgeOffer(channel, command, ctx)
  if (!judged.ok) return judged
  const htlc: Htlc = {
    add: {
      id: channel.commitments.nextOutgoingId,
      amountMsat: command.amountMsat,
      paymentHash: command.paymentHash,
      cltvExpiry: command.cltvExpiry,
      onion: command.onion,
      pathKey: command.pathKey ?? null,
      origin: command.origin,
      excessDust: false,
    },
    stage: 'proposed',
    remoteFrom: 0,
    remoteTo: 0,
    removal: null,
  }
  const message = addMessage(channel.params.channelId, htlc)
  return change(append(channel, 'out', htlc), [{ tag: 'send', message }])
}

/** The peer offers an HTLC. @source BOLT 2 §adding-an-htlc */
export function receiveAdd(channel: Channel, m: MessageNamed<'update_add_htlc'>, ctx: ChannelContext): Judged<Change> {
  const expected = channel.commitments.nextIncomingId
  if (m.id !== expected) {
    const detail = `id ${m.id} came where ${expected} is due`
    return warn('PROTOCOL_VIOLATION', 'BOLT 2 §adding-an-htlc: ids rise by 1 from 0', detail)
  }
  const judged = judgeIncoming(channel, m)
  if (!judged.ok) return judged
  const htlc: Htlc = {
    add: {
      id: m.id,
      amountMsat: m.amountMsat,
      paymentHash: m.paymentHash,
      cltvExpiry: m.cltvExpiry,
      onion: m.onionRoutingPacket,
      pathKey: m.pathKey ?? null,
      origin: null,
      excessDust: isTooRisky(channel, m.amountMsat, ctx),
    },
    stage: 'proposed',
    remoteFrom: 0,
    remoteTo: 0,
    removal: null,
  }
  return change(append(channel, 'in', htlc))
}

/**
 * We settle an incoming HTLC. What was decided once stays: a command that comes again, as it may after a restart, changes nothing.
 * A preimage may come before the HTLC is irrevocably committed, when a crash took our record of that: it is noted, and sent once it is.
 * @source BOLT 2 §removing-an-htlc: only once it is irrevocably committed
 */
export function removeIncoming(channel: Channel, id: bigint, removal: Removal): Judged<Change> {
  const htlc = getHtlc(channel.commitments.incoming, id)
  if (!htlc || htlc.removal !== null) return change(channel)
  const isEarly = htlc.stage === 'received' || htlc.stage === 'signed'
  if (htlc.stage !== 'committed' && !(isEarly && removal.tag === 'fulfilled')) {
    const detail = `HTLC ${id} is not irrevocably committed yet; wait for its 'received' event`
    return refuse('UNKNOWN_HTLC', 'BOLT 2 §removing-an-htlc: an HTLC is committed before it is removed', detail)
  }
  if (removal.tag === 'fulfilled' && !hashes(removal.preimage, htlc.add.paymentHash)) {
    return refuse('WRONG_PREIMAGE', 'BOLT 2 §removing-an-htlc: the preimage hashes to payment_hash', `HTLC ${id}`)
  }
  if (isEarly) return change(replace(channel, 'in', htlc, { ...htlc, removal }))
  const message = removalMessage(channel.params.channelId, id, removal)
  return change(replace(channel, 'in', htlc, { ...htlc, stage: 'removing', removal }), [{ tag: 'send', message }])
}

/** Failed, and nobody has signed for that. */
export const isFailedUnsigned = (htlc: Htlc): boolean => htlc.stage === 'removing' && htlc.removal?.tag !== 'fulfilled'

/**
 * An incoming HTLC is fulfilled after all: to be asked while the peer is away, which has reversed what nobody signed for.
 * @returns null where its failure stands
 * @source BOLT 2 §message-retransmission
 */
export function fulfillAfterAll(channel: Channel, id: bigint, preimage: Uint8Array): Channel | null {
  const htlc = getHtlc(channel.commitments.incoming, id)
  if (!htlc || !isFailedUnsigned(htlc) || !hashes(preimage, htlc.add.paymentHash)) return null
  const open: Htlc = { ...htlc, stage: 'committed', removal: null }
  const settled: Htlc = { ...htlc, removal: { tag: 'fulfilled', preimage } }
  return replace(replace(channel, 'in', htlc, open), 'in', open, settled)
}

/**
 * The peer settles an HTLC that we offered. One whose preimage it has shown in an earlier connection, where it could not sign for that any
 * more, may fail in this one: the update was reversed, and the amount comes back to us, but not what the preimage proves.
 * @source BOLT 2 §removing-an-htlc, §message-retransmission
 */
export function receiveRemoval(channel: Channel, m: RemovalMessage): Judged<Change> {
  const htlc = getHtlc(channel.commitments.outgoing, m.id)
  const removal = removalOf(m)
  if (htlc?.stage !== 'committed') {
    const detail = htlc ? `HTLC ${m.id} is in stage ${htlc.stage}` : `there is no HTLC ${m.id}`
    return warn('UNKNOWN_HTLC', 'BOLT 2 §removing-an-htlc: the id is of a committed HTLC', detail)
  }
  if (removal.tag === 'fulfilled' && !hashes(removal.preimage, htlc.add.paymentHash)) {
    return warn('WRONG_PREIMAGE', 'BOLT 2 §removing-an-htlc: the preimage hashes to payment_hash', `HTLC ${m.id}`)
  }
  if (removal.tag === 'malformed' && (removal.failureCode & 0x8000) === 0) {
    const detail = `failure_code is ${removal.failureCode}`
    return warn('PROTOCOL_VIOLATION', 'BOLT 2 §removing-an-htlc: a malformed failure has the BADONION bit', detail)
  }
  const shown = shownPreimage(htlc)
  const failed = removal.tag !== 'fulfilled' && shown !== null ? { ...removal, shown } : removal
  const after: Htlc = { ...htlc, stage: 'removing', removal: failed }
  const { id, origin } = htlc.add
  // A preimage is as good as money at once, whatever becomes of the update.
  const effects: readonly Effect[] =
    removal.tag === 'fulfilled' && origin !== null
      ? [{ tag: 'relay', event: { tag: 'fulfilled', id, origin, preimage: removal.preimage } }]
      : []
  return change(replace(channel, 'out', htlc, after), effects)
}

const withFees = (channel: Channel, feeUpdates: readonly FeeUpdate[]): Channel =>
  withCommitments(channel, { feeUpdates, next: recount(channel.params, { ...channel.commitments, feeUpdates }) })

/** Without the fee update that nobody has signed. */
const signedFees = ({ commitments }: Channel): readonly FeeUpdate[] =>
  commitments.feeUpdates.filter((f) => f.stage !== 'proposed')

/** The channel with one more fee update, which takes the place of one that nobody has signed. */
const withFee = (channel: Channel, feeratePerKw: number): Channel =>
  withFees(channel, [...signedFees(channel), { feeratePerKw, stage: 'proposed' }])

/** We set another feerate. @source BOLT 2 §updating-fees */
export function proposeFee(channel: Channel, feeratePerKw: number, ctx: ChannelContext): Judged<Change> {
  const { params, commitments } = channel
  if (!params.isOpener) {
    const requirement = 'BOLT 2 §updating-fees: only the opener sends update_fee'
    return refuse('UNACCEPTABLE_FEERATE', requirement, 'the peer opened this channel')
  }
  if (commitments.next.remote.feeratePerKw === feeratePerKw) return change(channel)
  const after = withFee(channel, feeratePerKw)
  const judged = judgeFee(after, ctx)
  if (!judged.ok) return judged
  const message = { type: 'update_fee', channelId: params.channelId, feeratePerKw } as const
  return change(after, [{ tag: 'send', message }])
}

/**
 * A rise of the feerate that we cannot pay beside our reserve any more, since the peer has added HTLCs at the same time: another update_fee
 * takes it back as far as it must, signed or not. LND, which looks whenever one is signed, would close the channel over it.
 * @returns null when it can stay
 * @source BOLT 2 §updating-fees: the sender can afford the new fee rate once it is committed
 */
export function takeBackFee(channel: Channel): Change | null {
  const { params, commitments } = channel
  if (!params.isOpener || commitments.feeUpdates.length === 0 || leftAfterFee(channel) >= 0n) return null
  const signed = withFees(channel, signedFees(channel)).commitments.next.remote
  const before = Math.min(signed.feeratePerKw, commitments.local.feeratePerKw)
  if (before >= commitments.next.remote.feeratePerKw) return null
  const after = withPayableFee(channel, before)
  const { feeratePerKw } = after.commitments.next.remote
  const message = { type: 'update_fee', channelId: params.channelId, feeratePerKw } as const
  return { channel: after, effects: [{ tag: 'send', message }] }
}

/** With the highest feerate from one up to that of now which we can pay, or that one: peers may find less too little by now. */
function withPayableFee(channel: Channel, least: number): Channel {
  let after = withFee(channel, least)
  for (let most = channel.commitments.next.remote.feeratePerKw - 1; least < most; ) {
    const middle = Math.ceil((least + most) / 2)
    const tried = withFee(channel, middle)
    if (leftAfterFee(tried) < 0n) most = middle - 1
    else [least, after] = [middle, tried]
  }
  return after
}

/** The peer sets another feerate. @source BOLT 2 §updating-fees */
export function receiveFee(channel: Channel, m: MessageNamed<'update_fee'>, ctx: ChannelContext): Judged<Change> {
  if (channel.params.isOpener) {
    const requirement = 'BOLT 2 §updating-fees: only the opener sends update_fee'
    return warn('PROTOCOL_VIOLATION', requirement, 'we opened this channel')
  }
  const after = withFee(channel, m.feeratePerKw)
  const judged = judgeIncomingFee(after, channel.commitments.next.local.feeratePerKw, ctx)
  return judged.ok ? change(after) : judged
}
