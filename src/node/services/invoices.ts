import { randomBytes } from 'node:crypto'
import { toHex, utf8 } from '../../base/bytes.ts'
import { type PaymentHash, paymentHash } from '../../base/ids.ts'
import { crypto } from '../../crypto/crypto.ts'
import { createInvoice } from '../../invoice/bolt11.ts'
import {
  cancelInvoice,
  holdReleaseBlocks,
  newInvoice,
  receivedMsat,
  settleBefore,
  settleInvoice,
} from '../../payment/incoming.ts'
import type { InvoiceRecord } from '../../payment/types.ts'
import { ourInvoiceFeatures } from '../../wire/features.ts'
import { badBody, ServiceError } from '../errors.ts'
import { isInChain } from '../holdings.ts'
import type { NodeParts } from '../parts.ts'
import type { TurnScope } from '../reactor.ts'
import type { Booked } from '../recordBook.ts'
import type { CreateInvoiceRequest, InvoiceView, NodeService } from '../service.ts'

export type InvoiceService = Pick<
  NodeService,
  'createInvoice' | 'invoices' | 'invoice' | 'settleInvoice' | 'cancelInvoice'
>

const DEFAULT_EXPIRY_SECONDS = 3_600
/** Live invoices: each takes memory until it is paid or expires. */
const MAX_OPEN = 200_000
/** Bytes of UTF-8. @source BOLT 11 §Tagged Fields: a length of 10 bits, in units of 5 */
const MAX_DESCRIPTION = 639

const time = (ms: number): string => new Date(ms).toISOString()

function invoiceView({ id, keyId, record: r }: Booked<InvoiceRecord>, releaseBlocks: number): InvoiceView {
  return {
    id,
    paymentHash: r.paymentHash,
    bolt11: r.bolt11 ?? '',
    status: r.status,
    amountMsat: r.amountMsat,
    receivedMsat: r.status === 'settled' || r.status === 'accepted' ? receivedMsat(r) : null,
    description: r.description,
    descriptionHash: r.descriptionHash ?? null,
    preimage: r.status === 'settled' && r.preimage ? toHex(r.preimage) : null,
    createdAt: time(r.createdAt),
    expiresAt: time(Math.min(r.expiresAt, 8.64e15)),
    settledAt: r.settledAt === null ? null : time(r.settledAt),
    settleBefore: settleBefore(r, releaseBlocks),
    keyId: keyId ?? null,
  }
}

/** Invoices and hold invoices; what is told of them no crash takes back. */
export function invoiceService(parts: NodeParts): InvoiceService {
  const { reactor, payments } = parts
  const book = payments.invoices
  const view = (booked: Booked<InvoiceRecord>): InvoiceView =>
    invoiceView(booked, holdReleaseBlocks(parts.margins.closeBeforeExpiry))

  /** Goods are handed out for what is said here: that it is paid, no crash may take back. */
  const said = async <T>(what: T): Promise<T> => {
    await reactor.durable()
    return what
  }

  const change = async (id: string, act: (hash: PaymentHash, scope: TurnScope) => void): Promise<InvoiceView> => {
    const { record } = await book.need(id)
    await book.recall(record.paymentHash)
    await reactor.run((scope) => act(record.paymentHash, scope))
    return said(view(await book.need(id)))
  }

  return {
    async createInvoice(request) {
      if (parts.storageLow())
        throw new ServiceError('STORAGE_LOW', 'disk space is low: free some before taking payments')
      if (book.live().length >= MAX_OPEN) {
        throw new ServiceError('LIMIT_EXCEEDED', `${MAX_OPEN} invoices are open: let some expire or cancel them`)
      }
      if (request.paymentHash !== undefined) await book.recall(request.paymentHash)
      checkDescription(request.description)
      const record = makeInvoice(request, parts)
      return reactor.run(() => {
        if (book.get(record.paymentHash))
          throw new ServiceError('CONFLICT', 'there is an invoice with this payment hash already')
        return view(book.begin(record, request))
      })
    },
    async invoices(page, filter) {
      const { items, nextCursor } = await book.select(page, filter)
      return said({ items: items.map(view), nextCursor })
    },
    invoice: async (id) => said(view(await book.need(id))),
    settleInvoice: (id, preimage) =>
      change(id, (hash, scope) => {
        const settled = settleInvoice(book.get(hash)!.record, preimage, parts.now())
        if (!settled.ok) {
          const { code, detail } = settled.error
          throw code === 'WRONG_PREIMAGE' ? badBody('/preimage', detail) : new ServiceError('CONFLICT', detail)
        }
        checkSound(book.get(hash)!.record, parts)
        payments.applyInvoice(settled.value, scope)
      }),
    cancelInvoice: (id) =>
      change(id, (hash, scope) => {
        const cancelled = cancelInvoice(book.get(hash)!.record, parts.chain.height)
        if (!cancelled.ok) throw new ServiceError('CONFLICT', cancelled.error.detail)
        payments.applyInvoice(cancelled.value, scope)
      }),
  }
}

