import { EMPTY } from '../base/bytes.ts'
import { type Msat, satToMsat } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import { type Direction, type Htlc, type HtlcAdd, stands } from './htlc.ts'
import { eachHtlc, type HtlcTable, htlcTable } from './htlcTable.ts'
import { isHtlcStage } from './onchain/claims.ts'
import type { OnchainState } from './onchain/types.ts'
import type { Channel, OwnStage } from './state.ts'
import type { HtlcOrigin } from './types.ts'

/** An HTLC that hung when the backup was made: what its output in a commitment of the peer is recognised and claimed by. */
export interface BackedUpHtlc extends Pick<HtlcAdd, 'id' | 'amountMsat' | 'paymentHash' | 'cltvExpiry'> {
  readonly direction: Direction
  /** Of one that the peer offered, where we had given the preimage out. 32 B. */
  readonly preimage?: Uint8Array
  /** Of one that we offered: what its end decides. */
  readonly origin?: HtlcOrigin
  /** It was noted as one that may stand in a commitment which was forgotten before the backup was made (presumed.ts). */
  readonly presumed?: true
  /** Where we had published our commitment: of its HTLC transaction in that. */
  readonly stage?: Pick<OwnStage, 'signature' | 'outputSat'>
}

/** One more than the newest HTLC in each direction. */
export interface HtlcIds {
  readonly out: bigint
  readonly in: bigint
}
export const nextIds = ({ commitments }: Channel): HtlcIds => ({
  out: commitments.nextOutgoingId,
  in: commitments.nextIncomingId,
})

/**
 * HTLCs with ids below these that a commitment of the peer has an output for, or one of ours that is published, and that may be ours,
 * for a backup. An incoming one that we have failed is the peer's; one without a preimage may be claimed by what a channel that was
 * restored beside it shows.
 */
export function htlcsToBackUp(
  channel: Channel,
  below: HtlcIds,
  onchain: OnchainState | null = null,
): readonly BackedUpHtlc[] {
  const { outgoing, incoming } = channel.commitments
  const leastMsat = satToMsat(channel.params.remote.dustLimitSat)
  const stages = stagesOf(channel, onchain)
  const isTheirs = (h: Htlc, direction: Direction): boolean =>
    h.add.amountMsat >= leastMsat && (stands(h, direction, 'remote') || stands(h, direction, 'remoteSigned'))
  const select = (table: HtlcTable, direction: Direction): readonly BackedUpHtlc[] =>
    [...eachHtlc(table)].flatMap((h): readonly BackedUpHtlc[] => {
      const stage = stages.get(stageKey(direction, h.add.id))
      if (h.add.id >= below[direction] || !(stage || h.stage === 'presumed' || isTheirs(h, direction))) return []
      const { id, amountMsat, paymentHash, cltvExpiry, origin } = h.add
      const base = {
        direction,
        id,
        amountMsat,
        paymentHash,
        cltvExpiry,
        ...(origin && { origin }),
        ...(h.stage === 'presumed' && { presumed: true as const }),
        ...(stage && { stage }),
      }
      if (direction === 'out' || h.removal === null) return [base]
      return h.removal.tag === 'fulfilled' ? [{ ...base, preimage: h.removal.preimage }] : []
    })
  return [...select(outgoing, 'out'), ...select(incoming, 'in')]
}

const stageKey = (direction: Direction, id: bigint): string => `${direction}/${id}`

/** The HTLC transactions of a commitment of ours that is published, or that a restored channel knows to have been. */
function stagesOf(
  { ownStages = [] }: Channel,
  onchain: OnchainState | null,
): ReadonlyMap<string, BackedUpHtlc['stage']> {
  const known = ownStages.map(({ direction, id, ...stage }) => [stageKey(direction, id), stage] as const)
  const published = (onchain?.outputs ?? []).flatMap(({ htlc, spend }) =>
    htlc === null || htlc.id === null || !isHtlcStage(spend)
      ? []
      : [
          [
            stageKey(htlc.direction, htlc.id),
            { signature: spend.counterpartySignature, outputSat: spend.tx.outputs[0]!.amountSat },
          ] as const,
        ],
  )
  return new Map([...known, ...published])
}

/** Points that a commitment which the peer publishes may be of, the likeliest first; each is on the curve. */
export function pointsOfPeer({ commitments, toldPoint }: Channel): readonly Uint8Array[] {
  const { remote, remoteSigned, remoteNextPoint } = commitments
  return [remote.point, remoteSigned?.point ?? remoteNextPoint, toldPoint].filter(
    (p): p is Uint8Array => p !== undefined && p !== null && crypto.isValidPublicKey(p),
  )
}

// ---------------------------------------------------------------- and back

/**
 * The records of a restored channel: as far as anybody can tell, they stand in every commitment. One that was presumed still is: that its
 * channel ends without it says nothing of whether another one has it, and its id is not the peer's.
 */
export function restoredTable(direction: Direction, htlcs: readonly BackedUpHtlc[] = []): HtlcTable {
  const ours = htlcs.filter((h) => h.direction === direction).sort((a, b) => (a.id < b.id ? -1 : 1))
  return htlcTable(ours.map(restoredHtlc))
}
/** What is known of their transactions in a commitment of ours that had been published. */
export const restoredStages = (htlcs: readonly BackedUpHtlc[] = []): readonly OwnStage[] =>
  htlcs.flatMap(({ direction, id, stage }) => (stage ? [{ direction, id, ...stage }] : []))

const restoredHtlc = ({ direction: _, stage: __, presumed, preimage, origin, ...base }: BackedUpHtlc): Htlc => ({
  add: { ...base, onion: EMPTY, pathKey: null, origin: origin ?? null, excessDust: false },
  stage: presumed ? 'presumed' : 'committed',
  remoteFrom: 0,
  remoteTo: 0,
  removal: preimage ? { tag: 'fulfilled', preimage } : null,
})
/** msat of all HTLCs of a table. */
export const totalOf = (table: HtlcTable): Msat =>
  [...eachHtlc(table)].reduce((sum, h) => sum + h.add.amountMsat, 0n) as Msat
/** One more than the newest of a table; 0 where there is none. */
export const nextId = (table: HtlcTable): bigint => (table.chunks.at(-1)?.at(-1)?.add.id ?? -1n) + 1n
