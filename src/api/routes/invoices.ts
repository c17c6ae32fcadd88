import { Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import { fromHex } from '../../base/bytes.ts'
import { paymentHash } from '../../base/ids.ts'
import { msat } from '../../base/units.ts'
import type { CreateInvoiceRequest, InvoiceView } from '../../node/service.ts'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { held } from '../held.ts'
import { pathId } from '../inputs.ts'
import { AnyId, pageOf, WaitQuery } from '../scalars.ts'
import { CreateInvoice, Empty, Invoice, InvoiceQuery, SettleInvoice } from '../schemas.ts'
import { recordFilter } from '../times.ts'
import { invoiceJson } from '../views.ts'
import { pageJson, pageRequest } from './paging.ts'

const InvoiceParams = Type.Object({ paymentHash: AnyId })

export function invoiceRoutes(app: App, context: ApiContext): void {
  const { service, idempotency } = context
  app.post(
    '/v1/invoices',
    {
      config: { scope: 'invoices:write', idempotent: true },
      schema: { summary: 'Create an invoice', tags: ['invoices'], body: CreateInvoice, response: { 201: Invoice } },
    },
    async (request, reply) => {
      const create = { ...createRequest(request.body), keyId: callerOf(request).keyId }
      const view = await idempotency.once(request, {
        make: (id) => service.createInvoice(id === undefined ? create : { ...create, id }),
        find: (id) => service.invoice(id),
        idOf: (made) => made.id,
      })
      return reply.code(201).send(invoiceJson(view))
    },
  )

  app.get(
    '/v1/invoices',
    {
      config: { scope: 'invoices:read' },
      schema: {
        summary: 'Invoices, newest first; by when they were made, and by the key that made them',
        tags: ['invoices'],
        querystring: InvoiceQuery,
        response: { 200: pageOf(Invoice) },
      },
    },
    async ({ query }) => {
      return pageJson(await service.invoices(pageRequest(query), recordFilter(query)), invoiceJson)
    },
  )
  invoiceItemRoutes(app, context)
}

function invoiceItemRoutes(app: App, context: ApiContext): void {
  const { service } = context
  app.get(
    '/v1/invoices/:paymentHash',
    {
      config: { scope: 'invoices:read' },
      schema: {
        summary: 'One invoice; `wait` holds the answer until its status is another',
        tags: ['invoices'],
        params: InvoiceParams,
        querystring: WaitQuery,
        response: { 200: Invoice },
      },
    },
    async (request, reply) => {
      const view = await service.invoice(pathId(request.params.paymentHash))
      return invoiceJson(await changed(context, reply, view, request.query.wait))
    },
  )

  app.post(
    '/v1/invoices/:paymentHash/settle',
    {
      config: { scope: 'invoices:write' },
      schema: {
        summary:
          'Take the payment of a hold invoice: it goes back by itself 12 blocks before the first of its HTLCs expires',
        tags: ['invoices'],
        params: InvoiceParams,
        body: SettleInvoice,
        response: { 200: Invoice },
      },
    },
    async (request) =>
      invoiceJson(await service.settleInvoice(pathId(request.params.paymentHash), fromHex(request.body.preimage))),
  )

  app.post(
    '/v1/invoices/:paymentHash/cancel',
    {
      config: { scope: 'invoices:write' },
      schema: {
        summary: 'Cancel an open invoice, or give back the payment of a hold invoice',
        tags: ['invoices'],
        params: InvoiceParams,
        body: Empty,
        response: { 200: Invoice },
      },
    },
    async (request) => invoiceJson(await service.cancelInvoice(pathId(request.params.paymentHash))),
  )
}

/** A hold invoice changes twice: what was accepted waits for its end. */
const changed = (
  context: ApiContext,
  reply: FastifyReply,
  view: InvoiceView,
  seconds: number | undefined,
): Promise<InvoiceView> =>
  held(context, reply, view, {
    resource: `invoice:${view.paymentHash}`,
    get: () => context.service.invoice(view.paymentHash),
    done: ({ status }) => status !== view.status || !LIVE.has(status),
    seconds,
  })
const LIVE: ReadonlySet<InvoiceView['status']> = new Set(['open', 'accepted'])

function createRequest(body: CreateInvoice): CreateInvoiceRequest {
  const { amountMsat, descriptionHash, paymentHash: hash, ...rest } = body
  return {
    ...rest,
    ...(amountMsat !== undefined && { amountMsat: msat(amountMsat) }),
    ...(descriptionHash !== undefined && { descriptionHash: fromHex(descriptionHash) }),
    ...(hash !== undefined && { paymentHash: paymentHash(hash) }),
  }
}
