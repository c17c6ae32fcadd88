import { EMPTY, fromHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf, unsignedInput, withWitness } from '../../src/bitcoin/transaction.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { eachHtlc } from '../../src/channel/htlcTable.ts'
import { isHtlcStage } from '../../src/channel/onchain/claims.ts'
import { anchorsIn } from '../../src/channel/onchain/outputs.ts'
import type { Channel } from '../../src/channel/state.ts'
import { anchorScript, fundingScriptPubKey, toRemoteScriptPubKey } from '../../src/channel/tx/scripts.ts'
import type { Arena, Lane } from './arena.ts'
import { flood } from './flood.ts'
import { clear, haggle } from './haggle.ts'
import type { Hostile } from './hostile.ts'
import { REORG } from './limits.ts'
import { LOOT, SEQUENCE, signCoin } from './loot.ts'
import { cycle, dig } from './miner.ts'
import { agree, enrich, idle, open, TALLIES } from './plots.ts'
import { rebuff } from './rebuff.ts'
import { recant } from './recant.ts'
import { relapse } from './relapse.ts'
import { Rng } from './rng.ts'
import type { Run, Terms } from './run.ts'
import { type Dress, type Part, stageTx } from './stages.ts'

/** Mischief with whose keys, scripts, numbers and hashes things are; a plot otherwise. */
type Trick = (run: Run, lane: Lane, b: number, c: number) => Promise<void>

const walletScript = ({ hal }: Arena, rng: Rng): Uint8Array => {
  const scripts = [...hal.wallet.state.scripts.keys()]
  return fromHex(scripts[rng.below(Math.min(scripts.length, 24))]!)
}

/** An HTLC that is there, once more: in the other direction, or in another channel. */
const mirror: Trick = async (run, lane, b, c) => {
  const { arena } = run
  const channel = open(run, lane)
  if (!channel) return
  const { outgoing, incoming } = channel.commitments
  const isOurs = b % 3 > 0 || incoming.size === 0
  const htlcs = [...eachHtlc(isOurs ? outgoing : incoming)]
  const add = htlcs[c % Math.max(1, htlcs.length)]?.add
  if (!add) return
  const terms: Terms = { hash: add.paymentHash, amountMsat: add.amountMsat, expiry: add.cltvExpiry }
  const to = (b >> 2) % 3 === 0 ? (arena.lanes.find((l) => l !== lane) ?? lane) : lane
  if (isOurs === (b >> 4) % 4 > 0) run.offer(to, terms)
  else run.pay(to, terms)
  for (let i = (b >> 6) % 12; i > 0; i--) if (!arena.deliver(to, i % 2 === 0)) arena.deliver(to, i % 2 !== 0)
}

/** Pays to hal's wallet, and takes that back by undoing blocks, when hal may have used it for what it has to pay; or just pays. */
const gift: Trick = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)!
  const rng = new Rng(b * 65_536 + c)
  const coin = arena.purse.next()
  if (!coin) return
  const outputs = Array.from({ length: 1 + rng.below(4) }, () => ({
    amountSat: [330n, 40_000n, 148_000n][rng.below(3)]! as Sat,
    scriptPubKey: walletScript(arena, rng),
  }))
  const of = (to: Transaction['outputs'], fee: bigint): Transaction => {
    const left = to.reduce((rest, o) => rest - o.amountSat, coin.amountSat - fee)
    const change = { amountSat: left as Sat, scriptPubKey: LOOT }
    const tx = { version: 2, inputs: [unsignedInput(coin.outpoint, SEQUENCE)], outputs: [...to, change], lockTime: 0 }
    return signCoin(tx, 0, coin.amountSat)
  }
  run.send(arena.noteGift(of(outputs, 1_000n)), rng.below(3) === 0 ? rng.below(64) : 0, mal)
  if (rng.below(4) === 0) return idle(run, rng.below(4), 7)
  await idle(run, 1)
  if (rng.below(2) === 0) run.spend()
  else if (rng.below(3) > 0) arena.hal.forceClose(lane)
  const blocks = 1 + rng.below(REORG - 2)
  await idle(run, blocks, rng.below(8))
  const other = of([], 5_000n)
  await run.undo(blocks + 1, { other, withdraws: rng.below(2) === 0, greed: 0, censor: false })
  await idle(run, rng.below(6), rng.below(8))
}

