import { printable, toHex } from '../../base/bytes.ts'
import { formatScid } from '../../base/ids.ts'
import { amountToJson } from '../../base/units.ts'
import { encodeAddress } from '../../bitcoin/address.ts'
import { decodeInvoice, type Invoice, isExpired } from '../../invoice/bolt11.ts'
import { InvoiceError } from '../../invoice/errors.ts'
import type { ApiContext, App } from '../app.ts'
import { ApiProblem } from '../problems.ts'
import { Decode, Decoded } from '../schemas.ts'

/** RFC 3339 has four digits for the year; an invoice may claim to live longer. */
const LAST_SECOND = 253_402_300_799

export function decodeRoutes(app: App, _context: ApiContext): void {
  app.post(
    '/v1/decode',
    {
      config: { scope: 'node:read' },
      schema: {
        summary: 'What a BOLT 11 invoice says, or why it is not valid',
        tags: ['invoices'],
        body: Decode,
        response: { 200: Decoded },
      },
    },
    async ({ body }) => decodedJson(decode(body.text)),
  )
}

function decode(text: string): Invoice {
  let invoice: Invoice
  try {
    invoice = decodeInvoice(text)
  } catch (error) {
    if (error instanceof InvoiceError) throw new ApiProblem('INVOICE_INVALID', error.message)
    throw error
  }
  if ((invoice.amountMsat ?? 0n) > Number.MAX_SAFE_INTEGER) {
    throw new ApiProblem('INVOICE_INVALID', 'The amount is more than JSON can carry, and more than any channel holds.')
  }
  return invoice
}

function decodedJson(invoice: Invoice): Decoded {
  return {
    type: 'bolt11',
    network: invoice.network,
    nodeId: invoice.payee,
    paymentHash: invoice.paymentHash,
    amountMsat: invoice.amountMsat === null ? null : amountToJson(invoice.amountMsat),
    description: invoice.description === null ? null : printable(invoice.description, 639),
    descriptionHash: hexOrNull(invoice.descriptionHash),
    createdAt: timeText(invoice.timestamp),
    expiresAt: timeText(invoice.timestamp + invoice.expirySeconds),
    expired: isExpired(invoice, Date.now() / 1000),
    minFinalCltvExpiryDelta: invoice.minFinalCltvExpiryDelta,
    paymentSecret: toHex(invoice.paymentSecret),
    metadata: hexOrNull(invoice.paymentMetadata),
    features: toHex(invoice.features),
    fallbackAddresses: invoice.fallbackScripts.flatMap((script) => encodeAddress(script, invoice.network) ?? []),
    routeHints: invoice.routeHints.map((hint) =>
      hint.map((hop) => ({ ...hop, shortChannelId: formatScid(hop.shortChannelId) })),
    ),
  }
}

const hexOrNull = (bytes: Uint8Array | null): string | null => (bytes === null ? null : toHex(bytes))
const timeText = (seconds: number): string => new Date(Math.min(seconds, LAST_SECOND) * 1000).toISOString()
