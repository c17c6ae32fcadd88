import type { Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { Lane } from './arena.ts'
import type { Hostile } from './hostile.ts'
import { REORG } from './limits.ts'
import { agree, idle, open } from './plots.ts'
import { Rng } from './rng.ts'
import type { Run } from './run.ts'

const FEERATES = [300, 1_000, 4_000, 16_000]

/** Fulfils whatever it has been offered, so that nothing keeps the channel from closing. */
export function clear(run: Run, lane: Lane): void {
  const { arena } = run
  const mal = arena.hostiles.get(lane)!
  agree(run, [lane])
  for (const { id, paymentHash } of mal.incoming()) {
    const { preimage } = arena.book.payments.get(paymentHash)!
    mal.command({ tag: 'fulfillHtlc', id, preimage })
  }
  agree(run, arena.lanes)
}

/**
 * Closes together, and has both offer one closing transaction after the other, with the connection lost in between, a close by force perhaps, and
 * any of those that both have signed in the mempools or in a block, or a commitment; and takes that back.
 */
export async function haggle(run: Run, lane: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const { hal } = arena
  const mal = arena.hostiles.get(lane)!
  const rng = new Rng(b * 65_536 + c)
  clear(run, lane)
  if (!open(run, lane)) return
  const signed = new Map<Txid, Transaction>()
  for (let round = rng.below(6); round >= 0; round--) {
    const command = { tag: 'close', requestId: 1, feeratePerKw: FEERATES[rng.below(FEERATES.length)]! } as const
    if (rng.below(2) === 0) mal.command(command)
    else hal.command(lane, command)
    arena.pump(lane, rng.below(3) === 0 ? rng.below(6) : 80)
    for (const tx of closingsOf(mal)) signed.set(txidOf(tx), tx)
    if (rng.below(6) === 0) hal.forceClose(lane)
    if (rng.below(4) === 0) run.send(any(mal, signed, rng), rng.below(64), mal)
    if (rng.below(3) === 0) await run.mine(1, 0, rng.below(2) === 0)
    if (rng.below(3) === 0) arena.cut(lane)
    arena.connect(lane)
  }
  arena.queued.push(any(mal, signed, rng))
  const blocks = rng.below(REORG - 1)
  await idle(run, blocks, rng.below(8))
  const other = rng.below(2) === 0 ? any(mal, signed, rng) : null
  if (blocks > 0 && rng.below(2) === 0)
    await run.undo(blocks, { other, withdraws: rng.below(2) === 0, greed: 0, censor: rng.below(2) === 0 })
  await idle(run, rng.below(8), 7)
}

/** What both have signed, as far as it has it. */
const closingsOf = ({ state }: Hostile): readonly Transaction[] => (state?.tag === 'negotiating' ? state.published : [])

function any(mal: Hostile, signed: ReadonlyMap<Txid, Transaction>, rng: Rng): Transaction {
  const closings = [...signed.values()]
  if (closings.length > 0 && rng.below(3) > 0) return closings[rng.below(closings.length)]!
  const all = mal.commitments()
  return rng.below(2) === 0 ? mal.newest() : mal.signed(all[rng.below(all.length)]!)
}
