import { readFileSync } from 'node:fs'
import { Agent, type RequestOptions, request } from 'node:https'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** What LND says: 64-bit numbers are decimal text, bytes are base64. */
// biome-ignore lint/suspicious/noExplicitAny: LND's own words; a test reads the few fields that it is about
export type Answer = any

/** A call that is answered by many lines. */
export interface Answers {
  /** The first answer that matches, of those that came and those to come; rejects when the stream ends without. */
  find(matches: (a: Answer) => boolean): Promise<Answer>
  close(): void
}

type Method = 'GET' | 'POST' | 'DELETE'
const ANSWER_MS = 30_000

/** As LND's REST has bytes. */
export const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64')

/** LND's REST interface, by its own certificate and the macaroon of its administrator. */
export class Rest {
  readonly #dir: string
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true })

  /** @param dir LND's own @param port on loopback */
  constructor(dir: string, port: number) {
    this.#dir = dir
    this.#port = port
  }

  get(path: string): Promise<Answer> {
    return this.#call('GET', path)
  }
  post(path: string, body: unknown): Promise<Answer> {
    return this.#call('POST', path, body)
  }
  delete(path: string): Promise<Answer> {
    return this.#call('DELETE', path)
  }
  close(): void {
    this.#agent.destroy()
  }

  stream(method: Method, path: string, body?: unknown): Answers {
    const seen: Answer[] = []
    const looking = new Set<() => void>()
    let failure: Error | undefined
    const wake = (): void => {
      for (const look of [...looking]) look()
    }
    const fail = (why: string): void => {
      failure ??= new Error(`LND ${path}: ${why}`)
      wake()
    }
    const req = request(this.#options(method, path), (res) => {
      const lines = createInterface({ input: res })
      lines.on('line', (line) => {
        const { result, error, message } = JSON.parse(line)
        if (result === undefined) return fail(error?.message ?? message)
        seen.push(result)
        wake()
      })
      for (const emitter of [res, lines]) emitter.on('error', (e: Error) => fail(e.message))
      lines.on('close', () => fail('the stream has ended'))
    })
    req.on('error', (e) => fail(e.message))
    req.end(body === undefined ? undefined : JSON.stringify(body))
    return {
      find: (matches) =>
        new Promise((resolve, reject) => {
          const end = (settle: () => void): void => {
            clearTimeout(limit)
            looking.delete(look)
            settle()
          }
          const look = (): void => {
            const found = seen.find(matches)
            if (found !== undefined) end(() => resolve(found))
            else if (failure) end(() => reject(failure))
          }
          const late = () => new Error(`LND ${path}: not in ${ANSWER_MS} ms; it said ${JSON.stringify(seen)}`)
          const limit = setTimeout(() => end(() => reject(late())), ANSWER_MS)
          looking.add(look)
          look()
        }),
      close: () => void req.destroy(),
    }
  }

  #call(method: Method, path: string, body?: unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const req = request(this.#options(method, path), (res) => {
        const parts: Buffer[] = []
        res.on('error', reject)
        res.on('data', (part) => parts.push(part))
        res.on('end', () => {
          const text = Buffer.concat(parts).toString()
          if (res.statusCode === 200) resolve(JSON.parse(text))
          else reject(new Error(`LND ${path}: ${text}`))
        })
      })
      req.on('error', (e) => reject(new Error(`LND ${path}: ${e.message}`)))
      req.setTimeout(ANSWER_MS, () => req.destroy(new Error(`no answer in ${ANSWER_MS} ms`)))
      req.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  /** LND makes both files at its first start. */
  #options(method: Method, path: string): RequestOptions {
    const macaroon = readFileSync(join(this.#dir, 'data/chain/bitcoin/regtest/admin.macaroon')).toString('hex')
    const ca = readFileSync(join(this.#dir, 'tls.cert'))
    const headers = { 'Grpc-Metadata-macaroon': macaroon }
    return { host: '127.0.0.1', port: this.#port, method, path, headers, ca, agent: this.#agent }
  }
}
