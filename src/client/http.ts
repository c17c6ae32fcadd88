import type { Problem } from '../api/problems.ts'
import { ApiError, ArgumentError, ConnectionError, maybeSent, unsure } from './errors.ts'
import { KeyKeeper, type KeyOptions } from './keyKeeper.ts'

export interface HttpOptions extends KeyOptions {
  /** `http://127.0.0.1:9737` */
  readonly url: string | URL
  /** Tries after the first, for what may be repeated without harm. Default 3. */
  readonly retries?: number
  /** In place of the global one: `trustingFetch` of `fulmen/client/tls` where a certificate is pinned, or one of its own is trusted. */
  readonly fetch?: typeof fetch
}

export interface CallOptions {
  /** Gives up waiting; a call that acts may have been carried out. */
  readonly signal?: AbortSignal
  /** For calls that act: the same key acts once. Taken at random when absent. */
  readonly idempotencyKey?: string
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>

interface Call extends CallOptions {
  readonly query?: Query
  readonly body?: unknown
  /** Repeating it does no harm: reads, and what carries an idempotency key. */
  readonly repeatable: boolean
  /** Brings a new version of the own key: waits for no other. */
  readonly issues?: true
}

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5_000
const SELF_ROTATE = '/v1/keys/self/rotate'
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504])
/** What stands before the node got no answer from it. */
const OF_A_PROXY: ReadonlySet<number> = new Set([502, 504])

/** HTTP to one node: keys, JSON, problems, and retries of what may be repeated. */
export class Http {
  readonly #base: string
  readonly keys: KeyKeeper
  readonly #retries: number
  readonly #fetch: typeof fetch

  constructor(options: HttpOptions) {
    this.#base = baseOf(String(options.url).trim())
    this.keys = new KeyKeeper(options)
    this.#retries = options.retries ?? 3
    this.#fetch = options.fetch ?? ((...call) => fetch(...call)) // a browser's own is no method of another object
  }

  get<T>(path: string, query?: Query, options: CallOptions = {}): Promise<T> {
    return this.#json('GET', path, { ...options, ...(query && { query }), repeatable: true })
  }

  /** A call that a repetition would not do twice by itself (connect, cancel, decode …). */
  send<T>(method: string, path: string, body: unknown = {}, options: CallOptions = {}): Promise<T> {
    return this.#json(method, path, { ...options, ...(method !== 'DELETE' && { body }), repeatable: false })
  }

  /** A call that brings a new version of this client's own key, which is taken from then on. */
  issue<T extends { readonly secret: string }>(path: string, body: unknown = {}): Promise<T> {
    return this.keys.adopt(() => this.#json<T>('POST', path, { body, repeatable: false, issues: true }))
  }

  /** A call that moves money or makes something: carries an idempotency key and can so be repeated. */
  act<T>(path: string, body: unknown, query: Query = {}, options: CallOptions = {}): Promise<T> {
    const idempotencyKey = options.idempotencyKey ?? randomId()
    return this.#json('POST', path, { ...options, query, body, idempotencyKey, repeatable: true })
  }

  /** The answer as it comes, for streams and files; problems become ApiError. */
  async open(path: string, accept: string, query: Query = {}, signal?: AbortSignal): Promise<Response> {
    const call = { query, repeatable: false, ...(signal && { signal }) }
    return this.#checked(await this.#once('GET', path, call, accept))
  }

  async #json<T>(method: string, path: string, call: Call): Promise<T> {
    let isUnsure = false
    for (let attempt = 0; ; attempt++) {
      const last = !call.repeatable || attempt >= this.#retries
      try {
        const response = await this.#once(method, path, call, 'application/json')
        if (last || !BUSY.has(response.status)) return await this.#body(await this.#checked(response, path), path)
        isUnsure ||= OF_A_PROXY.has(response.status)
        await response.body?.cancel()
        await pause(delayMs(attempt, response.headers.get('retry-after')), call.signal)
      } catch (error) {
        if (error instanceof ConnectionError) isUnsure ||= maybeSent(error)
        const { idempotencyKey } = call
        if (last && isUnsure && idempotencyKey !== undefined && decidesNothing(error))
          throw unsure(error, idempotencyKey)
        if (last || !(error instanceof ConnectionError)) throw error
        await pause(delayMs(attempt, null), call.signal)
      }
    }
  }

