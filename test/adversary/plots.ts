import type { Msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { Htlc } from '../../src/channel/htlc.ts'
import { eachHtlc, getHtlc } from '../../src/channel/htlcTable.ts'
import type { Channel } from '../../src/channel/state.ts'
import type { Lane } from './arena.ts'
import type { Hostile } from './hostile.ts'
import { REORG, STEAL } from './limits.ts'
import type { Run } from './run.ts'

/** Attacks of several moves, each aimed at the moment at which the honest have to act. The numbers choose among the ways to go about it. */
type Plot = (run: Run, lane: Lane, b: number, c: number) => Promise<void>

export const TALLIES: readonly Msat[] = [70_000_000n as Msat, 110_000_000n as Msat, 160_000_000n as Msat]
/** What is worth an attack. */
const LEAST_TALLY = 50_000_000n

export const open = ({ arena }: Run, lane: Lane): Channel | null => {
  const { state } = arena.hal.entry(lane)
  return state.tag === 'closing' || state.tag === 'closed' ? null : channelOf(state)
}
const released = (channel: Channel | null): readonly Htlc[] =>
  channel ? [...eachHtlc(channel.commitments.incoming)].filter((h) => h.removal?.tag === 'fulfilled') : []

export async function idle({ arena }: Run, blocks: number, greed = 0): Promise<void> {
  for (let i = 0; i < blocks; i++) await arena.block({ greed, censor: false })
}

/** Something that hal offered is not settled there. */
function isContested({ arena }: Run, lane: Lane): boolean {
  const { state } = arena.hal.entry(lane)
  const channel = state.tag === 'closed' ? null : channelOf(state)
  const onchain = state.tag === 'closing' ? state.onchain : null
  if (onchain) return onchain.outputs.some((o) => o.htlc?.direction === 'out' && o.spent === null)
  return channel !== null && channel.commitments.outgoing.size > 0
}

/** Waits until somebody honest has given an HTLC up because of what is in the chain, then takes that back. */
const ambush: Plot = async (run, lane, b, c) => {
  const { arena } = run
  const given = (): number => arena.honest.reduce((n, h) => n + h.till.ledger.failed.size, 0)
  const before = given()
  if (!arena.lanes.some((l) => isContested(run, l) && arena.closingOf(l))) return
  for (let i = 0; i < 45 && given() === before; i++) await idle(run, 1, c & 1)
  if (given() > before) await run.reorg(REORG - 1 - (lane === 'up' ? 0 : (b >> 8) % 2), b, 2 + (c & 4))
}

/** Talks until everything is said. */
export function agree({ arena }: Run, lanes: readonly Lane[]): void {
  for (const lane of lanes) arena.connect(lane)
  for (const lane of [...lanes, ...lanes]) arena.pump(lane)
}

/** Has hal let the preimage of an HTLC go, and does not hear it. */
function bait(run: Run, lane: Lane, amountMsat: Msat): readonly Htlc[] {
  const { arena } = run
  agree(run, [lane])
  const before = released(open(run, lane))
  if (before.length > 0 || !open(run, lane)) return before
  run.offer(lane, { hash: arena.book.add('invoice').hash, amountMsat, expiry: arena.chain.height + 20 })
  for (let i = 0; i < 60 && released(open(run, lane)).length === 0; i++)
    if (!arena.deliver(lane, true) && !arena.deliver(lane, false)) break
  arena.cut(lane)
  return released(open(run, lane))
}

/** Leaves the honest out for as long as it may, just when they have to act; then takes what it has the preimage of. */
const siege: Plot = async (run, lane, b, c) => {
  const expiries = b % 2 === 0 ? bait(run, lane, TALLIES[b % 3]!).map((h) => h.add.cltvExpiry) : []
  if (expiries.length > 0) await idle(run, Math.min(...expiries) - 4 - ((c >> 3) % 10) - run.arena.chain.height)
  else await run.toExpiry(lane === 'up' ? b >> 4 : 0, b, c & 5)
  await run.mine(expiries.length > 0 ? run.steal : Math.min(run.steal, 1 + (c % STEAL)), c & 5, true)
  await run.mine(1 + (b % 3), 7, false)
}

/** Puts a commitment of its own, revoked perhaps, into the mempools in the place of hal's just before hal needs one in the chain, and does not mine it. */
const smother: Plot = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)
  if (!mal || !open(run, lane)) return
  const prey = b % 8 === 0 ? released(open(run, lane)) : bait(run, lane, TALLIES[b % 3]!)
  const { height } = arena.chain
  const first = prey.length > 0 ? Math.min(...prey.map((h) => h.add.cltvExpiry)) : height
  await idle(run, first - 13 - height)
  const isRevoked = (b >> 3) % 3 === 0
  run.send(isRevoked ? mal.signed(richest(mal)) : mal.newest(), b % 8 === 7 ? 3 : 7 + (c % 4) * 8, mal)
  await idle(run, prey.length > 0 ? 16 : b % 8, 7)
  // It never meant to have that one confirm.
  if (isRevoked && !arena.closingOf(lane)?.confirmed) arena.queued.push(mal.newest())
  await idle(run, 3, 7)
}