/** Takes the anchors of a commitment that has been in the chain for long, hal's too, for hal's wallet perhaps. */
const litter: Trick = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)!
  const rng = new Rng(b * 65_536 + c)
  if (!arena.closingOf(lane)) arena.queued.push(mal.newest())
  await idle(run, rng.below(3) + 16, rng.below(8))
  const closing = arena.closingOf(lane)
  const channel = channelOf(arena.hal.entry(lane).state)
  if (!closing?.confirmed || !channel) return
  const tx = sweepAnchors(arena, channel, closing.tx, rng)
  if (!tx) return
  run.send(arena.noteGift(tx), rng.below(16), mal)
  await idle(run, rng.below(4))
  if (rng.below(3) === 0)
    await run.undo(1 + rng.below(REORG - 1), { other: null, withdraws: true, greed: 0, censor: false })
}

/** After 16 blocks anchors are anybody's. @source BOLT 3 §to_local_anchor-and-to_remote_anchor-output-option_anchors */
function sweepAnchors(arena: Arena, channel: Channel, closing: Transaction, rng: Rng): Transaction | null {
  const { local, remote } = channel.params
  const scripts = [local, remote].map((s) => anchorScript(s.basepoints.fundingPubkey))
  const anchors = anchorsIn(channel, { tx: closing, txid: txidOf(closing) }).filter((a) => arena.chain.has(a.outpoint))
  const coin = anchors.length > 0 ? arena.purse.next() : null
  if (!coin) return null
  const to = rng.below(2) === 0 ? LOOT : walletScript(arena, rng)
  let tx: Transaction = {
    version: 2,
    inputs: [...anchors.map((a) => unsignedInput(a.outpoint, 16)), unsignedInput(coin.outpoint, SEQUENCE)],
    outputs: [
      { amountSat: 1_000n as Sat, scriptPubKey: to },
      { amountSat: (coin.amountSat - 3_000n) as Sat, scriptPubKey: LOOT },
    ],
    lockTime: 0,
  }
  anchors.forEach((a, i) => {
    const script = scripts.find((s) => Buffer.compare(p2wsh(s), a.scriptPubKey) === 0)!
    tx = withWitness(tx, i, [EMPTY, script])
  })
  return signCoin(tx, anchors.length, coin.amountSat)
}

/** Has the channel closed together, its own part going to a script of hal's; something else may confirm in the end. */
const shut: Trick = async (run, lane, b, c) => {
  const { arena } = run
  const mal = arena.hostiles.get(lane)!
  const rng = new Rng(b * 65_536 + c)
  clear(run, lane)
  const channel = open(run, lane)
  if (!channel) return
  const { local, remote, channelType } = channel.params
  const { fundingPubkey, paymentBasepoint } = local.basepoints
  const scripts = [
    arena.hal.entry(lane).meta.sweepScriptPubKey,
    walletScript(arena, rng),
    p2wsh(anchorScript(fundingPubkey)),
    toRemoteScriptPubKey(paymentBasepoint, channelType),
    fundingScriptPubKey(fundingPubkey, remote.basepoints.fundingPubkey),
  ]
  mal.command({ tag: 'close', requestId: 1, scriptPubKey: scripts[rng.below(scripts.length)]! })
  if (rng.below(2) === 0) arena.hal.close(lane)
  arena.pump(lane, rng.below(4) === 0 ? rng.below(8) : 80)
  const blocks = rng.below(4)
  await idle(run, blocks, 7)
  const all = mal.commitments()
  const other = rng.below(2) === 0 ? mal.signed(all[rng.below(all.length)]!) : null
  if (blocks > 0 && rng.below(2) === 0)
    await run.undo(blocks, { other, withdraws: rng.below(2) === 0, greed: 0, censor: false })
}

/** Hal is not there, and catches up. */
const doze: Trick = async (run, _lane, b, c) => run.arena.absent(run.spare(1 + (b % 7)), c % 8)

/** One of the attacker's old commitments that have the most HTLCs. */
function ripe(mal: Hostile, rng: Rng): Transaction {
  const size = ({ commitments: { outgoing, incoming } }: Channel): number => outgoing.size + incoming.size
  const all = mal.commitments()
  const old = [...(all.length > 1 ? all.slice(0, -1) : all)].sort((x, y) => size(y) - size(x))
  return mal.signed(old[rng.below(Math.min(3, old.length))]!)
}

