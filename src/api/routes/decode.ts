import { decodeInvoice } from '../../invoice/bolt11.ts'
import { InvoiceError } from '../../invoice/errors.ts'
import { decodeBolt12 } from '../../offers/bolt12.ts'
import { OfferError } from '../../offers/errors.ts'
import { isBolt12Text } from '../../offers/text.ts'
import type { ApiContext, App } from '../app.ts'
import { Decode, Decoded } from '../decodeSchemas.ts'
import { bolt11Json, bolt12Json } from '../decodeViews.ts'
import { ApiProblem } from '../problems.ts'

export function decodeRoutes(app: App, _context: ApiContext): void {
  app.post(
    '/v1/decode',
    {
      config: { scope: 'node:read' },
      schema: {
        summary: 'What a BOLT 11 invoice or a BOLT 12 offer, invoice request or invoice says, or why it is not valid',
        tags: ['invoices'],
        body: Decode,
        response: { 200: Decoded },
      },
    },
    async ({ body }) => decode(body.text, Date.now() / 1000),
  )
}

function decode(text: string, now: number): Decoded {
  try {
    return isBolt12Text(text) ? bolt12Json(decodeBolt12(text), now) : bolt11Json(decodeInvoice(text), now)
  } catch (error) {
    if (error instanceof InvoiceError) throw new ApiProblem('INVOICE_INVALID', error.message)
    if (error instanceof OfferError) throw new ApiProblem('OFFER_INVALID', error.message)
    throw error
  }
}