/** The newest HTLC that hal has passed on and that is open on both sides, with the expiry of the one that it came by. */
function passedOn({ arena }: Run): { readonly lane: Lane; readonly key: string; readonly expiry: number } | null {
  for (const lane of arena.lanes) {
    const { state } = arena.hal.entry(lane)
    const channel = state.tag === 'closed' ? null : channelOf(state)
    for (const { add, removal } of channel ? [...eachHtlc(channel.commitments.outgoing)].reverse() : []) {
      if (add.origin?.tag !== 'forward' || removal !== null || !arena.hostiles.has(lane)) continue
      if (add.amountMsat < LEAST_TALLY) continue
      const key = `${lane}:${add.id}`
      if (arena.hal.till.ledger.failed.has(key)) continue
      const from = channelOf(arena.hal.channels.byChannelId(add.origin.channelId)!.state)
      const incoming = from && getHtlc(from.commitments.incoming, add.origin.htlcId)
      if (incoming && incoming.removal === null) return { lane, key, expiry: incoming.add.cltvExpiry }
    }
  }
  return null
}

/** Has hal pass an HTLC on, unless there is one. */
export function passOn(run: Run, amountMsat: Msat): ReturnType<typeof passedOn> {
  const { arena } = run
  const known = passedOn(run)
  if (known || arena.lanes.length < 2) return known
  agree(run, arena.lanes)
  run.offer('up', { hash: arena.book.add('forward').hash, amountMsat, expiry: arena.chain.height + 55 })
  agree(run, arena.lanes)
  return passedOn(run)
}

/** Shows preimages to the mempool alone, and has them wait there, in the way of those who want the money back. */
const tease: Plot = async (run, anywhere, b, c) => {
  const { arena } = run
  const lane = (b % 4 > 0 ? passOn(run, TALLIES[c % 3]!)?.lane : null) ?? anywhere
  const mal = arena.hostiles.get(lane)
  if (!mal || !isContested(run, lane)) return
  // When the honest come for it, if they do within the time.
  for (let i = 0; i < 50 && (!arena.closingOf(lane)?.confirmed || i < b % 4); i++) await idle(run, 1)
  const closing = arena.closingOf(lane)
  if (!closing?.confirmed) return
  const prey = mal.prey(arena.chain, arena.book, closing.tx).filter((p) => p.preimage !== null)
  const feerate = [253, 1000, 8000][b % 3]!
  for (const tx of mal.take(prey, { together: c % 4 === 0, coins: arena.purse, feerate }))
    run.send(tx, 3 + (c % 16) * 4, mal)
  if (prey.length === 0) return
  await idle(run, (b >> 2) % 2 === 0 ? 42 : (b >> 3) % 20, (c >> 1) & 1)
}

/** Keeps an HTLC until what it came by is about to expire, and claims it then, in blocks of its own. */
const holdOut: Plot = async (run, _lane, b, c) => {
  const { arena } = run
  const target = passOn(run, TALLIES[b % 3]!)
  if (!target) return
  const mal = arena.hostiles.get(target.lane)!
  const from = target.expiry - [9, 8, 7, 9, 8, 6, 10, 4][c % 8]!
  for (let i = 0; i < 70 && arena.chain.height < from && passedOn(run)?.key === target.key; i++) await idle(run, 1)
  if (passedOn(run)?.key !== target.key) return
  if (arena.closingOf(target.lane) === null) arena.queued.push(mal.newest())
  const censor = b % 4 !== 0
  await run.mine(1, 2, false)
  await run.mine(censor ? run.steal : 6, 2, censor)
  await run.mine(2, 7, false)
}

