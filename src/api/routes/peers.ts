import { Type } from '@sinclair/typebox'
import { nodeId } from '../../base/ids.ts'
import type { ApiContext, App } from '../app.ts'
import { parsePeerUri } from '../inputs.ts'
import { NodeIdText, PageQuery, pageOf } from '../scalars.ts'
import { ConnectPeer, Peer } from '../schemas.ts'
import { pageJson, pageRequest } from './paging.ts'

export function peerRoutes(app: App, { service }: ApiContext): void {
  app.get(
    '/v1/peers',
    {
      config: { scope: ['node:read', 'peers:write'] },
      schema: { summary: 'Peers', tags: ['peers'], querystring: PageQuery, response: { 200: pageOf(Peer) } },
    },
    async (request) => pageJson(await service.peers(pageRequest(request.query)), (peer) => peer),
  )

  app.post(
    '/v1/peers',
    {
      config: { scope: 'peers:write', audited: true },
      schema: {
        summary:
          'Connect to a peer, now and after each restart. While a connection stands, the address that it was made to is kept.',
        tags: ['peers'],
        body: ConnectPeer,
        response: { 201: Peer },
      },
    },
    async (request, reply) => reply.code(201).send(await service.connectPeer(parsePeerUri(request.body.uri))),
  )

  app.delete(
    '/v1/peers/:nodeId',
    {
      config: { scope: 'peers:write', audited: true },
      schema: {
        summary: 'Disconnect from a peer and forget its address',
        tags: ['peers'],
        params: Type.Object({ nodeId: NodeIdText }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await service.disconnectPeer(nodeId(request.params.nodeId))
      return reply.code(204).send(null)
    },
  )
}
