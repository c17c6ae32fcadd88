import type { Msat } from '../../src/base/units.ts'
import type { Lane } from './arena.ts'
import { agree, idle, open } from './plots.ts'
import { Rng } from './rng.ts'
import type { Run } from './run.ts'

const COUNTS = [12, 24, 48]
const MANY = 2_000

/**
 * As many HTLCs as there is money for, each just worth its claim, in both directions and all due at once, when the channel ends: hal has the
 * preimages of those that came in, and its wallet has a coin or a few.
 */
export async function flood(run: Run, lane: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const mal = arena.hostiles.get(lane)!
  const rng = new Rng(b * 65_536 + c)
  agree(run, [lane])
  if (!open(run, lane)) return
  run.feerate([253, 1_000][rng.below(2)]!)
  const expiry = arena.chain.height + 20
  for (let i = COUNTS[rng.below(COUNTS.length)]!; i > 0; i--) {
    const amountMsat = (20_000_000n + BigInt(rng.below(4_000_000))) as Msat
    if (rng.below(2) === 0) run.pay(lane, { hash: arena.book.add('to-peer').hash, amountMsat, expiry })
    else run.offer(lane, { hash: arena.book.add('invoice').hash, amountMsat, expiry })
  }
  // Hal lets the preimages go, and may not be heard.
  if (rng.below(2) === 0) arena.pump(lane, MANY)
  else for (let i = 40 + rng.below(80); i > 0; i--) if (!arena.deliver(lane, true)) arena.deliver(lane, false)
  arena.cut(lane)
  if (!open(run, lane)) return
  await idle(run, rng.below(2) === 0 ? rng.below(4) : expiry - 13 - arena.chain.height)
  if (rng.below(2) === 0) arena.hal.forceClose(lane)
  else run.send(mal.newest(), rng.below(64), mal)
  await idle(run, expiry - arena.chain.height + rng.below(6), rng.below(8))
}
