import { channelOf } from '../../src/channel/describe.ts'
import type { Channel } from '../../src/channel/state.ts'
import type { Arena, Lane } from './arena.ts'
import { Rng } from './rng.ts'
import type { Run } from './run.ts'
import { copyDisk, putBack } from './saved.ts'

const LIFE = ['offer', 'pay', 'pump', 'settle', 'pump', 'twin', 'deliver', 'fee'] as const
const HOW = ['noticed', 'noticed', 'noticed', 'unnoticed', 'nothing lost'] as const
/** How a peer meets somebody who has lost data. The first one is fair. */
type Welcome = (run: Run, lane: Lane, rng: Rng) => void

/**
 * Hal's disk is put back to what it was a while ago, and the peer makes the most of it. Hal either notices that its data is old (its
 * numbers are behind those of its backup), or nothing but the peer's proof can tell it. Or it is the peer alone that says so.
 */
export async function forget(run: Run, lane: Lane, b: number, c: number): Promise<void> {
  const { arena } = run
  const { hal } = arena
  const mal = arena.hostiles.get(lane)
  const isOpen = (): boolean => hal.channels.all().every((e) => e.state.tag !== 'closing' && e.state.tag !== 'closed')
  if (!mal || !isOpen()) return
  const rng = new Rng(b * 65_536 + c)
  const copy = copyDisk(hal)
  for (let i = rng.below(14); i >= 0; i--) {
    const [a, x, y] = [rng.below(4), rng.below(1 << 16), rng.below(1 << 16)]
    await run.step({ tag: LIFE[rng.below(LIFE.length)]!, a, b: x, c: y })
  }
  if (!isOpen() || ![...arena.hostiles.values()].every((h) => h.isOpen())) return
  const newest = mal.newest()
  for (const l of arena.lanes) arena.cut(l)
  const how = HOW[rng.below(HOW.length)]!
  if (how === 'nothing lost') return bluff(run, lane, rng)
  putBack(hal, copy, how === 'noticed')
  // A revocation that was lost on its way has revealed nothing; and hal may make the same step again.
  for (const [l, hostile] of arena.hostiles) hal.publisher.hasRevealed(l, hostile.punishes())
  if (how === 'noticed' && rng.below(4) === 0) await run.mine(rng.below(30), 0, false)
  const welcome = how === 'noticed' ? WELCOMES[rng.below(WELCOMES.length)]! : fair
  welcome(run, lane, rng)
  // Whoever is honest, or the same peer, says how it is.
  for (const l of arena.lanes) arena.connect(l)
  for (const l of arena.lanes) arena.pump(l)
  if (rng.below(2) === 0) hal.forceClose(lane)
  const any = mal.signed(mal.commitments()[rng.below(mal.commitments().length)]!)
  const end = rng.below(4)
  if (end === 0) arena.queued.push(newest)
  if (end === 1) run.send(any, rng.below(64), mal)
  if (end === 2) {
    // It shows it in a block, and takes that back.
    arena.queued.push(any)
    await run.mine(1, 0, false)
    const other = rng.below(2) === 0 ? newest : null
    await run.undo(1, { other, withdraws: true, greed: 0, censor: false })
  }
  await run.mine(rng.below(3) === 0 ? 30 : rng.below(4), 7, false)
}

const fair: Welcome = ({ arena }, lane) => {
  arena.connect(lane)
  arena.pump(lane)
}

/** It says that nothing has happened since: where hal stands it has just heard. */
const echo: Welcome = ({ arena }, lane, rng) => {
  arena.connect(lane, (mal, said) => {
    if (said === null) return guess(arena, lane, rng)
    const at = { ours: Number(said.nextCommitmentNumber) - 1, theirs: Number(said.nextRevocationNumber) }
    mal.pretend(({ commitments: { local, remote } }) => remote.number === at.ours && local.number === at.theirs)
  })
  arena.pump(lane)
}

/** It says that it has lost data itself, more than hal may have, and asks hal to close. */
const sigh: Welcome = (run, lane, rng) => {
  const { arena } = run
  arena.connect(lane, () => guess(arena, lane, rng))
  arena.pump(lane)
  if (rng.below(3) > 0) whine(run, lane, rng)
}
/** Which copy hal has it cannot know, and is not lucky either; what is gone for long it has all the same. */
function guess(arena: Arena, lane: Lane, rng: Rng): void {
  const most = halsChannel(arena.hal.entry(lane).state).commitments.remote.number - 1
  const number = most > 0 ? rng.below(most) : null
  arena.hostiles.get(lane)!.pretend((c) => c.commitments.local.number === number)
}

/** It fails the channel, before or after it has said where that stands. */
const whine: Welcome = ({ arena }, lane, rng) => {
  arena.connect(lane)
  for (let i = rng.below(3); i > 0; i--) arena.deliver(lane, true)
  const id = halsChannel(arena.hal.entry(lane).state).params.channelId
  if (arena.connected.get(lane)) arena.give(lane, true, { type: 'error', channelId: id, data: new Uint8Array(3) })
}

/** It claims that hal is late, and cannot prove it. */
const bluff: Welcome = ({ arena }, lane, rng) => {
  arena.connect(lane)
  const { outbox } = arena.hostiles.get(lane)!
  const at = outbox.findIndex((m) => m.type === 'channel_reestablish')
  const said = outbox[at]
  if (said?.type !== 'channel_reestablish') return
  const nextRevocationNumber = said.nextRevocationNumber + BigInt(1 + rng.below(5))
  const yourLastPerCommitmentSecret = new Uint8Array(32).fill(rng.below(256))
  outbox[at] = { ...said, nextRevocationNumber, yourLastPerCommitmentSecret }
  arena.pump(lane)
}

const silence: Welcome = () => {}

const WELCOMES: readonly Welcome[] = [fair, echo, echo, sigh, sigh, whine, bluff, silence]

const halsChannel = (state: Parameters<typeof channelOf>[0]): Channel => channelOf(state)!