/**
 * A preimage that is given out for an HTLC of a channel without a funding, or for one which has expired or is about to, may bring
 * nothing. While the chain is followed, what is about to expire is given back with its block; where it is not, blocks that we do not
 * know of may have come.
 */
function checkSound({ status, htlcs }: InvoiceRecord, parts: NodeParts): void {
  const { chain, margins } = parts
  if (status !== 'accepted') return
  const unfunded = htlcs.find((h) => !isInChain(parts, h.channelId))
  if (unfunded) {
    const why = `a reorganisation took the funding of channel ${unfunded.channelId} out of the chain, by which it was paid`
    throw new ServiceError('CONFLICT', `${why}: settle it again when that is confirmed`)
  }
  if (chain.isCurrent) return
  const until = chain.highest === null ? Number.POSITIVE_INFINITY : chain.highest + margins.closeBeforeExpiry
  const late = htlcs.find((h) => h.cltvExpiry <= until)
  if (!late) return
  throw new ServiceError(
    'CHAIN_UNAVAILABLE',
    `what was paid may be lost by now: it expires at block ${late.cltvExpiry}, and no block is known after ${chain.height}; try again when the chain is in step`,
  )
}

function checkDescription(text = ''): void {
  const { length } = utf8(text)
  if (length <= MAX_DESCRIPTION) return
  throw badBody(
    '/description',
    `an invoice holds ${MAX_DESCRIPTION} bytes of it, and this has ${length}: shorten it, or give its descriptionHash`,
  )
}

/** Blocks for the payee to decide in. */
const HOLD_BLOCKS = 72

function finalDelta(
  { minFinalCltvExpiryDelta: asked, paymentHash }: CreateInvoiceRequest,
  { margins }: NodeParts,
): number {
  const least = margins.minFinalCltvExpiryDelta
  if (asked === undefined) return paymentHash === undefined ? least : least + HOLD_BLOCKS
  if (asked >= least) return asked
  throw badBody(
    '/minFinalCltvExpiryDelta',
    `${asked} blocks are too few to claim a payment in: at least ${least}, as min-final-cltv-expiry-delta says`,
  )
}

function makeInvoice(request: CreateInvoiceRequest, parts: NodeParts): InvoiceRecord {
  const preimage = request.paymentHash === undefined ? new Uint8Array(randomBytes(32)) : null
  const hash = request.paymentHash ?? paymentHash(toHex(crypto.sha256(preimage!)))
  const paymentSecret = new Uint8Array(randomBytes(32))
  const createdAt = parts.now()
  const expirySeconds = request.expirySeconds ?? DEFAULT_EXPIRY_SECONDS
  const description = request.description ?? null
  const minFinalCltvExpiryDelta = finalDelta(request, parts)
  const bolt11 = createInvoice(
    {
      network: parts.network,
      amountMsat: request.amountMsat ?? null,
      timestamp: Math.floor(createdAt / 1000),
      paymentHash: hash,
      paymentSecret,
      ...(request.descriptionHash ? { descriptionHash: request.descriptionHash } : { description: description ?? '' }),
      expirySeconds,
      minFinalCltvExpiryDelta,
      features: ourInvoiceFeatures(),
      routeHints: parts.routeHints(),
    },
    (digest) => crypto.ecdsaSignRecoverable(digest, parts.own.nodeSecret),
  )
  return newInvoice({
    paymentHash: hash,
    preimage,
    paymentSecret,
    amountMsat: request.amountMsat ?? null,
    minFinalCltvExpiryDelta,
    bolt11,
    description: request.descriptionHash ? null : (description ?? ''),
    ...(request.descriptionHash && { descriptionHash: toHex(request.descriptionHash) }),
    createdAt,
    expiresAt: createdAt + expirySeconds * 1000,
  })
}
