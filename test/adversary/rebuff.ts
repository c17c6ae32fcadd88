import { channelOf } from '../../src/channel/describe.ts'
import type { Lane } from './arena.ts'
import { idle } from './plots.ts'
import { Rng } from './rng.ts'
import type { Run } from './run.ts'

/**
 * Has a channel fail before both sides are in step, so that hal holds its commitment back: by an error ahead of any channel_reestablish, or by
 * one that expects more signatures than hal has made (one more may be the last, which is on its way). What was to be settled is decided meanwhile, or not, and its time runs.
 */
export async function rebuff(run: Run, lane: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const mal = arena.hostiles.get(lane)!
  const channel = channelOf(arena.hal.entry(lane).state)
  if (!channel) return
  const { channelId } = channel.params
  const rng = new Rng(b * 65_536 + c)
  arena.cut(lane)
  arena.connect(lane)
  if (rng.below(2) === 0) arena.give(lane, true, { type: 'error', channelId, data: new Uint8Array(3) })
  else
    mal.outbox = mal.outbox.map((m) =>
      m.type === 'channel_reestablish'
        ? { ...m, nextCommitmentNumber: m.nextCommitmentNumber + BigInt(2 + rng.below(3)) }
        : m,
    )
  for (let i = rng.below(6); i > 0; i--) arena.deliver(lane, rng.below(2) === 0)
  if (rng.below(2) === 0) arena.cut(lane)
  if (rng.below(3) === 0) arena.hal.settleHold(rng.below(8))
  await idle(run, rng.below(24), rng.below(8))
  if (rng.below(3) > 0) return
  if (!arena.connected.get(lane)) arena.connect(lane)
  arena.pump(lane)
}
