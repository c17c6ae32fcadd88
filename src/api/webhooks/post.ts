import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Targets } from './target.ts'

/** For all of it: name, connection, request, answer. */
const TIMEOUT_MS = 10_000
/** Read off so that the connection can be used again; of a longer answer the connection is thrown away. */
const MAX_ANSWER = 16 * 1024
const IDLE_MS = 30_000

/** What came of one attempt. */
export interface Outcome {
  /** Null when no answer came. */
  readonly status: number | null
  readonly latencyMs: number
  readonly error: string | null
}

export interface Message {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A connection that was kept from an earlier request broke before an answer came. */
class StaleConnection extends Error {
  readonly code: string
  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message, { cause })
    this.code = cause.code ?? 'FAILED'
  }
}

/** Posts messages to receivers. Redirects are not followed: where they lead was not agreed to. */
export class Poster {
  readonly #targets: Targets
  readonly #timeoutMs: number
  readonly #agents = {
    'http:': new HttpAgent({ keepAlive: true, timeout: IDLE_MS, maxFreeSockets: 32 }),
    'https:': new HttpsAgent({ keepAlive: true, timeout: IDLE_MS, maxFreeSockets: 32 }),
  }

  constructor(targets: Targets, timeoutMs: number = TIMEOUT_MS) {
    this.#targets = targets
    this.#timeoutMs = timeoutMs
  }

  /** Never rejects: what went wrong is in the outcome. */
  async post(message: Message, signal: AbortSignal): Promise<Outcome> {
    const began = performance.now()
    const outcome = (status: number | null, error: string | null): Outcome => ({
      status,
      latencyMs: Math.round(performance.now() - began),
      error,
    })
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)])
      // A kept connection may have been closed while the request was on its way: that says nothing about the receiver.
      const status = await this.#send(message, limit).catch((error) => {
        if (error instanceof StaleConnection) return this.#send(message, limit)
        throw error
      })
      return outcome(status, null)
    } catch (error) {
      return outcome(null, codeOf(error))
    }
  }

  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  /** @returns the status of the answer */
  #send({ url: text, headers, body }: Message, signal: AbortSignal): Promise<number> {
    const url = new URL(text)
    this.#targets.checkLiteral(url)
    const isPlain = url.protocol === 'http:'
    return new Promise((resolve, reject) => {
      const request = (isPlain ? httpRequest : httpsRequest)(url, {
        method: 'POST',
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        agent: this.#agents[isPlain ? 'http:' : 'https:'],
        lookup: this.#targets.lookup(isPlain),
        signal,
      })
      let status: number | undefined
      request.on('response', (response) => {
        status = response.statusCode ?? 0
        void finished(response).then(() => resolve(status ?? 0))
      })
      // A status that has come counts, whatever becomes of the rest of the answer.
      request.on('error', (error) => {
        if (status !== undefined) resolve(status)
        else if (signal.aborted) reject(signal.reason)
        else reject(request.reusedSocket ? new StaleConnection(error) : error)
      })
      request.end(body)
    })
  }
}

/** Resolves when the answer has come to its end or to ours: its status is known already and counts. */
function finished(response: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0
    response.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length
      if (bytes > MAX_ANSWER) response.destroy()
    })
    response.on('error', () => resolve())
    response.on('close', () => resolve())
  })
}

function codeOf(error: unknown): string {
  const { name, code, errors } = error as { name?: string; code?: unknown; errors?: readonly unknown[] }
  if (name === 'TimeoutError') return 'TIMEOUT'
  if (name === 'AbortError') return 'STOPPED'
  if (typeof code === 'string') return code
  return errors?.length ? codeOf(errors[0]) : 'FAILED'
}
