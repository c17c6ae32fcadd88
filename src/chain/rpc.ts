import { readFile } from 'node:fs/promises'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { printable } from '../base/bytes.ts'
import { ChainError } from './errors.ts'

/** One JSON-RPC call. Resolves with `result`; fails with ChainError alone. */
export interface RpcTransport {
  call(method: string, params: readonly unknown[], options: CallOptions): Promise<unknown>
  close(): void
}
export interface CallOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

const RPC_IN_WARMUP = -28
const MAX_RESPONSE_BYTES = 256 * 1024 * 1024
/** Core drops idle connections after 30 s: we drop ours before, so that a call is not sent into one that is being closed. */
const IDLE_MS = 20_000

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null

/** The error of an answer, as Core shapes it: `{ code, message }`. */
function rpcError(method: string, error: unknown): ChainError {
  const code = isRecord(error) && typeof error.code === 'number' ? error.code : undefined
  const said = printable(isRecord(error) && typeof error.message === 'string' ? error.message : String(error))
  if (code === RPC_IN_WARMUP) return new ChainError('WARMUP', `the Bitcoin node is starting: ${said}`)
  const options = { cause: error, ...(code === undefined ? {} : { rpcCode: code }) }
  return new ChainError('RPC_ERROR', `${method}: ${said}${code === undefined ? '' : ` (${code})`}`, options)
}

/** Calls a handler in this process, with Core's methods and shapes; its errors carry Core's numbers as `code`. */
export function localTransport(
  handler: (method: string, params: readonly unknown[]) => unknown,
  onClose: () => void = () => {},
): RpcTransport {
  return {
    async call(method, params, options) {
      const deadline = startDeadline(method, options)
      try {
        return await Promise.race([handler(method, params), deadline.passed])
      } catch (e) {
        throw e instanceof ChainError ? e : rpcError(method, e)
      } finally {
        deadline.clear()
      }
    },
    close: onClose,
  }
}

interface Deadline {
  readonly signal: AbortSignal
  /** Rejects with TIMEOUT or ABORTED, whichever comes. */
  readonly passed: Promise<never>
  /** Forgets timer and listener; must be called when the call is over. */
  clear(): void
}

function startDeadline(method: string, { timeoutMs, signal }: CallOptions): Deadline {
  const controller = new AbortController()
  const passed = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason))
  })
  passed.catch(() => {})
  const abort = (): void => controller.abort(new ChainError('ABORTED', `${method}: stopped`))
  const timer = setTimeout(() => {
    controller.abort(
      new ChainError('TIMEOUT', `${method}: no answer from the Bitcoin node within ${timeoutMs / 1000} s`),
    )
  }, timeoutMs)
  if (signal?.aborted) abort()
  else signal?.addEventListener('abort', abort)
  return {
    signal: controller.signal,
    passed,
    clear() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    },
  }
}

export interface HttpTransportOptions {
  /** `http://user:password@127.0.0.1:8332`; user and password may be left out when there is a cookie file. */
  readonly url: string
  /** Core's `.cookie` in its data directory; read again whenever the node refuses it, since every start writes a new one. */
  readonly cookieFile?: string
}

/** JSON-RPC over HTTP with kept-alive connections. @throws ChainError UNAVAILABLE for a URL that is none */
export function httpTransport(options: HttpTransportOptions): RpcTransport {
  return new HttpTransport(options)
}

class HttpTransport implements RpcTransport {
  readonly #target: RequestOptions
  readonly #secure: boolean
  readonly #agent: HttpAgent | HttpsAgent
  readonly #cookieFile: string | undefined
  /** For messages: where, without credentials. */
  readonly #where: string
  #credentials: string | null
  #nextId = 0

