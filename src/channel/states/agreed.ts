import { type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import { noteClosings } from '../simpleClose.ts'
import type { NegotiatingState } from '../state.ts'
import type { BuiltClosing } from '../tx/closing.ts'
import { withFundingWitness } from '../tx/funding.ts'
import type { ChannelContext, Effect, Turn } from '../types.ts'

/** A closing transaction that we are about to sign, with what the peer signed it by. */
export interface SignedByPeer {
  readonly built: BuiltClosing
  readonly theirSignature: Uint8Array
}

/** Both signed the same transaction: it is published, and the channel ends when it, or another such, confirms. */
export function agree(
  state: NegotiatingState,
  { built, theirSignature }: SignedByPeer,
  ctx: ChannelContext,
  before: readonly Effect[] = [],
): Turn & { readonly state: NegotiatingState } {
  const { local, remote } = state.channel.params
  const tx: Transaction = withFundingWitness(
    built.tx,
    { publicKey: local.basepoints.fundingPubkey, signature: ctx.signer.signFunding(built.sighash) },
    { publicKey: remote.basepoints.fundingPubkey, signature: theirSignature },
  )
  const effects: Effect[] = [...before, { tag: 'broadcast', tx, purpose: 'mutual-close' }]
  const { txid } = built
  if (state.published.some((t) => txidOf(t) === txid)) return { state, effects }
  if (state.published.length === 0) {
    effects.push({ tag: 'notify', event: { tag: 'closing', how: 'cooperative', txid } })
  }
  const channel = noteClosings(state.channel, [built])
  return { state: { ...state, channel, published: [...state.published, tx] }, effects }
}
