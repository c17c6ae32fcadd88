import type { PaymentHash } from '../base/ids.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import { keys, padded, prefixRange, type RecordKind } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { Changes } from './changes.ts'
import { ServiceError } from './errors.ts'
import { lastSequence, pageOfIndex } from './paging.ts'
import type { TurnScope } from './reactor.ts'
import type { Page, PageRequest } from './service.ts'
import { placesIn, recordsFrom, type TimeRange } from './timeRange.ts'

/** Final records that stay in memory, so that those who just waited for them need not read the disk. */
const RECENT = 4_096

/** What a record must say of itself to be kept in a book. */
export interface Bookable {
  readonly paymentHash: PaymentHash
  readonly status: string
  /** Unix ms; of no use to a list that is never asked for a range of time. */
  readonly createdAt?: number
}

/** A record with its local id and its place in the order of making. */
export interface Booked<R extends Bookable> {
  readonly id: string
  readonly seq: number
  readonly record: R
  /** The API key that asked for it; absent: none did. */
  readonly keyId?: string
}

/** What is known of a record that begins. */
export interface Beginning {
  /** Local id, unless one with this hash has one. */
  readonly id?: string | undefined
  readonly keyId?: string | undefined
}

export interface BookFilter extends TimeRange {
  readonly status?: string
  readonly keyId?: string
}

export interface BookOptions {
  readonly kind: RecordKind
  readonly driver: Driver
  readonly changes: Changes
  /** Records in these states are in memory; the others are read when asked for. */
  readonly live: readonly string[]
  readonly newId: () => string
}

/** Invoices or payments: those under way in memory, all of them in the store, each written once per turn at most. */
export class RecordBook<R extends Bookable> {
  readonly #options: BookOptions
  readonly #live = new Map<PaymentHash, Booked<R>>()
  readonly #recent = new Map<PaymentHash, Booked<R>>()
  /** Changed in this turn, as the store has them; null for a new record. */
  readonly #dirty = new Map<PaymentHash, Booked<R> | null>()
  #next = 1

  constructor(options: BookOptions) {
    this.#options = options
  }

  /**
   * A record that cannot be read is left out: nothing but itself depends on it. Where a place in a list cannot be read, all records are
   * looked through for the one that it named.
   * @returns how many were
   */
  async load(): Promise<number> {
    const { kind, driver, live } = this.#options
    let unreadable = 0
    let isNameless = false
    this.#next = (await lastSequence(driver, keys.recordIndex(kind, 'all'))) + 1
    for (const status of live) {
      const hashes: PaymentHash[] = []
      for await (const [, value] of driver.entries(prefixRange(keys.recordIndex(kind, status))))
        hashes.push(unpackIfWhole<PaymentHash>(value) ?? ('' as PaymentHash))
      for (const hash of hashes) {
        const booked = hash === '' ? null : await this.#read(hash)
        if (booked?.record?.paymentHash === hash) this.#live.set(hash, booked)
        else if (hash === '' || (await driver.get(keys.record(kind, hash)))) unreadable++
        isNameless ||= hash === ''
      }
    }
    if (isNameless) await this.#findLive()
    return unreadable
  }

