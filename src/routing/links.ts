import type { NodeId } from '../base/ids.ts'
import type { Edge } from './graph.ts'

/** A row of a table of directions, in this order. All are exact below 2^53. */
export const FROM = 0
const BASE = 1
const RATE = 2
export const DELTA = 3
export const MINIMUM = 4
export const MAXIMUM = 5
export const CAPACITY = 6
/** Numbers of a row: a power of two, so that no row lies across two lines of the processor's cache. */
export const STRIDE = 8

/** Directions that lead to one node, as the search reads them: row i says what edge i says. */
export class Incoming {
  readonly edges: Edge[] = []
  #rows = new Float64Array(2 * STRIDE)

  get rows(): Float64Array {
    return this.#rows
  }

  /**
   * @param from the number of the node that the edge comes from
   * @param taken what other HTLCs over it carry, msat
   */
  add(edge: Edge, from: number, taken = 0): void {
    const at = this.edges.push(edge) - 1
    if (this.#rows.length < (at + 1) * STRIDE) {
      const larger = new Float64Array(2 * this.#rows.length)
      larger.set(this.#rows)
      this.#rows = larger
    }
    this.#write(at, edge, from, taken)
  }

  /** In the place of the edge at an index. */
  replace(at: number, edge: Edge): void {
    this.edges[at] = edge
    this.#write(at, edge, this.#rows[at * STRIDE + FROM]!, 0)
  }

  /** The last takes the place of the one that goes. */
  remove(at: number): void {
    const last = this.edges.pop()!
    const end = this.edges.length
    if (at === end) return
    this.edges[at] = last
    this.#rows.copyWithin(at * STRIDE, end * STRIDE, (end + 1) * STRIDE)
  }

  #write(index: number, edge: Edge, from: number, taken: number): void {
    const rows = this.#rows
    const at = index * STRIDE
    const { policy } = edge
    const room = capacityOf(edge) - taken
    rows[at + FROM] = from
    rows[at + BASE] = policy.feeBaseMsat
    rows[at + RATE] = policy.feeProportionalMillionths
    rows[at + DELTA] = policy.cltvExpiryDelta
    rows[at + MINIMUM] = policy.htlcMinimumMsat
    rows[at + MAXIMUM] = Math.min(policy.htlcMaximumMsat, room)
    rows[at + CAPACITY] = room
  }
}

/** Where it is not known, the largest HTLC counts as it. */
export const capacityOf = ({ policy, capacityMsat }: Edge): number => capacityMsat ?? policy.htlcMaximumMsat

/** What the node of a row asks for sending an amount on, msat. */
export const rowFee = (rows: Float64Array, at: number, amount: number): number =>
  feeOf(rows[at + BASE]!, rows[at + RATE]!, amount)

/** BOLT 7 §htlc-fees, rounded down, msat. */
export const relayFee = (
  policy: { readonly feeBaseMsat: number; readonly feeProportionalMillionths: number },
  amount: number,
): number => feeOf(policy.feeBaseMsat, policy.feeProportionalMillionths, amount)

const MILLION = 1_000_000
/** Exact although amount × rate may pass 2^53. A remainder of doubles is slow, a difference is not. */
function feeOf(base: number, rate: number, amount: number): number {
  const millions = Math.floor(amount / MILLION)
  return base + millions * rate + Math.floor(((amount - millions * MILLION) * rate) / MILLION)
}

const NOTHING = new Incoming()

/** Nodes by number, and the enabled directions by the node that they lead to: kept up with each update, read by every search. */
export class Links {
  readonly #numbers = new Map<NodeId, number>()
  readonly #incoming: Incoming[] = []
  readonly #free: number[] = []

  /** All numbers are below. */
  get size(): number {
    return this.#incoming.length
  }
  numberOf(id: NodeId): number | undefined {
    return this.#numbers.get(id)
  }
  into(node: number | undefined): Incoming {
    return this.#incoming[node ?? -1] ?? NOTHING
  }

  /** Gives a node a number, unless it has one. */
  number(id: NodeId): number {
    const known = this.#numbers.get(id)
    if (known !== undefined) return known
    const number = this.#free.pop() ?? this.#incoming.length
    this.#numbers.set(id, number)
    this.#incoming[number] = new Incoming()
    return number
  }

  /** Only for a node that no direction comes from or leads to any more: its number becomes another's. */
  forget(id: NodeId): void {
    const number = this.#numbers.get(id)
    if (number === undefined) return
    this.#numbers.delete(id)
    this.#incoming[number] = NOTHING
    this.#free.push(number)
  }
}
