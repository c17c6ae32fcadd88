import { Type } from '@sinclair/typebox'
import { txid } from '../../base/ids.ts'
import type { ApiContext, App } from '../app.ts'
import { Block, Chain, Fees, Mine, Mined, Transaction } from '../onchainSchemas.ts'
import { TxidText } from '../scalars.ts'

const BlockParams = Type.Object({
  heightOrHash: Type.String({ pattern: '^(\\d{1,9}|[0-9a-fA-F]{64})$', description: 'a block height or hash' }),
})

export function chainRoutes(app: App, { service }: ApiContext): void {
  app.get(
    '/v1/chain',
    {
      config: { scope: 'chain:read' },
      schema: { summary: 'The chain as the node sees it', tags: ['chain'], response: { 200: Chain } },
    },
    async () => service.chain(),
  )

  app.get(
    '/v1/chain/blocks/:heightOrHash',
    {
      config: { scope: 'chain:read' },
      schema: { summary: 'One block', tags: ['chain'], params: BlockParams, response: { 200: Block } },
    },
    async (request) => {
      const block = await service.chainBlock(request.params.heightOrHash.toLowerCase())
      return { ...block, txids: [...block.txids] }
    },
  )

  app.get(
    '/v1/chain/transactions/:txid',
    {
      config: { scope: 'chain:read' },
      schema: {
        summary: 'One transaction',
        tags: ['chain'],
        params: Type.Object({ txid: TxidText }),
        response: { 200: Transaction },
      },
    },
    async (request) => service.chainTransaction(txid(request.params.txid)),
  )

  app.get(
    '/v1/chain/fees',
    {
      config: { scope: 'chain:read' },
      schema: { summary: 'Fee estimates', tags: ['chain'], response: { 200: Fees } },
    },
    async () => ({ items: await service.chainFees() }),
  )

  app.post(
    '/v1/chain/mine',
    {
      config: { scope: 'chain:mine', audited: true },
      schema: {
        summary: 'Mine blocks (embedded chain and regtest only)',
        tags: ['chain'],
        body: Mine,
        response: { 200: Mined },
      },
    },
    async ({ body }) => ({ blockHashes: [...(await service.mine(body.blocks, body.address)).blockHashes] }),
  )
}
