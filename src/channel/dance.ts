import { equalBytes } from '../base/bytes.ts'
import { ok } from '../base/result.ts'
import { crypto } from '../crypto/crypto.ts'
import { insertSecret } from '../crypto/shachain.ts'
import type { MessageNamed } from '../wire/registry.ts'
import {
  build,
  buildRemoteSigned,
  type CommitmentSignatures,
  keysFor,
  signRemote,
  wrongSignature,
} from './commitments.ts'
import { hasStaleOffer } from './deadlines.ts'
import { fail, type Judged, warn } from './faults.ts'
import {
  addMessage,
  type FeeUpdate,
  feeOnCommit,
  feeOnRevoked,
  feeOnSign,
  type Htlc,
  incomingHtlc,
  onCommit,
  onDisconnect,
  onRevoked,
  onSign,
  removalMessage,
  resultOf,
  waitsForSignature,
} from './htlc.ts'
import { type HtlcTable, mapHtlcs, someHtlc } from './htlcTable.ts'
import type { Channel, Commitments } from './state.ts'
import { recount, restage } from './totals.ts'
import { deriveAhead } from './tx/keys.ts'
import type { ChannelContext, ChannelSigner, Effect } from './types.ts'
import { type Change, withCommitments } from './updates.ts'

/**
 * The dance of commitment_signed and revoke_and_ack (BOLT 2 §committing-updates-so-far, §completing-the-transition). Each step moves
 * every HTLC that waits for it to its next stage; which commitment an HTLC stands in follows from that.
 */
type Step = (htlc: Htlc, direction: 'out' | 'in') => Htlc | null
type FeeStep = (fee: FeeUpdate, isOpener: boolean) => FeeUpdate | null

/** Moves everything one step on. */
function moveAll(channel: Channel, step: Step, feeStep: FeeStep): Commitments {
  const { params, commitments } = channel
  let next = commitments.next
  const move = (table: HtlcTable, direction: 'out' | 'in'): HtlcTable =>
    mapHtlcs(table, (before) => {
      const after = step(before, direction)
      if (after !== before) next = restage(params, next, { direction, before, after })
      return after
    })
  const outgoing = move(commitments.outgoing, 'out')
  const incoming = move(commitments.incoming, 'in')
  const feeUpdates = commitments.feeUpdates.flatMap((f) => feeStep(f, params.isOpener) ?? [])
  return { ...commitments, outgoing, incoming, feeUpdates, next }
}

/** The channel after a step; a feerate that enters a commitment may change what is trimmed, so that all is counted again. */
function moved(channel: Channel, commitments: Partial<Commitments>): Channel {
  const after = withCommitments(channel, commitments)
  if (channel.commitments.feeUpdates.length === 0) return after
  return withCommitments(after, { next: recount(after.params, after.commitments) })
}

/** Something of ours or theirs is not in the peer's newest signed commitment. */
export function hasChangesToSign(channel: Channel): boolean {
  const { commitments, params } = channel
  return (
    someHtlc(commitments.outgoing, (h) => waitsForSignature(h, 'out')) ||
    someHtlc(commitments.incoming, (h) => waitsForSignature(h, 'in')) ||
    commitments.feeUpdates.some((f) => f.stage === (params.isOpener ? 'proposed' : 'received'))
  )
}

/**
 * commitment_signed for every funding, by the records as they stand. The signatures are made when they are first read, which the shell
 * does while the disk is busy with the state: nothing stored depends on them, and made again they are the same.
 */
function commitmentSigned(channel: Channel, signer: ChannelSigner): readonly Effect[] {
  return channel.commitments.active.map((commitment) => {
    let made: CommitmentSignatures | undefined
    const signatures = (): CommitmentSignatures => {
      made ??= signRemote(buildRemoteSigned(channel, commitment)!, signer)
      return made
    }
    const message: MessageNamed<'commitment_signed'> = {
      type: 'commitment_signed',
      channelId: channel.params.channelId,
      get signature() {
        return signatures().signature
      },
      get htlcSignatures() {
        return signatures().htlcSignatures
      },
      fundingTxid: commitment.funding.txid,
    }
    return { tag: 'send', message }
  })
}

/**
 * Signs everything that waits, in one commitment_signed; null when nothing does, the peer has yet to revoke, or has let an HTLC expire
 * meanwhile.
 * @source BOLT 2 §committing-updates-so-far
 */
