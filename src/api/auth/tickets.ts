import { randomBytes } from 'node:crypto'
import { toHex } from '../../base/bytes.ts'
import type { Caller } from './keyEntry.ts'

const TICKET_SECONDS = 30
const MAX_TICKETS = 1_000

/** One-time passes for those who cannot send headers (a browser's WebSocket): a long-lived key never stands in a URL. */
export class Tickets {
  readonly #now: () => number
  readonly #open = new Map<string, { caller: Caller; expiresAt: number }>()

  /** @param now Unix milliseconds */
  constructor(now: () => number) {
    this.#now = now
  }

  issue(caller: Caller): { ticket: string; expiresAt: number } {
    const now = this.#now()
    // In order of issue, so the expired ones stand first; past the limit the oldest gives way.
    for (const [ticket, { expiresAt }] of this.#open) {
      if (expiresAt > now && this.#open.size < MAX_TICKETS) break
      this.#open.delete(ticket)
    }
    const ticket = toHex(randomBytes(24))
    const expiresAt = now + TICKET_SECONDS * 1000
    this.#open.set(ticket, { caller, expiresAt })
    return { ticket, expiresAt }
  }

  /** The caller that the ticket was issued to; undefined when it is unknown, used or too old. */
  redeem(ticket: string): Caller | undefined {
    const found = this.#open.get(ticket)
    this.#open.delete(ticket)
    return found && found.expiresAt > this.#now() ? found.caller : undefined
  }
}
