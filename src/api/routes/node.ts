import type { ApiContext, App } from '../app.ts'
import { Backup, Balance, Health, Node } from '../schemas.ts'
import { balanceJson } from '../views.ts'

export function nodeRoutes(app: App, { service }: ApiContext): void {
  app.get(
    '/v1/node',
    {
      config: { scope: 'node:read' },
      schema: { summary: 'What this node is and how it stands', tags: ['node'], response: { 200: Node } },
    },
    async () => {
      const info = service.info()
      return { ...info, addresses: [...info.addresses] }
    },
  )

  app.get(
    '/v1/balance',
    {
      config: { scope: 'node:read' },
      schema: {
        summary: 'On-chain and channel balances, by what can be spent now',
        tags: ['node'],
        response: { 200: Balance },
      },
    },
    async () => balanceJson(await service.balance()),
  )

  app.get(
    '/v1/backup',
    {
      config: { scope: '*', audited: true },
      schema: {
        summary: 'The static channel backup, as JSON or (Accept: application/octet-stream) as the file itself',
        tags: ['node'],
        response: { 200: Backup },
      },
    },
    async (request, reply) => {
      const file = await service.backup()
      if (!request.headers.accept?.includes('application/octet-stream')) {
        return { format: 'fulmen-static-channel-backup' as const, data: Buffer.from(file).toString('base64') }
      }
      reply.header('content-disposition', 'attachment; filename="channels.backup"').type('application/octet-stream')
      return reply.send(Buffer.from(file) as never)
    },
  )
}

export function healthRoutes(app: App, { service }: ApiContext): void {
  app.get(
    '/health/live',
    {
      config: { scope: 'public' },
      schema: { summary: 'The process answers', tags: ['health'], response: { 200: Health } },
    },
    async () => ({ status: 'ok' as const, reasons: [] }),
  )

  app.get(
    '/health/ready',
    {
      config: { scope: 'public' },
      schema: {
        summary: 'The chain is in sync and the store takes writes',
        tags: ['health'],
        response: { 200: Health, 503: Health },
      },
    },
    async (_request, reply) => {
      const { ready, reasons } = service.ready()
      return reply.code(ready ? 200 : 503).send({ status: ready ? 'ok' : 'unready', reasons: [...reasons] })
    },
  )
}
