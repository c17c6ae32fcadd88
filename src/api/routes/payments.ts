import { Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import { nodeId, type PaymentHash } from '../../base/ids.ts'
import { msat } from '../../base/units.ts'
import { decodeInvoice } from '../../invoice/bolt11.ts'
import type { NodeService, PaymentView, PayRequest } from '../../node/service.ts'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { held } from '../held.ts'
import { pathId } from '../inputs.ts'
import { AnyId, pageOf, WaitQuery } from '../scalars.ts'
import { Empty, Pay, Payment, PaymentQuery } from '../schemas.ts'
import { recordFilter } from '../times.ts'
import { paymentJson } from '../views.ts'
import { pageJson, pageRequest } from './paging.ts'

const PaymentParams = Type.Object({ paymentHash: AnyId })

const final = (view: PaymentView): boolean => view.status !== 'pending'

export function paymentRoutes(app: App, context: ApiContext): void {
  const { service, idempotency, spending } = context
  app.post(
    '/v1/payments',
    {
      config: { scope: 'payments:send', idempotent: true },
      schema: {
        summary: 'Pay an invoice, or a node without one',
        tags: ['payments'],
        body: Pay,
        querystring: WaitQuery,
        response: { 200: Payment, 202: Payment },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request)
      const pay = { ...payRequest(request.body), keyId: caller.keyId }
      const view = await idempotency.once(request, {
        make: (id) => spending.pay(caller, id === undefined ? pay : { ...pay, id }),
        find: (id) => findPayment(service, id, pay.bolt11),
        idOf: (made) => made.id,
      })
      const last = await finished(context, reply, view, request.query.wait)
      return reply.code(final(last) ? 200 : 202).send(paymentJson(last))
    },
  )

  app.get(
    '/v1/payments',
    {
      config: { scope: 'payments:read' },
      schema: {
        summary: 'Payments, newest first; by when they were begun, and by the key that began them',
        tags: ['payments'],
        querystring: PaymentQuery,
        response: { 200: pageOf(Payment) },
      },
    },
    async ({ query }) => {
      return pageJson(await service.payments(pageRequest(query), recordFilter(query)), paymentJson)
    },
  )
  paymentItemRoutes(app, context)
}

function paymentItemRoutes(app: App, context: ApiContext): void {
  const { service } = context
  app.get(
    '/v1/payments/:paymentHash',
    {
      config: { scope: 'payments:read' },
      schema: {
        summary: 'One payment',
        tags: ['payments'],
        params: PaymentParams,
        querystring: WaitQuery,
        response: { 200: Payment },
      },
    },
    async (request, reply) => {
      const view = await service.payment(pathId(request.params.paymentHash))
      return paymentJson(await finished(context, reply, view, request.query.wait))
    },
  )

  app.post(
    '/v1/payments/:paymentHash/cancel',
    {
      config: { scope: 'payments:send' },
      schema: {
        summary: 'Stop further attempts; parts still in flight stay pending',
        tags: ['payments'],
        params: PaymentParams,
        body: Empty,
        response: { 200: Payment },
      },
    },
    async (request) => paymentJson(await service.cancelPayment(pathId(request.params.paymentHash))),
  )
}

/**
 * By the id that the request was given, or by its payment hash: a hash that failed before keeps the id of its first payment.
 * One that is pending or paid, or may have been, is the answer, whoever paid it: it is never paid twice.
 */
async function findPayment(service: NodeService, id: string, bolt11: string | undefined): Promise<PaymentView> {
  try {
    return await service.payment(id)
  } catch (notFound) {
    const hash = bolt11 === undefined ? undefined : hashOf(bolt11)
    if (hash === undefined) throw notFound
    const view = await service.payment(hash)
    if (view.status === 'failed' && view.failure?.code !== 'OUTCOME_UNKNOWN') throw notFound
    return view
  }
}

function hashOf(bolt11: string): PaymentHash | undefined {
  try {
    return decodeInvoice(bolt11).paymentHash
  } catch {
    return undefined
  }
}

const finished = (
  context: ApiContext,
  reply: FastifyReply,
  view: PaymentView,
  seconds: number | undefined,
): Promise<PaymentView> =>
  held(context, reply, view, {
    resource: `payment:${view.paymentHash}`,
    get: () => context.service.payment(view.paymentHash),
    done: final,
    seconds,
  })

function payRequest(body: Pay): PayRequest {
  const { nodeId: destination, amountMsat, maxFeeMsat, ...rest } = body
  return {
    ...rest,
    ...(destination !== undefined && { nodeId: nodeId(destination) }),
    ...(amountMsat !== undefined && { amountMsat: msat(amountMsat) }),
    ...(maxFeeMsat !== undefined && { maxFeeMsat: msat(maxFeeMsat) }),
  }
}
