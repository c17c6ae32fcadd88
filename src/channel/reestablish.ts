import { equalBytes } from '../base/bytes.ts'
import { ok } from '../base/result.ts'
import { crypto } from '../crypto/crypto.ts'
import { storedSecret } from '../crypto/shachain.ts'
import type { MessageNamed } from '../wire/registry.ts'
import { localAlias } from './alias.ts'
import { resendSigned, revocation } from './dance.ts'
import { fail, type Judged } from './faults.ts'
import type { Channel } from './state.ts'
import type { ChannelSigner, Effect, Fault } from './types.ts'

type Reestablish = MessageNamed<'channel_reestablish'>
const RULE = 'BOLT 2 §message-retransmission'
const NO_SECRET = new Uint8Array(32)

/** Where we stand. @source BOLT 2 §message-retransmission */
export function reestablishMessage(channel: Channel, signer: ChannelSigner): Effect {
  const { local, remote, secrets } = channel.commitments
  return {
    tag: 'send',
    message: {
      type: 'channel_reestablish',
      channelId: channel.params.channelId,
      nextCommitmentNumber: BigInt(local.number + 1),
      nextRevocationNumber: BigInt(remote.number),
      yourLastPerCommitmentSecret: (remote.number > 0 && storedSecret(secrets, remote.number - 1)) || NO_SECRET,
      myCurrentPerCommitmentPoint: signer.commitmentPoint(local.number),
    },
  }
}

/** channel_ready as we send it, also again. @source BOLT 2 §the-channel_ready-message */
export const readyMessage = (channel: Channel, signer: ChannelSigner): Effect => ({
  tag: 'send',
  message: {
    type: 'channel_ready',
    channelId: channel.params.channelId,
    secondPerCommitmentPoint: signer.commitmentPoint(1),
    shortChannelId: localAlias(channel),
  },
})

/**
 * We lost data: the point of the commitment that the peer will publish, if it tells the truth. The BOLT has its receiver go by
 * to_remote alone, which needs no point; HTLC outputs cannot be recognised without. LDK sends a point that means nothing.
 * @source BOLT 2 §message-retransmission
 */
export function withToldPoint(channel: Channel, { myCurrentPerCommitmentPoint: point }: Reestablish): Channel {
  if (channel.toldPoint && equalBytes(channel.toldPoint, point)) return channel
  return crypto.isValidPublicKey(point) ? { ...channel, toldPoint: point } : channel
}

export type Reestablished =
  /** Both go on; what the peer missed is to be sent again, in this order. */
  | { readonly tag: 'resume'; readonly effects: readonly Effect[] }
  /** The peer knows a newer commitment of ours than we do: we lost data, and must not publish what we have. */
  | { readonly tag: 'we-are-behind' }
  /** It expects more signatures than we know of, which nobody could prove: the channel fails. */
  | { readonly tag: 'we-may-be-behind'; readonly fault: Fault }
  /** The peer lost data: it will ask us to close. */
  | { readonly tag: 'peer-is-behind'; readonly detail: string }

/**
 * What the peer missed while the connection was down.
 * @returns a fault when the two sides cannot be brought together
 * @source BOLT 2 §message-retransmission
 */
export function reestablished(channel: Channel, m: Reestablish, signer: ChannelSigner): Judged<Reestablished> {
  const { local, remote, remoteSigned } = channel.commitments
  // 48-bit counters: anything larger is equally absurd.
  const nextCommitment = Number(m.nextCommitmentNumber)
  const nextRevocation = Number(m.nextRevocationNumber)
  // First of all: what is proven to be revoked is never published, whatever else the message says.
  if (provesLoss(channel, m, signer)) return ok({ tag: 'we-are-behind' })
  if (nextCommitment === 0) {
    return fail('PROTOCOL_VIOLATION', `${RULE}: next_commitment_number is above 0`, 'it is 0')
  }
  if (nextRevocation > local.number || !provesOurSecret(m, nextRevocation, signer)) {
    const detail = `next_revocation_number ${nextRevocation} with a secret that is not ours, at our commitment ${local.number}`
    return fail('PROTOCOL_VIOLATION', `${RULE}: your_last_per_commitment_secret is the last that we revealed`, detail)
  }
  const newest = remoteSigned?.number ?? remote.number
  if (nextCommitment > newest + 1) {
    const detail = `next_commitment_number is ${nextCommitment}, we signed up to ${newest}`
    const rule = `${RULE}: next_commitment_number is the next that we sign, or the last`
    return ok({ tag: 'we-may-be-behind', fault: fail('PROTOCOL_VIOLATION', rule, detail).error })
  }
  if (nextRevocation < local.number - 1 || nextCommitment <= remote.number) {
    const detail = `it expects commitment ${nextCommitment} and revocation ${nextRevocation}, we are at ${newest + 1} and ${local.number}`
    return ok({ tag: 'peer-is-behind', detail })
  }
  return ok({ tag: 'resume', effects: missed(channel, { nextCommitment, nextRevocation }, signer) })
}

/** Whether the peer has a secret of ours that has our newest commitment revoked, as far as we know of one. */
export function provesLoss({ commitments }: Channel, m: Reestablish, signer: ChannelSigner): boolean {
  const nextRevocation = Number(m.nextRevocationNumber)
  return nextRevocation > commitments.local.number && provesOurSecret(m, nextRevocation, signer)
}

/** Compares points, so that no secret is made for this. */
function provesOurSecret(m: Reestablish, nextRevocation: number, signer: ChannelSigner): boolean {
  const secret = m.yourLastPerCommitmentSecret
  if (nextRevocation === 0) return equalBytes(secret, NO_SECRET)
  if (nextRevocation > 2 ** 48 || !crypto.isValidSecret(secret)) return false
  return equalBytes(crypto.publicKey(secret), signer.commitmentPoint(nextRevocation - 1))
}

function missed(
  channel: Channel,
  next: { readonly nextCommitment: number; readonly nextRevocation: number },
  signer: ChannelSigner,
): readonly Effect[] {
  const { local, remoteSigned } = channel.commitments
  const ready = next.nextCommitment === 1 && local.number === 0 && channel.localReady
  const revocationLost = next.nextRevocation < local.number
  const signatureLost = remoteSigned !== null && next.nextCommitment === remoteSigned.number
  const revoke = revocationLost ? [revocation(channel, signer)] : []
  const commit = signatureLost ? resendSigned(channel, signer) : []
  const signedBeforeRevoking = remoteSigned !== null && remoteSigned.localNumber < local.number
  const again = signedBeforeRevoking ? [...commit, ...revoke] : [...revoke, ...commit]
  return ready ? [readyMessage(channel, signer), ...again] : again
}
