import { type Static, Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import { nodeId } from '../../base/ids.ts'
import { msat, sat } from '../../base/units.ts'
import type { RelayPolicy } from '../../channel/types.ts'
import { ServiceError } from '../../node/errors.ts'
import type { ChannelView, CloseChannelRequest, NodeService, OpenChannelRequest } from '../../node/service.ts'
import type { ApiContext, App } from '../app.ts'
import { callerOf, needScope } from '../auth/guard.ts'
import { held, type Waited } from '../held.ts'
import { parsePeerUri, pathId } from '../inputs.ts'
import { badField } from '../problems.ts'
import { AnyId, pageOf, WaitQuery } from '../scalars.ts'
import { Channel, ChannelQuery, CloseChannel, OpenChannel, SetChannelPolicy } from '../schemas.ts'
import { channelJson } from '../views.ts'
import { pageJson, pageRequest } from './paging.ts'

const ChannelParams = Type.Object({ channelId: AnyId })
const ON_CHAIN_STATES: ReadonlySet<string> = new Set(['closing', 'closed'])
const CLOSING_STATES: ReadonlySet<string> = new Set(['waiting-for-peer', ...ON_CHAIN_STATES])
const ENDING_STATES: ReadonlySet<string> = new Set(['shutdown', 'negotiating', ...CLOSING_STATES])

const opened = (view: ChannelView): boolean => view.usable || ENDING_STATES.has(view.state)
const closed = (view: ChannelView): boolean => view.state === 'closed'

export function channelRoutes(app: App, context: ApiContext): void {
  const { service } = context
  app.get(
    '/v1/channels',
    {
      config: { scope: 'channels:read' },
      schema: {
        summary: 'Channels',
        tags: ['channels'],
        querystring: ChannelQuery,
        response: { 200: pageOf(Channel) },
      },
    },
    async ({ query }) => {
      const filter = {
        ...(query.state !== undefined && { state: query.state }),
        ...(query.peer !== undefined && { peer: nodeId(query.peer) }),
      }
      return pageJson(await service.channels(pageRequest(query), filter), channelJson)
    },
  )

  app.get(
    '/v1/channels/:channelId',
    {
      config: { scope: 'channels:read' },
      schema: {
        summary: 'One channel, by id, channel id or short channel id',
        tags: ['channels'],
        params: ChannelParams,
        response: { 200: Channel },
      },
    },
    async (request) => channelJson(await service.channel(pathId(request.params.channelId))),
  )

  app.patch(
    '/v1/channels/:channelId/policy',
    {
      config: { scope: 'channels:write', audited: true },
      schema: {
        summary: 'Change what this channel asks of forwarded payments',
        tags: ['channels'],
        params: ChannelParams,
        body: SetChannelPolicy,
        response: { 200: Channel },
      },
    },
    async (request) =>
      channelJson(await service.setChannelPolicy(pathId(request.params.channelId), policyOf(request.body))),
  )
  openRoute(app, context)
  closeRoute(app, context)
}

function openRoute(app: App, context: ApiContext): void {
  const { service, idempotency, spending } = context
  app.post(
    '/v1/channels',
    {
      config: { scope: 'channels:write', idempotent: true, audited: true },
      schema: {
        summary: 'Open a channel',
        tags: ['channels'],
        body: OpenChannel,
        querystring: WaitQuery,
        response: { 200: Channel, 202: Channel },
      },
    },
    async (request, reply) => {
      const open = openRequest(request.body)
      if ((open.pushMsat ?? 0n) > 0n) needScope(request, 'wallet:send', 'pushMsat')
      const view = await idempotency.once(request, {
        make: async (id) => {
          await connectFirst(service, request.body.peer)
          return spending.open(callerOf(request), { ...open, ...(id !== undefined && { id }) })
        },
        find: (id) => service.channel(id),
        idOf: (made) => made.id,
      })
      const last = await settled(context, reply, view, { seconds: request.query.wait, done: opened })
      return reply.code(opened(last) ? 200 : 202).send(channelJson(last))
    },
  )
}

function closeRoute(app: App, context: ApiContext): void {
  const { service, idempotency, spending } = context
  app.post(
    '/v1/channels/:channelId/close',
    {
      config: { scope: 'channels:write', idempotent: true, audited: true },
      schema: {
        summary:
          'Close a channel: together with the peer, or by force. While it closes together, ask again with a higher feerate to raise the fee, or with another address',
        tags: ['channels'],
        params: ChannelParams,
        body: CloseChannel,
        querystring: WaitQuery,
        response: { 200: Channel, 202: Channel },
      },
    },
    async (request, reply) => {
      const id = pathId(request.params.channelId)
      const close: CloseChannelRequest = request.body
      if (close.address !== undefined) needScope(request, 'wallet:send', 'address')
      if (close.acceptRisk !== undefined) needScope(request, 'wallet:send', 'acceptRisk')
      const view = await idempotency.once(request, {
        make: () => spending.closeChannel(callerOf(request), id, close),
        find: async (_id, isDone) => findClosing(await service.channel(id), close, isDone),
        idOf: (made) => made.id,
      })
      const last = await settled(context, reply, view, { seconds: request.query.wait, done: closed })
      return reply.code(closed(last) ? 200 : 202).send(channelJson(last))
    },
  )
}

/**
 * A repeated close is found when the channel is on its way out already. That it is says nothing of one that changes a close under way, by
 * another fee or address.
 */
function findClosing(view: ChannelView, close: CloseChannelRequest, isDone: boolean): ChannelView {
  const { force, acceptRisk, address, feerateSatPerVbyte } = close
  if (!isDone && (address !== undefined || feerateSatPerVbyte !== undefined)) {
    throw new ServiceError('NOT_FOUND', 'Nothing shows whether it was done.')
  }
  const found = acceptRisk ? ON_CHAIN_STATES : force ? CLOSING_STATES : ENDING_STATES
  if (found.has(view.state)) return view
  throw new ServiceError('NOT_FOUND', 'The channel is not closing.')
}

const settled = (
  context: ApiContext,
  reply: FastifyReply,
  view: ChannelView,
  wait: Pick<Waited<ChannelView>, 'seconds' | 'done'>,
): Promise<ChannelView> =>
  held(context, reply, view, {
    resource: `channel:${view.id}`,
    get: () => context.service.channel(view.id),
    ...wait,
  })

async function connectFirst(service: NodeService, peer: string): Promise<void> {
  if (!peer.includes('@')) return
  await service.connectPeer(parsePeerUri(peer)).catch((e: unknown) => {
    // The service knows it as the `uri` of POST /v1/peers.
    if (e instanceof ServiceError && e.code === 'VALIDATION_FAILED') throw badField('body', '/peer', e.message)
    throw e
  })
}

function openRequest(body: OpenChannel): OpenChannelRequest {
  const { peer, capacitySat, pushMsat, ...rest } = body
  return {
    ...rest,
    peer: nodeId(peer.slice(0, 66)),
    capacitySat: sat(capacitySat),
    ...(pushMsat !== undefined && { pushMsat: msat(pushMsat) }),
  }
}

function policyOf(body: Static<typeof SetChannelPolicy>): Partial<RelayPolicy> {
  const { htlcMinimumMsat, htlcMaximumMsat, ...rest } = body
  return {
    ...rest,
    ...(htlcMinimumMsat !== undefined && { htlcMinimumMsat: msat(htlcMinimumMsat) }),
    ...(htlcMaximumMsat !== undefined && { htlcMaximumMsat: msat(htlcMaximumMsat) }),
  }
}
