import type { NodeId } from '../base/ids.ts'
import { encodeMessage, type Message } from '../wire/registry.ts'
import type { TurnScope } from './reactor.ts'

/** A live connection: a message meant for one epoch never goes out over a later one. */
export interface Link {
  readonly nodeId: NodeId
  readonly epoch: number
}

export interface OutboxOptions {
  /** Sends messages as bytes, in one write. */
  readonly send: (link: Link, messages: readonly Uint8Array[]) => void
  /** A message cannot be made, which is a bug: it is left out. */
  readonly onUnsendable: (link: Link, message: Message, error: unknown) => void
}

interface Waiting {
  readonly link: Link
  readonly messages: Message[]
}

/** Updates bind nobody before a commitment_signed: until it comes, the peer has no use for them. */
const WAITS = new Set<Message['type']>(['update_add_htlc', 'update_fee'])
/** Messages that go by themselves, with nothing to bind the updates that wait. */
const PASSES = new Set<Message['type']>([
  ...WAITS,
  'revoke_and_ack',
  'update_fulfill_htlc',
  'update_fail_htlc',
  'update_fail_malformed_htlc',
])
const channelIdOf = (m: Message): string | null => ('channelId' in m ? m.channelId : null)

/**
 * Collects a turn's messages per peer and sends each peer's in one write, in order, once the turn is durable. Updates travel with the
 * commitment_signed that binds them: while the peer has yet to revoke, one that went ahead would cost both sides a turn of its own.
 */
export class Outbox {
  readonly #options: OutboxOptions
  #waiting = new Map<NodeId, Waiting>()

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  push(link: Link, message: Message): void {
    const waiting = this.#waiting.get(link.nodeId)
    if (waiting && waiting.link.epoch > link.epoch) return // what is late for a connection that broke
    if (waiting && waiting.link.epoch === link.epoch) waiting.messages.push(message)
    else this.#waiting.set(link.nodeId, { link, messages: [message] })
  }

  /** At the end of a turn. */
  flush(scope: TurnScope): void {
    for (const [nodeId, { link, messages }] of this.#waiting) {
      const { now, later } = split(messages)
      if (later.length === 0) this.#waiting.delete(nodeId)
      else this.#waiting.set(nodeId, { link, messages: later })
      if (now.length === 0) continue
      let encoded: readonly Uint8Array[] = []
      scope.meanwhile(() => {
        encoded = now.flatMap((message) => this.#encode(link, message))
      })
      scope.first(() => this.#options.send(link, encoded))
    }
  }

  /** Makes the signatures of a commitment_signed, too. */
  #encode(link: Link, message: Message): readonly Uint8Array[] {
    try {
      return [encodeMessage(message)]
    } catch (e) {
      this.#options.onUnsendable(link, message, e)
      return []
    }
  }
}

/** What goes now, and the updates of channels from which nothing goes that binds them. */
function split(messages: Message[]): { readonly now: readonly Message[]; readonly later: Message[] } {
  if (!messages.some((m) => WAITS.has(m.type))) return { now: messages, later: [] }
  const bound = new Set(messages.filter((m) => !PASSES.has(m.type)).map(channelIdOf))
  const now: Message[] = []
  const later: Message[] = []
  for (const m of messages) (WAITS.has(m.type) && !bound.has(channelIdOf(m)) ? later : now).push(m)
  return { now, later }
}
