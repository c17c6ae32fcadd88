import { receiveCommitmentSigned, receiveRevocation, sign } from '../dance.ts'
import { type Judged, refuse, rejected } from '../faults.ts'
import { stands } from '../htlc.ts'
import { someHtlc } from '../htlcTable.ts'
import type { Channel, FundedState } from '../state.ts'
import type { ChannelCommand, ChannelContext, ChannelInput, Fault, HtlcOrigin, Removal, Turn } from '../types.ts'
import {
  type Change,
  offerHtlc,
  proposeFee,
  receiveAdd,
  receiveFee,
  receiveRemoval,
  removeIncoming,
  takeBackFee,
} from '../updates.ts'
import { applied, respond, turn } from './shared.ts'

/** What a phase allows in the way of new HTLCs; null allows them. */
export interface Closed {
  readonly toUs: Fault | null
  readonly toThem: Fault | null
}

/**
 * Updates, signatures and revocations, which go on alike in normal operation and while a channel shuts down.
 * @returns null when the input is none of these
 */
export function operate(state: FundedState, input: ChannelInput, closed: Closed, ctx: ChannelContext): Turn | null {
  switch (input.tag) {
    case 'sign': {
      const fitting = takeBackFee(state.channel)
      const signed = sign(fitting?.channel ?? state.channel, ctx)
      if (signed === null) return null
      return applied(state, { ...signed, effects: [...(fitting?.effects ?? []), ...signed.effects] })
    }
    case 'message': {
      const judged = message(state.channel, input.message, closed, ctx)
      return judged === null ? null : judged.ok ? applied(state, judged.value) : respond(state, judged.error, ctx)
    }
    case 'command':
      return command(state, input.command, closed, ctx)
    default:
      return null
  }
}

function message(
  channel: Channel,
  m: Extract<ChannelInput, { tag: 'message' }>['message'],
  closed: Closed,
  ctx: ChannelContext,
): Judged<Change> | null {
  switch (m.type) {
    case 'update_add_htlc':
      return closed.toUs === null ? receiveAdd(channel, m, ctx) : { ok: false, error: closed.toUs }
    case 'update_fulfill_htlc':
    case 'update_fail_htlc':
    case 'update_fail_malformed_htlc':
      return receiveRemoval(channel, m)
    case 'update_fee':
      return receiveFee(channel, m, ctx)
    case 'commitment_signed':
      return receiveCommitmentSigned(channel, m, ctx)
    case 'revoke_and_ack':
      return receiveRevocation(channel, m)
    default:
      return null
  }
}

function command(state: FundedState, c: ChannelCommand, closed: Closed, ctx: ChannelContext): Turn | null {
  if (c.tag === 'addHtlc') {
    const judged: Judged<Change> =
      closed.toThem === null ? offerHtlc(state.channel, c, ctx) : { ok: false, error: closed.toThem }
    return judged.ok ? applied(state, judged.value) : rejectAdd(state, c.origin, judged.error)
  }
  if (c.tag === 'updateFee' && closed.toThem !== null && mayBeEmpty(state.channel)) return turn(state)
  const judged = settle(state.channel, c, ctx)
  if (judged === null) return null
  // A settlement that cannot be made has no one to tell: whoever sent it learns from the HTLC's further events.
  return judged.ok ? applied(state, judged.value) : turn(state)
}

/**
 * The peer may have seen the last HTLC go already, after which no update is allowed: none is left that we have yet to sign away.
 * @source BOLT 2 §closing-initiation-shutdown
 */
const mayBeEmpty = ({ commitments }: Channel): boolean =>
  !someHtlc(commitments.outgoing, (h) => stands(h, 'out', 'remoteSigned')) &&
  !someHtlc(commitments.incoming, (h) => stands(h, 'in', 'remoteSigned'))

const rejectAdd = (state: Turn['state'], origin: HtlcOrigin, f: Fault): Turn => turn(state, [rejected(origin, f)])

/** Commands that settle an incoming HTLC or set the feerate; null for others. */
function settle(channel: Channel, c: ChannelCommand, ctx: ChannelContext): Judged<Change> | null {
  if (c.tag === 'updateFee') return proposeFee(channel, c.feeratePerKw, ctx)
  const settlement = removalCommand(c)
  return settlement === null ? null : removeIncoming(channel, settlement.id, settlement.removal)
}

/** The removal that a command asks for; null for commands that ask for none. */
export function removalCommand(c: ChannelCommand): { readonly id: bigint; readonly removal: Removal } | null {
  switch (c.tag) {
    case 'fulfillHtlc':
      return { id: c.id, removal: { tag: 'fulfilled', preimage: c.preimage } }
    case 'failHtlc':
      return { id: c.id, removal: { tag: 'failed', reason: c.reason } }
    case 'failMalformedHtlc': {
      const { sha256OfOnion, failureCode } = c
      return { id: c.id, removal: { tag: 'malformed', sha256OfOnion, failureCode } }
    }
    default:
      return null
  }
}

const ENDING = 'BOLT 2 §closing-initiation-shutdown'

/** Why a channel that is closing takes no more HTLCs from us. */
export const closingFault = (detail: string): Fault =>
  refuse('CHANNEL_CLOSING', `${ENDING}: no HTLC is added after a shutdown`, detail).error

/** Why a channel that is closing, or closed, is not closed once more. */
export const closesOnce = (detail: string): Fault =>
  refuse('CHANNEL_CLOSING', `${ENDING}: a channel is closed once`, detail).error
