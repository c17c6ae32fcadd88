import { concatBytes, EMPTY, u16be } from '../base/bytes.ts'
import { assertNever } from '../base/errors.ts'
import type { Msat } from '../base/units.ts'
import type { FaultCode, HtlcFailure, IncomingHtlc, RelayPolicy } from '../channel/types.ts'
import { relayErrorPacket } from '../onion/errorPacket.ts'
import { BADONION, failureCode, failureName, type OnionFailure } from '../onion/failure.ts'
import { type FailureRoute, type ForwardOnion, failCommand, failureRouteOf, peelIncoming, withUpdate } from './peel.ts'
import type {
  ForwardContext,
  ForwardRecord,
  ForwardResult,
  HtlcCommand,
  OutgoingChannel,
  PaymentEffect,
  PaymentTurn,
  PublicUpdate,
} from './types.ts'

const channelUpdate = EMPTY
/** Says nothing of any channel. */
const NO_UPDATE: PublicUpdate = () => EMPTY

/** Rounded down. @source BOLT 7 §htlc-fees */
export const forwardFee = (relay: RelayPolicy, amount: Msat): bigint =>
  BigInt(relay.feeBaseMsat) + (amount * BigInt(relay.feeProportionalMillionths)) / 1_000_000n

/**
 * Passes an HTLC on over the best channel with the node that is meant, or fails it.
 * @returns one command: addHtlc on the outgoing channel, or a failure on the incoming one
 * @source BOLT 4 §failure-messages (a forwarding node), §non-strict-forwarding
 */
export function decideForward(
  htlc: IncomingHtlc,
  onion: ForwardOnion,
  ctx: ForwardContext,
): PaymentTurn<ForwardRecord> {
  const candidates = ctx.channelsTo(onion.next)
  const refusals = candidates.map((channel) => refusal({ htlc, onion, channel, ctx }))
  const chosen = candidates[refusals.indexOf(null)]
  const record = recordOf(htlc, onion, chosen ?? null)
  if (chosen === undefined) {
    return { record, effects: fail(record, refusals[0] ?? { name: 'unknown_next_peer' }, ctx.publicUpdate) }
  }
  const command: HtlcCommand = {
    tag: 'addHtlc',
    amountMsat: onion.amtToForward,
    paymentHash: htlc.paymentHash,
    cltvExpiry: onion.outgoingCltvValue,
    onion: onion.onion,
    origin: { tag: 'forward', channelId: htlc.channelId, htlcId: htlc.id },
    ...(onion.pathKey !== null && { pathKey: onion.pathKey }),
  }
  return { record, effects: [{ tag: 'command', channelId: chosen.channelId, command }] }
}

/** @param outgoing null until a channel is chosen */
export const recordOf = (htlc: IncomingHtlc, onion: ForwardOnion, outgoing: OutgoingChannel | null): ForwardRecord => ({
  paymentHash: htlc.paymentHash,
  incomingChannelId: htlc.channelId,
  incomingHtlcId: htlc.id,
  amountInMsat: htlc.amountMsat,
  outgoingChannelId: outgoing?.channelId ?? null,
  amountOutMsat: onion.amtToForward,
  sharedSecret: onion.sharedSecret,
  blinding: onion.blinding,
  sha256OfOnion: failureRouteOf(htlc, onion).sha256OfOnion,
  next: onion.next,
})

/** The record of a forward that another run of the program made, from its incoming HTLC; null when that is no forward. */
export function forwardRecordOf(htlc: IncomingHtlc, nodeSecret: Uint8Array): ForwardRecord | null {
  const onion = peelIncoming(htlc, nodeSecret)
  return onion.tag === 'forward' ? recordOf(htlc, onion, null) : null
}

interface Candidate {
  readonly htlc: IncomingHtlc
  readonly onion: ForwardOnion
  readonly channel: OutgoingChannel
  readonly ctx: ForwardContext
}

/**
 * Why a channel will not carry the HTLC, or null. What only a sender that pays well should learn (room in the channel) comes last.
 * @source BOLT 4 §failure-messages
 */
function refusal({ htlc, onion, channel, ctx }: Candidate): OnionFailure | null {
  if (channel.status === 'closing') return { name: 'permanent_channel_failure' }
  if (channel.status === 'disabled') return { name: 'channel_disabled', disabledFlags: 0, channelUpdate }
  const broken = brokenPolicy(htlc, onion, channel.relay)
  const previous = channel.previousRelay ?? null
  if (broken !== null && (previous === null || brokenPolicy(htlc, onion, previous) !== null)) return broken
  const { blockHeight, limits } = ctx
  const expiry = onion.outgoingCltvValue
  if (expiry <= blockHeight + limits.minExpiryBlocks) return { name: 'expiry_too_soon', channelUpdate }
  if (expiry > blockHeight + limits.maxExpiryBlocks) return { name: 'expiry_too_far' }
  const room = channel.status === 'usable' && channel.channelId !== htlc.channelId ? channel.sendableMsat : 0n
  const most = room < channel.relay.htlcMaximumMsat ? room : channel.relay.htlcMaximumMsat
  return onion.amtToForward > most ? { name: 'temporary_channel_failure', channelUpdate } : null
}

