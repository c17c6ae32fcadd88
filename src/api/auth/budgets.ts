import { utf8, utf8Decode } from '../../base/bytes.ts'
import { ServiceError } from '../../node/errors.ts'
import type { ApiOp, ApiStore } from '../../node/service.ts'
import { ApiProblem } from '../problems.ts'
import type { Budget } from './keyRecord.ts'
import type { KeyRing } from './keys.ts'

const SPENT_PREFIX = 'budget/'
const OPEN_PREFIX = 'budget-open/'
/** As much as any budget can be. */
const ALL = BigInt(Number.MAX_SAFE_INTEGER)

/** What a key has spent and may still come to spend in its present period. */
interface Ledger {
  /** Unix ms. */
  since: number
  spentMsat: bigint
  reservedMsat: bigint
}

/** Money that a call may cost, set aside on disk before the call acts. */
export interface Reservation {
  /** Local id of what the call makes. */
  readonly id: string
  readonly kind: 'payment' | 'send' | 'sweep' | 'open' | 'close'
  /** Other names of it: payment hash, channel. */
  readonly refs: readonly string[]
  /** At most. */
  readonly msat: bigint
  /** Of that, what is spent for certain if the call succeeds; fees come on top. */
  readonly fixedMsat: bigint
  /** Unix ms. */
  readonly at: number
}

interface Open extends Reservation {
  /** The budgets that it counts against, each in the period in which it began. */
  readonly charges: readonly { readonly keyId: string; readonly since: number }[]
}

/** Finds out what became of a reservation: what it cost, or null while it is not decided. */
export type Resolve = (reservation: Reservation) => Promise<bigint | null>

export interface BudgetView extends Budget {
  readonly spentMsat: number
  readonly reservedMsat: number
  readonly resetsAt: string | null
}

/**
 * Spending budgets. A key also spends from the budgets of the keys that made it, so that nobody multiplies a budget by making keys.
 * Sums change in memory in the same step as they are checked, so that parallel calls cannot overspend; a reservation is on disk
 * before its call acts, so that a crash cannot either.
 */
export class Budgets {
  readonly #store: ApiStore
  readonly #keys: KeyRing
  readonly #ledgers = new Map<string, Ledger>()
  readonly #open = new Map<string, Open>()
  readonly #byRef = new Map<string, Set<Open>>()
  /** Whose calls have not returned: what they make may not be there yet, and would pass for never begun. */
  readonly #acting = new Set<Open>()
  readonly #resolve: Resolve

  constructor(store: ApiStore, keys: KeyRing, resolve: Resolve) {
    this.#store = store
    this.#keys = keys
    this.#resolve = resolve
  }