  constructor({ url, cookieFile }: HttpTransportOptions) {
    const parsed = URL.canParse(url) ? new URL(url) : null
    if (!parsed || !/^https?:$/.test(parsed.protocol)) {
      throw new ChainError('UNAVAILABLE', 'the Bitcoin node\'s address must look like "http://user:password@host:port"')
    }
    this.#secure = parsed.protocol === 'https:'
    const agentOptions = { keepAlive: true, maxSockets: 16, timeout: IDLE_MS }
    this.#agent = this.#secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions)
    this.#target = {
      hostname: parsed.hostname.replace(/^\[|\]$/g, ''),
      port: parsed.port || (this.#secure ? 443 : 80),
      path: parsed.pathname + parsed.search,
      method: 'POST',
    }
    this.#where = `${this.#target.hostname}:${this.#target.port}`
    this.#cookieFile = cookieFile
    const { username, password } = parsed
    this.#credentials = username ? `${decodeURIComponent(username)}:${decodeURIComponent(password)}` : null
  }

  async call(method: string, params: readonly unknown[], options: CallOptions): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: '1.0', id: this.#nextId++, method, params })
    if (this.#credentials === null && this.#cookieFile) await this.#readCookie(this.#cookieFile)
    let answer = await this.#post(method, body, options)
    if (answer.status === 401 && this.#cookieFile) {
      await this.#readCookie(this.#cookieFile)
      answer = await this.#post(method, body, options)
    }
    return this.#resultOf(method, answer)
  }

  close(): void {
    this.#agent.destroy()
  }

  async #readCookie(path: string): Promise<void> {
    try {
      this.#credentials = (await readFile(path, 'utf8')).trim()
    } catch (e) {
      throw new ChainError('UNAVAILABLE', `cannot read the cookie file ${path}: is the Bitcoin node running?`, {
        cause: e,
      })
    }
  }

  #resultOf(method: string, { status, text }: { status: number; text: string }): unknown {
    if (status === 401 || status === 403) {
      const how =
        status === 401 ? 'check user and password, or the cookie file' : 'check its -rpcallowip and -rpcwhitelist'
      throw new ChainError('UNAUTHORIZED', `the Bitcoin node at ${this.#where} refuses our calls: ${how}`)
    }
    let answer: unknown
    try {
      answer = JSON.parse(text)
    } catch {
      const code = status === 200 ? 'BAD_RESPONSE' : 'UNAVAILABLE'
      throw new ChainError(code, `${method}: HTTP ${status} from ${this.#where}: ${printable(text, 80)}`)
    }
    if (!isRecord(answer)) throw new ChainError('BAD_RESPONSE', `${method}: the answer is not a JSON-RPC object`)
    if (answer.error !== undefined && answer.error !== null) throw rpcError(method, answer.error)
    return answer.result
  }

  async #post(method: string, body: string, options: CallOptions): Promise<{ status: number; text: string }> {
    const deadline = startDeadline(method, options)
    try {
      return await Promise.race([this.#send(body, deadline.signal), deadline.passed])
    } catch (e) {
      if (e instanceof ChainError) throw e
      const why = e instanceof Error ? e.message : String(e)
      throw new ChainError('UNAVAILABLE', `${method}: cannot reach the Bitcoin node at ${this.#where}: ${why}`, {
        cause: e,
      })
    } finally {
      deadline.clear()
    }
  }

  #send(body: string, signal: AbortSignal): Promise<{ status: number; text: string }> {
    const headers: Record<string, string | number> = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    if (this.#credentials !== null) headers.authorization = `Basic ${Buffer.from(this.#credentials).toString('base64')}`
    return new Promise((resolve, reject) => {
      const send = this.#secure ? httpsRequest : httpRequest
      const request = send({ ...this.#target, headers, agent: this.#agent, signal }, (response) => {
        readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject)
      })
      request.on('error', reject)
      request.end(body)
    })
  }
}

function readText(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    response.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_RESPONSE_BYTES) response.destroy(new Error(`answer of more than ${MAX_RESPONSE_BYTES} bytes`))
      else chunks.push(chunk)
    })
    response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    response.on('error', reject)
    response.on('aborted', () => reject(new Error('the connection broke off')))
  })
}
