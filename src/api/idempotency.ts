import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { toHex, utf8, utf8Decode } from '../base/bytes.ts'
import { InvariantError } from '../base/errors.ts'
import { crypto } from '../crypto/crypto.ts'
import { ifDamaged } from '../node/apiStore.ts'
import { type BadField, type ServiceCode, ServiceError } from '../node/errors.ts'
import type { ApiOp, ApiStore } from '../node/service.ts'
import type { Caller } from './auth/keyEntry.ts'
import { ApiProblem, PROBLEMS, type ProblemCode } from './problems.ts'

const IDEMPOTENCY_DAYS = 7
const LIFE_MS = IDEMPOTENCY_DAYS * 24 * 3_600_000
const HOUR_MS = 3_600_000
const PREFIX = 'idempotency/'
/** Beside each record, a name that sorts by age: `idempotency-age/<hour>/…`. */
const AGE_PREFIX = 'idempotency-age/'
const SWEEP_PAGE = 500
const SWEEP_EVERY = 1_000

export const IdempotencyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[\\x21-\\x7e]+$',
      description: `1 to 255 visible ASCII characters: the same key and body acts once and gets the same answer, for ${IDEMPOTENCY_DAYS} days`,
    }),
  ),
})

/** What is known of a request: written before it acts, so that a restart knows which resource to look for. */
interface StoredRequest {
  readonly fingerprint: string
  /** The local id of what the request makes. */
  readonly id: string
  readonly at: number
  /** It was made: if it cannot be found any more it is gone, and never made again. */
  readonly done?: true
  /** It was refused, for good. */
  readonly problem?: { readonly code: ServiceCode; readonly detail: string; readonly fields?: readonly BadField[] }
}

/** How to make a resource under a local id chosen beforehand, and how to find it again. */
export interface Making<V> {
  /**
   * Rejects with NOT_FOUND when no resource has the id.
   * @param isDone whether the request is known to have been carried out
   */
  find(id: string, isDone: boolean): Promise<V>
  /** @param id undefined when the request has no Idempotency-Key: the node takes one */
  make(id: string | undefined): Promise<V>
  idOf(view: V): string
}

interface Running {
  readonly fingerprint: string
  readonly outcome: Promise<unknown>
}

/**
 * Idempotency-Key: the same key and request make one resource and get one answer, for seven days and across restarts. The record is
 * on disk before the node acts, mostly in one batch with what it writes for the request; the answer is always read from the resource
 * itself, so the two cannot disagree.
 */
export class Idempotency {
  readonly #store: ApiStore
  readonly #newId: () => string
  readonly #now: () => number
  readonly #running = new Map<string, Running>()
  /** What was made, by name, and is not yet on disk as such: until it is, the resource itself proves it. */
  #made = new Map<string, StoredRequest>()
  /** Of that, what is on its way to the disk, where the record of before still stands. */
  readonly #writing = new Map<string, StoredRequest>()
  #untilSweep = 0
  /** While old records are being deleted: what was begun since. */
  #begunMeanwhile: Set<string> | null = null

  /** @param now Unix milliseconds */
  constructor(store: ApiStore, newId: () => string, now: () => number) {
    this.#store = store
    this.#newId = newId
    this.#now = now
  }

  /** @throws ApiProblem IDEMPOTENCY_CONFLICT, RESULT_GONE; ServiceError CONFLICT where its record is damaged, or whatever it was refused with at first */
  async once<V>(request: FastifyRequest, making: Making<V>): Promise<V> {
    const key = request.headers['idempotency-key']
    if (key === undefined) return making.make(undefined)
    const name = recordName(request.caller, String(key))
    const fingerprint = fingerprintOf(request)
    const running = this.#running.get(name)
    if (running) {
      if (running.fingerprint !== fingerprint) throw conflict()
      return (await running.outcome) as V
    }
    const outcome = this.#run(name, fingerprint, making)
    this.#running.set(name, { fingerprint, outcome })
    try {
      return await outcome
    } finally {
      this.#running.delete(name)
    }
  }

