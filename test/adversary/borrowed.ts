import type { ChannelState, SideParams } from '../../src/channel/state.ts'
import type { Basepoints, ChannelSigner } from '../../src/channel/types.ts'
import type { MessageNamed } from '../../src/wire/registry.ts'
import type { Company, Lane } from './arena.ts'
import { signerOf } from './keys.ts'
import type { Rng } from './rng.ts'

/** Keys of a peer's that are not its own alone. Who copies the key of funding or HTLCs cannot sign, and has no channel or no HTLC. */
export interface Borrowed {
  /** Hal's, that the peer has declared as its own. */
  readonly basepoints: readonly (keyof Basepoints)[]
  /** Of which channel: of this one they are refused, but there may be one that is older than that. */
  readonly of: 'this' | 'other'
  /** Its per-commitment points are hal's of the same number. */
  readonly points: boolean
  /** All its channels have one set of keys. */
  readonly oneSet: boolean
}

const BASEPOINTS = ['paymentBasepoint', 'revocationBasepoint', 'delayedPaymentBasepoint'] as const

export const borrowedBy = (rng: Rng): Borrowed => ({
  basepoints: BASEPOINTS.filter(() => rng.below(2) === 0),
  of: rng.below(2) === 0 ? 'this' : 'other',
  points: rng.below(4) === 0,
  oneSet: rng.below(2) === 0,
})

const otherLane = (lane: Lane): Lane => (lane === 'up' ? 'down' : 'up')

/** The keys that a hostile peer signs with. */
export function signerOfHostile(lane: Lane, company: Company, borrowed: Borrowed | undefined): ChannelSigner {
  const isShared = borrowed?.oneSet === true && company === 'twice'
  const own = signerOf(isShared ? 'mal' : `mal-${lane}`)
  if (!borrowed?.points) return own
  const { commitmentPoint, commitmentSecret } = signerOf(`hal-${lane}`)
  return { ...own, commitmentPoint, commitmentSecret }
}

interface Sides {
  readonly hal: ChannelState
  readonly mal: ChannelState
}

/** Both have declared what they have, and nothing is signed yet: from here on some of the peer's basepoints are hal's. */
export function lend(lane: Lane, { basepoints, of }: Borrowed, { hal, mal }: Sides): Sides {
  const { basepoints: ours } = signerOf(`hal-${of === 'this' ? lane : otherLane(lane)}`)
  const copies = Object.fromEntries(basepoints.map((key) => [key, ours[key]]))
  const withCopies = (side: SideParams): SideParams => ({ ...side, basepoints: { ...side.basepoints, ...copies } })
  if (!('remote' in hal) || !('proposal' in mal)) throw new Error(`no keys are declared: ${hal.tag}, ${mal.tag}`)
  return {
    hal: { ...hal, remote: withCopies(hal.remote) },
    mal: { ...mal, proposal: { ...mal.proposal, local: withCopies(mal.proposal.local) } },
  }
}

type Terms = MessageNamed<'open_channel' | 'accept_channel'>
const PLACES = ['fundingPubkey', 'htlcBasepoint', 'firstPerCommitmentPoint', ...BASEPOINTS] as const

/**
 * Where a basepoint of this channel's is taken as one of the peer's.
 * @param judge what becomes of the channel by such a message
 */
export function tempt<T extends Terms>(
  lane: Lane,
  terms: T,
  judge: (terms: T) => ChannelState | null,
): readonly string[] {
  const ours = Object.values(signerOf(`hal-${lane}`).basepoints) as Uint8Array[]
  return PLACES.filter((place, i) => {
    const state = judge({ ...terms, [place]: ours[i % ours.length]! })
    return state !== null && state.tag !== 'closed'
  })
}
