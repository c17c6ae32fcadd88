import { connect, createServer } from 'node:net'
import type { NodeId } from '../base/ids.ts'
import { type ConnectionConfig, type ConnectionEvents, PeerConnection } from './connection.ts'
import { PeerError } from './errors.ts'

/** As `host:port` is written, IPv6 in brackets. */
export const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** Starts connecting; events tell the rest. The node id must be a point on the curve, or the handshake fails. */
export function dial(
  to: { readonly nodeId: NodeId; readonly host: string; readonly port: number },
  config: ConnectionConfig,
  events: ConnectionEvents,
): PeerConnection {
  const socket = connect({ host: to.host, port: to.port })
  return new PeerConnection(socket, hostPort(to.host, to.port), to.nodeId, config, events)
}

export interface Listener {
  readonly port: number
  /** Takes no more connections; those that are open stay. */
  close(): void
}

/**
 * Listens for inbound connections.
 * @param port 0 for any free one
 * @throws PeerError UNREACHABLE when the address cannot be listened on
 */
export function listen(
  at: { readonly host: string; readonly port: number },
  config: ConnectionConfig,
  events: ConnectionEvents & { onInbound(c: PeerConnection): void },
): Promise<Listener> {
  const server = createServer((socket) => {
    const address = hostPort(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)
    events.onInbound(new PeerConnection(socket, address, null, config, events))
  })
  return new Promise((resolve, reject) => {
    server.once('error', (e: NodeJS.ErrnoException) => {
      const isTaken = e.code === 'EADDRINUSE'
      const why = isTaken ? 'another program listens there; choose another address with --listen' : e.message
      reject(new PeerError('UNREACHABLE', `cannot listen on ${hostPort(at.host, at.port)}: ${why}`, { cause: e }))
    })
    server.listen(at.port, at.host, () => {
      server.removeAllListeners('error')
      server.on('error', () => undefined) // a failed accept concerns nobody else
      const bound = server.address()
      resolve({ port: typeof bound === 'object' && bound !== null ? bound.port : at.port, close: () => server.close() })
    })
  })
}
