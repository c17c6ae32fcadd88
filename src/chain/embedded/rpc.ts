import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { equalBytesConstantTime, utf8 } from '../../base/bytes.ts'
import { RPC_ERROR } from '../rpcErrors.ts'
import type { EmbeddedChain } from './chain.ts'
import { RpcError } from './rpc/errors.ts'
import { callMethod } from './rpc/methods.ts'

const MAX_BODY = 16 * 1024 * 1024
const MAX_BATCH = 1_000
const MAX_CONNECTIONS = 256
const REQUEST_TIMEOUT_MS = 30_000
const IDLE_MS = 60_000

export interface RpcServerOptions {
  /** 0: any free port. */
  readonly port: number
  /** 127.0.0.1 when left out. */
  readonly host?: string
  /** Asked for with HTTP basic authentication when given. */
  readonly user?: string
  readonly password?: string
  /** What the call `stop` does, once its answer is out. */
  readonly onStop?: () => void
}

export interface RpcServer {
  readonly host: string
  readonly port: number
  /** Ends connections, too. Does not close the chain. */
  close(): Promise<void>
}

/**
 * Bitcoin Core's JSON-RPC for calls within this process: the handler of localTransport in `chain/rpc.ts`. Rejects with an error that
 * has Core's number as `code`.
 */
export const rpcHandler =
  (chain: EmbeddedChain, onStop: () => void = () => {}) =>
  (method: string, params: readonly unknown[]): Promise<unknown> =>
    callMethod(method, params, { chain, stop: onStop })

/** Serves the chain as JSON-RPC 1.0 and 2.0 over HTTP, with Bitcoin Core's methods, shapes and error numbers. */
export async function startRpcServer(chain: EmbeddedChain, options: RpcServerOptions): Promise<RpcServer> {
  const { host = '127.0.0.1', port } = options
  const server = createServer((request, response) => {
    new Exchange(chain, options, request, response).run().catch((e: unknown) => response.destroy(e as Error))
  })
  server.maxConnections = MAX_CONNECTIONS
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = REQUEST_TIMEOUT_MS
  server.keepAliveTimeout = IDLE_MS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address()
  const bound = typeof address === 'object' && address ? address.port : port
  return { host, port: bound, close: () => closeServer(server) }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((e) => (e ? reject(e) : resolve()))
    server.closeAllConnections()
  })
}

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

interface Answer {
  readonly status: number
  /** undefined: a notification, which has no answer. */
  readonly body: object | undefined
}

/** One HTTP request and its answer. */
class Exchange {
  readonly #chain: EmbeddedChain
  readonly #options: RpcServerOptions
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #gone = new AbortController()
  #stopping = false

  constructor(chain: EmbeddedChain, options: RpcServerOptions, request: IncomingMessage, response: ServerResponse) {
    this.#chain = chain
    this.#options = options
    this.#request = request
    this.#response = response
    response.on('close', () => this.#gone.abort())
  }

  async run(): Promise<void> {
    if (this.#request.method !== 'POST') return this.#refuse(405, 'JSONRPC server handles only POST requests')
    // A web page that the user looks at is no client of ours.
    if (this.#request.headers.origin !== undefined) return this.#refuse(403, 'calls from web pages are refused')
    if (!this.#isAuthorized()) {
      this.#response.setHeader('www-authenticate', 'Basic realm="jsonrpc"')
      return this.#refuse(401, '')
    }
    const text = await readBody(this.#request)
    if (text === null) return this.#refuse(413, `the body has more than ${MAX_BODY} bytes`)
    const { status, body } = await this.#answer(text)
    this.#end(status, body === undefined ? '' : `${JSON.stringify(body)}\n`, 'application/json')
  }

  #isAuthorized(): boolean {
    const { user, password } = this.#options
    if (user === undefined && password === undefined) return true
    const expected = `Basic ${Buffer.from(`${user ?? ''}:${password ?? ''}`).toString('base64')}`
    return equalBytesConstantTime(utf8(this.#request.headers.authorization ?? ''), utf8(expected))
  }

  async #answer(text: string): Promise<Answer> {
    let request: unknown
    try {
      request = JSON.parse(text)
    } catch {
      return errorAnswer(null, new RpcError(RPC_ERROR.PARSE_ERROR, 'Parse error'), false)
    }
    if (!Array.isArray(request)) return this.#call(request)
    if (request.length > MAX_BATCH) {
      const what = `a batch may hold ${MAX_BATCH} calls at most`
      return errorAnswer(null, new RpcError(RPC_ERROR.INVALID_REQUEST, what), false)
    }
    const answers: object[] = []
    for (const single of request) {
      const { body } = await this.#call(single)
      if (body) answers.push(body)
    }
    return { status: 200, body: answers }
  }

  async #call(request: unknown): Promise<Answer> {
    if (!isRecord(request)) {
      return errorAnswer(null, new RpcError(RPC_ERROR.INVALID_REQUEST, 'Invalid Request object'), false)
    }
    const { id, method, params } = request
    const modern = request.jsonrpc === '2.0'
    try {
      if (typeof method !== 'string') throw new RpcError(RPC_ERROR.INVALID_REQUEST, 'Method must be a string')
      const result = await callMethod(method, params, {
        chain: this.#chain,
        signal: this.#gone.signal,
        stop: () => {
          this.#stopping = true
        },
      })
      if (modern && id === undefined) return { status: 204, body: undefined }
      const body = modern ? { jsonrpc: '2.0', result, id } : { result, error: null, id: id ?? null }
      return { status: 200, body }
    } catch (e) {
      return errorAnswer(id, e, modern)
    }
  }

  #refuse(status: number, text: string): void {
    this.#response.setHeader('connection', 'close')
    this.#end(status, text, 'text/plain')
  }

  #end(status: number, text: string, type: string): void {
    this.#response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) })
    this.#response.end(text, () => {
      if (this.#stopping) this.#options.onStop?.()
    })
  }
}

function errorAnswer(id: unknown, e: unknown, modern: boolean): Answer {
  const { code, message } =
    e instanceof RpcError ? e : { code: RPC_ERROR.MISC, message: e instanceof Error ? e.message : String(e) }
  const error = { code, message }
  if (modern) return { status: 200, body: { jsonrpc: '2.0', error, id: id ?? null } }
  const status = code === RPC_ERROR.METHOD_NOT_FOUND ? 404 : code === RPC_ERROR.INVALID_REQUEST ? 400 : 500
  return { status, body: { result: null, error, id: id ?? null } }
}

/** null when it is too large. */
function readBody(request: IncomingMessage): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_BODY) {
        request.removeAllListeners('data')
        request.resume()
        resolve(null)
      } else chunks.push(chunk)
    })
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.on('error', reject)
  })
}
