import { Type } from '@sinclair/typebox'
import { outpointKey, parseOutpoint } from '../../base/ids.ts'
import { sat } from '../../base/units.ts'
import type { SendRequest, UtxoView } from '../../node/onchainService.ts'
import { pageByPlace } from '../../node/paging.ts'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { pathId } from '../inputs.ts'
import {
  Address,
  BumpTransaction,
  SendOnChain,
  Utxo,
  UtxoQuery,
  Wallet,
  WalletTransaction,
  WalletTransactionQuery,
} from '../onchainSchemas.ts'
import { AnyId, pageOf } from '../scalars.ts'
import { Empty } from '../schemas.ts'
import { timeRange } from '../times.ts'
import { utxoJson, walletJson, walletTransactionJson } from '../views.ts'
import { pageJson, pageRequest } from './paging.ts'

export function walletRoutes(app: App, context: ApiContext): void {
  const { service } = context
  app.get(
    '/v1/wallet',
    {
      config: { scope: 'wallet:read' },
      schema: { summary: 'The on-chain wallet', tags: ['wallet'], response: { 200: Wallet } },
    },
    async () => walletJson(await service.wallet()),
  )

  app.post(
    '/v1/wallet/addresses',
    {
      config: { scope: 'wallet:read' },
      schema: { summary: 'A fresh address to receive at', tags: ['wallet'], body: Empty, response: { 201: Address } },
    },
    async (_request, reply) => reply.code(201).send(await service.newAddress()),
  )

  app.get(
    '/v1/wallet/utxos',
    {
      config: { scope: 'wallet:read' },
      schema: {
        summary: 'Unspent outputs, newest first',
        tags: ['wallet'],
        querystring: UtxoQuery,
        response: { 200: pageOf(Utxo) },
      },
    },
    async ({ query }) => {
      const { minConfirmations = 0, locked } = query
      const isWanted = (utxo: UtxoView) =>
        utxo.confirmations >= minConfirmations && (locked === undefined || utxo.locked === locked)
      const wanted = (await service.utxos()).filter(isWanted)
      return pageJson(pageByPlace(wanted, newestFirst, pageRequest(query)), utxoJson)
    },
  )
  walletTransactionRoutes(app, context)
}

function walletTransactionRoutes(app: App, { service, idempotency, spending }: ApiContext): void {
  app.get(
    '/v1/wallet/transactions',
    {
      config: { scope: 'wallet:read' },
      schema: {
        summary: 'Transactions of the wallet, newest first; by when they were first seen',
        tags: ['wallet'],
        querystring: WalletTransactionQuery,
        response: { 200: pageOf(WalletTransaction) },
      },
    },
    async ({ query }) =>
      pageJson(await service.walletTransactions(pageRequest(query), timeRange(query)), walletTransactionJson),
  )

  app.get(
    '/v1/wallet/transactions/:txid',
    {
      config: { scope: 'wallet:read' },
      schema: {
        summary: 'One transaction of the wallet',
        tags: ['wallet'],
        params: Type.Object({ txid: AnyId }),
        response: { 200: WalletTransaction },
      },
    },
    async (request) => walletTransactionJson(await service.walletTransaction(pathId(request.params.txid))),
  )

  app.post(
    '/v1/wallet/transactions',
    {
      config: { scope: 'wallet:send', idempotent: true, audited: true },
      schema: {
        summary: 'Send on chain; made while the Bitcoin node is away, it goes out when that is back',
        tags: ['wallet'],
        body: SendOnChain,
        response: { 201: WalletTransaction },
      },
    },
    async (request, reply) => {
      const send = sendRequest(request.body)
      const view = await idempotency.once(request, {
        make: (id) => spending.send(callerOf(request), { ...send, ...(id !== undefined && { id }) }),
        find: (id) => service.walletTransaction(id),
        idOf: (made) => made.id,
      })
      return reply.code(201).send(walletTransactionJson(view))
    },
  )
  bumpRoute(app, { service, idempotency, spending })
}

function bumpRoute(
  app: App,
  { service, idempotency, spending }: Pick<ApiContext, 'service' | 'idempotency' | 'spending'>,
) {
  app.post(
    '/v1/wallet/transactions/:txid/bump',
    {
      config: { scope: 'wallet:send', idempotent: true, audited: true },
      schema: {
        summary:
          'Have an unconfirmed transaction confirm sooner: a send is replaced (BIP 125; of all that was sent the payee gets less), for any other a child pays. Answers with the replacement or the child.',
        tags: ['wallet'],
        params: Type.Object({ txid: AnyId }),
        body: BumpTransaction,
        response: { 201: WalletTransaction },
      },
    },
    async (request, reply) => {
      const txid = pathId(request.params.txid)
      const view = await idempotency.once(request, {
        make: (id) => spending.bump(callerOf(request), txid, { ...request.body, ...(id !== undefined && { id }) }),
        find: (id) => service.walletTransaction(id),
        idOf: (made) => made.id,
      })
      return reply.code(201).send(walletTransactionJson(view))
    },
  )
}

const MAX_HEIGHT = 0xffff_ffff

/** Unconfirmed ones, then from the tip down. A coin that confirms while somebody turns pages may be met twice, and is never left out. */
const newestFirst = ({ blockHeight, outpoint }: UtxoView): string =>
  `${String(blockHeight === null ? 0 : MAX_HEIGHT - blockHeight).padStart(10, '0')}.${outpointKey(outpoint)}`

export function sendRequest({ outputs, utxos, ...rest }: SendOnChain): SendRequest {
  return {
    ...rest,
    outputs: wantedOutputs(outputs),
    ...(utxos !== undefined && { utxos: utxos.map(parseOutpoint) }),
  }
}

/** `all` stands alone. */
const wantedOutputs = (outputs: SendOnChain['outputs']): SendRequest['outputs'] =>
  outputs[0]?.amountSat === 'all'
    ? [{ address: outputs[0].address, amountSat: 'all' }]
    : outputs.map(({ address, amountSat }) => ({ address, amountSat: sat(amountSat as number) }))
