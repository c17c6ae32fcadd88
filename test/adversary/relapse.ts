import type { Arena, Lane } from './arena.ts'
import { closeOnceMore, findCloses } from './closeSearch.ts'
import type { Hostile } from './hostile.ts'
import { agree, idle, open } from './plots.ts'
import { Rng } from './rng.ts'
import type { Run } from './run.ts'
import { copyDisk, putBackUnseen } from './saved.ts'

const LIFE = ['offer', 'pay', 'pump', 'settle', 'pump', 'twin', 'deliver', 'fee'] as const

async function live(run: Run, steps: number, rng: Rng): Promise<void> {
  for (let i = steps; i > 0; i--) {
    const [a, x, y] = [rng.below(4), rng.below(1 << 16), rng.below(1 << 16)]
    await run.step({ tag: LIFE[rng.below(LIFE.length)]!, a, b: x, c: y })
  }
}

/**
 * Hal closes by force, which its disk forgets: all of it is as it was before, or the records of that channel alone, and nothing on it tells.
 * The peer has hal's commitment, whatever took its place in the mempools, and goes on as if nothing had happened.
 */
export async function relapse(run: Run, lane: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const { hal } = arena
  const mal = arena.hostiles.get(lane)
  if (!mal || !arena.lanes.every((l) => open(run, l))) return
  const rng = new Rng(b * 65_536 + c)
  if (rng.below(3) > 0) agree(run, arena.lanes)
  if (!open(run, lane)) return
  const copy = copyDisk(hal)
  if (rng.below(4) === 0 && !declaresOurs(arena)) {
    // More is lost than the close.
    hal.hasLost = true
    await live(run, 1 + rng.below(6), rng)
  }
  for (const l of arena.lanes) arena.cut(l)
  hal.forceClose(lane)
  await hal.settle()
  const ours = arena.closingOf(lane)?.tx
  if (rng.below(2) === 0) replace(run, mal, rng)
  await waitOn(run, rng)
  const isWhole = rng.below(2) === 0
  putBackUnseen(hal, copy, isWhole ? null : lane)
  for (const [l, hostile] of arena.hostiles) hal.publisher.hasRevealed(l, hostile.punishes())
  await closeOnceMore(hal)
  // Peers may be faster than the blocks that it lacks.
  if (rng.below(2) === 0) greet(arena)
  await hal.catchUp()
  await findCloses(hal)
  greet(arena)
  await live(run, rng.below(12), rng)
  if (ours && rng.below(2) === 0) arena.queued.push(ours)
  await idle(run, rng.below(3) === 0 ? 30 : rng.below(4), 7)
}

/**
 * A commitment of hal's that it has forgotten cannot be told from a newer one of such a peer then, and is left alone. There are no such channels
 * any more: what a peer declares is refused (borrowed.ts).
 */
const declaresOurs = ({ setting: { borrowed } }: Arena): boolean =>
  borrowed?.of === 'this' && borrowed.basepoints.length > 0

function greet(arena: Arena): void {
  for (const lane of arena.lanes) arena.connect(lane)
  for (const lane of arena.lanes) arena.pump(lane)
}

/** What the peer has in the place of hal's commitment, in the mempools or in the next block. */
function replace(run: Run, mal: Hostile, rng: Rng): void {
  const all = mal.commitments()
  const tx = rng.below(3) === 0 ? mal.signed(all[rng.below(all.length)]!) : mal.newest()
  run.send(tx, rng.below(64), mal)
}

async function waitOn(run: Run, rng: Rng): Promise<void> {
  const blocks = [0, 0, 1, 3, 9][rng.below(5)]!
  if (rng.below(2) === 0) await run.mine(blocks, 0, true)
  else await idle(run, blocks, rng.below(8))
}
