import { createHash, randomBytes } from 'node:crypto'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'

export interface StreamEvent {
  readonly id: number | null
  readonly type: string
  readonly at: string
  readonly data: Record<string, unknown>
}

/** A client of an event stream that can stop reading, as slow ones do. */
export interface StreamClient {
  readonly events: StreamEvent[]
  /** HTTP status of the answer: 101 or 200 when the stream is open. */
  readonly status: number
  /** With what the server says of it in a WebSocket's close frame, code and reason. */
  readonly closed: Promise<string | undefined>
  pause(): void
  resume(): void
  close(): void
}

type Headers = Record<string, string>

/** WebSocket over a plain socket: only what a test needs, and nothing of the library that the server uses. @source RFC 6455 */
export function openWebSocket(port: number, path: string, headers: Headers = {}): Promise<StreamClient> {
  return new Promise((resolve, reject) => {
    const key = randomBytes(16).toString('base64')
    const lines = Object.entries({
      host: `127.0.0.1:${port}`,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': key,
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`)
    const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`))
    let why: string | undefined
    const closed = new Promise<string | undefined>((done) => socket.on('close', () => done(why)))
    const onClose = (payload: Buffer): void => {
      if (payload.length >= 2) why = `${payload.readUInt16BE(0)} ${payload.subarray(2)}`
      socket.end()
    }
    const events: StreamEvent[] = []
    let rest = Buffer.alloc(0)
    let isOpen = false
    let isUpgraded = false
    socket.on('error', reject)
    socket.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data])
      if (!isOpen) {
        const end = rest.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = rest.subarray(0, end).toString()
        rest = rest.subarray(end + 4)
        isOpen = true
        const status = Number(head.split(' ')[1])
        isUpgraded = status === 101
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
        if (status === 101 && !head.includes(accept)) return reject(new Error('wrong Sec-WebSocket-Accept'))
        resolve(client(socket, events, status, closed))
      }
      if (isUpgraded) rest = readFrames(rest, events, onClose)
    })
  })
}

function client(socket: Socket, events: StreamEvent[], status: number, closed: StreamClient['closed']): StreamClient {
  return {
    events,
    status,
    closed,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.destroy(),
  }
}

/** Takes whole frames off the front; a server's frames are not masked. */
function readFrames(buffer: Buffer, events: StreamEvent[], onClose: (payload: Buffer) => void): Buffer<ArrayBuffer> {
  let rest = buffer
  for (;;) {
    if (rest.length < 2) return Buffer.from(rest)
    const opcode = (rest[0] ?? 0) & 0x0f
    const short = (rest[1] ?? 0) & 0x7f
    const header = short === 126 ? 4 : short === 127 ? 10 : 2
    if (rest.length < header) return Buffer.from(rest)
    const length = short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short
    if (rest.length < header + length) return Buffer.from(rest)
    const payload = rest.subarray(header, header + length)
    if (opcode === 1) events.push(JSON.parse(payload.toString()))
    if (opcode === 8) onClose(Buffer.from(payload))
    rest = rest.subarray(header + length)
  }
}

/** Server-Sent Events over node:http. */
export function openEventStream(
  port: number,
  path: string,
  headers: Headers = {},
): Promise<StreamClient & { readonly ids: string[] }> {
  return new Promise((resolve, reject) => {
    const options = {
      port,
      path,
      host: '127.0.0.1',
      headers: { accept: 'text/event-stream', ...headers },
      agent: false,
    }
    httpGet(options, (response: IncomingMessage) => {
      const events: StreamEvent[] = []
      const ids: string[] = []
      let rest = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        const blocks = (rest + text).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) {
          const field = (name: string) =>
            block
              .split('\n')
              .find((line) => line.startsWith(`${name}: `))
              ?.slice(name.length + 2)
          const data = field('data')
          if (data !== undefined) {
            const event = JSON.parse(data) as StreamEvent
            if (field('event') !== event.type) reject(new Error('the event field is not the type'))
            events.push(event)
          }
          const id = field('id')
          if (id !== undefined) ids.push(id)
        }
      })
      const closed = new Promise<undefined>((done) => response.on('close', () => done(undefined)))
      resolve({
        events,
        ids,
        status: response.statusCode ?? 0,
        closed,
        pause: () => response.socket.pause(),
        resume: () => response.socket.resume(),
        close: () => response.destroy(),
      })
    }).on('error', reject)
  })
}
