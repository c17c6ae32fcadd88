import type { PaymentHash } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
import { keys, prefixRange, type RecordKind } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { Changes } from './changes.ts'
import { lastSequence, pageOfIndex } from './paging.ts'
import type { TurnScope } from './reactor.ts'
import type { Page, PageRequest } from './service.ts'

/** Final records that stay in memory, so that those who just waited for them need not read the disk. */
const RECENT = 4_096

/** What a record must say of itself to be kept in a book. */
export interface Bookable {
  readonly paymentHash: PaymentHash
  readonly status: string
}

/** A record with its local id and its place in the order of making. */
export interface Booked<R extends Bookable> {
  readonly id: string
  readonly seq: number
  readonly record: R
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
  /** Changed in this turn, with the status that the store has; null for a new record. */
  readonly #dirty = new Map<PaymentHash, string | null>()
  #next = 1

  constructor(options: BookOptions) {
    this.#options = options
  }

  async load(): Promise<void> {
    const { kind, driver, live } = this.#options
    this.#next = (await lastSequence(driver, keys.recordIndex(kind, 'all'))) + 1
    for (const status of live) {
      const hashes: PaymentHash[] = []
      for await (const [, value] of driver.entries(prefixRange(keys.recordIndex(kind, status))))
        hashes.push(unpack(value))
      for (const hash of hashes) {
        const booked = await this.#read(hash)
        if (booked) this.#live.set(hash, booked)
      }
    }
  }

  /** Brings a final record back into memory, for what a restart repeats. */
  async recall(hash: PaymentHash): Promise<void> {
    if (this.get(hash)) return
    const booked = await this.#read(hash)
    if (booked) this.#remember(booked)
  }

  live(): readonly Booked<R>[] {
    return [...this.#live.values()]
  }

  /** In memory: under way, or final not long ago. */
  get(hash: PaymentHash): Booked<R> | undefined {
    return this.#live.get(hash) ?? this.#recent.get(hash)
  }

  /** By local id or payment hash; null when there is none. */
  async find(idOrHash: string): Promise<Booked<R> | null> {
    const { kind, driver } = this.#options
    if (idOrHash.length === 64) return this.get(idOrHash as PaymentHash) ?? (await this.#read(idOrHash as PaymentHash))
    const named = await driver.get(keys.recordId(kind, idOrHash))
    if (!named) return [...this.#live.values()].find((b) => b.id === idOrHash) ?? null
    const hash = unpack<PaymentHash>(named)
    return this.get(hash) ?? (await this.#read(hash))
  }

  page(request: PageRequest, status: string | undefined): Promise<Page<Booked<R>>> {
    const { kind, driver } = this.#options
    return pageOfIndex(driver, keys.recordIndex(kind, status ?? 'all'), request, (hash) => this.find(hash))
  }

  /** A new record, or a changed one; written at the end of the turn. */
  put(record: R, id?: string): Booked<R> {
    const known = this.get(record.paymentHash)
    if (known?.record === record) return known
    const booked = known ? { ...known, record } : { id: id ?? this.#options.newId(), seq: this.#next++, record }
    if (!this.#dirty.has(record.paymentHash)) this.#dirty.set(record.paymentHash, known?.record.status ?? null)
    this.#live.set(record.paymentHash, booked)
    return booked
  }

  endOfTurn(scope: TurnScope): void {
    if (this.#dirty.size === 0) return
    const { kind, changes, live } = this.#options
    for (const [hash, storedStatus] of this.#dirty) {
      const booked = this.#live.get(hash)!
      const { status } = booked.record
      scope.write({ key: keys.record(kind, hash), value: pack(booked) })
      const name = pack(hash)
      if (storedStatus === null) {
        scope.write({ key: keys.recordAt(kind, 'all', booked.seq), value: name })
        scope.write({ key: keys.recordId(kind, booked.id), value: name })
      }
      if (storedStatus !== status) {
        if (storedStatus !== null) scope.write({ key: keys.recordAt(kind, storedStatus, booked.seq) })
        scope.write({ key: keys.recordAt(kind, status, booked.seq), value: name })
      }
      if (!live.includes(status)) {
        this.#live.delete(hash)
        this.#remember(booked)
      }
      scope.after(() => changes.notify(`${kind}:${hash}`))
    }
    this.#dirty.clear()
  }

  #remember(booked: Booked<R>): void {
    const hash = booked.record.paymentHash
    this.#recent.delete(hash)
    this.#recent.set(hash, booked)
    if (this.#recent.size > RECENT) this.#recent.delete(this.#recent.keys().next().value!)
  }

  async #read(hash: PaymentHash): Promise<Booked<R> | null> {
    const value = await this.#options.driver.get(keys.record(this.#options.kind, hash))
    return value ? unpack<Booked<R>>(value) : null
  }
}
