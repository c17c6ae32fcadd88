import { outpointKey } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { MempoolEntry } from '../../src/chain/embedded/mempoolEntry.ts'
import type { Arena, Lane } from './arena.ts'
import { REORG } from './limits.ts'
import { enrich, idle, open, passOn, TALLIES } from './plots.ts'
import { Rng } from './rng.ts'
import type { Run } from './run.ts'

/* What a miner and whoever knows how mempools work do to transactions of hal's, without one of their own in a block. */

const FEERATES = [253, 350, 500, 700, 1_000, 1_400, 2_000, 2_800]

/** Something is there to be claimed, by hal in time, and the channel is about to end. */
function stake(run: Run, lane: Lane, rng: Rng): Lane | null {
  const { arena } = run
  const passed = rng.below(2) === 0 ? passOn(run, TALLIES[rng.below(3)]!) : null
  const at = passed?.lane ?? lane
  if (!open(run, at)) return null
  if (!passed) enrich(run, at, rng.below(16))
  if (!open(run, at)) return null
  if (rng.below(3) > 0) arena.hal.forceClose(at)
  else arena.queued.push(arena.hostiles.get(at)!.newest())
  return at
}

/**
 * Feerates rise, so that hal replaces what it has; a miner keeps all of it, and confirms an older version of something, also in the place of a
 * newer one that was in a block.
 */
export async function dig(run: Run, anywhere: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const rng = new Rng(b * 65_536 + c)
  run.feerate(253)
  const lane = stake(run, anywhere, rng)
  if (!lane) return
  await arena.hal.settle()
  await idle(run, [0, 2, 19][rng.below(3)]!)
  for (let n = 1; n < FEERATES.length; n++) {
    // What was published at the estimate of before waits, and is raised.
    run.feerate(FEERATES[n]!, FEERATES[n - 1]! + 20)
    await idle(run, 1, rng.below(8))
    const tx = rng.below(2) === 0 ? older(arena, rng) : null
    if (tx) arena.queued.push(tx)
    await idle(run, rng.below(3), rng.below(8))
    const depth = 1 + rng.below(REORG - 4)
    if (rng.below(8) === 0)
      await run.undo(depth, { other: older(arena, rng), withdraws: rng.below(2) === 0, greed: 0, censor: false })
  }
  run.feerate(253)
  await idle(run, rng.below(3) === 0 ? 42 : 1, 7)
}

/** Something that hal has made, and has replaced since where there is such a thing. */
function older({ hal, chain }: Arena, rng: Rng): Transaction | null {
  const made = [...hal.made.values()].map((d) => d.tx).filter((tx) => tx.inputs.every((i) => chain.has(i)))
  const replaced = made.filter((tx) => tx.inputs.some((i) => isOther(chain.mempool.spender(outpointKey(i)), tx)))
  const some = replaced.length > 0 ? replaced : made
  return some[rng.below(Math.max(1, some.length))] ?? null
}
const isOther = (entry: MempoolEntry | undefined, tx: Transaction): boolean =>
  entry !== undefined && entry.txid !== txidOf(tx)

/**
 * Replacement cycling: where hal claims an HTLC that the peer has the preimage of, the peer's claim takes its place in the mempool, and goes in
 * turn by a conflict in another input. The output is unspent then, and nothing of hal's waits. Each block of it is one that is taken.
 */
export async function cycle(run: Run, anywhere: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const rng = new Rng(b * 65_536 + c)
  const lane = stake(run, anywhere, rng)
  if (!lane) return
  const most = 30 + rng.below(30)
  for (let n = 0; n < most; n++) {
    await idle(run, 1, rng.below(2))
    const rivals = rivalsOf(arena, lane)
    if (rivals.length === 0) continue
    if (run.spare(1) === 0) break
    for (const e of rivals) arena.chain.evict(e.txid)
  }
  // Until what it came by has expired.
  await idle(run, rng.below(2) === 0 ? 42 : rng.below(4), 1)
  await idle(run, 2, 7)
}

/** What of hal's waits in the mempool and spends an output that the peer can spend as well. */
function rivalsOf(arena: Arena, lane: Lane): readonly MempoolEntry[] {
  const mal = arena.hostiles.get(lane)!
  const closing = arena.closingOf(lane)
  if (!closing?.confirmed) return []
  const own = mal.prey(arena.chain, arena.book, closing.tx).filter((p) => p.preimage !== null)
  const found = new Set<MempoolEntry>()
  for (const { output } of own) {
    const by = arena.chain.mempool.spender(outpointKey(output.outpoint))
    if (by && arena.isHonest(by)) found.add(by)
  }
  return [...found]
}