/** What may stand around HTLCs in a transaction of theirs: nothing, money for hal, scripts that look like what hal is after. */
function dressOf(arena: Arena, { stage }: Part, rng: Rng): Dress {
  const scripts = [LOOT, LOOT, walletScript(arena, rng), p2wsh(stage.delayedScript)]
  const any = (): Uint8Array => scripts[rng.below(scripts.length)]!
  const output = () => ({ amountSat: [700n, 20_000n][rng.below(2)]! as Sat, scriptPubKey: any() })
  return {
    ahead: [LOOT, ...Array.from({ length: rng.below(5) }, any)],
    behind: Array.from({ length: rng.below(3) }, output),
    sequence: [SEQUENCE, 0xffffffff, 0][rng.below(3)]!,
  }
}

/** Of all commitments that are there, the HTLCs that can be taken: those of one lock time together, whichever channels they are of. */
function mangled(
  { arena }: Run,
  rng: Rng,
  closings: ReadonlyMap<Lane, Transaction>,
  isNext: boolean,
): readonly Transaction[] {
  const parts: Part[] = []
  for (const [lane, closing] of closings) {
    const mal = arena.hostiles.get(lane)!
    for (const { output, preimage } of mal.prey(arena.chain, arena.book, closing, isNext))
      if (isHtlcStage(output.spend)) parts.push(mal.part(output.spend, preimage))
  }
  const groups = new Map<string, Part[]>()
  for (const p of parts) {
    const { channelType, tx } = p.stage
    const key = channelType === 'anchors' ? `${tx.lockTime} ${rng.below(3) === 0}` : outpointKey(tx.inputs[0]!)
    const group = groups.get(key) ?? []
    groups.set(key, rng.below(2) === 0 ? [...group, p] : [p, ...group])
  }
  const { purse: coins } = arena
  return [...groups.values()].map((group) =>
    arena.noteGift(stageTx(group, { coins, fee: 3_000n, dress: dressOf(arena, group[0]!, rng) })),
  )
}

/**
 * Publishes commitments that are revoked, of all its channels perhaps, and moves their HTLCs on in transactions of its own making: in
 * the very block of the commitment, while hal is not there, or while it is left out.
 */
const mangle: Trick = async (run, lane, b, c) => {
  const { arena } = run
  const rng = new Rng(b * 65_536 + c)
  const lanes = [...arena.hostiles.keys()].filter((l) => open(run, l) && (l === lane || rng.below(2) === 0))
  if (!lanes.includes(lane)) return
  agree(run, lanes)
  // Some of hal's are settled, and have expired by then.
  for (const l of lanes)
    for (let i = rng.below(3); i > 0; i--)
      run.offer(l, {
        hash: arena.book.add('invoice').hash,
        amountMsat: TALLIES[rng.below(3)]!,
        expiry: arena.chain.height + 20,
      })
  agree(run, lanes)
  if (rng.below(2) === 0) await idle(run, 21)
  for (const l of lanes) enrich(run, l, rng.below(16))
  agree(run, lanes)
  for (const l of lanes) settleSome(arena, l, rng)
  agree(run, lanes)
  if (!lanes.every((l) => open(run, l))) return
  const closings = new Map(lanes.map((l) => [l, ripe(arena.hostiles.get(l)!, rng)]))
  const before = (n: number): void => {
    if (n === 0) arena.queued.push(...closings.values())
    arena.queued.push(...mangled(run, rng, closings, n === 0))
  }
  const blocks = run.spare(2 + rng.below(5))
  if (rng.below(2) === 0) await arena.absent(blocks, 0, before)
  else
    for (let n = 0; n < blocks; n++) {
      before(n)
      await arena.block({ greed: 0, censor: true })
    }
  await idle(run, rng.below(30), rng.below(8))
}

function settleSome(arena: Arena, lane: Lane, rng: Rng): void {
  const mal = arena.hostiles.get(lane)!
  for (const { id, paymentHash } of mal.incoming()) {
    const how = rng.below(3)
    const { preimage } = arena.book.payments.get(paymentHash)!
    if (how === 1) mal.command({ tag: 'fulfillHtlc', id, preimage })
    if (how === 2) mal.command({ tag: 'failHtlc', id, reason: new Uint8Array(292) })
  }
}

export const TRICKS = {
  mirror,
  gift,
  litter,
  shut,
  doze,
  mangle,
  rebuff,
  relapse,
  dig,
  cycle,
  haggle,
  flood,
  recant,
} satisfies Record<string, Trick>
export type TrickName = keyof typeof TRICKS