  async #run<V>(name: string, fingerprint: string, making: Making<V>): Promise<V> {
    const known = await this.#load(name).catch(ifDamaged('damaged' as const))
    if (known === 'damaged') throw new ServiceError('CONFLICT', DAMAGED)
    if (!known) {
      const record: StoredRequest = { fingerprint, id: this.#newId(), at: this.#now() }
      // The node writes in the order in which it is asked: the record is on disk no later than what comes of the request.
      const begun = this.#begin(name, record)
      const made = this.#make(name, record, making)
      made.catch(() => {}) // heard below, once it is known that the record is on disk
      await begun
      return made
    }
    if (known.fingerprint !== fingerprint) throw conflict()
    if (known.problem) throw refusal(known.problem)
    try {
      return await making.find(known.id, known.done === true)
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === 'NOT_FOUND')) throw error
      if (known.done)
        throw new ApiProblem('RESULT_GONE', 'The request was carried out, and what it made is no longer kept.')
    }
    // Stored before a crash or an outage, and never carried out.
    return this.#make(name, known, making)
  }

  async #make<V>(name: string, record: StoredRequest, making: Making<V>): Promise<V> {
    let view: V
    try {
      view = await making.make(record.id)
    } catch (error) {
      if (error instanceof ServiceError && isFinal(error.code)) {
        const { code, message: detail, fields } = error
        await this.#store.commit([opOf(name, { ...record, problem: { code, detail, fields } })])
      }
      throw error
    }
    this.#made.set(name, { ...record, id: making.idOf(view), done: true })
    return view
  }

  /** Writes what nobody waited for; otherwise it goes with the next request. */
  async flush(): Promise<void> {
    if (this.#made.size > 0) await this.#commit([])
  }

  async #commit(ops: readonly ApiOp[]): Promise<void> {
    const made = [...this.#made]
    this.#made = new Map()
    for (const [name, record] of made) this.#writing.set(name, record)
    await this.#store.commit([...made.map(([name, record]) => opOf(name, record)), ...ops])
    for (const [name, record] of made) if (this.#writing.get(name) === record) this.#writing.delete(name)
  }

  async #begin(name: string, record: StoredRequest): Promise<void> {
    const age = { key: `${AGE_PREFIX}${hourOf(record.at)}/${name}`, value: new Uint8Array(0) }
    this.#begunMeanwhile?.add(name)
    await this.#commit([age, opOf(name, record)])
    if (this.#untilSweep-- > 0 || this.#begunMeanwhile) return
    this.#untilSweep = SWEEP_EVERY
    this.#begunMeanwhile = new Set()
    const over = (): void => {
      this.#begunMeanwhile = null // what failed is taken up by the next one
    }
    this.#sweep().then(over, over)
  }

  /** Deletes the oldest records that are past their life, a page at a time and beside the requests. */
  async #sweep(): Promise<void> {
    const firstKept = hourOf(this.#now() - LIFE_MS)
    for (;;) {
      const old = await this.#store.newest(AGE_PREFIX, { before: firstKept }, SWEEP_PAGE)
      await Promise.all(old.map((name) => this.#forget(name)))
      if (old.length < SWEEP_PAGE) return
    }
  }

  async #forget(age: string): Promise<void> {
    const name = age.slice(hourOf(0).length + 1)
    // The name may have been used anew since, also while its record was read; of a damaged one nobody knows.
    const kept = await this.#load(name).catch(ifDamaged('damaged'))
    if (!kept && !this.#begunMeanwhile?.has(name)) await this.#store.delete(PREFIX + name)
    await this.#store.delete(AGE_PREFIX + age)
  }

  async #load(name: string): Promise<StoredRequest | undefined> {
    const newest = this.#made.get(name) ?? this.#writing.get(name)
    const value = newest ? undefined : await this.#store.get(PREFIX + name)
    const record = value ? (JSON.parse(utf8Decode(value)) as StoredRequest) : newest
    if (!record) return undefined
    return record.at + LIFE_MS > this.#now() ? record : undefined
  }
}

const opOf = (name: string, record: StoredRequest): ApiOp => ({
  key: PREFIX + name,
  value: utf8(JSON.stringify(record)),
})

/** As the node gave it at first. */
const refusal = ({ code, detail, fields }: NonNullable<StoredRequest['problem']>): ServiceError =>
  new ServiceError(code, detail, { fields })

/** A refusal that a later try would not change by itself; outages may pass, and are tried again. */
const isFinal = (code: ProblemCode): boolean => PROBLEMS[code].status < 500

/** Sorts as the time does. */
const hourOf = (ms: number): string => String(Math.floor(ms / HOUR_MS)).padStart(8, '0')

const DAMAGED =
  'the record of this Idempotency-Key is damaged: look whether what it asked for was carried out before you ask with another'

const conflict = (): ApiProblem =>
  new ApiProblem(
    'IDEMPOTENCY_CONFLICT',
    'Use a new Idempotency-Key for a new request; this one was sent with another body.',
  )

function recordName(caller: Caller | null, key: string): string {
  if (!caller) throw new InvariantError('an idempotent route must not be public')
  return `${caller.keyId}/${toHex(crypto.sha256(utf8(key)))}`
}

/** How long a caller waits for the answer (`?wait=`) does not make another request. */
const fingerprintOf = ({ method, url, body }: FastifyRequest): string =>
  toHex(crypto.sha256(utf8(`${method} ${url.split('?', 1)[0]} ${JSON.stringify(body, sortedKeys)}`)))

/** The order of fields does not make another request. */
const sortedKeys = (_key: string, value: unknown): unknown =>
  value && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value
