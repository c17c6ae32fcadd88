import type { Logger } from 'pino'
import { apart } from './apart.ts'
import type { Node } from './node.ts'
import { reportUnreadable } from './recovery.ts'
import { Unanswered } from './unanswered.ts'

/** How often payments and invoices that asked for it are looked at. */
const TICK_MS = 1_000
const REVIEW_EVERY = 60
const FOLD_EVERY = 10

/** What a node looks at again and again, since nothing that happens asks for it. */
export class Rounds {
  readonly #node: Node
  readonly #unanswered: Unanswered
  #timer: NodeJS.Timeout | null = null
  #ticks = 0

  constructor(node: Node) {
    this.#node = node
    this.#unanswered = new Unanswered(() => node)
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }
  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
  }

  #tick(): void {
    const node = this.#node
    const { mempoolWatch, balances, backup, ledger, payments, storage, gossip, log } = node
    this.#ticks++
    mempoolWatch.tick()
    const review = this.#ticks % REVIEW_EVERY === 0
    if (review) {
      aside(log, balances.note())
      aside(log, backup.look())
      aside(log, reportUnreadable(node, {}))
    }
    if (this.#ticks % FOLD_EVERY === 0 && ledger.hasWork) aside(log, ledger.fold())
    if (!review && !payments.hasDue() && !storage.hasDue() && !gossip.hasDue()) return
    node.reactor.post((scope) => {
      apart(node, 'peer storage', scope, () => storage.tick(scope))
      apart(node, 'gossip', scope, () => gossip.tick(scope))
      apart(node, 'payments', scope, () => (review ? payments.review(scope) : payments.tick(scope)))
      if (review) apart(node, 'unanswered messages', scope, () => this.#unanswered.look(scope))
      node.channels.drain(scope)
    })
  }
}

/** What is done again anyway: a node that stops does not finish it. */
export function aside(log: Logger, work: Promise<void>): void {
  work.catch((e: unknown) => log.debug({ err: e }, 'taken up later'))
}
