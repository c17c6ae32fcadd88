import { equalBytes } from '../../base/bytes.ts'
import type { Outpoint, Txid } from '../../base/ids.ts'
import { p2wsh } from '../../bitcoin/script.ts'
import { type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import { crypto } from '../../crypto/crypto.ts'
import { storedSecret } from '../../crypto/shachain.ts'
import {
  buildLocal,
  buildRemote,
  buildRemoteSigned,
  type HtlcCommitment,
  keysFor,
  obscuringFactorOf,
} from '../commitments.ts'
import type { Channel, Commitment } from '../state.ts'
import { commitmentNumberOf } from '../tx/commitment.ts'
import { delayedScript, toRemoteScriptPubKey } from '../tx/scripts.ts'
import type { ChannelSigner } from '../types.ts'

/** What a transaction that spends the funding output is, with what its outputs are claimed by. */
export type Classified =
  | {
      readonly kind: 'local' | 'remote' | 'remote-next'
      readonly built: HtlcCommitment
      readonly commitment: Commitment
    }
  /** commitmentSecret: 32 B, the peer's. */
  | { readonly kind: 'revoked'; readonly commitmentNumber: number; readonly commitmentSecret: Uint8Array }
  | { readonly kind: 'local-old'; readonly commitmentNumber: number }
  | { readonly kind: 'mutual' | 'future' | 'unknown' }

/** The commitment whose funding output a transaction spends; null when it spends none of the channel's. */
export const spentCommitment = (channel: Channel, tx: Transaction): Commitment | null =>
  channel.commitments.active.find((c) => spends(tx, c.funding)) ?? null

export const spends = (tx: Transaction, o: Outpoint): boolean =>
  tx.inputs.some((i) => i.txid === o.txid && i.index === o.index)

/**
 * Which of the transactions that can spend the funding output this is.
 * @param mutual what the caller knows of the scripts and fees agreed for a cooperative close
 * @source BOLT 5 §general-nomenclature
 */
export function classifySpend(
  channel: Channel,
  spend: { readonly tx: Transaction; readonly mutual: boolean },
  signer: ChannelSigner,
): Classified {
  const commitment = spentCommitment(channel, spend.tx)
  const n = commitmentNumberOf(spend.tx, obscuringFactorOf(channel.params))
  if (n === null || commitment === null) return { kind: spend.mutual ? 'mutual' : 'unknown' }

  const txid = txidOf(spend.tx)
  const current = channel.restored ? null : currentCommitment(channel, commitment, { txid, signer })
  if (current) return current
  // Of one that the records do not know, since it is old, or newer than they are, whose it is shows in its scripts alone.
  if (tellsOurs(channel, n) && paysTo(spend.tx, ourScripts(channel, n, signer)))
    return { kind: 'local-old', commitmentNumber: n }
  if (channel.restored) return { kind: 'future' }
  const { remote, remoteSigned, secrets } = channel.commitments
  const commitmentSecret = n < remote.number ? storedSecret(secrets, n) : null
  if (commitmentSecret) return { kind: 'revoked', commitmentNumber: n, commitmentSecret }
  return { kind: n > (remoteSigned ?? remote).number ? 'future' : 'unknown' }
}

function currentCommitment(
  channel: Channel,
  commitment: Commitment,
  { txid, signer }: { txid: Txid; signer: ChannelSigner },
): Classified | null {
  const local = buildLocal(channel, commitment, signer)
  if (local.txid === txid) return { kind: 'local', built: local, commitment }
  const remote = buildRemote(channel, commitment)
  if (remote.txid === txid) return { kind: 'remote', built: remote, commitment }
  const next = buildRemoteSigned(channel, commitment)
  return next?.txid === txid ? { kind: 'remote-next', built: next, commitment } : null
}

/**
 * Whether scripts show that a commitment with this number is ours. A peer that has declared basepoints of ours as its own, as one of a channel
 * from before that was refused may have, can give a newer one of its own the same, whose point nobody knows.
 */
const tellsOurs = ({ params, commitments, restored }: Channel, n: number): boolean =>
  n < commitments.local.number || restored === true || !declaresOurs(params)

function declaresOurs({ local, remote }: Channel['params']): boolean {
  const ours = Object.values<Uint8Array>({ ...local.basepoints })
  return Object.values<Uint8Array>({ ...remote.basepoints }).some((b) => ours.some((o) => equalBytes(o, b)))
}

/**
 * What only a commitment of ours with this number pays to: our to_local and the peer's to_remote. What the peer's pays to as well, since
 * it has declared basepoints of ours as its own, shows nothing.
 */
function ourScripts(channel: Channel, n: number, signer: ChannelSigner): readonly Uint8Array[] {
  const { params } = channel
  const keys = keysFor(params, 'local', signer.commitmentPoint(n))
  const ours = [
    p2wsh(delayedScript(keys.revocation, params.remote.toSelfDelay, keys.holderDelayed)),
    toRemoteScriptPubKey(keys.counterpartyPayment, params.channelType),
  ]
  const theirs = theirScripts(channel, n)
  return ours.filter((script) => !theirs.some((s) => equalBytes(s, script)))
}

/** Of the peer's commitment with this number, as far as it is known: our to_remote, and its to_local once that is revoked. */
function theirScripts({ params, commitments }: Channel, n: number): readonly Uint8Array[] {
  const toRemote = toRemoteScriptPubKey(params.local.basepoints.paymentBasepoint, params.channelType)
  const secret = storedSecret(commitments.secrets, n)
  if (!secret) return [toRemote]
  const keys = keysFor(params, 'remote', crypto.publicKey(secret))
  return [toRemote, p2wsh(delayedScript(keys.revocation, params.local.toSelfDelay, keys.holderDelayed))]
}

const paysTo = (tx: Transaction, scripts: readonly Uint8Array[]): boolean =>
  tx.outputs.some((o) => scripts.some((s) => equalBytes(s, o.scriptPubKey)))
