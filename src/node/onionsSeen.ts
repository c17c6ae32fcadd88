import { toHex } from '../base/bytes.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import type { IncomingHtlc } from '../channel/types.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import { lastSequence } from './paging.ts'
import type { TurnScope } from './reactor.ts'

/** Of the HMAC: enough that nobody finds two alike. */
const MAC_BYTES = 16
const MAC_AT = 1366 - 32
/**
 * Of a channel's id, in hex, for the same reason: who funds channels can have the ids of two begin alike. Records of before have the
 * first half of that.
 */
const ID_DIGITS = 32
/** The longest that an onion is remembered: what it forwards may not expire later (BOLT 4 §max_htlc_cltv-selection). */
const MOST_BLOCKS = 2016
/** About 22 MB of memory and 8 MB of disk: the oldest go first. */
const MOST_ONIONS = 100_000

/** An onion by its HMAC, in hex, with the HTLC that brought it. */
type Seen = readonly [mac: string, owner: string]
/** What one turn brought, as it is stored. */
interface Batch {
  readonly onions: readonly Seen[]
  /** The height at which all of it can be forgotten. */
  readonly until: number
}

/**
 * Onions that HTLCs have brought, so that none is passed on twice: whoever carried one could send it again and again, and watch where
 * it goes. Its payment hash is in its HMAC, so it can pay nothing else; the rest is this list. It is written with the turn that
 * has the HTLC, in the same batch.
 * @source BOLT 4 §onion-decryption
 */
export class OnionsSeen {
  readonly #driver: Driver
  readonly #most: number
  readonly #owners = new Map<string, string>()
  /** By key, oldest first. */
  readonly #batches = new Map<string, Batch>()
  #new: Seen[] = []
  #until = 0
  #next = 1

  constructor(driver: Driver, most = MOST_ONIONS) {
    this.#driver = driver
    this.#most = most
  }

  /** @returns how many records could not be read, and are left out */
  async load(): Promise<number> {
    let unreadable = 0
    this.#next = (await lastSequence(this.#driver, keys.onions)) + 1
    for await (const [key, value] of this.#driver.entries(prefixRange(keys.onions))) {
      const batch = unpackIfWhole<Batch>(value)
      if (!Array.isArray(batch?.onions)) unreadable++
      else {
        this.#batches.set(key, batch)
        for (const [mac, owner] of batch.onions) this.#owners.set(mac, owner)
      }
    }
    return unreadable
  }

  get size(): number {
    return this.#owners.size
  }

  /** Whether another HTLC brought the same onion before. An HTLC that is there again after a restart is the same one. */
  isReplay({ channelId, id, onion, cltvExpiry }: IncomingHtlc, blockHeight: number): boolean {
    const mac = toHex(onion.subarray(MAC_AT, MAC_AT + MAC_BYTES))
    const named = (digits: number): string => `${channelId.slice(0, digits)}:${id}`
    const owner = named(ID_DIGITS)
    const known = this.#owners.get(mac)
    if (known !== undefined) return known !== owner && known !== named(ID_DIGITS / 2)
    this.#owners.set(mac, owner)
    this.#new.push([mac, owner])
    this.#until = Math.max(this.#until, Math.min(cltvExpiry, blockHeight + MOST_BLOCKS))
    return false
  }

  /** With every block: forgets what has expired. */
  review(blockHeight: number, scope: TurnScope): void {
    for (const [key, batch] of this.#batches) if (batch.until < blockHeight) this.#forget(key, batch, scope)
  }

  endOfTurn(scope: TurnScope): void {
    if (this.#new.length === 0) return
    const key = keys.onionsAt(this.#next++)
    const batch: Batch = { onions: this.#new, until: this.#until }
    scope.write({ key, value: pack(batch) })
    this.#batches.set(key, batch)
    this.#new = []
    this.#until = 0
    for (const [oldest, old] of this.#batches) {
      if (this.#owners.size <= this.#most) break
      this.#forget(oldest, old, scope)
    }
  }

  #forget(key: string, { onions }: Batch, scope: TurnScope): void {
    scope.write({ key })
    this.#batches.delete(key)
    for (const [mac] of onions) this.#owners.delete(mac)
  }
}
