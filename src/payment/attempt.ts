import { concatBytes, fromHex, u32be } from '../base/bytes.ts'
import type { PaymentHash } from '../base/ids.ts'
import { crypto } from '../crypto/crypto.ts'
import { encodePayload, type OnionPayload } from '../onion/payload.ts'
import { buildOnion, frameLength, PAYMENT_PAYLOADS_LENGTH } from '../onion/sphinx.ts'
import { MAX_HOPS } from '../routing/path.ts'
import { type Route, type RouteHop, routeAmount, routeFee } from '../routing/types.ts'
import type { PaymentAttempt, PaymentEffect, PaymentTarget } from './types.ts'

export interface BuiltAttempt {
  readonly attempt: PaymentAttempt
  readonly effect: PaymentEffect
}

/**
 * An HTLC along a route, ready to be offered.
 * @param entropy 32 random bytes of this turn; with the index it makes the session key
 * @throws OnionError when a node id is no public key
 */
export function buildAttempt(
  { paymentHash, target, index }: { paymentHash: PaymentHash; target: PaymentTarget; index: number },
  route: Route,
  entropy: Uint8Array,
): BuiltAttempt {
  const { hops, channelId } = route
  const first = hops[0]!
  const sessionKey = sessionKeyOf(entropy, index)
  const payloads = hops.map((_, i) => encodePayload(payloadFor(hops, i, target)))
  const { packet } = buildOnion({
    hops: hops.map((h, i) => ({ nodeKey: fromHex(h.nodeId), payload: payloads[i]! })),
    sessionKey,
    associatedData: fromHex(paymentHash),
  })
  const { amountMsat, cltvExpiry } = first
  const origin = { tag: 'payment', paymentHash, attempt: index } as const
  const command = { tag: 'addHtlc', amountMsat, paymentHash, cltvExpiry, onion: packet, origin } as const
  return {
    attempt: {
      status: 'pending',
      sessionKey,
      channelId,
      hops,
      amountMsat: routeAmount(route),
      feeMsat: routeFee(route),
      failure: null,
    },
    effect: { tag: 'command', channelId, command },
  }
}

/** A fresh secret for each attempt; practically the first try is a valid scalar. */
function sessionKeyOf(entropy: Uint8Array, index: number): Uint8Array {
  let key = crypto.sha256(concatBytes(entropy, u32be(index)))
  while (!crypto.isValidSecret(key)) key = crypto.sha256(key)
  return key
}

/** @source BOLT 4 §payload-format (the writer) */
function payloadFor(hops: readonly RouteHop[], i: number, target: PaymentTarget): OnionPayload {
  const next = hops[i + 1]
  if (next !== undefined) {
    const { amountMsat, cltvExpiry, shortChannelId } = next
    return { amtToForward: amountMsat, outgoingCltvValue: cltvExpiry, shortChannelId }
  }
  const { amountMsat, cltvExpiry } = hops[i]!
  const { paymentSecret, paymentMetadata, keysendPreimage } = target
  return {
    amtToForward: amountMsat,
    outgoingCltvValue: cltvExpiry,
    ...(paymentSecret !== null && { paymentData: { paymentSecret, totalMsat: target.amountMsat } }),
    ...(paymentMetadata !== null && { paymentMetadata }),
    ...(keysendPreimage !== null && { keysendPreimage }),
  }
}

/** The largest payload of a hop on the way: 8-byte amount, 4-byte expiry, 8-byte channel, each with type and length. */
const RELAY_FRAME = frameLength(10 + 6 + 10)

/** How long a route may be so that the onion holds it: metadata takes its room. */
export function maxHopsFor(target: PaymentTarget): number {
  const most = {
    nodeId: target.payee!,
    shortChannelId: 0n,
    amountMsat: target.amountMsat,
    cltvExpiry: 0xffff_ffff,
  } as RouteHop
  const last = frameLength(encodePayload(payloadFor([most], 0, target)).length)
  return Math.min(MAX_HOPS, 1 + Math.floor((PAYMENT_PAYLOADS_LENGTH - last) / RELAY_FRAME))
}
