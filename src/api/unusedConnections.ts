import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Connections over which nothing was ever asked, as browsers and HTTP clients open them ahead of need. A server that closes waits
 * for them as if a request were under way, up to a minute.
 * @returns ends them
 */
export function watchUnused(server: Server, isTls: boolean): () => void {
  const unused = new Set<Socket>()
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  for (const event of ['request', 'upgrade'] as const) {
    server.on(event, (request: { readonly socket: Socket }) => unused.delete(request.socket))
  }
  return () => {
    for (const socket of unused) socket.destroy()
  }
}
