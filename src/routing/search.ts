import type { Edge, Graph } from './graph.ts'
import { Heap } from './heap.ts'
import { Labels, NONE } from './labels.ts'
import { CAPACITY, DELTA, FROM, MAXIMUM, MINIMUM, rowFee, STRIDE } from './links.ts'
import { priceOfChance, UNKNOWN } from './liquidity.ts'
import type { RouteRequest } from './path.ts'
import type { LocalChannel } from './types.ts'
import { View } from './view.ts'
import { roomOf, type Way } from './way.ts'

export type SearchRequest = RouteRequest & { readonly maxHops: number }

/** A route from us: a channel of ours, what it carries, and the label of its peer. */
export interface Found {
  readonly channel: LocalChannel
  readonly amount: number
  /** The amount, and what the search adds to it. */
  readonly cost: number
  readonly first: number
}

/**
 * cheapest: whatever the limits on expiry and hops. limited: keeps to them, and for that every label that no other beats in all
 * respects. likely: a price for the chance that a channel cannot carry its amount is added to the fees.
 */
export type SearchKind = 'cheapest' | 'limited' | 'likely'

/** Bounds the time and the memory of one search; only one with limits comes near it. */
const MAX_LABELS = 100_000
/** Many channels side by side, each dearer and sooner than the next, make lists long. */
const COMPARED_PER_LABEL = 100

/** Routes from us to the target of a request, from its end. Amounts are numbers: exact below 2^53 msat (90,000 BTC). */
export class Search {
  readonly #request: SearchRequest
  readonly #view: View
  readonly #local = new Map<number, LocalChannel[]>()
  readonly #mostAmount: number
  #labels = new Labels()
  /** Labels that were held against others. */
  #compared = 0
  /** By node: the best label so far, or, where that is not enough, the list of those that count. */
  #heads = new Int32Array(0)
  /** By node: what its best label costs, or how wide it is; a node that must not be on the way has one that nothing beats. */
  #reach = new Float64Array(0)
  #liquidity: SearchRequest['liquidity']
  /** By node: 1 where something is known of a direction that leads to it. */
  #hasKnown = new Uint8Array(0)

  constructor(graph: Graph, request: SearchRequest) {
    this.#request = request
    this.#view = new View(graph, request)
    this.#mostAmount = Number(request.amountMsat + request.maxFeeMsat)
    for (const channel of usableOf(request)) {
      const peer = this.#view.numberOf(channel.remoteNodeId)
      this.#local.set(peer, [...(this.#local.get(peer) ?? []), channel])
    }
  }

  withinLimits({ first }: Found): boolean {
    const { maxCltvExpiry, maxHops } = this.#request
    return this.#labels.cltv(first) <= maxCltvExpiry && this.#labels.hops(first) < maxHops
  }

