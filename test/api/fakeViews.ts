import { createHash } from 'node:crypto'
import { toHex } from '../../src/base/bytes.ts'
import {
  type ChannelId,
  type NodeId,
  type PaymentHash,
  parseScid,
  paymentHash,
  type ShortChannelId,
  txid,
} from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import type { ChannelView, InvoiceView, NodeService, PaymentView } from '../../src/node/service.ts'

export const NOW = '2026-01-01T00:00:00.000Z'
export const SCID = parseScid('100x1x0') as ShortChannelId

/** What a channel shows right after it was asked for: it is usable at once. */
export function channelView(id: string, request: Parameters<NodeService['openChannel']>[0]): ChannelView {
  const local = request.capacitySat * 1000n - (request.pushMsat ?? 0n)
  return {
    id,
    channelId: toHex(createHash('sha256').update(id).digest()) as ChannelId,
    shortChannelId: SCID,
    peer: request.peer,
    peerConnected: true,
    state: 'normal',
    usable: true,
    type: request.type ?? 'anchors',
    announced: request.announce ?? false,
    isOpener: true,
    capacitySat: request.capacitySat,
    localMsat: msat(local),
    remoteMsat: request.pushMsat ?? msat(0n),
    sendableMsat: msat(local),
    receivableMsat: msat(0n),
    localReserveSat: sat(0n),
    remoteReserveSat: sat(0n),
    feeratePerKw: 253,
    toSelfDelay: 144,
    policy: {
      feeBaseMsat: 1,
      feeProportionalMillionths: 1,
      cltvExpiryDelta: 40,
      htlcMinimumMsat: msat(1n),
      htlcMaximumMsat: msat(local),
    },
    htlcs: [],
    funding: { txid: txid('66'.repeat(32)), index: 0 },
    fundingConfirmations: 3,
    closing: null,
    waitsFor: null,
    createdAt: NOW,
  }
}

/** What an invoice shows before anybody paid it. */
export function invoiceView(id: string, request: Parameters<NodeService['createInvoice']>[0]): InvoiceView {
  return {
    id,
    paymentHash: request.paymentHash ?? paymentHash(toHex(createHash('sha256').update(id).digest())),
    bolt11: 'lnbcrt1fake',
    status: 'open',
    amountMsat: request.amountMsat ?? null,
    receivedMsat: null,
    description: request.description ?? null,
    descriptionHash: request.descriptionHash ? toHex(request.descriptionHash) : null,
    preimage: null,
    createdAt: NOW,
    expiresAt: NOW,
    settledAt: null,
    keyId: request.keyId ?? null,
  }
}

/** What a payment in one part shows. */
export function paymentView(
  id: string,
  { status, payee }: { readonly status: PaymentView['status']; readonly payee: NodeId },
  request: Parameters<NodeService['pay']>[0],
): PaymentView {
  const hash = toHex(
    createHash('sha256')
      .update(request.bolt11 ?? id)
      .digest(),
  ) as PaymentHash
  const amountMsat = request.amountMsat ?? msat(1000n)
  const route = [{ nodeId: payee, shortChannelId: SCID }]
  return {
    id,
    paymentHash: hash,
    status,
    nodeId: payee,
    amountMsat,
    feeMsat: msat(0n),
    preimage: status === 'succeeded' ? '77'.repeat(32) : null,
    failure: null,
    parts: [{ status, amountMsat, feeMsat: msat(0n), route, failure: null }],
    bolt11: request.bolt11 ?? null,
    createdAt: NOW,
    completedAt: null,
    keyId: request.keyId ?? null,
  }
}
