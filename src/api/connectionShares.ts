import type { Server } from 'node:net'
import { isLoopback } from '../node/configOptions.ts'
import { originOfIp } from '../wire/ip.ts'

/** The part of a socket that counts. */
interface Counted {
  readonly remoteAddress?: string | undefined
  destroy(): void
  once(event: 'close', listener: () => void): void
}

/**
 * So that nobody elsewhere takes all connections of the API and locks the others out: one address gets no more than its share. This
 * machine, where a proxy may stand, gets as many as there are.
 */
export function shareConnections(server: Pick<Server, 'on'>, most: number): void {
  const counts = new Map<string, number>()
  server.on('connection', (socket: Counted) => {
    const { remoteAddress: address = '' } = socket
    if (isLoopback(address.replace(/^::ffff:/, ''))) return
    const origin = originOfIp(address)
    const count = (counts.get(origin) ?? 0) + 1
    if (count > most) {
      socket.destroy()
      return
    }
    counts.set(origin, count)
    socket.once('close', () => {
      const left = (counts.get(origin) ?? 1) - 1
      if (left === 0) counts.delete(origin)
      else counts.set(origin, left)
    })
  })
}