export function sign(channel: Channel, ctx: ChannelContext): Change | null {
  const { remoteNextPoint, remote, local, next } = channel.commitments
  // The point comes with the revocation, so that one commitment is open at most.
  if (remoteNextPoint === null || !hasChangesToSign(channel) || hasStaleOffer(channel, ctx.blockHeight)) return null
  const number = remote.number + 1
  const signed = moved(channel, {
    ...moveAll(channel, (h, d) => onSign(h, d, number), feeOnSign),
    remoteSigned: {
      number,
      feeratePerKw: next.remote.feeratePerKw,
      shiftMsat: next.remote.shiftMsat,
      point: remoteNextPoint,
      localNumber: local.number,
    },
    remoteNextPoint: null,
  })
  return { channel: signed, effects: commitmentSigned(signed, ctx.signer) }
}

/** Derives what the next commitment of either side will need: for the time in which the peer thinks. */
export function deriveAheadOf({ commitments, params }: Channel, signer: ChannelSigner): void {
  const next = commitments.local.number + 1
  deriveAhead(keysFor(params, 'local', signer.commitmentPoint(next)))
  signer.commitmentPoint(next + 1)
  if (commitments.remoteNextPoint !== null) deriveAhead(keysFor(params, 'remote', commitments.remoteNextPoint))
}

/** revoke_and_ack for the commitment before our newest. */
export const revocation = (channel: Channel, signer: ChannelSigner): Effect => {
  const { number } = channel.commitments.local
  return {
    tag: 'send',
    message: {
      type: 'revoke_and_ack',
      channelId: channel.params.channelId,
      perCommitmentSecret: signer.commitmentSecret(number - 1),
      nextPerCommitmentPoint: signer.commitmentPoint(number + 1),
    },
  }
}

/** The peer signs our next commitment; we answer by revoking the one before. @source BOLT 2 §committing-updates-so-far */
export function receiveCommitmentSigned(
  channel: Channel,
  m: MessageNamed<'commitment_signed'>,
  ctx: ChannelContext,
): Judged<Change> {
  const { commitments } = channel
  const commitment = commitments.active[0]!
  if (m.fundingTxid !== undefined && m.fundingTxid !== commitment.funding.txid) {
    const detail = `${m.fundingTxid} is not the funding transaction ${commitment.funding.txid}`
    return warn('PROTOCOL_VIOLATION', 'BOLT 2 §committing-updates-so-far: funding_txid is of this channel', detail)
  }
  const number = commitments.local.number + 1
  const { feeratePerKw, shiftMsat } = commitments.next.local
  const numbers = { number, feeratePerKw, shiftMsat }
  const built = build(channel, { commitment, view: 'nextLocal', numbers, point: ctx.signer.commitmentPoint(number) })
  const wrong = wrongSignature(built, m, ctx.signer)
  if (wrong !== null) return warn('BAD_SIGNATURE', 'BOLT 2 §committing-updates-so-far: all signatures are valid', wrong)
  const { signature, htlcSignatures } = m
  const after = moved(channel, {
    ...moveAll(channel, onCommit, feeOnCommit),
    local: numbers,
    active: [{ ...commitment, signature, htlcSignatures }, ...commitments.active.slice(1)],
  })
  return ok({ channel: after, effects: [revocation(after, ctx.signer)] })
}

/** The peer revokes the commitment before the one that we signed. @source BOLT 2 §completing-the-transition */
export function receiveRevocation(channel: Channel, m: MessageNamed<'revoke_and_ack'>): Judged<Change> {
  const { commitments, params } = channel
  const { remote, remoteSigned } = commitments
  const requirement = 'BOLT 2 §completing-the-transition: revoke_and_ack answers a commitment_signed'
  if (remoteSigned === null) return warn('PROTOCOL_VIOLATION', requirement, 'none of ours is open')
  const secret = m.perCommitmentSecret
  if (!crypto.isValidSecret(secret) || !equalBytes(crypto.publicKey(secret), remote.point)) {
    const rule = 'BOLT 2 §completing-the-transition: the secret is of the previous per-commitment point'
    return fail('BAD_REVOCATION', rule, `it is not for commitment ${remote.number}`)
  }
  const secrets = insertSecret(commitments.secrets, secret)
  if (secrets === null) {
    const rule = 'BOLT 3 §per-commitment-secret-requirements: all secrets come from one seed'
    return fail('BAD_REVOCATION', rule, `the secret of commitment ${remote.number} does not`)
  }
  if (!crypto.isValidPublicKey(m.nextPerCommitmentPoint)) {
    const rule = 'BOLT 2 §completing-the-transition: next_per_commitment_point is a point'
    return warn('PROTOCOL_VIOLATION', rule, 'it is not on the curve')
  }
  const effects: Effect[] = []
  const commitmentsMoved = moveAll(
    channel,
    (before, direction) => {
      const after = onRevoked(before, direction)
      if (after === before) return before
      if (direction === 'in' && after?.stage === 'committed') {
        effects.push({ tag: 'relay', event: { tag: 'received', htlc: incomingHtlc(params.channelId, after) } })
      }
      if (direction === 'in' && after?.stage === 'removing' && after.removal !== null) {
        effects.push({ tag: 'send', message: removalMessage(params.channelId, after.add.id, after.removal) })
      }
      const result = after === null ? resultOf(before) : null
      if (result?.tag === 'failed') effects.push({ tag: 'relay', event: result })
      return after
    },
    feeOnRevoked,
  )
  const { number, feeratePerKw, shiftMsat, point } = remoteSigned
  const after = moved(channel, {
    ...commitmentsMoved,
    remote: { number, feeratePerKw, shiftMsat, point },
    remoteSigned: null,
    remoteNextPoint: m.nextPerCommitmentPoint,
    secrets,
  })
  return ok({ channel: after, effects })
}

