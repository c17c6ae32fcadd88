import { createServer } from 'node:net'

/** Below what systems give to outgoing connections (from 32,768 on): else one of another test takes the port before its node does. */
const FROM = 15_000
const TO = 32_000

const tryListening = (port: number): Promise<ReturnType<typeof createServer> | null> =>
  new Promise((resolve) => {
    const server = createServer()
    server.on('error', () => resolve(null))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })

/** Ports of 127.0.0.1 on which nobody listens, for processes that cannot choose one themselves. */
export async function freePorts(n: number): Promise<number[]> {
  const held: ReturnType<typeof createServer>[] = []
  while (held.length < n) {
    const server = await tryListening(FROM + Math.floor(Math.random() * (TO - FROM)))
    if (server) held.push(server)
  }
  const ports = held.map((s) => (s.address() as { port: number }).port)
  await Promise.all(held.map((s) => new Promise((resolve) => s.close(resolve))))
  return ports
}