  async #findLive(): Promise<void> {
    const { kind, driver, live } = this.#options
    for await (const [key, value] of driver.entries(prefixRange(keys.record(kind, '')))) {
      const booked = unpackIfWhole<Booked<R>>(value)
      const hash = booked?.record?.paymentHash
      if (hash && key === keys.record(kind, hash) && live.includes(booked.record.status)) this.#live.set(hash, booked)
    }
  }

  /**
   * Brings a final record into memory for the next turn, which must not take a hash for new that it is not: it would be paid twice. It
   * goes after all that are there, and none goes for it before the end of a turn.
   */
  async recall(hash: PaymentHash): Promise<void> {
    const known = this.get(hash) ?? (await this.#needRead(hash))
    // It may have changed while the disk was read.
    const booked = this.get(hash) ?? known
    if (booked && !this.#live.has(hash)) this.#remember(booked)
  }

  live(): readonly Booked<R>[] {
    return [...this.#live.values()]
  }

  /** In memory: under way, or final not long ago. */
  get(hash: PaymentHash): Booked<R> | undefined {
    return this.#live.get(hash) ?? this.#recent.get(hash)
  }

  /** By local id or payment hash; null when there is none that can be read. */
  async find(idOrHash: string): Promise<Booked<R> | null> {
    const hash = await this.#hashOf(idOrHash)
    return hash ? (this.get(hash) ?? (await this.#read(hash))) : null
  }

  /** The same for whoever asks for this one. @throws ServiceError NOT_FOUND; CONFLICT where it is damaged, which is not to say that there is none */
  async need(idOrHash: string): Promise<Booked<R>> {
    const hash = await this.#hashOf(idOrHash)
    if (hash === undefined) throw this.#damaged(idOrHash)
    const found = hash && (this.get(hash) ?? (await this.#needRead(hash)))
    if (!found) throw new ServiceError('NOT_FOUND', `there is no ${this.#options.kind} ${idOrHash}`)
    return found
  }

  /** Null: there is none of this id; undefined: its record is damaged. */
  async #hashOf(idOrHash: string): Promise<PaymentHash | null | undefined> {
    if (idOrHash.length === 64) return idOrHash as PaymentHash
    const { kind, driver } = this.#options
    const named = await driver.get(keys.recordId(kind, idOrHash))
    if (named) return unpackIfWhole<PaymentHash>(named)
    return [...this.#live.values()].find((b) => b.id === idOrHash)?.record.paymentHash ?? null
  }

  page(request: PageRequest, status: string | undefined): Promise<Page<Booked<R>>> {
    return this.select(request, status === undefined ? {} : { status })
  }

  /** One page, newest first, of those that fit: by key, status and time at once, and as fast as of all. */
  async select(request: PageRequest, { status = 'all', keyId, from, to }: BookFilter): Promise<Page<Booked<R>>> {
    const { kind, driver } = this.#options
    const prefix = keyId === undefined ? keys.recordIndex(kind, status) : keys.recordsBy(kind, keyId, status)
    const timeOf = async (hash: PaymentHash) => (await this.find(hash))?.record.createdAt ?? null
    const range = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) }
    const places = await placesIn(range, this.#next, recordsFrom(driver, prefix, timeOf))
    return pageOfIndex(driver, prefix, request, (hash) => this.find(hash), places)
  }

  /** A record that begins, or begins anew: in the list it is the newest. Written at the end of the turn. */
  begin(record: R, { id, keyId }: Beginning = {}): Booked<R> {
    const known = this.get(record.paymentHash)
    const booked = { id: known?.id ?? id ?? this.#options.newId(), seq: this.#next++, record }
    return this.#set(keyId === undefined ? booked : { ...booked, keyId }, known)
  }

  /** A new record, or a changed one, which keeps its place; written at the end of the turn. */
  put(record: R, id?: string): Booked<R> {
    const known = this.get(record.paymentHash)
    if (known === undefined) return this.begin(record, { id })
    return known.record === record ? known : this.#set({ ...known, record }, known)
  }

  #set(booked: Booked<R>, known: Booked<R> | undefined): Booked<R> {
    const hash = booked.record.paymentHash
    if (!this.#dirty.has(hash)) this.#dirty.set(hash, known ?? null)
    this.#live.set(hash, booked)
    return booked
  }

  endOfTurn(scope: TurnScope): void {
    if (this.#dirty.size === 0) return
    const { kind, changes, live } = this.#options
    for (const [hash, stored] of this.#dirty) {
      const booked = this.#live.get(hash)!
      scope.write({ key: keys.record(kind, hash), value: pack(booked) })
      const name = pack(hash)
      if (stored === null) scope.write({ key: keys.recordId(kind, booked.id), value: name })
      const [was, is] = [stored ? this.#places(stored) : [], this.#places(booked)]
      for (const key of was) if (!is.includes(key)) scope.write({ key })
      for (const key of is) if (!was.includes(key)) scope.write({ key, value: name })
      if (!live.includes(booked.record.status)) {
        this.#live.delete(hash)
        this.#remember(booked)
      }
      scope.after(() => changes.notify(`${kind}:${hash}`))
    }
    this.#dirty.clear()
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= RECENT) break
      this.#recent.delete(oldest)
    }
  }

  /** Where a record stands in the lists. */
  #places({ seq, keyId, record: { status } }: Booked<R>): readonly string[] {
    const { kind } = this.#options
    const lists = ['all', status].map((one) => keys.recordIndex(kind, one))
    if (keyId !== undefined) lists.push(...['all', status].map((one) => keys.recordsBy(kind, keyId, one)))
    return lists.map((list) => list + padded(seq))
  }

  #remember(booked: Booked<R>): void {
    const hash = booked.record.paymentHash
    this.#recent.delete(hash)
    this.#recent.set(hash, booked)
  }

  /** The same of one that may not be taken for new. @throws ServiceError CONFLICT */
  async #needRead(hash: PaymentHash): Promise<Booked<R> | null> {
    const { kind, driver } = this.#options
    const booked = await this.#read(hash)
    if (booked === null && (await driver.get(keys.record(kind, hash))) !== undefined) throw this.#damaged(hash)
    return booked
  }

  #damaged(idOrHash: string): ServiceError {
    const { kind } = this.#options
    const who = kind === 'payment' ? 'payee before you pay it another way' : 'payer'
    const message = `the record of the ${kind} ${idOrHash} is damaged: what became of it is not known; ask the ${who}`
    return new ServiceError('CONFLICT', message)
  }

  /** Null where there is none, or none that can be read. */
  async #read(hash: PaymentHash): Promise<Booked<R> | null> {
    const value = await this.#options.driver.get(keys.record(this.#options.kind, hash))
    return (value && unpackIfWhole<Booked<R>>(value)) ?? null
  }
}
