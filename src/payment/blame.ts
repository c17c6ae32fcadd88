import { fromHex } from '../base/bytes.ts'
import { assertNever } from '../base/errors.ts'
import type { ChannelId, NodeId } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import type { HtlcFailure } from '../channel/types.ts'
import { type AttributedFailure, openErrorPacket } from '../onion/errorPacket.ts'
import { BADONION, describeFailure, failureName, NODE } from '../onion/failure.ts'
import { sharedSecretsOf } from '../onion/sphinx.ts'
import type { Graph } from '../routing/graph.ts'
import { type DirectedChannel, directedChannel, type RouteHop } from '../routing/types.ts'
import { type FailedHop, type LearnedPolicy, lessonOf } from './learned.ts'
import type { Shown } from './lessons.ts'
import type { PaymentAttempt } from './types.ts'

/** What a failed attempt teaches: where not to go again with this payment, or that going on is no use. */
export interface Blame {
  /** For people: `fee_insufficient at 02ab…`. */
  readonly detail: string
  /** The payee has spoken: no other route will change it. */
  readonly final: boolean
  /** It may have come through: no other is made before somebody has asked the payee. */
  readonly undecided?: true
  readonly channels: readonly DirectedChannel[]
  readonly nodes: readonly NodeId[]
  readonly local: readonly ChannelId[]
  /** What the failing node says that its channel asks; the channel may be tried again then. */
  readonly learned: LearnedPolicy | null
  /** null where nobody signed the failure. */
  readonly shown: Shown | null
}

export const NOBODY = { final: false, channels: [], nodes: [], local: [], learned: null, shown: null } as const

/** What a payment knew when its attempt failed. */
export interface Known {
  readonly graph: Pick<Graph, 'channel'>
  readonly learned: readonly LearnedPolicy[]
  /** Of the whole payment. */
  readonly amountMsat?: Msat
}

const NOTHING: Known = { graph: { channel: () => undefined }, learned: [] }

/** @source BOLT 4 §receiving-failure-codes */
export function blame(attempt: PaymentAttempt, failure: HtlcFailure, known = NOTHING): Blame {
  const { hops } = attempt
  const peer = hops[0]?.nodeId
  if (failure.tag === 'onchain' && failure.undecided)
    return { ...NOBODY, undecided: true, detail: mayBePaid('has lost data and ended') }
  if (peer === undefined) return { ...NOBODY, detail: 'failed; its route was lost in a crash' }
  switch (failure.tag) {
    case 'onchain':
      return { ...NOBODY, detail: 'timed out on chain', local: [attempt.channelId] }
    case 'malformed': {
      const name = failureName(failure.failureCode) ?? `failure ${failure.failureCode}`
      return blameNode(hops, 0, `${name} at ${peer}, our peer`)
    }
    case 'onion': {
      const secrets = sharedSecretsOf(
        attempt.sessionKey,
        hops.map((h) => fromHex(h.nodeId)),
      )
      const opened = openErrorPacket(secrets, failure.reason)
      return opened === null ? blameAll(hops) : { ...blameHop(attempt, opened, known), shown: shownBy(hops, opened) }
    }
    default:
      return assertNever(failure)
  }
}

/** For people. */
export const NOT_KNOWN = 'whether this has been paid is not known; ask the payee before you pay again'
/** The same. @param why what has become of its channel */
export const mayBePaid = (why: string): string => `its channel ${why}: ${NOT_KNOWN}`

const shownBy = (hops: readonly RouteHop[], { hop, received }: AttributedFailure): Shown => ({
  hop,
  isShort: received.failure?.name === 'temporary_channel_failure' && hop < hops.length - 1,
})

/** Somebody on the way garbled the failure: none of the way is used again. */
const blameAll = (hops: readonly RouteHop[]): Blame => ({
  ...NOBODY,
  detail: 'a failure that nobody on the route signed',
  final: hops.length === 1,
  channels: hops.slice(1).map((_, i) => channelAfter(hops, i)),
})

/** The direction from the node that hop i reaches to the next. */
const channelAfter = (hops: readonly RouteHop[], i: number): DirectedChannel =>
  directedChannel(hops[i + 1]!.shortChannelId, hops[i]!.nodeId, hops[i + 1]!.nodeId)

const blameNode = (hops: readonly RouteHop[], hop: number, detail: string): Blame => {
  const isPayee = hop === hops.length - 1
  return { ...NOBODY, detail, final: isPayee, nodes: isPayee ? [] : [hops[hop]!.nodeId] }
}

function blameHop({ hops, channelId }: PaymentAttempt, { hop, received }: AttributedFailure, known: Known): Blame {
  const detail = `${describeFailure(received)} at ${hops[hop]!.nodeId}`
  const name = received.failure?.name
  if (hop === hops.length - 1) {
    // There is nothing to wait for where one HTLC brings it all.
    if (name === 'mpp_timeout' && hops[hop]!.amountMsat !== known.amountMsat) return { ...NOBODY, detail }
    const tampered = name === 'final_incorrect_cltv_expiry' || name === 'final_incorrect_htlc_amount'
    // LDK and eclair say this of the channel by which it came, as where that has too much dust: another one may do.
    const isFull = name === 'temporary_channel_failure'
    if ((tampered || isFull) && hop > 0) return { ...NOBODY, detail, channels: [channelAfter(hops, hop - 1)] }
    if (isFull) return { ...NOBODY, detail, local: [channelId] }
    return blameNode(hops, hop, detail)
  }
  switch (name) {
    case 'invalid_onion_payload':
    case 'incorrect_or_unknown_payment_details':
    case 'final_incorrect_cltv_expiry':
    case 'final_incorrect_htlc_amount':
    case 'mpp_timeout':
      return blameNode(hops, hop, detail) // not a node on the way's to say, or one that understands no payload of ours
    default:
      // With BADONION it is what the node after this one said, whatever the other bits are.
      if ((received.code & (NODE | BADONION)) === NODE) return blameNode(hops, hop, detail)
      return blameChannel(hops, hop, { detail, lesson: lessonOf(received.failure, failedAt(hops, hop), known) })
  }
}

const failedAt = (hops: readonly RouteHop[], hop: number): FailedHop => ({ from: hops[hop]!, to: hops[hop + 1]! })

const blameChannel = (
  hops: readonly RouteHop[],
  hop: number,
  { detail, lesson }: { readonly detail: string; readonly lesson: ReturnType<typeof lessonOf> },
): Blame => ({
  ...NOBODY,
  detail,
  channels: lesson === null ? [channelAfter(hops, hop)] : [],
  learned: lesson === 'known' ? null : lesson,
})
