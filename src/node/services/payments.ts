import { randomBytes } from 'node:crypto'
import { printable, toHex } from '../../base/bytes.ts'
import { type PaymentHash, paymentHash } from '../../base/ids.ts'
import { type Msat, msat, ZERO_MSAT } from '../../base/units.ts'
import { crypto } from '../../crypto/crypto.ts'
import { decodeInvoice, type Invoice } from '../../invoice/bolt11.ts'
import { InvoiceError } from '../../invoice/errors.ts'
import { paymentFee } from '../../payment/outgoing.ts'
import type { PaymentRecord, PaymentTarget } from '../../payment/types.ts'
import { hasFeature } from '../../wire/features.ts'
import { ServiceError } from '../errors.ts'
import type { NodeParts } from '../parts.ts'
import type { Booked } from '../recordBook.ts'
import type { NodeService, PaymentView, PayRequest } from '../service.ts'

export type PaymentService = Pick<NodeService, 'pay' | 'payments' | 'payment' | 'cancelPayment'>

const DEFAULT_TIMEOUT_SECONDS = 60
const DEFAULT_MAX_PARTS = 16
/** Without maxFeeMsat: 0.5 % of the amount, at least 10 sat. */
const defaultMaxFee = (amount: Msat): Msat => msat(amount / 200n > 10_000n ? amount / 200n : 10_000n)

export function paymentView({ id, record: r }: Booked<PaymentRecord>): PaymentView {
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
    failure:
      r.status === 'failed' && r.failure ? { code: r.failure.code, detail: printable(r.failure.detail, 500) } : null,
    parts,
    bolt11: r.target.bolt11,
    createdAt: new Date(r.createdAt).toISOString(),
    completedAt: r.completedAt === null ? null : new Date(r.completedAt).toISOString(),
  }
}

export function paymentService(parts: NodeParts): PaymentService {
  const { reactor, payments, channels } = parts
  const book = payments.outgoing

  const need = async (id: string): Promise<Booked<PaymentRecord>> => {
    const found = await book.find(id)
    if (!found) throw new ServiceError('NOT_FOUND', `there is no payment ${id}`)
    return found
  }

  return {
    async pay(request) {
      if (parts.storageLow()) throw new ServiceError('STORAGE_LOW', 'disk space is low: free some before paying')
      const { hash, target } = targetOf(request, parts)
      await book.recall(hash)
      return reactor.run((scope) => {
        const { id } = request
        const started = payments.start({ paymentHash: hash, target, ...(id === undefined ? {} : { id }) }, scope)
        channels.drain(scope)
        if (!started.ok) throw new ServiceError(started.error.code, started.error.detail)
        return paymentView(book.get(hash)!)
      })
    },
    async payments(page, { status }) {
      const { items, nextCursor } = await book.page(page, status)
      return { items: items.map(paymentView), nextCursor }
    },
    payment: async (id) => paymentView(await need(id)),
    async cancelPayment(id) {
      const { record } = await need(id)
      await book.recall(record.paymentHash)
      await reactor.run((scope) => {
        payments.cancel(record.paymentHash, scope)
        channels.drain(scope)
      })
      return paymentView(await need(id))
    },
  }
}

interface ToPay {
  readonly hash: PaymentHash
  readonly target: PaymentTarget
}

function targetOf(request: PayRequest, parts: NodeParts): ToPay {
  const now = parts.now()
  const deadline = now + (request.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000
  if (request.bolt11 !== undefined) return invoiceTarget(request, readInvoice(request.bolt11), { deadline, now, parts })
  const { nodeId, amountMsat } = request
  if (nodeId === undefined || amountMsat === undefined) {
    throw new ServiceError(
      'VALIDATION_FAILED',
      'give either bolt11, or nodeId and amountMsat for a payment without invoice',
    )
  }
  if (nodeId === parts.own.nodeId) throw new ServiceError('VALIDATION_FAILED', 'this node cannot pay itself')
  const preimage = new Uint8Array(randomBytes(32))
  const target: PaymentTarget = {
    payee: nodeId,
    amountMsat,
    maxFeeMsat: request.maxFeeMsat ?? defaultMaxFee(amountMsat),
    maxParts: 1,
    deadline,
    finalCltvDelta: KEYSEND_CLTV_DELTA,
    paymentSecret: null,
    paymentMetadata: null,
    keysendPreimage: preimage,
    routeHints: [],
    bolt11: null,
  }
  return { hash: paymentHash(toHex(crypto.sha256(preimage))), target }
}

/** More than any node asks by default. */
const KEYSEND_CLTV_DELTA = 40

function readInvoice(bolt11: string): Invoice {
  try {
    return decodeInvoice(bolt11)
  } catch (e) {
    if (e instanceof InvoiceError) throw new ServiceError('INVOICE_INVALID', e.message, { cause: e })
    throw e
  }
}

function invoiceTarget(
  request: PayRequest,
  invoice: Invoice,
  { deadline, now, parts }: { deadline: number; now: number; parts: NodeParts },
): ToPay {
  if (invoice.network !== parts.network) {
    throw new ServiceError('INVOICE_INVALID', `the invoice is for ${invoice.network}, this node is on ${parts.network}`)
  }
  if (invoice.payee === parts.own.nodeId) throw new ServiceError('INVOICE_INVALID', 'the invoice is this node’s own')
  if ((invoice.timestamp + invoice.expirySeconds) * 1000 <= now) {
    throw new ServiceError('INVOICE_EXPIRED', 'the invoice has expired: ask the payee for a new one')
  }
  const amountMsat = amountOf(request, invoice)
  const target: PaymentTarget = {
    payee: invoice.payee,
    amountMsat,
    maxFeeMsat: request.maxFeeMsat ?? defaultMaxFee(amountMsat),
    maxParts: hasFeature(invoice.features, 'basic_mpp') ? (request.maxParts ?? DEFAULT_MAX_PARTS) : 1,
    deadline,
    finalCltvDelta: invoice.minFinalCltvExpiryDelta,
    paymentSecret: invoice.paymentSecret,
    paymentMetadata: invoice.paymentMetadata,
    keysendPreimage: null,
    routeHints: invoice.routeHints,
    bolt11: request.bolt11 ?? null,
  }
  return { hash: invoice.paymentHash, target }
}

/** BOLT 11 §requirements: at least the invoice's amount, at most twice as much. */
function amountOf(request: PayRequest, invoice: Invoice): Msat {
  const asked = invoice.amountMsat
  const given = request.amountMsat
  if (asked === null) {
    if (given === undefined || given === ZERO_MSAT) {
      throw new ServiceError('VALIDATION_FAILED', 'the invoice names no amount: give amountMsat')
    }
    return given
  }
  if (given !== undefined && (given < asked || given > 2n * asked)) {
    throw new ServiceError(
      'VALIDATION_FAILED',
      `amountMsat must be from ${asked} to ${2n * asked}, as the invoice asks`,
    )
  }
  return given ?? asked
}
