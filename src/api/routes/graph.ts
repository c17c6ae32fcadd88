import { nodeId } from '../../base/ids.ts'
import { msat } from '../../base/units.ts'
import type { ApiContext, App } from '../app.ts'
import { PageQuery, pageOf } from '../scalars.ts'
import { FindRoute, GraphChannel, GraphNode, Route } from '../schemas.ts'
import { graphChannelJson, routeJson } from '../views.ts'
import { pageJson, pageRequest } from './paging.ts'

export function graphRoutes(app: App, { service }: ApiContext): void {
  app.get(
    '/v1/graph/nodes',
    {
      config: { scope: 'node:read' },
      schema: {
        summary: 'Nodes of the network',
        tags: ['graph'],
        querystring: PageQuery,
        response: { 200: pageOf(GraphNode) },
      },
    },
    async (request) =>
      pageJson(await service.graphNodes(pageRequest(request.query)), (node) => ({
        ...node,
        addresses: [...node.addresses],
      })),
  )

  app.get(
    '/v1/graph/channels',
    {
      config: { scope: 'node:read' },
      schema: {
        summary: 'Channels of the network',
        tags: ['graph'],
        querystring: PageQuery,
        response: { 200: pageOf(GraphChannel) },
      },
    },
    async (request) => pageJson(await service.graphChannels(pageRequest(request.query)), graphChannelJson),
  )

  app.post(
    '/v1/graph/routes',
    {
      config: { scope: 'node:read' },
      schema: { summary: 'Find a route', tags: ['graph'], body: FindRoute, response: { 200: Route } },
    },
    async ({ body }) =>
      routeJson(await service.findRoute({ nodeId: nodeId(body.nodeId), amountMsat: msat(body.amountMsat) })),
  )
}
