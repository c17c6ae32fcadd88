import { awaitedAnswer } from '../channel/awaited.ts'
import { channelOf } from '../channel/describe.ts'
import { endConnection } from '../channel/states/shared.ts'
import type { ChannelEntry, Channels } from './channels.ts'
import type { Effects } from './effects.ts'
import type { Link } from './outbox.ts'
import type { Peers } from './peers.ts'
import type { TurnScope } from './reactor.ts'

/** Looks through which an answer may stay out: the first time, and at most, where new connections have not brought it. */
const PATIENCE = { first: 1, most: 64 }

export interface UnansweredOptions {
  readonly channels: Pick<Channels, 'all'>
  readonly peers: Pick<Peers, 'link'>
  readonly effects: Pick<Effects, 'apply'>
}

/**
 * A peer that is connected, and does not say what is due on a channel, gets a new connection, in which both say again what was lost:
 * other nodes drop a message now and then, and HTLCs would wait until the channel is closed over them. Each time that this does not help,
 * it waits twice as long for the next, since the peer's other channels lose their connection, too.
 */
export class Unanswered {
  readonly #parts: () => UnansweredOptions
  readonly #waiting = new WeakMap<ChannelEntry, { readonly question: string; readonly looks: number }>()
  readonly #patience = new WeakMap<ChannelEntry, number>()

  constructor(parts: () => UnansweredOptions) {
    this.#parts = parts
  }

  /** Once a minute. */
  look(scope: TurnScope): void {
    const { channels, peers } = this.#parts()
    for (const entry of channels.all()) {
      const link = peers.link(entry.meta.peer)
      // One that a bug has set aside does not hear what is said.
      if (link && entry.quarantined === null) this.#look(entry, link, scope)
      else this.#waiting.delete(entry)
    }
  }

  #look(entry: ChannelEntry, { epoch }: Link, scope: TurnScope): void {
    const awaited = awaitedAnswer(entry.state)
    if (awaited === null) {
      this.#waiting.delete(entry)
      this.#patience.delete(entry)
      return
    }
    const question = `${epoch} ${awaited}`
    const known = this.#waiting.get(entry)
    const looks = known?.question === question ? known.looks + 1 : 0
    this.#waiting.set(entry, { question, looks })
    const patience = this.#patience.get(entry) ?? PATIENCE.first
    if (looks < patience) return
    this.#patience.set(entry, Math.min(2 * patience, PATIENCE.most))
    this.#waiting.delete(entry)
    const text = `no ${awaited} has come for ${looks === 1 ? 'a minute' : `${looks} minutes`}`
    for (const effect of endConnection(channelOf(entry.state)!, text)) {
      if (effect.tag !== 'relay') this.#parts().effects.apply(entry, effect, scope)
    }
  }
}
