import type { Graph } from '../routing/graph.ts'
import type { Crossing, Liquidity } from '../routing/liquidity.ts'
import { channelOfKey, directedChannel, type RouteHop } from '../routing/types.ts'

/** What an attempt of a payment showed of where money is. */
export interface Lesson {
  readonly what: 'carried' | 'refused' | 'settled'
  readonly crossing: Crossing
}

/** What the failure of an attempt proves, by the keys that made it. */
export interface Shown {
  /** The hop that failed: what leads to it carried the HTLC. */
  readonly hop: number
  /** It says that the channel after it could not carry the HTLC: its own channel, about which it may say what it likes. */
  readonly isShort: boolean
}

/** Over the channels after ours, in order: the one at index i leads to hop i + 1. */
const crossingsOf = (hops: readonly RouteHop[]): readonly Crossing[] =>
  hops.slice(1).map(({ nodeId: to, shortChannelId, amountMsat }, i) => {
    const from = hops[i]!.nodeId
    const key = directedChannel(shortChannelId, from, to)
    return { key, back: directedChannel(shortChannelId, to, from), from, to, amount: Number(amountMsat) }
  })

/** Every channel of the route carried its amount. */
export const lessonsOfSuccess = (hops: readonly RouteHop[], graph: Known): readonly Lesson[] =>
  crossingsOf(hops)
    .map((crossing): Lesson => ({ what: 'settled', crossing }))
    .filter((l) => isItself(l, graph))

/** The channels before the node that failed it carried; its own next one refused, where that is what it says. */
export const lessonsOfFailure = (hops: readonly RouteHop[], { hop, isShort }: Shown, graph: Known): readonly Lesson[] =>
  crossingsOf(hops)
    .slice(0, isShort ? hop + 1 : hop)
    .map((crossing, i): Lesson => ({ what: i === hop ? 'refused' : 'carried', crossing }))
    .filter((l) => isItself(l, graph))

type Known = Pick<Graph, 'channel'>

/** An invoice's hint may call a way between its own nodes by the id of a channel of others: they are not to speak for that. */
function isItself({ crossing: { key, from, to } }: Lesson, graph: Known): boolean {
  const channel = graph.channel(channelOfKey(key)!.shortChannelId)
  return channel === undefined || [channel.nodeId1, channel.nodeId2].every((id) => id === from || id === to)
}

/** @param now Unix ms */
export function learn(liquidity: Liquidity, lessons: readonly Lesson[], now: number): void {
  for (const { what, crossing } of lessons) liquidity[what](crossing, now)
}