/** Takes back what the lost connection leaves unbound. @source BOLT 2 §message-retransmission */
export function forgetUnsigned(channel: Channel): Change {
  const { commitments, params } = channel
  const effects: Effect[] = []
  const dropped = { out: 0n, in: 0n }
  const step =
    (direction: 'out' | 'in') =>
    (before: Htlc): Htlc | null => {
      const after = onDisconnect(before, direction)
      if (after !== null) return after
      dropped[direction]++
      const { origin } = before.add
      if (origin !== null) effects.push(takenBack(origin))
      return null
    }
  const outgoing = mapHtlcs(commitments.outgoing, step('out'))
  const incoming = mapHtlcs(commitments.incoming, step('in'))
  const feeUpdates = commitments.feeUpdates.filter((f) => f.stage !== 'proposed')
  if (
    outgoing === commitments.outgoing &&
    incoming === commitments.incoming &&
    feeUpdates.length === commitments.feeUpdates.length
  ) {
    return { channel, effects }
  }
  const changed: Commitments = {
    ...commitments,
    outgoing,
    incoming,
    feeUpdates,
    nextOutgoingId: commitments.nextOutgoingId - dropped.out,
    nextIncomingId: commitments.nextIncomingId - dropped.in,
  }
  return { channel: withCommitments(channel, { ...changed, next: recount(params, changed) }), effects }
}

const takenBack = (origin: NonNullable<Htlc['add']['origin']>): Effect => ({
  tag: 'relay',
  event: {
    tag: 'rejected',
    origin,
    fault: {
      code: 'PEER_OFFLINE',
      response: 'reject-command',
      requirement: 'BOLT 2 §message-retransmission: an update is bound by a commitment_signed',
      detail: 'the connection was lost before the HTLC was signed for; try another way, or again when the peer is back',
    },
  },
})

/**
 * Sends again what the open commitment_signed covers, in an order in which each update stands on its own: what frees money first.
 * @source BOLT 2 §message-retransmission
 */
export function resendSigned(channel: Channel, signer: ChannelSigner): readonly Effect[] {
  const { commitments, params } = channel
  const effects: Effect[] = [...resendRemovals(channel, 'removalSigned')]
  const fee = params.isOpener ? commitments.feeUpdates.find((f) => f.stage === 'signed') : undefined
  if (fee) {
    const message = { type: 'update_fee', channelId: params.channelId, feeratePerKw: fee.feeratePerKw } as const
    effects.push({ tag: 'send', message })
  }
  for (const chunk of commitments.outgoing.chunks) {
    for (const htlc of chunk) {
      if (htlc.stage === 'signed') effects.push({ tag: 'send', message: addMessage(params.channelId, htlc) })
    }
  }
  effects.push(...commitmentSigned(channel, signer))
  return effects
}

/** Our removals that are signed for ('removalSigned') or not yet ('removing'). */
export function resendRemovals(channel: Channel, stage: 'removing' | 'removalSigned'): readonly Effect[] {
  const effects: Effect[] = []
  for (const chunk of channel.commitments.incoming.chunks) {
    for (const { stage: at, add, removal } of chunk) {
      if (at !== stage || removal === null) continue
      effects.push({ tag: 'send', message: removalMessage(channel.params.channelId, add.id, removal) })
    }
  }
  return effects
}
