import { createHash, X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { type Duplex, Readable } from 'node:stream'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'

/* For Node.js alone: browsers decide by themselves which certificates they take. */

export interface TlsTrust {
  /** Certificates (PEM) to trust, besides nobody else: the node's own, or those of a private authority. */
  readonly ca?: string
  /** `sha256//…` of the node's public key, as `fulmen start` prints it and curl takes it; its certificate and name count for nothing then. */
  readonly pin?: string
}

/** A connection that has brought nothing for so long is tried. */
const PROBE_AFTER_MS = 15_000

/** The other side is not who was pinned. Nothing was sent to it. */
class PinError extends Error {
  readonly code = 'PIN_MISMATCH'
}

function checkPin(socket: TLSSocket, pin: string): PinError | null {
  const { raw } = socket.getPeerCertificate()
  if (!raw) return new PinError('the other side showed no certificate')
  const key = new X509Certificate(raw).publicKey.export({ type: 'spki', format: 'der' })
  const actual = `sha256//${createHash('sha256').update(key).digest('base64')}`
  return actual === pin ? null : new PinError(`the public key of the other side is ${actual}, and ${pin} was expected`)
}

/** Connections are handed out only when the key behind them has been checked, so that no request ever reaches another. */
class PinAgent extends Agent {
  readonly #pin: string

  constructor(pin: string) {
    super({ keepAlive: true, maxCachedSessions: 0 })
    this.#pin = pin
  }

  override createConnection(
    options: ConnectionOptions,
    done?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | undefined {
    const socket = connect({ ...options, rejectUnauthorized: false })
    const fail = (error: Error) => done?.(error, socket)
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      socket.off('error', fail)
      const wrong = checkPin(socket, this.#pin)
      if (!wrong) return done?.(null, socket)
      socket.on('error', () => {})
      socket.destroy()
      done?.(wrong, socket)
    })
    return undefined
  }
}

/** The other side speaks no TLS: so named where that was read, and EPROTO where it was about to write. Nothing was sent to it. */
const named = (error: Error): Error =>
  error.message.includes('wrong version number')
    ? Object.assign(error, { code: 'ERR_SSL_WRONG_VERSION_NUMBER' })
    : error

/**
 * A `fetch` for `new FulmenClient({ url, key, fetch: trustingFetch({ pin }) })` when the node has a certificate of its own. Node.js's own
 * fetch cannot be told whom to trust.
 * @throws TypeError when the other side is not trusted, as fetch does
 */
export function trustingFetch({ ca, pin }: TlsTrust): typeof fetch {
  const agent = pin === undefined ? new Agent({ keepAlive: true, ...(ca !== undefined && { ca }) }) : new PinAgent(pin)
  return async (input, init) => {
    const asked = new Request(input, init)
    const { method, signal } = asked
    const body = await asked.text()
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = Object.fromEntries(asked.headers)
      const sent = request(asked.url, { method, headers, agent, signal }, resolve)
      sent.on('error', (error) =>
        reject(signal.aborted ? signal.reason : new TypeError('fetch failed', { cause: named(error) })),
      )
      // Without it, a call waits for ever when the other machine goes without a word, or the way to it.
      sent.setSocketKeepAlive(true, PROBE_AFTER_MS)
      sent.end(body)
    })
    const isEmpty = response.statusCode === 204 || response.statusCode === 304
    if (isEmpty) response.resume()
    return new Response(isEmpty ? null : (Readable.toWeb(response) as ReadableStream<Uint8Array>), {
      status: response.statusCode ?? 500,
      headers: Object.entries(response.headersDistinct).flatMap(([name, values = []]) =>
        values.map((value): [string, string] => [name, value]),
      ),
    })
  }
}