function brokenPolicy(htlc: IncomingHtlc, onion: ForwardOnion, relay: RelayPolicy): OnionFailure | null {
  const { amtToForward, outgoingCltvValue } = onion
  if (amtToForward < relay.htlcMinimumMsat) {
    return { name: 'amount_below_minimum', htlcMsat: amtToForward, channelUpdate }
  }
  // What a blinded path makes of an amount is rounded up (BOLT 4 §payload-format), at times by more than it leaves for the fee.
  const rounding = onion.blinding === 'none' ? 0n : 1n
  if (htlc.amountMsat - amtToForward + rounding < forwardFee(relay, amtToForward)) {
    return { name: 'fee_insufficient', htlcMsat: htlc.amountMsat, channelUpdate }
  }
  if (htlc.cltvExpiry - relay.cltvExpiryDelta < outgoingCltvValue) {
    return { name: 'incorrect_cltv_expiry', cltvExpiry: outgoingCltvValue, channelUpdate }
  }
  return null
}

/** A forward is failed back so many blocks before the incoming HTLC expires, in time for its peer not to close the channel over it. */
const FAIL_BACK_BLOCKS = 12

/**
 * Gives up on an HTLC that the next node holds beyond all deadlines while its channel stays open: too little to close a channel over,
 * and to be lost if the preimage comes after all. What is worth a close is decided by the chain.
 */
export const failBack = (
  forward: ForwardRecord,
  incoming: IncomingHtlc,
  blockHeight: number,
  publicUpdate?: PublicUpdate,
): readonly PaymentEffect[] =>
  incoming.cltvExpiry - blockHeight > FAIL_BACK_BLOCKS ? [] : giveUp(forward, publicUpdate)

/** Fails an HTLC for which the next node is out of reach. */
export const giveUp = (forward: ForwardRecord, publicUpdate?: PublicUpdate): readonly PaymentEffect[] =>
  fail(forward, { name: 'temporary_channel_failure', channelUpdate }, publicUpdate)

const failureRoute = (f: ForwardRecord): FailureRoute => ({ ...f, id: f.incomingHtlcId })

function fail(
  forward: ForwardRecord,
  failure: OnionFailure,
  publicUpdate: PublicUpdate = NO_UPDATE,
): readonly PaymentEffect[] {
  const told = withUpdate(failure, publicUpdate(forward.next))
  return [
    { tag: 'command', channelId: forward.incomingChannelId, command: failCommand(failureRoute(forward), told) },
    { tag: 'notify', event: { type: 'forward.failed', forward, detail: failure.name } },
  ]
}

/**
 * What came back from downstream goes on upstream: the preimage, the failure with our layer on it, or a failure of our own.
 * Repeats give the same commands; the channel ignores those that it has done.
 * @source BOLT 4 §returning-errors (intermediate nodes), BOLT 2 §removing-an-htlc, §forwarding-htlcs
 */
export function onForwardResult(
  forward: ForwardRecord,
  result: ForwardResult,
  publicUpdate?: PublicUpdate,
): readonly PaymentEffect[] {
  switch (result.tag) {
    case 'fulfilled': {
      const command = { tag: 'fulfillHtlc', id: forward.incomingHtlcId, preimage: result.preimage } as const
      return [
        { tag: 'command', channelId: forward.incomingChannelId, command },
        { tag: 'notify', event: { type: 'forward.settled', forward, detail: null } },
      ]
    }
    case 'failed':
      return [
        { tag: 'command', channelId: forward.incomingChannelId, command: passBack(forward, result.failure) },
        { tag: 'notify', event: { type: 'forward.failed', forward, detail: detailOf(result.failure) } },
      ]
    case 'rejected':
      return fail(forward, failureOfFault(result.fault.code), publicUpdate)
    default:
      return assertNever(result)
  }
}

function passBack(forward: ForwardRecord, failure: HtlcFailure): HtlcCommand {
  const route = failureRoute(forward)
  switch (failure.tag) {
    case 'onion':
      if (forward.blinding !== 'none') return failCommand(route, { name: 'temporary_node_failure' })
      return { tag: 'failHtlc', id: route.id, reason: relayErrorPacket(forward.sharedSecret, failure.reason) }
    case 'malformed':
      return failCommand(route, concatBytes(u16be(aboutOnion(failure.failureCode)), failure.sha256OfOnion))
    case 'onchain':
      return failCommand(route, { name: 'permanent_channel_failure' })
    default:
      return assertNever(failure)
  }
}

/** What the next node said goes back in our name: a code that the BOLT does not have for onions could have payers avoid us for it. */
const aboutOnion = (code: number): number =>
  failureName(code) !== undefined && (code & BADONION) !== 0 ? code : failureCode('invalid_onion_key')

function detailOf(failure: HtlcFailure): string {
  if (failure.tag === 'onion') return 'failed further on'
  if (failure.tag === 'onchain') return 'the outgoing channel was closed and the payment timed out on chain'
  return `the next node could not read the onion: ${failureName(failure.failureCode) ?? failure.failureCode}`
}

function failureOfFault(code: FaultCode): OnionFailure {
  if (code === 'CHANNEL_CLOSING') return { name: 'permanent_channel_failure' }
  if (code === 'EXPIRY_TOO_SOON') return { name: 'expiry_too_soon', channelUpdate }
  return { name: 'temporary_channel_failure', channelUpdate }
}
