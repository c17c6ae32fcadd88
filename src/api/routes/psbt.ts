import { Type } from '@sinclair/typebox'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { Psbt, PsbtRequest, SendOnChain, WalletTransaction } from '../onchainSchemas.ts'
import { psbtJson, walletTransactionJson } from '../views.ts'
import { sendRequest } from './wallet.ts'

const config = { scope: 'wallet:send', audited: true } as const
const tags = ['wallet']

const bytes = ({ psbt }: { readonly psbt: string }): Uint8Array => new Uint8Array(Buffer.from(psbt, 'base64'))

/** Transactions that are looked at or signed elsewhere before they are sent. */
export function psbtRoutes(app: App, { service, spending }: ApiContext): void {
  app.post(
    '/v1/wallet/psbt/create',
    {
      config,
      schema: {
        summary:
          'An unsigned PSBT that pays these outputs; its coins stay reserved until broadcast, release or a restart',
        tags,
        body: SendOnChain,
        response: { 201: Psbt },
      },
    },
    async (request, reply) => reply.code(201).send(psbtJson(await service.psbt.create(sendRequest(request.body)))),
  )

  app.post(
    '/v1/wallet/psbt/sign',
    {
      config,
      schema: {
        summary:
          'Sign the inputs of this wallet (SIGHASH_ALL), where the reserve for closing channels stays whole; for keys without a budget',
        tags,
        body: PsbtRequest,
        response: { 200: Psbt },
      },
    },
    async (request) => {
      spending.checkUnlimited(callerOf(request))
      return psbtJson(await service.psbt.sign(bytes(request.body)))
    },
  )

  app.post(
    '/v1/wallet/psbt/finalise',
    {
      config,
      schema: {
        summary: 'Make signed inputs final, and give the transaction when all are',
        tags,
        body: PsbtRequest,
        response: { 200: Psbt },
      },
    },
    async ({ body }) => psbtJson(await service.psbt.finalise(bytes(body))),
  )
  sendingRoutes(app, { service })
}

function sendingRoutes(app: App, { service }: Pick<ApiContext, 'service'>): void {
  app.post(
    '/v1/wallet/psbt/broadcast',
    {
      config,
      schema: {
        summary: 'Finalise and broadcast; repeating it does no harm',
        tags,
        body: PsbtRequest,
        response: { 201: WalletTransaction },
      },
    },
    async ({ body }, reply) => {
      const txid = await service.psbt.broadcast(bytes(body))
      return reply.code(201).send(walletTransactionJson(await service.walletTransaction(txid)))
    },
  )

  app.post(
    '/v1/wallet/psbt/release',
    {
      config,
      schema: {
        summary: 'Free the coins that were reserved for a PSBT that is not to be sent',
        tags,
        body: PsbtRequest,
        response: { 204: Type.Null() },
      },
    },
    async ({ body }, reply) => {
      await service.psbt.release(bytes(body))
      return reply.code(204).send(null)
    },
  )
}
