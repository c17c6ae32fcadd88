import type { Msat } from '../base/units.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import { type HtlcAdd, stands, type View } from './htlc.ts'
import type { HtlcTable } from './htlcTable.ts'
import type { Channel, ChannelParams, Commitment, CommitmentNumbers, SideParams } from './state.ts'
import { type BuiltCommitment, buildCommitment } from './tx/commitment.ts'
import { withFundingWitness } from './tx/funding.ts'
import { htlcSighashes } from './tx/htlc.ts'
import { type CommitmentKeys, commitmentKeys, obscuringFactor } from './tx/keys.ts'
import { fundingScriptPubKey } from './tx/scripts.ts'
import type { ChannelContext, ChannelSigner } from './types.ts'

/** A commitment transaction with the HTLCs of our records; `add.id` with `offered` names the record. */
export type HtlcCommitment = BuiltCommitment<HtlcAdd>

/** The commitment-number mask of a channel. @source BOLT 3 §commitment-transaction */
export function obscuringFactorOf(params: ChannelParams): number {
  const [opener, accepter] = params.isOpener ? [params.local, params.remote] : [params.remote, params.local]
  return obscuringFactor(opener.basepoints.paymentBasepoint, accepter.basepoints.paymentBasepoint)
}

/** Output script of the funding output. */
export const fundingScriptOf = (local: SideParams, remote: SideParams): Uint8Array =>
  fundingScriptPubKey(local.basepoints.fundingPubkey, remote.basepoints.fundingPubkey)

/** The keys of one of our commitments (side 'local') or of the peer's, by its per-commitment point. */
export function keysFor(params: ChannelParams, side: 'local' | 'remote', point: Uint8Array): CommitmentKeys {
  const [holder, counterparty] = side === 'local' ? [params.local, params.remote] : [params.remote, params.local]
  return commitmentKeys(holder.basepoints, counterparty.basepoints, point)
}

interface BuildRequest {
  readonly commitment: Commitment
  readonly view: View
  readonly numbers: CommitmentNumbers
  readonly point: Uint8Array
}

function select(table: HtlcTable, direction: 'out' | 'in', view: View): { adds: HtlcAdd[]; sumMsat: bigint } {
  const adds: HtlcAdd[] = []
  let sumMsat = 0n
  for (const chunk of table.chunks) {
    for (const htlc of chunk) {
      if (!stands(htlc, direction, view)) continue
      adds.push(htlc.add)
      sumMsat += htlc.add.amountMsat
    }
  }
  return { adds, sumMsat }
}

/** One commitment transaction, from the records. */
export function build(channel: Channel, request: BuildRequest): HtlcCommitment {
  const { params, commitments } = channel
  const { commitment, view, numbers, point } = request
  const out = select(commitments.outgoing, 'out', view)
  const incoming = select(commitments.incoming, 'in', view)
  const ours = (commitment.baseLocalMsat + numbers.shiftMsat - out.sumMsat) as Msat
  const theirs = (commitment.baseRemoteMsat - numbers.shiftMsat - incoming.sumMsat) as Msat
  const isLocal = view === 'local' || view === 'nextLocal'
  const [holder, counterparty] = isLocal ? [params.local, params.remote] : [params.remote, params.local]
  return buildCommitment<HtlcAdd>({
    channelType: params.channelType,
    funding: commitment.funding,
    capacitySat: commitment.capacitySat,
    commitmentNumber: numbers.number,
    obscuringFactor: obscuringFactorOf(params),
    keys: keysFor(params, isLocal ? 'local' : 'remote', point),
    toSelfDelay: counterparty.toSelfDelay,
    dustLimitSat: holder.dustLimitSat,
    feeratePerKw: numbers.feeratePerKw,
    holderIsOpener: params.isOpener === isLocal,
    toHolderMsat: isLocal ? ours : theirs,
    toCounterpartyMsat: isLocal ? theirs : ours,
    offered: isLocal ? out.adds : incoming.adds,
    received: isLocal ? incoming.adds : out.adds,
  })
}

/** Our newest commitment, unsigned. */
export const buildLocal = (channel: Channel, commitment: Commitment, signer: ChannelSigner): HtlcCommitment =>
  build(channel, {
    commitment,
    view: 'local',
    numbers: channel.commitments.local,
    point: signer.commitmentPoint(channel.commitments.local.number),
  })

/** The peer's newest commitment whose predecessor is revoked. */
export const buildRemote = (channel: Channel, commitment: Commitment): HtlcCommitment => {
  const { remote } = channel.commitments
  return build(channel, { commitment, view: 'remote', numbers: remote, point: remote.point })
}

/** The peer's commitment that we signed and that it has not answered with a revocation yet; null when there is none. */
export const buildRemoteSigned = (channel: Channel, commitment: Commitment): HtlcCommitment | null => {
  const { remoteSigned } = channel.commitments
  if (remoteSigned === null) return null
  return build(channel, { commitment, view: 'remoteSigned', numbers: remoteSigned, point: remoteSigned.point })
}

export interface CommitmentSignatures {
  readonly signature: Uint8Array
  /** In output order. */
  readonly htlcSignatures: readonly Uint8Array[]
}

/** Our signatures for a commitment of the peer. */
export const signRemote = (built: HtlcCommitment, signer: ChannelSigner): CommitmentSignatures => ({
  signature: signer.signFunding(built.sighash),
  htlcSignatures: htlcSighashes(built).map((h) => signer.signHtlc(h, built.params.keys.commitmentPoint)),
})

/** null when every signature of the peer is right for our commitment, else what is wrong. */
export function wrongSignature(
  built: HtlcCommitment,
  theirs: CommitmentSignatures,
  signer: ChannelSigner,
): string | null {
  const { keys } = built.params
  if (theirs.htlcSignatures.length !== built.htlcs.length) {
    return `${theirs.htlcSignatures.length} HTLC signatures for ${built.htlcs.length} HTLC outputs`
  }
  if (!signer.verify(theirs.signature, built.sighash, keys.counterpartyFunding)) {
    return `the signature is not valid for commitment ${built.params.commitmentNumber} (${built.txid})`
  }
  if (built.htlcs.length === 0) return null
  const bad = signer.verifyAll(theirs.htlcSignatures, htlcSighashes(built), keys.counterpartyHtlc)
  if (bad < 0) return null
  return `the signature of HTLC output ${bad} is not valid for commitment ${built.params.commitmentNumber} (${built.txid})`
}

/** Our newest commitment, fully signed: what a force close publishes. */
export function signedLocal(channel: Channel, commitment: Commitment, ctx: ChannelContext): Transaction {
  const built = buildLocal(channel, commitment, ctx.signer)
  return withFundingWitness(
    built.tx,
    { publicKey: channel.params.local.basepoints.fundingPubkey, signature: ctx.signer.signFunding(built.sighash) },
    { publicKey: channel.params.remote.basepoints.fundingPubkey, signature: commitment.signature },
  )
}
