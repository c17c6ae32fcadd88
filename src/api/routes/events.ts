import type { FastifyReply, FastifyRequest } from 'fastify'
import type { NodeService } from '../../node/service.ts'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { EventHeaders, EventQuery } from '../eventSchemas.ts'
import { type Accepts, type EventSink, eventFilter } from '../events.ts'
import { ApiProblem, badField } from '../problems.ts'
import { Empty, Ticket } from '../schemas.ts'
import { timeRange } from '../times.ts'

const MAX_STREAMS = 256
/** One client that opens and opens must not keep all others out. */
const MAX_OF_ONE = 192
/** A connection on which nothing moves for so long is dead: heartbeats alone move more often. */
const DEAD_AFTER_MS = 60_000
/** Codes and reasons by which WebSockets are closed. @source RFC 6455 §7.4 */
const WS_END = {
  ended: [1001, 'the node stops, or all that was asked for is sent'],
  refused: [1008, 'the key of this stream has ended: revoked, replaced or expired'],
  full: [1013, 'too many event streams are open: try again later'],
} as const

/** The part of a `ws` socket that is used here. */
interface WebSocketLike {
  readonly bufferedAmount: number
  readonly readyState: number
  send(text: string, done: () => void): void
  ping(): void
  close(code: number, reason: string): void
  on(event: 'close', listener: () => void): void
}
const WS_OPEN = 1

interface Query {
  types?: string
  since?: number
  from?: string
  to?: string
  /** Id of the last event before `to`. */
  until?: number
}

export function eventRoutes(app: App, { service, events, tickets, keys }: ApiContext): void {
  /** The stream ends with the version of the key that opened it. */
  const stream = (request: FastifyRequest, sink: EventSink): (() => void) => {
    const { accepts, since, until } = wishesOf(request)
    const { keyId, version } = callerOf(request)
    const unsubscribe = events.subscribe(sink, accepts, since, until)
    const forget = keys.entry(keyId).addStream(version, () => {
      unsubscribe()
      sink.close('refused')
    })
    return () => {
      forget()
      unsubscribe()
    }
  }

  const isFull = (request: FastifyRequest): boolean =>
    events.size >= MAX_STREAMS || keys.entry(callerOf(request).keyId).streams >= MAX_OF_ONE
  const checkRoom = (request: FastifyRequest): void => {
    if (isFull(request))
      throw new ApiProblem('RATE_LIMITED', 'Too many event streams are open.', { retryAfterSeconds: 10 })
  }

  app.post(
    '/v1/events/tickets',
    {
      config: { scope: 'any-key' },
      schema: {
        summary: 'A one-time ticket for ?ticket=, good for 30 seconds',
        tags: ['events'],
        body: Empty,
        response: { 201: Ticket },
      },
    },
    async (request, reply) => {
      const { ticket, expiresAt } = tickets.issue(callerOf(request))
      return reply.code(201).send({ ticket, expiresAt: new Date(expiresAt).toISOString() })
    },
  )

  app.route({
    method: 'GET',
    url: '/v1/events',
    exposeHeadRoute: false,
    config: { scope: 'any-key', takesTicket: true },
    schema: {
      summary: 'Events as they happen, over WebSocket or (Accept: text/event-stream) Server-Sent Events',
      tags: ['events'],
      querystring: EventQuery,
      headers: EventHeaders,
      produces: ['text/event-stream'],
    },
    preHandler: async (request) => {
      checkRoom(request)
      await timesAsIds(request.query as Query, service)
      checkStart(wishesOf(request), service.lastEventId())
    },
    handler: async (request, reply) => {
      if (!request.headers.accept?.includes('text/event-stream')) {
        throw badField('header', '/accept', 'expected text/event-stream, or an upgrade to a WebSocket')
      }
      const { since, until } = wishesOf(request)
      // What an EventSource takes for the end, and does not come back after.
      if (since !== undefined && until !== undefined && since >= until) return reply.code(204).send()
      checkRoom(request) // others may have come while a time was looked up
      reply.raw.on('close', stream(request, serverSentSink(reply, since ?? events.lastId)))
    },
    wsHandler: (socket: WebSocketLike, request) => {
      if (isFull(request as FastifyRequest)) return socket.close(...WS_END.full)
      socket.on('close', stream(request as FastifyRequest, webSocketSink(socket)))
    },
  })
}

/** Times in the place of ids: from here on they are. */
async function timesAsIds(query: Query, service: Pick<NodeService, 'lastEventBefore'>): Promise<void> {
  const { from, to } = timeRange(query)
  if (from !== undefined) query.since = await service.lastEventBefore(from)
  if (to === undefined) return
  query.since ??= 0
  query.until = await service.lastEventBefore(to)
}

interface Wishes {
  readonly accepts: Accepts
  readonly since: number | undefined
  readonly until: number | undefined
  /** Where in the request `since` stands. */
  readonly given: readonly ['query' | 'header', string]
}

/** What the client asked for. `Last-Event-ID` is what EventSource sends when it reconnects. */
function wishesOf(request: FastifyRequest): Wishes {
  const { types, since, until } = request.query as Query
  const accepts = eventFilter(types, callerOf(request).scopes)
  const last = request.headers['last-event-id']
  if (typeof last !== 'string' || last === '') return { accepts, since, until, given: ['query', '/since'] }
  return { accepts, since: Number(last), until, given: ['header', '/last-event-id'] }
}

/** An event that has not happened yet was seen on another log, and all up to that id would be passed over without a word. */
function checkStart({ since, given }: Wishes, newest: number): void {
  if (since === undefined || since <= newest) return
  throw badField(
    ...given,
    `the newest event is ${newest}: this node has begun its events anew; take 0 for all of them, or none for those to come`,
  )
}

function webSocketSink(socket: WebSocketLike): EventSink {
  let unsent = 0
  let wake: (() => void) | undefined
  const sent = () => {
    if (--unsent > 0) return
    wake?.()
    wake = undefined
  }
  socket.on('close', () => wake?.())
  return {
    get closed() {
      return socket.readyState !== WS_OPEN
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    send(_id, _type, json) {
      unsent++
      socket.send(json, sent)
    },
    beat: () => socket.ping(),
    drained: () =>
      new Promise((resolve) => {
        if (unsent === 0 || socket.readyState !== WS_OPEN) return resolve()
        wake = resolve
      }),
    close(why) {
      const [code, reason] = WS_END[why ?? 'ended']
      socket.close(code, reason)
    },
  }
}

/** @param from id after which the stream goes on, for a client whose connection breaks before the first event; 0: not known */
function serverSentSink(reply: FastifyReply, from: number): EventSink {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, {
    ...reply.getHeaders(),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
  } as Record<string, string>)
  raw.write(from > 0 ? `id: ${from}\n\n` : ':\n\n')
  raw.socket?.setTimeout(DEAD_AFTER_MS, () => raw.destroy())
  return {
    get closed() {
      return raw.destroyed || raw.writableEnded
    },
    get bufferedBytes() {
      return raw.writableLength
    },
    send(id, type, json) {
      raw.write(`${id === null ? '' : `id: ${id}\n`}event: ${type}\ndata: ${json}\n\n`)
    },
    beat: () => raw.write(':\n\n'),
    drained: () =>
      new Promise((resolve) => {
        if (!raw.writableNeedDrain || raw.destroyed) return resolve()
        const done = () => {
          raw.off('drain', done)
          raw.off('close', done)
          resolve()
        }
        raw.on('drain', done)
        raw.on('close', done)
      }),
    close: () => raw.end(),
  }
}
