import type { ChannelEntry } from './channels.ts'
import type { EventData } from './events.ts'
import type { Node } from './node.ts'
import type { TurnScope } from './reactor.ts'

const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))

/**
 * A bug in what acts for a channel outside of its core: in payments, in what is published for it, in its announcement. What it had to
 * do is left out, and done again with the next block or start as far as that is done again at all. Were it the end of the process, then
 * of every start too, and the deadlines of all channels would pass.
 */
export function unhandled(node: Node, { meta }: ChannelEntry, error: unknown, scope: TurnScope): void {
  const { localId: id, peer } = meta
  const message = `a bug: something that this channel caused could not be done: ${textOf(error).slice(0, 400)}`
  const data = { id, peer, code: 'CHANNEL_EVENT_NOT_HANDLED', message, byPeer: false }
  // A peer may know how to bring it about.
  if (node.events.emitOfPeer(scope, peer, 'node.alert', data))
    node.logs.of('channel').error({ err: error, channel: id, peer }, 'a bug: this could not be handled')
}

/** The same for a part of the node that claims do not depend on; told once in a run. */
export function apart(node: Node, part: string, scope: TurnScope, act: () => void): void {
  try {
    act()
  } catch (error) {
    node.log.error({ err: error, part }, 'a bug: this part of the node has failed')
    if (node.failedParts.has(part)) return
    node.failedParts.add(part)
    const message = `a bug: ${part} failed, the rest goes on: ${textOf(error).slice(0, 400)}`
    const data: EventData = { code: 'PART_FAILED', part, message, byPeer: false }
    node.events.emit(scope, 'node.alert', data)
  }
}
