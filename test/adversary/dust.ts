import type { Arena, Lane } from './arena.ts'

/** So that nothing is waited for in the hope of lower fees. */
const CHEAP = { commitment: 1000, closing: 253, claim: 253, slow: 253 }
const MOST_BLOCKS = 700
const PATIENCE = 3
/** After which a channel is closed whatever is under way in it. */
const BUSY_BLOCKS = 150

/**
 * The attacker is out of tricks but not of greed; the dust settles.
 * @param toTheEnd until nothing is watched any more
 */
export async function settleDust(arena: Arena, toTheEnd: boolean): Promise<void> {
  arena.held.clear()
  arena.crowd = 0
  for (const node of arena.honest) node.feerates = CHEAP
  for (const [lane] of arena.hostiles) if (arena.connected.get(lane)) arena.cut(lane)
  if (arena.una) arena.connect('up')
  const over = (): boolean => arena.honest.every((n) => (toTheEnd ? n.isIrrevocable() : n.isDone()))
  // What is loose may need some blocks more.
  const settled = (): boolean => over() && arena.honest.every((n) => !n.isDone() || n.wealth.loose().length === 0)
  for (let i = 0; i < MOST_BLOCKS && !settled(); i++) {
    if (arena.una) arena.pump('up')
    for (const lane of arena.lanes) endIfIdle(arena, lane, i)
    // Who has lost data waits for the peer, which wants its own share.
    if (arena.hal.hasLost && i === PATIENCE)
      for (const [lane, mal] of arena.hostiles) if (!arena.closingOf(lane)) arena.queued.push(mal.newest())
    await arena.block({ greed: 7, censor: false })
  }
}

function endIfIdle({ hal }: Arena, lane: Lane, blocks: number): void {
  const { state } = hal.entry(lane)
  if (state.tag === 'closing' || state.tag === 'closed') return
  const from = 'from' in state ? state.from : state
  const channel = 'channel' in from ? from.channel : null
  if (!channel) return
  const { outgoing, incoming } = channel.commitments
  if (outgoing.size + incoming.size === 0 || blocks > BUSY_BLOCKS) hal.forceClose(lane)
}
