import type { NodeId } from '../base/ids.ts'
import type { Message } from '../wire/registry.ts'
import type { TurnScope } from './reactor.ts'

/** A live connection: a message meant for one epoch never goes out over a later one. */
export interface Link {
  readonly nodeId: NodeId
  readonly epoch: number
}

/** Collects a turn's messages per peer and sends each peer's in one write, in order, once the turn is durable. */
export class Outbox {
  readonly #send: (link: Link, messages: readonly Message[]) => void
  #waiting = new Map<NodeId, { link: Link; messages: Message[] }>()

  constructor(send: (link: Link, messages: readonly Message[]) => void) {
    this.#send = send
  }

  push(link: Link, message: Message): void {
    const waiting = this.#waiting.get(link.nodeId)
    if (waiting && waiting.link.epoch === link.epoch) waiting.messages.push(message)
    else this.#waiting.set(link.nodeId, { link, messages: [message] })
  }

  /** At the end of a turn. */
  flush(scope: TurnScope): void {
    if (this.#waiting.size === 0) return
    const waiting = this.#waiting
    this.#waiting = new Map()
    scope.after(() => {
      for (const { link, messages } of waiting.values()) this.#send(link, messages)
    })
  }
}
