import { connect, createServer, type Socket } from 'node:net'

export type Direction = 'out' | 'in'

/** A TCP link between our node, which dials it, and the peer behind it, that can be cut at any byte. */
export interface Link {
  readonly port: number
  /** Ends every connection at once, whatever is in flight. */
  cut(): void
  /** The same, and nobody gets through until `up`. */
  down(): void
  up(): void
  /**
   * Ends the connection when so many more bytes have passed; not one more is passed in that direction.
   * @param direction out: from our node to the peer
   * @param stays down: nobody gets through until `up`
   */
  cutAfter(direction: Direction, bytes: number, stays?: 'down'): void
  /** false: a cut that was asked for did not come to pass; it is taken back. */
  disarm(): boolean
  /** Bytes that have passed since the link was made. */
  passed(direction: Direction): number
  close(): Promise<void>
}

/** @param target port on loopback */
export async function startLink(target: number): Promise<Link> {
  const pairs = new Set<readonly [Socket, Socket]>()
  const passed = { out: 0, in: 0 }
  let armed: { direction: Direction; at: number; end: () => void } | null = null
  let isDown = false

  const cut = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
    pairs.clear()
  }
  const down = (): void => {
    isDown = true
    cut()
  }
  const pass = (direction: Direction, chunk: Buffer, to: Socket): void => {
    const room = armed?.direction === direction ? armed.at - passed[direction] : Number.POSITIVE_INFINITY
    const part = chunk.subarray(0, Math.max(0, room))
    passed[direction] += part.length
    if (chunk.length <= room) {
      to.write(part)
      return
    }
    const { end } = armed!
    armed = null
    // What came before the cut still arrives.
    if (part.length > 0) to.write(part, end)
    else end()
  }

  const server = createServer((near) => {
    if (isDown) return void near.destroy()
    const far = connect(target, '127.0.0.1')
    const pair = [near, far] as const
    pairs.add(pair)
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        pairs.delete(pair)
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', (chunk) => pass('out', chunk, far))
    far.on('data', (chunk) => pass('in', chunk, near))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as { port: number }
  return {
    port: address.port,
    cut,
    down,
    up: () => {
      isDown = false
    },
    cutAfter: (direction, bytes, stays) => {
      armed = { direction, at: passed[direction] + bytes, end: stays ? down : cut }
    },
    disarm: () => {
      const done = armed === null
      armed = null
      return done
    },
    passed: (direction) => passed[direction],
    close: () => {
      cut()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
