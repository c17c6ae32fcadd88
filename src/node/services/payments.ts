import { randomBytes } from 'node:crypto'
import { printable, toHex } from '../../base/bytes.ts'
import { decodeInvoice, type Invoice } from '../../invoice/bolt11.ts'
import { InvoiceError } from '../../invoice/errors.ts'
import { paymentFee } from '../../payment/outgoing.ts'
import { type PaymentRequest, payInvoice, payKeysend } from '../../payment/request.ts'
import type { PaymentRecord } from '../../payment/types.ts'
import { badBody, ServiceError } from '../errors.ts'
import type { NodeParts } from '../parts.ts'
import type { Booked } from '../recordBook.ts'
import type { NodeService, PaymentView, PayRequest } from '../service.ts'

export type PaymentService = Pick<NodeService, 'pay' | 'payments' | 'payment' | 'cancelPayment'>

function paymentView({ id, keyId, record: r }: Booked<PaymentRecord>): PaymentView {
  const parts = r.attempts.slice(r.since).map((a) => ({
    status: a.status,
    amountMsat: a.amountMsat,
    feeMsat: a.feeMsat,
    route: a.hops.map(({ nodeId, shortChannelId }) => ({ nodeId, shortChannelId })),
    failure: a.failure === null ? null : printable(a.failure),
  }))
  return {
    id,
    paymentHash: r.paymentHash,
    status: r.status,
    nodeId: r.target.payee,
    amountMsat: r.target.amountMsat,
    feeMsat: paymentFee(r),
    preimage: r.preimage ? toHex(r.preimage) : null,
    failure: r.status === 'failed' && r.failure ? { ...r.failure, detail: printable(r.failure.detail, 500) } : null,
    parts,
    bolt11: r.target.bolt11,
    keyId: keyId ?? null,
    createdAt: new Date(r.createdAt).toISOString(),
    completedAt: r.completedAt === null ? null : new Date(r.completedAt).toISOString(),
  }
}

/** Payments that the node makes; what is told of them no crash takes back. */
export function paymentService(parts: NodeParts): PaymentService {
  const { reactor, payments, channels } = parts
  const book = payments.outgoing

  const said = async <T>(view: T): Promise<T> => {
    await reactor.durable()
    return view
  }

  return {
    async pay(request) {
      if (parts.storageLow()) throw new ServiceError('STORAGE_LOW', 'disk space is low: free some before paying')
      const { paymentHash: hash, target } = targetOf(request, parts)
      checkInStep(parts)
      await book.recall(hash)
      return reactor.run((scope) => {
        const { id, keyId } = request
        const started = payments.start({ paymentHash: hash, target, id, keyId }, scope)
        channels.drain(scope)
        if (!started.ok) throw new ServiceError(started.error.code, started.error.detail)
        return paymentView(book.get(hash)!)
      })
    },
    async payments(page, filter) {
      const { items, nextCursor } = await book.select(page, filter)
      return said({ items: items.map(paymentView), nextCursor })
    },
    payment: async (id) => said(paymentView(await book.need(id))),
    async cancelPayment(id) {
      const { record } = await book.need(id)
      await book.recall(record.paymentHash)
      await reactor.run((scope) => {
        payments.cancel(record.paymentHash, scope)
        channels.drain(scope)
      })
      return said(paymentView(await book.need(id)))
    },
  }
}

/** By a height of long ago an HTLC expires too soon for its payee, who would be told to have refused it. */
function checkInStep({ chain }: NodeParts): void {
  if (!chain.isBehind) return
  throw new ServiceError(
    'CHAIN_UNAVAILABLE',
    `the chain is being caught up with (block ${chain.height} of ${chain.status.tipHeight}), and payments would expire too soon: try again when it is in step`,
  )
}

function targetOf(request: PayRequest, parts: NodeParts): PaymentRequest {
  const now = parts.now()
  const { amountMsat, maxFeeMsat, maxParts, timeoutSeconds, bolt11, nodeId } = request
  const options = { amountMsat, maxFeeMsat, maxParts, timeoutMs: timeoutSeconds && timeoutSeconds * 1000 }
  if ((bolt11 === undefined) === (nodeId === undefined)) {
    throw badBody('', 'give either bolt11, or nodeId for a payment without invoice')
  }
  const found =
    bolt11 === undefined
      ? payKeysend(nodeId!, new Uint8Array(randomBytes(32)), options, now)
      : payInvoice({ invoice: readInvoice(bolt11), bolt11 }, options, { now, network: parts.network })
  if (!found.ok) {
    const { error } = found
    throw error.code === 'VALIDATION_FAILED'
      ? badBody(`/${error.field}`, error.detail)
      : new ServiceError(error.code, error.detail)
  }
  if (found.value.target.payee === parts.own.nodeId) {
    throw badBody(bolt11 === undefined ? '/nodeId' : '/bolt11', 'the payee is this node itself')
  }
  // BOLT 7 §the-node_announcement-message. An invoice says itself what it needs.
  if (nodeId !== undefined && !parts.graph.mayRelay(nodeId)) {
    const detail =
      'the payee asks for features that this node does not have: ask it for an invoice, which says what it needs'
    throw new ServiceError('NO_ROUTE', detail)
  }
  return found.value
}

function readInvoice(bolt11: string): Invoice {
  try {
    return decodeInvoice(bolt11)
  } catch (e) {
    if (e instanceof InvoiceError) throw new ServiceError('INVOICE_INVALID', e.message, { cause: e })
    throw e
  }
}