  /** Takes up what the last run left: what was begun stays reserved until it is known what it cost. */
  async load(): Promise<void> {
    for (const [key, value] of await this.#store.list(SPENT_PREFIX)) {
      const { since, spentMsat } = JSON.parse(utf8Decode(value)) as { since: number; spentMsat: string }
      const ledger = { since, spentMsat: BigInt(spentMsat), reservedMsat: 0n }
      this.#ledgers.set(key.slice(SPENT_PREFIX.length), ledger)
    }
    // Of a sum that cannot be read nobody knows how much is left: nothing is, until the period ends.
    for (const keyId of await this.#store.newest(SPENT_PREFIX, {}, Number.MAX_SAFE_INTEGER)) {
      if (!this.#ledgers.has(keyId))
        this.#ledgers.set(keyId, { since: this.#keys.now(), spentMsat: ALL, reservedMsat: 0n })
    }
    for (const [, value] of await this.#store.list(OPEN_PREFIX)) {
      const open = readOpen(value)
      this.#add(open)
    }
    await Promise.all([...this.#open.values()].map((open) => this.#decide(open)))
  }

  /** Whether any budget limits what the key spends. */
  limits(keyId: string): boolean {
    return this.#chain(keyId).length > 0
  }

  /** What the key can still spend; only of a key that `limits`. */
  available(keyId: string): bigint {
    const left = this.#chain(keyId).map(({ id, budget }) => this.#left(id, budget))
    return left.reduce((least, one) => (one < least ? one : least))
  }

  view(keyId: string): BudgetView | null {
    const { budget } = this.#keys.entry(keyId).record
    if (budget === null) return null
    const { since, spentMsat, reservedMsat } = this.#ledger(keyId, budget)
    const resetsAt = budget.periodSeconds === null ? null : new Date(since + budget.periodSeconds * 1000).toISOString()
    return { ...budget, spentMsat: Number(spentMsat), reservedMsat: Number(reservedMsat), resetsAt }
  }

  /**
   * Does what may cost money, within the budgets of the key.
   * @throws ApiProblem BUDGET_EXCEEDED before anything was done
   */
  async spend<V>(keyId: string, reservation: Omit<Reservation, 'at'>, act: () => Promise<V>): Promise<V> {
    const open = this.#reserve(keyId, reservation)
    this.#acting.add(open)
    try {
      await this.#store.commit([{ key: OPEN_PREFIX + open.id, value: writeOpen(open) }])
      return await act()
    } catch (error) {
      // A payment that the node refuses was not begun; its hash may be that of another payment, which is.
      if (open.kind === 'payment' && error instanceof ServiceError) this.#settle(open, 0n)
      throw error
    } finally {
      this.#acting.delete(open)
      // Also of a failed call it is the node that knows whether anything was spent.
      await this.#decide(open)
    }
  }

  /** Something is final that has this id or other name. */
  async onDecided(names: readonly unknown[]): Promise<void> {
    if (this.#open.size === 0) return
    const found = new Set(names.flatMap((name) => (typeof name === 'string' ? [...(this.#byRef.get(name) ?? [])] : [])))
    await Promise.all([...found].map((open) => this.#decide(open)))
  }

  /** Something has happened that may have decided any reservation of this kind. */
  async decideAll(kind: Reservation['kind']): Promise<void> {
    const found = [...this.#open.values()].filter((open) => open.kind === kind)
    await Promise.all(found.map((open) => this.#decide(open)))
  }

  #reserve(keyId: string, reservation: Omit<Reservation, 'at'>): Open {
    const chain = this.#chain(keyId)
    const lefts = chain.map(({ id, budget }) => ({ id, left: this.#left(id, budget) }))
    const [least] = lefts.toSorted((a, b) => Number(a.left - b.left))
    if (least && reservation.msat > least.left)
      throw exceeded(reservation, least.left, this.view(least.id)?.resetsAt ?? null)
    const charges = chain.map(({ id, budget }) => ({ keyId: id, since: this.#ledger(id, budget).since }))
    const open = { ...reservation, at: this.#keys.now(), charges }
    this.#add(open)
    return open
  }

  #add(open: Open): void {
    this.#open.set(open.id, open)
    for (const name of [open.id, ...open.refs]) {
      const known = this.#byRef.get(name)
      if (known) known.add(open)
      else this.#byRef.set(name, new Set([open]))
    }
    for (const ledger of this.#charged(open)) ledger.reservedMsat += open.msat
  }

  async #decide(open: Open): Promise<void> {
    if (this.#open.get(open.id) !== open || this.#acting.has(open)) return
    const cost = await this.#resolve(open)
    if (cost !== null) this.#settle(open, cost)
  }

  #settle(open: Open, cost: bigint): void {
    if (this.#open.get(open.id) !== open) return
    this.#open.delete(open.id)
    for (const name of [open.id, ...open.refs]) {
      const named = this.#byRef.get(name)
      named?.delete(open)
      if (named?.size === 0) this.#byRef.delete(name)
    }
    for (const ledger of this.#charged(open)) {
      ledger.reservedMsat -= open.msat
      ledger.spentMsat += cost
    }
    const sums = open.charges.map(({ keyId }): ApiOp => {
      const { since = 0, spentMsat = 0n } = this.#ledgers.get(keyId) ?? {}
      return { key: SPENT_PREFIX + keyId, value: utf8(JSON.stringify({ since, spentMsat: String(spentMsat) })) }
    })
    // Not waited for: until it is on disk the reservation stands there, and is decided again after a crash.
    this.#store.commit([{ key: OPEN_PREFIX + open.id }, ...sums]).catch(() => {})
  }

  /** The ledgers of the periods in which a reservation began, as far as those still run. */
  #charged({ charges }: Open): Ledger[] {
    return charges.flatMap(({ keyId, since }) => {
      const ledger = this.#ledgers.get(keyId) ?? { since, spentMsat: 0n, reservedMsat: 0n }
      if (!this.#ledgers.has(keyId)) this.#ledgers.set(keyId, ledger)
      // After a start: nothing was settled in that period, so that the sums on disk are those of one before.
      if (ledger.since < since) Object.assign(ledger, { since, spentMsat: 0n, reservedMsat: 0n })
      return ledger.since === since ? [ledger] : []
    })
  }

  /** The budgets that a key spends from: its own and those of the keys that made it. */
  #chain(keyId: string): { id: string; budget: Budget }[] {
    return this.#keys.lineage(keyId).flatMap(({ id, budget }) => (budget === null ? [] : [{ id, budget }]))
  }

  #left(keyId: string, budget: Budget): bigint {
    const { spentMsat, reservedMsat } = this.#ledger(keyId, budget)
    return BigInt(budget.maxMsat) - spentMsat - reservedMsat
  }

  /** The sums of the present period. Periods follow one another from the making of the key on. */
  #ledger(keyId: string, { periodSeconds }: Budget): Ledger {
    let ledger = this.#ledgers.get(keyId)
    if (!ledger) {
      ledger = { since: Date.parse(this.#keys.entry(keyId).record.createdAt), spentMsat: 0n, reservedMsat: 0n }
      this.#ledgers.set(keyId, ledger)
    }
    if (periodSeconds !== null) {
      const over = Math.floor((this.#keys.now() - ledger.since) / (periodSeconds * 1000))
      if (over > 0)
        Object.assign(ledger, { since: ledger.since + over * periodSeconds * 1000, spentMsat: 0n, reservedMsat: 0n })
    }
    return ledger
  }
}

function exceeded(
  { kind, msat, fixedMsat }: Pick<Reservation, 'kind' | 'msat' | 'fixedMsat'>,
  left: bigint,
  resetsAt: string | null,
): ApiProblem {
  const rest = left > 0n ? left : 0n
  const isMost = fixedMsat === 0n || fixedMsat === msat
  const parts = isMost ? '' : `, ${fixedMsat} msat and a fee of at most ${msat - fixedMsat} msat`
  const cure = kind === 'payment' && fixedMsat <= rest ? ` With a maxFeeMsat of ${rest - fixedMsat} it fits.` : ''
  const later = resetsAt === null ? '' : ` More comes at ${resetsAt}.`
  return new ApiProblem(
    'BUDGET_EXCEEDED',
    `This may cost up to ${msat} msat${parts}; the budget has ${rest} msat left.${cure}${later}`,
  )
}

const writeOpen = ({ msat, fixedMsat, ...rest }: Open): Uint8Array =>
  utf8(JSON.stringify({ ...rest, msat: String(msat), fixedMsat: String(fixedMsat) }))

function readOpen(value: Uint8Array): Open {
  const stored = JSON.parse(utf8Decode(value)) as Omit<Open, 'msat' | 'fixedMsat'> & { msat: string; fixedMsat: string }
  return { ...stored, msat: BigInt(stored.msat), fixedMsat: BigInt(stored.fixedMsat) }
}