/** Has hal pay it a few times: alike, by one hash, or not. */
export function enrich(run: Run, lane: Lane, b: number): void {
  const { arena } = run
  agree(run, [lane])
  const again = b % 2 === 0 ? arena.book.add('to-peer').hash : null
  const expiry = arena.chain.height + 20
  for (let i = 0; i <= 1 + ((b >> 1) % 2); i++)
    run.pay(lane, { hash: again ?? arena.book.add('to-peer').hash, amountMsat: TALLIES[(b >> 2) % 3]!, expiry })
  arena.pump(lane)
}

/** Closes while HTLCs are there that are alike, takes one of them, and leaves the others to hal, which wants them back. */
const halve: Plot = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)
  if (!mal || !open(run, lane)) return
  enrich(run, lane, b << 1)
  if (c % 2 === 0) arena.hal.forceClose(lane)
  else arena.queued.push(mal.newest())
  await idle(run, 2)
  const closing = arena.closingOf(lane)
  if (!closing?.confirmed) return
  const prey = mal.prey(arena.chain, arena.book, closing.tx).filter((p) => p.preimage !== null)
  const alike = prey.slice(-2)
  const one = alike.slice((c >> 1) % Math.max(1, alike.length)).slice(0, 1)
  arena.queued.push(...mal.take(one, { together: false, coins: arena.purse, feerate: 253 }))
  await idle(run, 22 + (b % 3))
}

/** Its commitment with the most to take, but for the newest one. */
const richest = (mal: Hostile): Channel => {
  const size = ({ commitments: { outgoing, incoming } }: Channel): number => outgoing.size + incoming.size
  const all = mal.commitments()
  const old = all.length > 1 ? all.slice(0, -1) : all
  return old.reduce((best, c) => (size(c) >= size(best) ? c : best))
}

/** Publishes what was revoked, takes one of its outputs in the mempool alone, and has that hold up whoever wants them all at once. */
const hook: Plot = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)
  if (!mal || !open(run, lane)) return
  enrich(run, lane, b)
  // What is there now is revoked by what comes after.
  const terms = { hash: arena.book.add('to-peer').hash, expiry: arena.chain.height + 20 }
  run.pay(lane, { ...terms, amountMsat: 5_000_000n as Msat })
  arena.pump(lane)
  arena.queued.push(mal.signed(richest(mal)))
  await idle(run, 1 + (c % 2))
  const closing = arena.closingOf(lane)
  if (!closing?.confirmed) return
  const prey = mal.prey(arena.chain, arena.book, closing.tx).filter((p) => p.output.htlc !== null)
  const feerate = [1_500, 6_000, 15_000][(c >> 1) % 3]!
  for (const tx of mal.take(prey.slice(0, 1), { together: true, coins: arena.purse, feerate }))
    run.send(tx, 3 + ((c >> 3) % 8) * 4, mal)
  await idle(run, 8 + (b % 16), c % 5 === 0 ? 2 : 0)
}

/** Publishes what was revoked, and takes it back: nothing spends the channel any more, or another commitment does. */
const retract: Plot = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)
  if (!mal || !open(run, lane)) return
  if (b % 3 !== 0) bait(run, lane, TALLIES[b % 3]!)
  arena.queued.push(mal.signed(richest(mal)))
  const depth = 1 + (c % (REORG - 1))
  await idle(run, depth)
  await run.undo(depth, {
    other: (c >> 3) % 3 === 0 ? mal.newest() : null,
    withdraws: true,
    greed: 0,
    censor: c % 2 === 0,
  })
}

/** Lets the honest publish what they have to while blocks are empty, then has others fill them: what estimates know of, or do not. */
const throng: Plot = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)
  if (!mal || !open(run, lane)) return
  run.feerate(253)
  const expiries = bait(run, lane, TALLIES[b % 3]!).map((h) => h.add.cltvExpiry)
  if (expiries.length === 0) return
  await idle(run, Math.min(...expiries) - 12 - arena.chain.height)
  const isUnforeseen = c % 4 > 1
  if (isUnforeseen) run.feerate(253, 1_000)
  if (c % 2 === 0) {
    arena.queued.push(mal.newest())
    await run.mine(2, 0, true)
  }
  if (!isUnforeseen) run.feerate([3_000, 6_000][(c >> 2) % 2]!, [2_500, 5_000][(c >> 2) % 2]!)
  await idle(run, 16, 7)
  run.feerate(253)
}

export const PLOTS = { throng, siege, tease, ambush, smother, holdOut, hook, halve, retract } satisfies Record<
  string,
  Plot
>
export type PlotName = keyof typeof PLOTS