  /** Once, or again with another key when the node refused this one: such a call was not carried out. */
  async #once(method: string, path: string, call: Call, accept: string): Promise<Response> {
    const tried = new Set<string | undefined>()
    for (;;) {
      const key = await this.keys.current()
      tried.add(key)
      const response = await this.#fetchWith(key, method, path, { ...call, accept })
      // The present version works on when this fails; a later answer asks again.
      if (this.keys.isAsked(key, response.headers)) this.issue(SELF_ROTATE).catch(() => {})
      if (response.status !== 401 || call.issues || !(await this.keys.refused(tried))) return response
      await response.body?.cancel()
    }
  }

  async #fetchWith(
    key: string | undefined,
    method: string,
    path: string,
    call: Call & { readonly accept: string },
  ): Promise<Response> {
    const headers: Record<string, string> = { accept: call.accept }
    if (key !== undefined) headers.authorization = `Bearer ${sendable('key', key.trim())}`
    if (call.body !== undefined) headers['content-type'] = 'application/json'
    if (call.idempotencyKey !== undefined) headers['idempotency-key'] = sendable('idempotencyKey', call.idempotencyKey)
    const body = call.body === undefined ? {} : { body: bodyText(call.body) }
    try {
      return await this.#fetch(this.#base + path + queryText(call.query), {
        method,
        headers,
        ...body,
        ...(call.signal && { signal: call.signal }),
      })
    } catch (error) {
      call.signal?.throwIfAborted()
      throw new ConnectionError(`${this.#base} does not answer: is the node running?`, { cause: error })
    }
  }

  async #checked(response: Response, path = ''): Promise<Response> {
    if (response.ok || (path === '/health/ready' && response.status === 503)) return response
    const type = response.headers.get('content-type') ?? ''
    if (!type.includes('application/problem+json')) {
      throw new ConnectionError(`${this.#base} answered ${response.status} ${type}: is it a Fulmen node?`)
    }
    throw new ApiError((await this.#body(response, path)) as Problem)
  }

  async #body<T>(response: Response, path: string): Promise<T> {
    if (response.status === 204) return undefined as T
    try {
      return (await response.json()) as T
    } catch (error) {
      throw new ConnectionError(`the answer of ${this.#base}${path} broke off or is not JSON`, { cause: error })
    }
  }
}

/** What an address of an API is to be, where this one is none; null when it is one. A password in it is not repeated. */
export function wrongAddress(url: string): string | null {
  if (/^https?:\/\/[^@?#]+$/i.test(url) && URL.canParse(url)) return null
  const got = url.replace(/^(\w+:\/\/)?.*@/s, '$1•••@').replace(/[?#].*/s, '?•••')
  return `expected http://host:port or https://host:port, without user, password and query, got "${got}"`
}

/** @throws ArgumentError */
function baseOf(url: string): string {
  const wrong = wrongAddress(url)
  if (wrong === null) return url.replace(/\/+$/, '')
  throw new ArgumentError(`url: ${wrong}`)
}

/** A value of a header. `fetch` refuses others with an error that has them in it, and looks like a node that does not answer. */
function sendable(name: string, value: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value
  throw new ArgumentError(`${name}: expected visible ASCII alone, in one line; nothing was sent`)
}

function bodyText(body: unknown): string {
  try {
    return JSON.stringify(body)
  } catch (error) {
    throw new ArgumentError(`the body is no JSON (${(error as Error).message}); nothing was sent`)
  }
}

/** randomUUID is not there for pages that came over plain HTTP. */
const randomId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

function queryText(query: Query = {}): string {
  const text = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) text.set(name, String(value))
  return text.size === 0 ? '' : `?${text}`
}

/** After a try that the node may have got: whether this one leaves open what became of it. */
const decidesNothing = (error: unknown): error is Error =>
  error instanceof ConnectionError || (error instanceof ApiError && BUSY.has(error.status))

/** Doubles with each attempt, with jitter; a server that says how long is believed. */
function delayMs(attempt: number, retryAfter: string | null): number {
  const told = Number(retryAfter)
  if (retryAfter !== null && Number.isFinite(told) && told >= 0) return Math.min(told * 1000, MAX_DELAY_MS)
  return Math.min(FIRST_DELAY_MS * 2 ** attempt, MAX_DELAY_MS) * (0.5 + Math.random() / 2)
}

/** Rejects when the signal aborts. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
