import { channelOf } from '../../src/channel/describe.ts'
import type { IncomingHtlc } from '../../src/channel/types.ts'
import type { Lane } from './arena.ts'
import { agree, enrich, idle, open, passOn, TALLIES } from './plots.ts'
import { Rng } from './rng.ts'
import type { Run } from './run.ts'

/**
 * Shows the preimage of an HTLC that hal has offered, forgets that with the connection before it has signed, and fails the HTLC in the next one:
 * all of that, or as far as it likes, and takes what it can of any commitment that it ever had.
 * @source BOLT 2 §message-retransmission
 */
export async function recant(run: Run, anywhere: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const rng = new Rng(b * 65_536 + c)
  const lane = (rng.below(2) === 0 ? passOn(run, TALLIES[rng.below(3)]!)?.lane : null) ?? anywhere
  const mal = arena.hostiles.get(lane)!
  if (rng.below(2) === 0) enrich(run, lane, rng.below(16))
  agree(run, arena.lanes)
  const htlc = [...mal.incoming()].reverse().find((h) => isKnown(run, h))
  const before = mal.state && channelOf(mal.state)
  if (!htlc || !before || !open(run, lane)) return
  const { id, paymentHash } = htlc
  const { preimage } = arena.book.payments.get(paymentHash)!
  mal.step({ tag: 'command', command: { tag: 'fulfillHtlc', id, preimage } }, false)
  arena.deliver(lane, true)
  for (const l of arena.lanes) if (l === lane || rng.below(3) === 0) arena.cut(l)
  mal.pretend(({ commitments }) => commitments === before.commitments)
  if (rng.below(4) === 0) {
    for (const l of arena.lanes) arena.cut(l)
    arena.hal.restart()
  }
  arena.connect(lane)
  arena.pump(lane)
  mal.command({ tag: 'failHtlc', id, reason: new Uint8Array(292) })
  arena.pump(lane, rng.below(8))
  const all = mal.commitments()
  const end = rng.below(4)
  if (end === 0) run.send(mal.newest(), rng.below(64), mal)
  if (end === 1) arena.queued.push(mal.signed(all[rng.below(all.length)]!))
  await idle(run, rng.below(4), rng.below(8))
  if (end === 2) arena.pump(lane)
}

const isKnown = ({ arena }: Run, { paymentHash }: IncomingHtlc): boolean =>
  ['to-peer', 'forward'].includes(arena.book.payments.get(paymentHash)?.purpose ?? '')