  /** The limit on fees holds in each kind. */
  run(kind: SearchKind): Found | null {
    const limited = kind === 'limited'
    this.#consider(kind === 'likely' ? this.#request.liquidity : undefined)
    const labels = this.#start(Number(this.#request.amountMsat))
    const heap = new Heap<number>((a, b) => labels.isBefore(a, b))
    heap.push(0)
    let best: Found | null = null
    const most = this.#mostWork()
    for (let label = heap.pop(); label !== undefined && this.#work < most; label = heap.pop()) {
      if (best !== null && labels.cost(label) > best.cost) break
      if (!this.#settle(label, limited)) continue
      const found = this.#fromUs(label)
      if (found !== null && (best === null || this.#isBetter(found, best))) best = found
      this.#extend(label, limited, best?.cost ?? Number.POSITIVE_INFINITY, heap)
    }
    this.#spend()
    return best
  }

  /**
   * The most that some way from us has room for, when fees and the limits on time and length are left aside; 0 without a way.
   * What is more has no route.
   */
  widest(): number {
    // Ways that are wider than any channel of ours are all the same.
    const labels = this.#start(Math.min(this.#mostAmount, mostRoom(this.#request)), Number.NEGATIVE_INFINITY)
    const heap = new Heap<number>((a, b) => labels.amount(a) > labels.amount(b))
    heap.push(0)
    let best = 0
    const most = this.#mostWork()
    for (let label = heap.pop(); label !== undefined && this.#work < most; label = heap.pop()) {
      const node = labels.node(label)
      const width = labels.amount(label)
      if (width <= best) break
      if (!this.#settle(label, false)) continue
      for (const c of this.#local.get(node) ?? [])
        best = Math.max(best, Math.min(width, roomOf(c, this.#request.taken)))
      this.#widen(label, best, heap)
    }
    this.#spend()
    return best
  }

  wayOf({ channel, first }: Found): Way {
    const labels = this.#labels
    const edges: Edge[] = []
    for (let at = first, rest = labels.rest(at); rest !== NONE; at = rest, rest = labels.rest(at)) {
      edges.push(this.#view.into(labels.node(rest)).edges[labels.index(at)]!)
    }
    return { channel, edges, finalCltvExpiry: this.#request.finalCltvExpiry }
  }

  #consider(liquidity: SearchRequest['liquidity']): void {
    this.#liquidity = liquidity
    this.#hasKnown = new Uint8Array(this.#view.size)
    for (const id of liquidity?.known.nodes() ?? []) this.#hasKnown[this.#view.numberOf(id)] = 1 // a new one is in no row
  }

  /** In labels. */
  get #work(): number {
    return this.#labels.count + this.#compared / COMPARED_PER_LABEL
  }

  #mostWork(): number {
    return Math.min(MAX_LABELS, this.#request.effort?.labels ?? MAX_LABELS)
  }

  #spend(): void {
    const { effort } = this.#request
    if (effort) effort.labels = Math.max(0, effort.labels - Math.ceil(this.#work))
  }

  /** Label 0 is the target's. */
  #start(amount: number, worst = Number.POSITIVE_INFINITY): Labels {
    const { target, finalCltvExpiry } = this.#request
    this.#labels = new Labels()
    this.#compared = 0
    this.#heads = new Int32Array(this.#view.size).fill(NONE)
    this.#reach = new Float64Array(this.#view.size).fill(worst)
    for (const closed of this.#view.closed) this.#reach[closed] = -worst
    const node = this.#view.numberOf(target)
    this.#labels.add({ node, amount, cost: amount, cltv: finalCltvExpiry, hops: 0, rest: NONE, index: NONE })
    return this.#labels
  }

  /** @returns false for a label that another makes needless */
  #settle(label: number, limited: boolean): boolean {
    const labels = this.#labels
    const node = labels.node(label)
    const head = this.#heads[node]!
    if (!limited) return head === label || label === 0
    if (this.#isBeaten(head, labels.amount(label), labels.cltv(label), labels.hops(label))) return false
    labels.setNext(label, head)
    this.#heads[node] = label
    return true
  }

  /** Whether some label of a list is as good in every respect. */
  #isBeaten(head: number, amount: number, cltv: number, hops: number): boolean {
    const labels = this.#labels
    for (let at = head; at !== NONE; at = labels.next(at)) {
      this.#compared++
      if (labels.amount(at) <= amount && labels.cltv(at) <= cltv && labels.hops(at) <= hops) return true
    }
    return false
  }

  /** Takes the way of a label one direction further back, over each that can carry it. */
  #extend(label: number, limited: boolean, most: number, heap: Heap<number>): void {
    const labels = this.#labels
    const { maxCltvExpiry, maxHops } = this.#request
    const { edges, rows } = this.#view.into(labels.node(label))
    const arrives = labels.amount(label)
    const costs = labels.cost(label)
    const isKnown = this.#hasKnown[labels.node(label)] === 1
    const expires = labels.cltv(label)
    const hops = labels.hops(label) + 1
    if (limited && hops >= maxHops) return
    const isTarget = label === 0
    for (let index = 0, at = 0; index < edges.length; index++, at += STRIDE) {
      const node = rows[at + FROM]!
      const rival = this.#reach[node]!
      if (costs > rival) continue
      const minimum = rows[at + MINIMUM]!
      const sent = arrives >= minimum ? arrives : minimum
      if ((isTarget && sent > arrives) || sent > rows[at + MAXIMUM]!) continue
      const amount = sent + rowFee(rows, at, sent)
      let cost = costs + amount - arrives
      if (cost > rival || cost > most || amount > this.#mostAmount) continue
      if (this.#liquidity !== undefined) {
        const { known, now } = this.#liquidity
        const bounds = isKnown ? known.bounds(edges[index]!.key, now) : UNKNOWN
        cost += priceOfChance(sent, rows[at + CAPACITY]!, bounds)
        if (cost > rival || cost > most) continue
      }
      const cltv = expires + rows[at + DELTA]!
      const head = this.#heads[node]!
      if (limited) {
        if (cltv > maxCltvExpiry || this.#isBeaten(head, amount, cltv, hops)) continue
      } else if (cost === rival && !labels.isBetter(cost, cltv, hops, head)) continue
      const next = labels.add({ node, amount, cost, cltv, hops, rest: label, index })
      if (!limited) {
        this.#heads[node] = next
        this.#reach[node] = cost
      }
      heap.push(next)
    }
  }

  #widen(label: number, best: number, heap: Heap<number>): void {
    const labels = this.#labels
    const width = labels.amount(label)
    const { edges, rows } = this.#view.into(labels.node(label))
    for (let index = 0, at = 0; index < edges.length; index++, at += STRIDE) {
      const node = rows[at + FROM]!
      const rival = this.#reach[node]!
      if (rival >= width) continue
      const room = rows[at + MAXIMUM]!
      const amount = width < room ? width : room
      if (amount <= best || amount <= rival) continue
      const next = labels.add({ node, amount, cost: 0, cltv: 0, hops: 0, rest: label, index })
      this.#heads[node] = next
      this.#reach[node] = amount
      heap.push(next)
    }
  }

  /** Our own cheapest channel to the node of a label; among equals the one with the most room. */
  #fromUs(label: number): Found | null {
    const channels = this.#local.get(this.#labels.node(label))
    if (channels === undefined) return null
    const arrives = this.#labels.amount(label)
    let best: Found | null = null
    let bestRoom = 0
    for (const channel of channels) {
      // What a minimum asks beyond the need would give the payee more than was asked.
      const amount = Math.max(arrives, Number(channel.htlcMinimumMsat))
      const room = roomOf(channel, this.#request.taken)
      if ((label === 0 && amount > arrives) || amount > room || amount > this.#mostAmount) continue
      if (best !== null && (amount > best.amount || (amount === best.amount && room <= bestRoom))) continue
      best = { channel, amount, cost: this.#labels.cost(label) + amount - arrives, first: label }
      bestRoom = room
    }
    return best
  }

  #isBetter(a: Found, b: Found): boolean {
    if (a.cost !== b.cost) return a.cost < b.cost
    const labels = this.#labels
    const [soon, than] = [labels.cltv(a.first), labels.cltv(b.first)]
    return soon !== than ? soon < than : labels.hops(a.first) < labels.hops(b.first)
  }
}

/** Channels of ours that the request may use. */
export const usableOf = (r: RouteRequest): readonly LocalChannel[] =>
  r.localChannels.filter((c) => !r.excludedLocal?.has(c.channelId))

/** What the one with the most room can send. */
export const mostRoom = (r: RouteRequest): number =>
  usableOf(r).reduce((most, c) => Math.max(most, roomOf(c, r.taken)), 0)
